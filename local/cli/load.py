"""`load`: FHIR resources from NDJSON files into the local HealthLake."""

from collections.abc import Sequence
from pathlib import Path

from local.account import lifecycle
from local.account.state_file import RunningAccount
from local.cli import stack
from local.cli.errors import CommandError, account_is_down
from local.cli.fhir_client import FhirClient
from local.cli.loading import Loaded, load_lines
from local.cli.ndjson_files import ndjson_files, read_lines
from local.cli.output import Output, counted
from local.cli.project import Project
from local.cli.sam import local_environment

REFUSALS_SHOWN = 20


def load(project: Project, output: Output, paths: Sequence[Path]) -> int:
    """Load every resource of the files; 1 when a line was refused, with file, line and reason of each."""
    files = ndjson_files(paths)
    account = lifecycle.find(project.account_dir)
    if account is None:
        raise account_is_down()
    outputs = stack.outputs(account, local_environment(project.samconfig).stack_name)
    if "DatastoreEndpoint" not in outputs:
        raise CommandError("The deployed stack has no output DatastoreEndpoint.", "Deploy it again: make up")
    loaded = load_files(account, outputs["DatastoreEndpoint"], files, output)
    show_refusals(loaded, output)
    output.table("Loaded", ("type", "resources"), list(loaded.by_type().items()))
    output.document(
        {
            "loaded": len(loaded.accepted),
            "rejected": len(loaded.refused),
            "byType": loaded.by_type(),
            "refused": [
                {"file": str(line.file), "line": line.number, "reason": line.reason}
                for line in loaded.refused
            ],
        }
    )
    return 1 if loaded.refused else 0


def load_files(account: RunningAccount, endpoint: str, files: Sequence[Path], output: Output) -> Loaded:
    """Load the files into the datastore at the endpoint, showing how far it is."""
    client = FhirClient(account, endpoint)
    name = f"Load {counted(len(files), 'file')} into HealthLake"
    with output.step(name) as step:
        lines = (line for file in files for line in read_lines(file))
        loaded = load_lines(
            client, lines, lambda so_far: step.progress(f"{len(so_far.accepted):,} resources")
        )
        refused = f", {counted(len(loaded.refused), 'line')} refused" if loaded.refused else ""
        types = counted(len(loaded.by_type()), "type")
        step.result = f"{counted(len(loaded.accepted), 'resource')} of {types}{refused}"
    return loaded


def show_refusals(loaded: Loaded, output: Output) -> None:
    """One line per refused line of the input, up to a number that can still be read."""
    for line in loaded.refused[:REFUSALS_SHOWN]:
        output.bad(str(line))
    if len(loaded.refused) > REFUSALS_SHOWN:
        output.bad(f"... and {len(loaded.refused) - REFUSALS_SHOWN:,} more (all of them with --json)")
