"""One version of an object: what of the patient is in it, and the version that takes its place."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from botocore.exceptions import ClientError

from healthlake_export import erasures
from healthlake_export.resource_keys import is_utf8
from local.erasure import dead_letters, failed_rows, ndjson_objects, parquet_objects, quarantine_objects
from local.erasure.findings import Findings
from local.erasure.matching import Concern, Match, Matcher
from local.erasure.object_versions import Version, VersionBytes
from local.erasure.replacement import Replacement
from local.erasure.stack_buckets import Treatment

_BEGINNING = 4096
_GONE = ("404", "NoSuchKey")
_NOTHING_BELONGS_THERE = "something of the patient is in it, where nothing of resources belongs"
_UNKNOWN = "it is neither Parquet nor text: what it holds is not known"
_NO_RESOURCES = "something of the patient is in it, and it is no file of resources"


@dataclass(frozen=True)
class Examined:
    """What is in one version: `findings`; `concerns` says that the version has to go; `write` writes what is
    left of it, and is None where nothing is. `left_alone` says why nothing can be done."""

    version: Version
    findings: Findings = field(default_factory=Findings)
    concerns: bool = False
    write: Callable[[Any], None] | None = None
    left_alone: str | None = None


@dataclass(frozen=True)
class Examiner:
    """Examines objects of one bucket. Every method raises `VersionGone` when the version is not there."""

    s3: Any
    bucket: str
    patient_id: str

    def examine(self, version: Version, treatment: Treatment) -> Examined:
        """What is in a version, by the treatment that its key gets."""
        content = VersionBytes(self.s3, self.bucket, version)
        matcher = Matcher(self.patient_id)
        match treatment:
            case Treatment.RESULTS:
                return Examined(version, concerns=True)
            case Treatment.LINES:
                return self._lines(content, matcher)
            case Treatment.RECORDS:
                return self._records(content, matcher)
            case Treatment.WHOLE:
                return self._whole(content)
            case Treatment.FAILED_ROWS:
                return self._failed_rows(content, matcher)
            case Treatment.LETTERS:
                return self._letter(content, matcher)
            case Treatment.LAKE if parquet_objects.is_parquet(content):
                return self._rows(content, matcher)
            case Treatment.LAKE if not self._is_text(content):
                return Examined(version, left_alone=_UNKNOWN)
            case _:
                return self._searched(content, _NOTHING_BELONGS_THERE)

    def replace(self, examined: Examined) -> str:
        """Write what is left of a version in its place; returns the id of the new one.

        Raises `ObjectChanged`.
        """
        assert examined.write is not None
        head: Mapping[str, Any] = VersionBytes(self.s3, self.bucket, examined.version).head()
        sink = Replacement(self.s3, self.bucket, examined.version, head, examined.findings.erased)
        try:
            examined.write(sink)
            return sink.replace()
        except BaseException:
            sink.abort()
            raise

    def _lines(self, content: VersionBytes, matcher: Matcher) -> Examined:
        findings, spans = ndjson_objects.find_lines(content, matcher)

        def write(sink: Any) -> None:
            for chunk in ndjson_objects.blanked(content.chunks(), spans):
                sink.write(chunk)

        return Examined(content.version, findings, bool(spans), write)

    def _rows(self, content: VersionBytes, matcher: Matcher) -> Examined:
        try:
            found = parquet_objects.find_rows(content, matcher)
        except parquet_objects.NoResources:
            patient = frozenset({self.patient_id})
            named = any(erasures.mentions(rows, patient) for rows in parquet_objects.as_json(content))
            return Examined(content.version, left_alone=_NO_RESOURCES if named else None)
        write = None
        if found.findings.erased < found.rows:

            def write(sink: Any) -> None:
                parquet_objects.write_without(content, matcher, sink)

        return Examined(content.version, found.findings, found.findings.erased > 0, write)

    def _records(self, content: VersionBytes, matcher: Matcher) -> Examined:
        before = b"".join(content.chunks())
        findings, after = quarantine_objects.find_records(before, matcher, self._of_raw_object)
        write = (lambda sink: sink.write(after)) if after else None
        return Examined(content.version, findings, findings.erased > 0, write)

    def _failed_rows(self, content: VersionBytes, matcher: Matcher) -> Examined:
        findings, after = failed_rows.find_failed_rows(b"".join(content.chunks()), matcher)
        write = (lambda sink: sink.write(after)) if after else None
        return Examined(content.version, findings, findings.erased > 0, write)

    def _whole(self, content: VersionBytes) -> Examined:
        findings = Findings()
        if self._mentioned(content):
            findings.add(Match(Concern.UNREADABLE))
        return Examined(content.version, findings, findings.erased > 0)

    def _letter(self, content: VersionBytes, matcher: Matcher) -> Examined:
        findings = Findings()
        match = dead_letters.find_letter(b"".join(content.chunks()), matcher)
        if match is not None:
            findings.add(match)
        return Examined(content.version, findings, match is not None)

    def _searched(self, content: VersionBytes, reason: str) -> Examined:
        return Examined(content.version, left_alone=reason if self._mentioned(content) else None)

    def _is_text(self, content: VersionBytes) -> bool:
        """By its beginning. What is compressed shows nothing to a search."""
        start = content.read_range(0, min(content.version.size, _BEGINNING))
        return is_utf8(start) or is_utf8(start[:-3])

    def _mentioned(self, content: VersionBytes) -> bool:
        return erasures.mentions_in(content.chunks(), frozenset({self.patient_id}))

    def _of_raw_object(self, key: str) -> Match | None:
        """The line in an object of its own. One that is gone was erased before its record."""
        try:
            answer = self.s3.get_object(Bucket=self.bucket, Key=key)
        except ClientError as error:
            if error.response.get("Error", {}).get("Code") not in _GONE:
                raise
            return Match(Concern.UNREADABLE)
        found = erasures.mentions_in(answer["Body"].iter_chunks(1024 * 1024), frozenset({self.patient_id}))
        return Match(Concern.UNREADABLE) if found else None
