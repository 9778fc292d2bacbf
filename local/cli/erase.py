"""`erase`: one patient out of every bucket of a hub, verified by looking through all of them again."""

import argparse
import sys
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from local.cli import stack
from local.cli.accounts import named, session
from local.cli.errors import CommandError
from local.cli.operations.application_code import make_importable
from local.cli.operations.hub import DeployedHub, add_place, find_hub
from local.cli.output import Output
from local.cli.project import Project, command_line

if TYPE_CHECKING:
    from local.erasure.erasure import Ground

_SECONDS_IN_A_MINUTE = 60
_EPILOG = (
    "Erase the patient in HealthLake itself first: what it has, the next export brings back. Then this "
    "command leaves an entry that every later run honours, takes the run lock, rewrites or deletes what "
    "concerns the patient in every version of every object, and looks through everything again. It can be "
    "stopped at any point and run again."
)


@dataclass(frozen=True)
class EraseOptions:
    """Whom to erase, and how: counting only, without asking, although HealthLake still has the patient, and
    how many minutes to wait for the run lock at most (None: as long as it takes)."""

    patient_id: str
    dry_run: bool = False
    confirmed: bool = False
    still_in_healthlake: bool = False
    wait_minutes: int | None = None


def add_erase(add: Any) -> None:
    """Add the command with its options."""
    command = add("erase", _erase, "Erase one patient from every bucket of a hub, with all versions.")
    command.epilog = _EPILOG
    command.add_argument("patient", metavar="PATIENT_ID", help="id of the Patient resource")
    command.add_argument("--dry-run", action="store_true", help="count what would go, and change nothing")
    command.add_argument("--yes", action="store_true", help="do not ask for the id again")
    command.add_argument(
        "--still-in-healthlake",
        action="store_true",
        help="go on although HealthLake has the patient; later runs withhold what they export of it",
    )
    command.add_argument(
        "--wait",
        type=_minutes,
        metavar="MINUTES",
        help="for a run under way, at most; 0 refuses (by default as long as it takes)",
    )
    add_place(command)


def _minutes(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of minutes")
    return int(text)


def _erase(project: Project, output: Output, options: argparse.Namespace) -> int:
    make_importable()
    hub = find_hub(project, output, options)
    return erase(
        hub,
        output,
        EraseOptions(
            patient_id=options.patient,
            dry_run=options.dry_run,
            confirmed=options.yes,
            still_in_healthlake=options.still_in_healthlake,
            wait_minutes=options.wait,
        ),
    )


def erase(hub: DeployedHub, output: Output, options: EraseOptions) -> int:
    """Erase a patient and show what became of it; 1 when something of the patient may be left.

    Raises CommandError for an id that is none, a patient whom HealthLake still has, an erasure that nobody
    confirms, and a run lock that does not become free.
    """
    from local.cli.erasure_report import ErasureReport
    from local.erasure.erasure import Erasure, LockHeld
    from local.erasure.healthlake_patient import patient_in_healthlake
    from local.erasure.matching import is_patient_id

    if not is_patient_id(options.patient_id):
        raise CommandError("That is no id of a FHIR resource.", "Give the id alone, without «Patient/».")
    ground = _ground(hub)
    endpoint = hub.client("healthlake").meta.endpoint_url
    found = patient_in_healthlake(session(hub.account), endpoint, hub.datastore_id, options.patient_id)
    report = ErasureReport(hub, ground, options.patient_id, found)
    report.announce(output)
    if not options.dry_run:
        report.require_gone_from_healthlake(still=options.still_in_healthlake)
        _confirm(hub, options)
    erasure = Erasure(
        ground=ground,
        patient_id=options.patient_id,
        erasure_id=uuid.uuid4().hex,
        started_by=_caller(hub),
        steps=output.step,
        wait_seconds=None if options.wait_minutes is None else options.wait_minutes * _SECONDS_IN_A_MINUTE,
    )
    if options.dry_run:
        return report.show_counts(output, erasure.look())
    try:
        erased = erasure.run()
    except LockHeld as held:
        raise _lock_is_held(held.holder) from None
    return report.show(output, erased)


def _ground(hub: DeployedHub) -> "Ground":
    """The hub as the erasure takes it, with every resource of its stack."""
    from local.erasure.erasure import Ground
    from local.erasure.stack_buckets import StackResource

    resources = [
        StackResource(one["LogicalResourceId"], one["ResourceType"], one.get("PhysicalResourceId", ""))
        for one in stack.resources(hub.account, hub.stack_name)
    ]
    return Ground(hub.client, hub.table, hub.datastore_id, hub.state_machine_arn, resources)


def _caller(hub: DeployedHub) -> str:
    from local.cli.export import caller

    return caller(hub.account)


def _confirm(hub: DeployedHub, options: EraseOptions) -> None:
    if options.confirmed:
        return
    what = f"This erases a patient from every bucket of {hub.stack_name} of {named(hub.account)}, for good"
    if not sys.stdin.isatty():
        raise CommandError(f"{what}, and nobody is there to confirm it.", "Add --yes if it is meant.")
    print(f"{what}. Query results of all patients go with it.", file=sys.stderr)
    print("Type the patient's id to go on: ", end="", file=sys.stderr, flush=True)
    if sys.stdin.readline().strip() != options.patient_id:
        raise CommandError("That is not the id; nothing was erased.")


def _lock_is_held(holder: Any) -> CommandError:
    who = f"by {holder.owner.rpartition(':')[2]} since {holder.since}" if holder else "by a run"
    return CommandError(
        f"The run lock is held {who}.",
        f"Run the command again when that has ended, or let it wait; see `{command_line()} state`.",
    )
