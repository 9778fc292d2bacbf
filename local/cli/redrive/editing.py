"""`redrive edit`: another body for a dead letter in quarantine; the one that it had is kept beside it.

A body is PHI. It leaves the bucket for the editor's file, which only its owner can read and which is deleted
when the editor ends.
"""

import json
import os
import re
import shlex
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from dlq_redrive.dead_letter_quarantine import QuarantinedLetter
from local.cli.errors import CommandError
from local.cli.export import caller
from local.cli.operations.hub import DeployedHub
from local.cli.output import Output
from local.cli.project import command_line
from local.cli.redrive.quarantined import open_quarantine

_LARGEST_BODY = 1024 * 1024
# Amazon SQS API Reference, «SendMessage»: the characters that a message may have.
_NOT_IN_A_BODY = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def edit(hub: DeployedHub, output: Output, key: str, body_file: Path | None) -> int:
    """Change the body of a dead letter to what the file says, or to what comes out of an editor.

    Raises CommandError for a key outside of the quarantine, a body that SQS does not take, a dead letter that
    somebody has claimed to return it, and one that was changed meanwhile.
    """
    quarantined = open_quarantine(hub, key)
    found = quarantined.get(key)
    if found.letter.returned is not None:
        raise CommandError(
            f"A return of {key} was begun, so it may have been sent as it is.",
            f"`{command_line()} redrive return {key}` says more.",
        )
    body = _from_editor(found.letter) if body_file is None else _from_file(body_file)
    _require_body(body)
    if body == found.letter.body:
        output.line("The body is what it was; nothing was written.")
        output.document({"hub": hub.document(), "key": key, "edited": False})
        return 0
    edited = found.letter.edited(body, caller(hub.account), datetime.now(UTC))
    if quarantined.replace(found, edited) is None:
        raise CommandError(
            f"Somebody else has changed, returned or discarded {key} meanwhile; nothing was written.",
            "Look at it, then edit it again.",
        )
    output.good(f"{key} has another body; `{command_line()} redrive return` sends it")
    if _is_json(found.letter.body) and not _is_json(body):
        output.warning("The body was JSON and is not any more.")
    output.document({"hub": hub.document(), "key": key, "edited": True, "edits": len(edited.edits)})
    return 0


def _from_file(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8")
    except UnicodeDecodeError:
        raise CommandError(f"{path} is no text in UTF-8.") from None
    except OSError as error:
        raise CommandError(f"{path} cannot be read: {error.strerror}.") from None


def _from_editor(letter: QuarantinedLetter) -> str:
    """The body as the user's editor leaves it; the line end that editors add at the end is not part of it."""
    if not sys.stdin.isatty():
        raise CommandError("There is no terminal to edit in.", "Give the body with --body-file.")
    editor = os.environ.get("VISUAL") or os.environ.get("EDITOR") or "vi"
    print("Warning: the body may be PHI; the editor's own copies of it are yours to delete.", file=sys.stderr)
    with tempfile.TemporaryDirectory(prefix="dead-letter-") as folder:
        path = Path(folder) / "body.txt"
        path.touch(mode=0o600)
        path.write_bytes(letter.body.encode())
        try:
            subprocess.run([*shlex.split(editor), str(path)], check=True)
        except (OSError, ValueError, subprocess.CalledProcessError):
            raise CommandError(
                f"The editor {editor!r} did not end well; nothing was written.",
                "Set EDITOR, or give the body with --body-file.",
            ) from None
        body = _from_file(path)
    return body if letter.body.endswith("\n") else body.removesuffix("\n")


def _require_body(body: str) -> None:
    if not body:
        raise CommandError("The new body is empty, which SQS does not take.", "`redrive discard` deletes it.")
    if len(body.encode()) > _LARGEST_BODY:
        raise CommandError(f"The new body has more than {_LARGEST_BODY:,} bytes, which SQS does not take.")
    if found := _NOT_IN_A_BODY.search(body):
        raise CommandError(f"The new body has the character U+{ord(found[0]):04X}, which SQS does not take.")


def _is_json(body: str) -> bool:
    try:
        json.loads(body)
    except (ValueError, RecursionError):
        return False
    return True
