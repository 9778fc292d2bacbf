"""Lines of exported files. A line that goes is overwritten with blanks, so that the places of all others stay
as events, ledger and quarantine tell them; a line of blanks is none."""

from collections.abc import Iterable, Iterator

from healthlake_export import erasures
from healthlake_export.ndjson import Line, OversizedLine, RangeLines
from local.erasure.findings import Findings
from local.erasure.matching import Concern, Match, Matcher
from local.erasure.object_versions import VersionBytes

Span = tuple[int, int]
"""Where bytes begin, and where they end."""


def find_lines(content: VersionBytes, matcher: Matcher) -> tuple[Findings, list[Span]]:
    """What the lines of an object have of the patient, and the places of those that have to go."""
    findings: Findings = Findings()
    spans: list[Span] = []
    size = content.version.size
    if not has_trace(content.chunks(), matcher):
        return findings, spans
    for line in RangeLines(content.chunks(), start=0, end=size):
        match = _match(content, line, matcher)
        if match is not None:
            findings.add(match)
            if match.erases:
                spans.append(_span(content, line))
        del line  # it may be as long as the next one
    return findings, spans


def has_trace(chunks: Iterable[bytes], matcher: Matcher) -> bool:
    """Whether there may be anything of the patient in a content, which is read once at most."""
    end = b""
    for chunk in chunks:
        held = end + chunk
        if matcher.suspects(held):
            return True
        end = held[-matcher.longest_trace :]
    return False


def blanked(chunks: Iterable[bytes], spans: Iterable[Span]) -> Iterator[bytes]:
    """The content with blanks in place of the bytes in `spans`, which are in order and do not overlap."""
    left = iter(spans)
    span = next(left, None)
    position = 0
    for chunk in chunks:
        end = position + len(chunk)
        changed: bytearray | None = None
        while span is not None and span[0] < end:
            changed = changed if changed is not None else bytearray(chunk)
            start, stop = max(span[0], position), min(span[1], end)
            changed[start - position : stop - position] = b" " * (stop - start)
            if span[1] > end:
                break
            span = next(left, None)
        yield chunk if changed is None else bytes(changed)
        position = end


def _match(content: VersionBytes, line: Line | OversizedLine, matcher: Matcher) -> Match | None:
    if isinstance(line, Line):
        return matcher.of_line(line.text)
    pieces = content.chunks(line.offset, line.offset + line.length)
    found = erasures.mentions_in(pieces, frozenset({matcher.patient_id}))
    return Match(Concern.UNREADABLE) if found else None


def _span(content: VersionBytes, line: Line | OversizedLine) -> Span:
    if isinstance(line, Line):
        return line.offset, line.text_offset + len(line.text)
    stop = line.offset + line.length
    ends = content.read_range(stop - 1, stop) == b"\n"
    return line.offset, stop - 1 if ends else stop
