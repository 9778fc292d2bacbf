"""What an erasure tells: first whether HealthLake still has the patient; in the end what went, what was
looked through again, and what only time or somebody else removes."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from local.cli.errors import CommandError
from local.cli.operations.hub import DeployedHub
from local.cli.operations.tables import show_table
from local.cli.output import Output, counted
from local.erasure.erasure import Erased, Ground
from local.erasure.findings import AreaCount, PassResult
from local.erasure.healthlake_patient import InHealthLake, how_to_erase
from local.erasure.remains import other_items, remains

_NAMES_SHOWN = 20
_COLUMNS = (
    "bucket",
    "below",
    "objects",
    "versions",
    "bytes",
    "erased",
    "rewritten",
    "deleted",
    "old versions",
)
_COUNTS = ("objects", "versions", "bytes", "erased", "replaced", "deleted", "old_versions")
_KINDS = {
    "shared": "of other patients too; a version without this patient comes with the next export of it",
    "referring": "refer to the patient from outside the compartment; $purge leaves them in HealthLake",
    "mentioning": "mention the patient in words or by another server's address; left as they are",
}


@dataclass(frozen=True)
class ErasureReport:
    """Tells of one erasure."""

    hub: DeployedHub
    ground: Ground
    patient_id: str
    in_healthlake: InHealthLake

    def announce(self, output: Output) -> None:
        """Say what HealthLake says, and what is looked through."""
        told = output.warning if self.in_healthlake is not InHealthLake.ABSENT else output.good
        told(f"HealthLake: the patient is {self.in_healthlake.value} there.")
        for bucket in self.ground.buckets.unknown:
            output.warning(f"{bucket.logical_id} is a bucket that this command does not know: look yourself.")

    def require_gone_from_healthlake(self, *, still: bool) -> None:
        """Refuse to erase what the next export brings back, unless that is meant."""
        if still or self.in_healthlake in (InHealthLake.ABSENT, InHealthLake.DELETED):
            return
        first, second = how_to_erase(self.patient_id)
        says = "still has" if self.in_healthlake is InHealthLake.PRESENT else "did not say whether it has"
        raise CommandError(
            f"HealthLake {says} the patient: the next export would bring the files back.",
            f"Erase the patient there first, below the datastore's endpoint:\n  {first}\n"
            f"  {second}\nOr add --still-in-healthlake: later runs withhold what they export of the patient, "
            "but the exported files have it.",
        )

    def show_counts(self, output: Output, found: PassResult) -> int:
        """What would go."""
        self._table(output, [found])
        self._names(output, [found])
        output.line("Nothing was changed: --dry-run only counts.")
        output.document({**self._document([found]), "dryRun": True, "verified": found.clean})
        return 0

    def show(self, output: Output, erased: Erased) -> int:
        """What went and what is left; 0 when nothing of the patient was found any more."""
        items, naming = other_items(
            self.hub.client("dynamodb"), self.ground.table, self.ground.datastore_id, self.patient_id
        )
        left = erased.passes[-1].left if erased.passes else []
        clean = erased.verified and not naming and not self.ground.buckets.unknown
        self._table(output, erased.passes)
        self._names(output, erased.passes)
        for bucket, key, reason in left:
            output.bad(f"{bucket}: {key}: {reason}")
        if naming:
            output.bad(f"{counted(naming, 'item')} of the table name the patient.")
        rest = remains(self.ground, self.in_healthlake)
        show_table(
            output, ("what remains", "holds", "until"), [[one.what, one.holds, one.until] for one in rest]
        )
        self._verdict(output, erased, clean=clean)
        document = {
            "dryRun": False,
            "verified": clean,
            "passes": len(erased.passes),
            "left": [{"bucket": bucket, "key": key, "reason": reason} for bucket, key, reason in left],
            "tableItems": items,
            "tableItemsNamingThePatient": naming,
            "remains": [one.document() for one in rest],
        }
        output.document({**self._document(erased.passes), **document})
        return 0 if clean else 1

    def _verdict(self, output: Output, erased: Erased, *, clean: bool) -> None:
        if clean:
            last = erased.passes[-1].total()
            output.good(
                f"Verified: nothing of the patient in {counted(last.versions, 'version')} "
                f"of {counted(last.objects, 'object')}."
            )
        elif self.ground.buckets.unknown:
            output.bad("Not verified: there are buckets that were not looked through.")
        else:
            output.bad("Not verified: see above, and run the command again.")

    def _table(self, output: Output, passes: list[PassResult]) -> None:
        rows = [
            [bucket, prefix or "-", *(getattr(area, name) for name in _COUNTS)]
            for (bucket, prefix), area in sorted(_areas(passes).items())
        ]
        if rows:
            show_table(output, _COLUMNS, rows)
        for bucket in self.ground.buckets.keys_only:
            output.line(f"{bucket.logical_id} holds keys and ids only, and was not looked through.")

    def _names(self, output: Output, passes: list[PassResult]) -> None:
        for kind, meaning in _KINDS.items():
            names = sorted(_names(passes, kind))
            if names:
                output.warning(f"{counted(len(names), 'resource')}: {meaning}")
                more = f" and {len(names) - _NAMES_SHOWN:,} more" if len(names) > _NAMES_SHOWN else ""
                output.line(f"  {', '.join(names[:_NAMES_SHOWN])}{more}")

    def _document(self, passes: list[PassResult]) -> dict[str, Any]:
        buckets = self.ground.buckets
        summed = PassResult(areas=_areas(passes))
        return {
            "hub": self.hub.document(),
            "inHealthLake": self.in_healthlake.value,
            "areas": summed.document(),
            **{kind: sorted(_names(passes, kind)) for kind in _KINDS},
            "abortedUploads": sum(one.uploads for one in passes),
            "unknownBuckets": [one.logical_id for one in buckets.unknown],
            "bucketsOfKeysOnly": [one.logical_id for one in buckets.keys_only],
        }


def _areas(passes: Iterable[PassResult]) -> dict[tuple[str, str], AreaCount]:
    """What was done in all passes, and what the last one looked through."""
    areas: dict[tuple[str, str], AreaCount] = {}
    for one in passes:
        for done in areas.values():
            done.objects = done.versions = done.bytes = 0
        for place, area in one.areas.items():
            areas.setdefault(place, AreaCount()).include(area)
    return areas


def _names(passes: Iterable[PassResult], kind: str) -> set[str]:
    return {name for one in passes for name in getattr(one.findings, kind)}
