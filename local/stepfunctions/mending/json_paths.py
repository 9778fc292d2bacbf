"""Mends JSONPath: a path through an array index gives the value itself, and expressions are parsed once.

moto answers `$.items[0].name` with a list of one and parses every expression each time it is used.
AWS documentation: "Using JSONPath paths in Step Functions" (reference paths select a single node).
"""

from __future__ import annotations

import functools
import re
from typing import Any

from moto.stepfunctions.parser.asl.utils import json_path
from moto.stepfunctions.parser.asl.utils.json_path import NoSuchJsonPathError

from local.stepfunctions.patching import original, replace, replace_imports

_SELECTS_ONE = re.compile(r"""^\$\$?(?:\.[\w\-]+|\[\d+\]|\[(?:'[^']*'|"[^"]*")\])*$""")


def _extract(path: str, data: Any) -> Any:
    if not _SELECTS_ONE.match(path):
        return original(json_path, "extract_json")(path, data)
    matches = json_path.parse(path).find(data)
    if not matches:
        raise NoSuchJsonPathError(json_path=path, data=data)
    return matches[0].value


def install() -> None:
    """Put the mended behaviour in place."""
    replace(json_path, "parse", functools.lru_cache(maxsize=4096)(original(json_path, "parse")))
    replace(json_path, "extract_json", _extract)
    replace_imports(json_path, "extract_json", "moto.stepfunctions.parser")
