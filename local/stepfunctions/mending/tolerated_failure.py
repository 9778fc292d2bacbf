"""Mends definitions with a whole number as ToleratedFailurePercentage, which moto cannot parse.

AWS documentation: "Setting failure thresholds for Distributed Map states in Step Functions".
"""

from __future__ import annotations

import contextlib
import json
import re
from typing import Any

from moto.stepfunctions.parser.asl.parse.asl_parser import AmazonStateLanguageParser

from local.stepfunctions.patching import original, replace

_FIELD = "ToleratedFailurePercentage"
_WHOLE_NUMBER = re.compile(rf'"{_FIELD}"\s*:\s*\d+\s*[,}}\n]')


def _with_decimals(node: Any) -> Any:
    if isinstance(node, list):
        return [_with_decimals(item) for item in node]
    if not isinstance(node, dict):
        return node
    return {
        key: float(value) if key == _FIELD and isinstance(value, int) else _with_decimals(value)
        for key, value in node.items()
    }


def _parse(definition: str) -> Any:
    if _WHOLE_NUMBER.search(definition):
        # If it is not JSON, the parser says what is wrong with it.
        with contextlib.suppress(ValueError):
            definition = json.dumps(_with_decimals(json.loads(definition)))
    return original(AmazonStateLanguageParser, "parse")(definition)


def install() -> None:
    """Put the mended behaviour in place."""
    replace(AmazonStateLanguageParser, "parse", staticmethod(_parse))
