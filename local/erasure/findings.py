"""What was found of a patient, and what was done about it, added up."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from local.erasure.matching import Concern, Match
from local.erasure.stack_buckets import RESULTS_BUCKET


@dataclass
class Findings:
    """Rows, lines and records that concern the patient, counted by why; and which resources among them are
    of other patients too, refer to the patient from outside the compartment, or only mention it."""

    counts: Counter[Concern] = field(default_factory=Counter)
    shared: set[str] = field(default_factory=set)
    referring: set[str] = field(default_factory=set)
    mentioning: set[str] = field(default_factory=set)

    def add(self, match: Match) -> None:
        """Count one."""
        self.counts[match.concern] += 1
        if match.resource is None:
            return
        if match.shared and match.erases:
            self.shared.add(match.resource)
        if match.concern is Concern.REFERENCE:
            self.referring.add(match.resource)
        elif match.concern is Concern.MENTION:
            self.mentioning.add(match.resource)

    def include(self, other: "Findings") -> None:
        """Count everything that another one has."""
        self.counts.update(other.counts)
        self.shared |= other.shared
        self.referring |= other.referring
        self.mentioning |= other.mentioning

    @property
    def erased(self) -> int:
        """How many have to go."""
        return sum(number for concern, number in self.counts.items() if concern is not Concern.MENTION)


@dataclass
class AreaCount:
    """What was done below one prefix of a bucket. `erased` counts rows, lines or records of current versions,
    `replaced` and `deleted` objects, `old_versions` versions and markers that went with them."""

    objects: int = 0
    versions: int = 0
    bytes: int = 0
    erased: int = 0
    replaced: int = 0
    deleted: int = 0
    old_versions: int = 0
    left: int = 0

    def include(self, other: "AreaCount") -> None:
        """Add another one."""
        for name, value in vars(other).items():
            setattr(self, name, getattr(self, name) + value)

    @property
    def changed(self) -> bool:
        """Whether anything had to be done, or is left to be done."""
        return any((self.replaced, self.deleted, self.old_versions, self.left))


@dataclass
class PassResult:
    """What one pass over all buckets came to: by bucket (its id in the template) and prefix, and in all.
    `left` names keys that concern the patient and were left as they are, with the reason."""

    areas: dict[tuple[str, str], AreaCount] = field(default_factory=dict)
    findings: Findings = field(default_factory=Findings)
    left: list[tuple[str, str, str]] = field(default_factory=list)
    uploads: int = 0

    def area(self, bucket: str, prefix: str) -> AreaCount:
        """The count of a prefix of a bucket."""
        return self.areas.setdefault((bucket, prefix), AreaCount())

    @property
    def clean(self) -> bool:
        """Whether nothing of the patient was met."""
        return not self.left and not self.uploads and not any(one.changed for one in self.areas.values())

    @property
    def did_anything(self) -> bool:
        """Whether the pass changed anything."""
        total = self.total()
        return bool(self.uploads or total.replaced or total.deleted or total.old_versions)

    @property
    def clean_of_data(self) -> bool:
        """As `clean`, but for results of queries: what is queried once the lake is clean is nothing of the
        patient's."""
        data = [area for (bucket, _), area in self.areas.items() if bucket != RESULTS_BUCKET or area.left]
        return not self.left and not self.uploads and not any(area.changed for area in data)

    def total(self) -> AreaCount:
        """All areas together."""
        total = AreaCount()
        for area in self.areas.values():
            total.include(area)
        return total

    def document(self) -> list[dict[str, Any]]:
        """The areas for programs."""
        return [
            {
                "bucket": bucket,
                "prefix": prefix,
                "objects": area.objects,
                "versions": area.versions,
                "bytes": area.bytes,
                "erased": area.erased,
                "replacedObjects": area.replaced,
                "deletedObjects": area.deleted,
                "oldVersions": area.old_versions,
                "left": area.left,
            }
            for (bucket, prefix), area in sorted(self.areas.items())
        ]
