"""`up` and `down`: the account with the application in it, started, deployed and stopped."""

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from local.account import lifecycle, state_file
from local.account.settings import DEFAULT_PORT, AccountSettings
from local.account.state_file import RunningAccount
from local.cli.errors import CommandError
from local.cli.output import Output
from local.cli.project import Project, command_line
from local.cli.sam import Sam, account_variables, local_environment


@dataclass(frozen=True)
class UpOptions:
    """What `up` was asked for: a preferred port, and whether IAM policies are enforced."""

    port: int = DEFAULT_PORT
    auth: bool = True


def up(project: Project, output: Output, options: UpOptions) -> int:
    """Start the account if it is down, build and deploy what has changed, and say how to go on."""
    with state_file.lock(project.account_dir / state_file.LOCK_FILE):
        account = bring_up(project, project.account_dir, output, options)
    stack_name = local_environment(project.samconfig).stack_name
    output.line()
    output.line(f"The local account runs at {account.endpoint} with the stack {stack_name}.", style="bold")
    output.fields(
        {
            "look around": f"{command_line()} status",
            "load resources": f"{command_line()} load <folder of NDJSON files>",
            "run an export": f"{command_line()} export",
            "stop": "make down",
        }
    )
    output.line()
    output.line("For the AWS CLI and SDKs:")
    for name, value in account_variables(account).items():
        output.line(f"  export {name}={value}")
    document: dict[str, Any] = {
        "endpoint": account.endpoint,
        "pid": account.pid,
        "port": account.port,
        "stack": stack_name,
    }
    document |= {"policiesEnforced": account.auth, "environment": account_variables(account)}
    output.document(document)
    return 0


def bring_up(project: Project, state_dir: Path, output: Output, options: UpOptions) -> RunningAccount:
    """The account of the state directory with the application deployed; the caller holds its lock."""
    sam = Sam(project, state_dir / "logs")
    with output.step("Build the application (sam build)") as step:
        step.result = "" if sam.build(step.progress) else "nothing has changed"
    account = _started(state_dir, output, options)
    with output.step("Deploy it (sam deploy)") as step:
        step.result = "" if sam.deploy(account, step.progress) else "nothing has changed"
    return account


def _started(state_dir: Path, output: Output, options: UpOptions) -> RunningAccount:
    account = lifecycle.find(state_dir)
    if account is not None and lifecycle.answers(account):
        output.good(f"The local account already runs at {account.endpoint}")
        if account.auth != options.auth:
            output.warning(_other_auth(account))
        return account
    with output.step("Start the local AWS account") as step:
        # a process that no longer answers, or workers that a dead one left
        lifecycle.stop(state_dir)
        try:
            account = lifecycle.start(AccountSettings(options.port, state_dir, auth=options.auth))
        except lifecycle.AccountDidNotStart as error:
            raise CommandError(
                str(error), "Look at the end of that log; `make down` clears what is left."
            ) from None
        taken = f" (port {options.port} is taken)" if options.port and account.port != options.port else ""
        step.result = f"{account.endpoint}{taken}"
    return account


def _other_auth(account: RunningAccount) -> str:
    if account.auth:
        return "It goes on enforcing IAM policies: --no-auth counts at its start. Run `make down`, then this."
    return (
        "It goes on without enforcing IAM policies, as it was started with --no-auth. "
        "Run `make down`, then this, to have them enforced."
    )


def down(project: Project, output: Output) -> int:
    """Stop the account with everything that it started; nothing to stop is a success.

    An account that a killed demo has left is stopped as well; that of a running demo is left to it.
    """
    try:
        with state_file.lock(project.account_dir / state_file.LOCK_FILE):
            stopped = lifecycle.stop(project.account_dir)
        with suppress(state_file.Locked), state_file.lock(project.demo_lock, wait=False):
            stopped = lifecycle.stop(project.demo_dir) or stopped
    except lifecycle.AccountDidNotStop as error:
        raise CommandError(str(error), "End them by hand, then run `make down` again.") from None
    output.good("The local account is stopped" if stopped else "The local account was not running")
    output.document({"stopped": stopped})
    return 0
