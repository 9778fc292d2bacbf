"""The deployed hub that a command is about: in which account and region, and under which stack."""

import argparse
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from local.account import lifecycle
from local.cli import stack
from local.cli.accounts import Account, AwsAccount, account_id, client, named
from local.cli.errors import CommandError, account_is_down
from local.cli.output import Output
from local.cli.project import Project
from local.cli.sam import local_environment

DEFAULT_STACK = "healthlake-hub"
# Step Functions API reference, «StartExecution»: what a name may not have is left out here.
_RUN_ID = re.compile(r"[A-Za-z0-9_.+=@-]{1,80}")


@dataclass(frozen=True)
class DeployedHub:
    """A hub's stack in an account."""

    account: Account
    stack_name: str
    outputs: Mapping[str, str]
    _clients: dict[str, Any] = field(default_factory=dict, repr=False, compare=False)

    def client(self, service: str) -> Any:
        """The client of the service, made once."""
        if service not in self._clients:
            self._clients[service] = client(self.account, service)
        return self._clients[service]

    @property
    def state_machine_arn(self) -> str:
        return self._output("ExportStateMachineArn")

    @property
    def table(self) -> str:
        return self._output("HubTableName")

    @property
    def bucket(self) -> str:
        return self._output("HubBucketName")

    @property
    def lake_bucket(self) -> str:
        return self._output("LakeBucketName")

    @property
    def datastore_id(self) -> str:
        return self._output("DatastoreId")

    def execution_arn(self, run_id: str) -> str:
        """The ARN of the execution that a run is."""
        return f"{self.state_machine_arn.replace(':stateMachine:', ':execution:')}:{run_id}"

    def document(self) -> dict[str, Any]:
        """Which hub this is, for programs."""
        return {
            "account": account_id(self.account),
            "region": self.account.region,
            "stack": self.stack_name,
            "local": not isinstance(self.account, AwsAccount),
            "endpoint": self.account.endpoint,
        }

    def announce(self, output: Output) -> None:
        """Say which hub this is, before anything is said of it."""
        place = named(self.account)
        output.line(f"Stack {self.stack_name} of {place}", style="dim")

    def _output(self, name: str) -> str:
        if name not in self.outputs:
            raise CommandError(
                f"The stack {self.stack_name} has no output {name}.",
                "Name a stack of healthlake-hub with --stack.",
            )
        return self.outputs[name]


def add_place(command: argparse.ArgumentParser) -> None:
    """Add the options that choose a hub."""
    place = command.add_argument_group("which hub", "the one of `up`, unless --aws is given")
    place.add_argument("--aws", action="store_true", help="a real account, by the usual AWS environment")
    place.add_argument("--profile", help="profile of the AWS configuration (with --aws)")
    place.add_argument("--region", help="AWS region (with --aws)")
    place.add_argument("--stack", help=f"name of the stack ({DEFAULT_STACK})")


def find_hub(project: Project, output: Output, options: argparse.Namespace) -> DeployedHub:
    """The hub that the options choose, announced; raises CommandError when there is none."""
    if options.aws:
        account: Account = AwsAccount.chosen_by(options.profile, options.region)
        name = options.stack or DEFAULT_STACK
    else:
        if options.profile or options.region:
            raise CommandError("--profile and --region choose a real account.", "Add --aws.")
        running = lifecycle.find(project.account_dir)
        if running is None:
            raise account_is_down()
        account = running
        name = options.stack or local_environment(project.samconfig).stack_name
    hub = DeployedHub(account, name, stack.outputs(account, name))
    hub.announce(output)
    return hub


def run_id_in(text: str) -> str:
    """The run id in what a user gave, or an execution's ARN. Raises CommandError for anything else."""
    run_id = text.rpartition(":")[2]
    if not _RUN_ID.fullmatch(run_id):
        raise CommandError(f"{text!r} is no run id.", "A run's id is its execution's name; see `runs`.")
    return run_id
