"""Input templates of enrichments and targets: text with placeholders, rendered for each event.

AWS documentation: «Amazon EventBridge Pipes input transformation».
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass

from local.pipes.json_paths import as_json, found_in, text_of

_PLACEHOLDER = re.compile(r"<(\$[^<>]*|aws\.pipes\.[a-z.\-]+)>")
_EVENT = ("aws.pipes.event", "aws.pipes.event.json")


@dataclass(frozen=True)
class Template:
    """A template and the reserved variables that are the same for every event."""

    text: str
    variables: Mapping[str, str]

    def render(self, event: bytes) -> bytes:
        """The text for an event that is JSON; raises PathRefused.

        In quotes a value's text is put, elsewhere in a JSON template the value itself with its digits; what
        is not there is nothing in quotes, and null elsewhere.
        """
        whole = self.text.strip()
        is_json = whole[:1] in ("{", "[") or _PLACEHOLDER.fullmatch(whole) is not None
        rendered: list[str] = []
        at, quoted = 0, False
        for found in _PLACEHOLDER.finditer(self.text):
            between = self.text[at : found.start()]
            rendered.append(between)
            quoted = _in_quotes(between, quoted)
            value = self._value(found.group(1), event)
            if is_json and quoted:
                rendered.append(json.dumps(text_of(value), ensure_ascii=False)[1:-1])
            elif is_json:
                rendered.append("null" if value is None else value.decode())
            else:
                rendered.append(text_of(value))
            at = found.end()
        rendered.append(self.text[at:])
        return "".join(rendered).encode()

    def _value(self, name: str, event: bytes) -> bytes | None:
        if name in _EVENT:
            return event
        if name.startswith("$"):
            return found_in(event, name)
        return as_json(self.variables[name]) if name in self.variables else None


def _in_quotes(text: str, quoted: bool) -> bool:
    """Whether what follows the text stands in quotes, if its beginning did or did not."""
    escaped = False
    for character in text:
        if escaped:
            escaped = False
        elif character == "\\" and quoted:
            escaped = True
        elif character == '"':
            quoted = not quoted
    return quoted
