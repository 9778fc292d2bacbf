"""`invoke`: a deployed function with a sample event."""

import base64
import json
from pathlib import Path

from local.account import lifecycle
from local.account.clients import client
from local.cli import stack
from local.cli.errors import CommandError, account_is_down
from local.cli.output import Output
from local.cli.project import Project
from local.cli.sam import local_environment


def invoke(project: Project, output: Output, function: str, event: Path) -> int:
    """Run the function and show what it returns; 1 when it fails, with the error's type."""
    payload = _read_event(project, event)
    account = lifecycle.find(project.account_dir)
    if account is None:
        raise account_is_down()
    functions = stack.functions(account, local_environment(project.samconfig).stack_name)
    if function not in functions:
        raise CommandError(
            f"The stack has no function {function}.", "It has: " + ", ".join(sorted(functions))
        )
    answer = client(account, "lambda").invoke(
        FunctionName=functions[function], Payload=payload, LogType="Tail"
    )
    returned = json.load(answer["Payload"])
    failed = "FunctionError" in answer
    log = base64.b64decode(answer.get("LogResult", "")).decode("utf-8", errors="replace")
    for line in log.splitlines():
        output.line(f"  {line}", style="dim")
    if failed:
        output.bad(f"{function} failed with {returned.get('errorType')}")
    else:
        output.good(f"{function} returned")
    output.line(json.dumps(returned, indent=2, ensure_ascii=False))
    output.document({"function": function, "failed": failed, "payload": returned})
    return 1 if failed else 0


def _read_event(project: Project, event: Path) -> bytes:
    try:
        text = event.read_bytes()
        json.loads(text)
    except OSError:
        samples = sorted((project.root / "events").rglob("*.json"))
        names = "\n".join(f"  {sample.relative_to(project.root)}" for sample in samples)
        raise CommandError(f"The event file {event} cannot be read.", f"Sample events:\n{names}") from None
    except ValueError as error:
        raise CommandError(
            f"The event file {event} is not JSON: {error}", "Correct it, then try again."
        ) from None
    return text
