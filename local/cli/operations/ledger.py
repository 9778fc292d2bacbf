"""`ledger`: what became of every byte range of a run, and the proof that nothing was lost."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from common.names import camel_case
from healthlake_export.ledger import LedgerItem
from local.cli.errors import CommandError
from local.cli.operations.audit_items import read_audits
from local.cli.operations.hub import DeployedHub
from local.cli.operations.run_items import adds_up, read_ledger, short
from local.cli.operations.tables import show_table
from local.cli.operations.verification import Check, Evidence
from local.cli.output import Output
from local.cli.project import command_line

_COLUMNS = ("index", "start", "end", "lines", "blank", "rows", "published", "batched", "repeated")
_MORE_COLUMNS = ("quarantined", "withheld", "adds up", "file")


def ledger(hub: DeployedHub, output: Output, run_id: str, index: int | None) -> int:
    """Show the run's ledger items, or the one of a byte range; raises CommandError when there is none."""
    table = hub.client("dynamodb")
    items = read_ledger(table, hub.table, run_id, index)
    if not items and run_id not in read_audits(table, hub.table, [run_id]):
        raise _no_run_in_the_table(run_id)
    if not items and index is not None:
        raise CommandError(
            f"Byte range {index} of the run {run_id} has no ledger item.",
            "It was not planned, or not processed: see `ledger` without --range, and `run`.",
        )
    if items:
        show_table(output, (*_COLUMNS, *_MORE_COLUMNS), [_row(item) for item in items])
    else:
        output.line("The run has no ledger: it exported nothing, or failed before it processed anything.")
    output.document({"hub": hub.document(), "runId": run_id, "ledger": [_document(item) for item in items]})
    return 0


def verify(hub: DeployedHub, output: Output, run_id: str, *, read: bool) -> int:
    """Prove the run again from what it left; 1 when a check does not hold."""
    table = hub.client("dynamodb")
    audit = read_audits(table, hub.table, [run_id]).get(run_id)
    if audit is None:
        raise _no_run_in_the_table(run_id)
    with output.step(f"Verify run {run_id}") as step:
        evidence = Evidence(hub, run_id, audit, read_ledger(table, hub.table, run_id))
        checks = list(evidence.checks(read=read, progress=step.progress))
        holds = all(check.holds for check in checks)
        step.failed = not holds
        step.result = "nothing was lost" if holds else "not proven"
    _show(checks, output)
    if holds and not read:
        output.line("With --read the lines of the exported files are counted again as well.")
    document = {"runId": run_id, "holds": holds, "checks": [check.document() for check in checks]}
    output.document({"hub": hub.document(), **document})
    return 0 if holds else 1


def _no_run_in_the_table(run_id: str) -> CommandError:
    return CommandError(
        f"The hub's table has no run {run_id}: there was none, or it was turned away before it began.",
        f"`{command_line()} run {run_id}` asks Step Functions as well.",
    )


def _show(checks: Sequence[Check], output: Output) -> None:
    for check in checks:
        told = output.good if check.holds else output.bad
        told(f"{check.name}: {check.found}")


def _row(item: LedgerItem) -> list[object]:
    counts = (getattr(item, name) for name in (*_COLUMNS, "quarantined", "withheld"))
    return [*counts, adds_up(item), short(item.key)]


def _document(item: LedgerItem) -> dict[str, Any]:
    return {camel_case(name): value for name, value in asdict(item).items()} | {"addsUp": adds_up(item)}
