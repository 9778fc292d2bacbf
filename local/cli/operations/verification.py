"""Did it lose anything? A run's reconciliation, done again from what is stored, and its files counted again.

`reconcile` is the function that the workflow calls. What it comes to must be what the audit item says, and
with the exported files at hand each file's lines are counted from its bytes.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from botocore.exceptions import ClientError

from healthlake_export.byte_ranges import ByteRange, ExportedObject
from healthlake_export.errors import RangeChanged, ReconciliationFailed
from healthlake_export.export_planning import items_key, read_ranges
from healthlake_export.ledger import LedgerItem
from healthlake_export.object_bytes import ObjectBytes
from healthlake_export.reconciliation import Totals, reconcile, totals_without_ranges
from local.cli.operations.exported_lines import LineCounter
from local.cli.operations.hub import DeployedHub
from local.cli.operations.lake_rows import count_rows
from local.cli.operations.quarantine_objects import list_quarantine, read_records
from local.cli.operations.run_documents import RECONCILED
from local.cli.operations.run_items import short
from local.cli.output import counted
from local.erasure import entries
from local.erasure.erased_objects import erased_since

_GONE = ("NoSuchKey", "404")

Progress = Callable[[str], None]


@dataclass(frozen=True)
class Check:
    """One thing that was checked, whether it holds, and what was found."""

    name: str
    holds: bool
    found: str

    def document(self) -> dict[str, Any]:
        return {"check": self.name, "holds": self.holds, "found": self.found}


@dataclass(frozen=True)
class Evidence:
    """What a run has left: its audit item and its ledger, in the bucket its plan and its files."""

    hub: DeployedHub
    run_id: str
    audit: Mapping[str, Any]
    ledger: Sequence[LedgerItem]

    def checks(self, *, read: bool, progress: Progress) -> Iterator[Check]:
        """Every check in order; with `read` the exported files and the quarantine are read as well."""
        yield self._ended()
        ranges = self._planned()
        if ranges is None:
            yield Check("plan", False, "The run's plan is not in the bucket (any more).")
            return
        yield from self._reconciled(ranges)
        if read:
            yield from self._files(ranges, progress)
            yield self._quarantine(progress)
            yield self._lake(progress)

    def _ended(self) -> Check:
        status = self.audit.get("status")
        return Check("run completed", status == "COMPLETED", f"Its audit item says {status}.")

    def _planned(self) -> list[ByteRange] | None:
        """The ranges of the plan, none for a run that exported nothing; None when the plan is gone."""
        if self.audit.get("status") == "COMPLETED" and not self.audit["ranges"]:
            return []
        try:
            return read_ranges(self.hub.client("s3"), self.hub.bucket, items_key(self.run_id))
        except ClientError as error:
            if error.response["Error"]["Code"] not in _GONE:
                raise
            return None

    def _reconciled(self, ranges: Sequence[ByteRange]) -> Iterator[Check]:
        name = "ledger reconciles"
        plan = self._plan(ranges)
        try:
            if ranges:
                totals = reconcile(plan, ranges, self.ledger, events=self._publishes())
            else:
                totals = totals_without_ranges(plan)
        except ReconciliationFailed as error:
            yield Check(name, False, str(error))
            return
        done = f"{counted(totals.ranges, 'range')} tile {counted(totals.bytes, 'byte')} of "
        yield Check(name, True, f"{done}{counted(totals.files, 'file')}; every line has its outcome.")
        yield self._same_as_audit(totals)

    def _publishes(self) -> bool:
        """Whether the run was to publish. An audit item that does not say so yet is of a silent run when it
        counts rows and not one event; one event too few is no silence."""
        if "events" in self.audit:
            return bool(self.audit["events"])
        return bool(self.audit.get("published", True)) or not self.audit.get("rows")

    def _plan(self, ranges: Sequence[ByteRange]) -> dict[str, Any]:
        """The plan as the workflow carried it; what no audit item tells of is taken from its item file."""
        return {
            "files": self.audit.get("files", len({piece.key for piece in ranges})),
            "ranges": self.audit.get("ranges", len(ranges)),
            "bytes": self.audit.get("bytes", sum(piece.end - piece.start for piece in ranges)),
            "quarantined": self.audit.get("exportErrors", 0),
        }

    def _same_as_audit(self, totals: Totals) -> Check:
        again = totals.to_state()
        different = [
            f"{name}: {again[name]:,} in the ledger, {self.audit[name]:,} in the audit item"
            for name in RECONCILED
            if self.audit.get(name) is not None and self.audit[name] != again[name]
        ]
        told = "; ".join(different) or (
            f"{totals.lines:,} lines = {totals.rows:,} rows + {totals.repeated:,} repeated "
            f"+ {totals.quarantined:,} quarantined + {totals.withheld:,} withheld; "
            f"{totals.published:,} published."
        )
        return Check("same as the audit item", not different, told)

    def _files(self, ranges: Sequence[ByteRange], progress: Progress) -> Iterator[Check]:
        in_ledger = {item.index: item.lines for item in self.ledger}
        by_object = sorted(ranges, key=lambda piece: (piece.key, piece.start))
        for exported, pieces in groupby(by_object, lambda piece: (piece.key, piece.size, piece.etag)):
            progress(short(exported[0]))
            expected = sum(in_ledger.get(piece.index, 0) for piece in pieces)
            yield self._file(ExportedObject(*exported), expected)

    def _file(self, exported: ExportedObject, expected: int) -> Check:
        counter, name, s3 = LineCounter(), short(exported.key), self.hub.client("s3")
        found, erased = erased_since(s3, self.hub.bucket, exported) or (exported, 0)
        objects = ObjectBytes(s3, self.hub.bucket, found)
        try:
            lines = counter.read(objects.chunks(0, found.size))
        except RangeChanged:
            return Check(name, False, "It is no longer the file that was planned, or it is gone.")
        holds = lines + erased == expected and counter.bytes == found.size
        gone = f"{erased:,} erased with a patient, " if erased else ""
        return Check(name, holds, f"{lines:,} lines in the file, {gone}{expected:,} in the ledger.")

    def _lake(self, progress: Progress) -> Check:
        """The rows that the lake has of the run, by the footers of its files. Fewer only where patients were
        erased."""
        progress("lake")
        expected = sum(item.lake_rows for item in self.ledger if item.lake_files)
        if not expected:
            return Check("lake", True, "By its ledger the run wrote nothing to the lake.")
        files, rows = count_rows(
            self.hub.client("s3"), self.hub.lake_bucket, self.run_id, self.audit["startedAt"]
        )
        told = f"{rows:,} rows in {counted(files, 'file')} of the lake, {expected:,} in the ledger"
        erased = entries.erased_since(
            self.hub.client("dynamodb"), self.hub.table, self.hub.datastore_id, self.audit["startedAt"]
        )
        if rows < expected and erased:
            return Check("lake", True, f"{told}; {counted(erased, 'patient')} erased since.")
        return Check("lake", rows == expected, f"{told}.")

    def _quarantine(self, progress: Progress) -> Check:
        """A range that was processed again may have left records that it did not count in the end."""
        s3, bucket = self.hub.client("s3"), self.hub.bucket
        progress("quarantine")
        objects = [one for one in list_quarantine(s3, bucket, self.run_id) if one.has_records]
        records = sum(1 for one in objects for _ in read_records(s3, bucket, one.key))
        expected = sum(item.quarantined for item in self.ledger) + (self.audit.get("exportErrors") or 0)
        told = f"{counted(records, 'record')} in quarantine, {expected:,} counted as quarantined."
        return Check("quarantine", records >= expected, told)
