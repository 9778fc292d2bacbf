"""JSON text with decimals as they are written: FHIR tells 1.10 from 1.1, and a float does not."""

import json
import re
from typing import Any

_MARK = "\u2063decimal:"
_MARKED = re.compile(rf'"{_MARK}(-?\d+\.\d+)"')


def decimal(text: str) -> str:
    """A placeholder for a decimal, which `exact_json` writes as the number exactly as given."""
    return f"{_MARK}{text}"


def exact_json(resource: dict[str, Any]) -> str:
    """The resource as one line of JSON."""
    text = json.dumps(resource, ensure_ascii=False, separators=(",", ":"))
    return _MARKED.sub(r"\1", text)
