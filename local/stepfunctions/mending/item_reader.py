"""Mends what a map says when its items cannot be read: States.ItemReaderFailed instead of States.Runtime.

AWS documentation: "Handling errors in Step Functions workflows" (States.ItemReaderFailed), "ItemReader
(Map)".
"""

from __future__ import annotations

from typing import Any

from botocore.exceptions import ClientError
from moto.stepfunctions.parser.asl.component.state.exec.state_map.item_reader.item_reader_decl import (
    ItemReader,
)

from local.stepfunctions.mending.failures import map_run_failure
from local.stepfunctions.patching import original, replace

_ERROR = "States.ItemReaderFailed"


def _read(self: Any, env: Any) -> None:
    try:
        original(ItemReader, "_eval_body")(self, env)
    except ClientError as refusal:
        raise map_run_failure(env, _ERROR, refusal.response["Error"].get("Message", "")) from None
    except (ValueError, KeyError):
        raise map_run_failure(env, _ERROR, "The items could not be read from the object") from None


def install() -> None:
    """Put the mended behaviour in place."""
    replace(ItemReader, "_eval_body", _read)
