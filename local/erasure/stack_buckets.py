"""Which buckets a stack has, what lies in them, and what is done with each object."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum


class Treatment(Enum):
    """What is done with an object that concerns the patient."""

    LINES = "its lines are overwritten with blanks"
    RECORDS = "its records keep their place and lose their line"
    WHOLE = "it is deleted"
    LETTERS = "it is deleted, wherever in a message the patient is named"
    LAKE = "it is written again without the rows"
    FAILED_ROWS = "it is written again without the lines"
    RESULTS = "it is deleted, whatever it holds"
    SEARCHED = "it is only searched: nothing of a patient belongs there"


RESULTS_BUCKET = "QueryResultsBucket"
"""Id of the bucket that Athena writes results to."""


@dataclass(frozen=True)
class StackResource:
    """A resource of the stack: its id in the template, CloudFormation's type, and its name."""

    logical_id: str
    type: str
    name: str


@dataclass(frozen=True)
class StackBuckets:
    """The stack's buckets by what is known of them, each by its id in the template and its name: `covered`
    are looked through, `keys_only` hold no content of resources, and of `unknown` ones nothing is known."""

    covered: tuple[StackResource, ...]
    keys_only: tuple[StackResource, ...]
    unknown: tuple[StackResource, ...]

    @classmethod
    def among(cls, resources: Iterable[StackResource]) -> "StackBuckets":
        """The buckets among the stack's resources."""
        buckets = [one for one in resources if one.type == "AWS::S3::Bucket"]
        return cls(
            covered=tuple(one for one in buckets if one.logical_id in _TREATMENTS),
            keys_only=tuple(one for one in buckets if one.logical_id in _KEYS_ONLY),
            unknown=tuple(one for one in buckets if one.logical_id not in {*_TREATMENTS, *_KEYS_ONLY}),
        )


# By the longest beginning of the key.
_TREATMENTS: dict[str, dict[str, Treatment]] = {
    "HubBucket": {
        "exports/": Treatment.LINES,
        "changes/": Treatment.WHOLE,
        "transitions/": Treatment.WHOLE,
        "aws/lambda/": Treatment.WHOLE,
        "quarantine/": Treatment.RECORDS,
        "dead-letters/": Treatment.LETTERS,
        "": Treatment.SEARCHED,
    },
    "LakeBucket": {"records-errors/": Treatment.FAILED_ROWS, "": Treatment.LAKE},
    RESULTS_BUCKET: {"": Treatment.RESULTS},
    # What was uploaded is its sender's, in whatever format: a find is named, for a person to decide.
    "UploadsBucket": {"": Treatment.SEARCHED},
}
# CloudTrail's records name keys and callers.
_KEYS_ONLY = frozenset({"AuditTrailBucket"})


def treatment(logical_id: str, key: str) -> Treatment:
    """What is done with an object of one of the covered buckets."""
    by_prefix = _TREATMENTS[logical_id]
    found = by_prefix[max((prefix for prefix in by_prefix if key.startswith(prefix)), key=len)]
    if found is Treatment.RECORDS and not key.endswith(".ndjson"):
        return Treatment.WHOLE
    return found


def prefix_of(key: str) -> str:
    """The first part of a key, as reports name where an object lies."""
    first, slash, _ = key.partition("/")
    return first + slash if slash else ""
