"""Changes of records that no row was made of, below the error prefix of the lake. The lines that name the
patient are left out, the others stay to be ingested."""

from base64 import b64decode
from binascii import Error as NotBase64

import msgspec

from local.erasure.findings import Findings
from local.erasure.matching import Concern, Match, Matcher

_decode = msgspec.json.Decoder().decode


def find_failed_rows(content: bytes, matcher: Matcher) -> tuple[Findings, bytes]:
    """What the lines of an error object have of the patient, and the object without them."""
    findings = Findings()
    kept: list[bytes] = []
    for line in content.splitlines(keepends=True):
        match = matcher.of_text(line) or _match(line, matcher)
        if match is None:
            kept.append(line)
        else:
            findings.add(match)
    return findings, b"".join(kept)


def _match(line: bytes, matcher: Matcher) -> Match | None:
    """What the record in a line has of the patient; one that cannot be read has whatever it may have."""
    try:
        data = b64decode(_decode(line)["rawData"])
    except (KeyError, NotBase64, TypeError, ValueError, msgspec.DecodeError):
        return Match(Concern.UNREADABLE) if matcher.suspects(line) else None
    return matcher.of_text(data)
