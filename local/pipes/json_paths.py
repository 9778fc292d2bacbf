"""JSON paths as EventBridge Pipes takes them, over JSON text: what they find is the text that stands there,
so that numbers keep their digits.

AWS documentation: «Amazon EventBridge Pipes input transformation», which lists what is supported: dots,
dashes, underscores, letters, digits, slashes, indices in brackets and `*`.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Sequence

import msgspec

from local.streams.records import json_list

Step = str | int
EVERY = "*"

_STEP = re.compile(r"\.([A-Za-z0-9_\-/:@$]+|\*)|\[(\d+|\*)\]|\['([^']+)'\]|\[\"([^\"]+)\"\]")


class PathRefused(ValueError):
    """A path that Pipes does not take."""


@functools.lru_cache(maxsize=1024)
def steps_of(path: str) -> tuple[Step, ...]:
    """The steps of a path; raises PathRefused."""
    if not path.startswith("$"):
        raise PathRefused(f"Invalid JSON path: {path}")
    steps: list[Step] = []
    at = 1
    while at < len(path):
        found = _STEP.match(path, at)
        if found is None:
            raise PathRefused(f"Invalid JSON path: {path}")
        name, index, *quoted = found.groups()
        if index is not None and index != EVERY:
            steps.append(int(index))
        else:
            steps.append(next(text for text in (name, index, *quoted) if text is not None))
        at = found.end()
    return tuple(steps)


def found_in(event: bytes, path: str) -> bytes | None:
    """The JSON text at the path, None where there is nothing; raises PathRefused."""
    return _walk(event, steps_of(path))


def text_of(value: bytes | None) -> str:
    """A value as text: a string without its quotes, anything else as JSON, nothing for what is not there."""
    if value is None:
        return ""
    return str(msgspec.json.decode(value)) if value.lstrip()[:1] == b'"' else value.decode()


def _walk(value: bytes, steps: Sequence[Step]) -> bytes | None:
    if not steps:
        return value
    first, rest = steps[0], steps[1:]
    try:
        if first == EVERY:
            found = [_walk(bytes(one), rest) for one in _members(value)]
            return json_list(one for one in found if one is not None)
        if isinstance(first, int):
            listed = msgspec.json.decode(value, type=list[msgspec.Raw])
            return _walk(bytes(listed[first]), rest) if first < len(listed) else None
        inner = msgspec.json.decode(value, type=dict[str, msgspec.Raw]).get(first)
    except msgspec.DecodeError:
        return None
    return None if inner is None else _walk(bytes(inner), rest)


def _members(value: bytes) -> list[msgspec.Raw]:
    if value.lstrip()[:1] == b"[":
        return msgspec.json.decode(value, type=list[msgspec.Raw])
    return list(msgspec.json.decode(value, type=dict[str, msgspec.Raw]).values())


def as_json(text: str) -> bytes:
    """A text as a JSON string."""
    return json.dumps(text, ensure_ascii=False).encode()
