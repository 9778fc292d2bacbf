"""`quarantine`: which lines could not be processed, where they came from, and on request what they say.

Content is PHI. It leaves the bucket only with `show` and `save`, and they say so.
"""

import json
import os
import sys
from collections import Counter
from collections.abc import Mapping
from itertools import groupby
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

from local.cli.errors import CommandError
from local.cli.operations.audit_items import read_audits
from local.cli.operations.hub import DeployedHub
from local.cli.operations.quarantine_objects import (
    PREFIX,
    QuarantineObject,
    list_quarantine,
    read_lines,
    read_records,
)
from local.cli.operations.run_items import short
from local.cli.operations.tables import show_table
from local.cli.output import Output, counted
from local.cli.project import command_line

_WARNING = "This is PHI, in clear text, outside of the bucket that protects it."
_LARGEST_SHOWN = 1024 * 1024
NOT_OF_RUNS = ("records", "fhir-writes")
"""What quarantine is listed by besides runs: changes that no event could be made of, and resources that
HealthLake refused."""

_RECORD_COLUMNS = ("record", "reason", "offset", "length", "file", "key")


def overview(hub: DeployedHub, output: Output, limit: int) -> int:
    """Count the records of each run by reason, the newest `limit` runs first."""
    s3 = hub.client("s3")
    by_run = groupby(list_quarantine(s3, hub.bucket), key=lambda one: one.run_id)
    runs = [(run_id, list(objects)) for run_id, objects in by_run]
    runs.sort(key=lambda run: max(one.modified for one in run[1]), reverse=True)
    counts: list[dict[str, Any]] = []
    with output.step("Read quarantine") as step:
        for run_id, objects in runs[:limit]:
            step.progress(run_id)
            counts.append(_run_counts(s3, hub.bucket, run_id, objects))
        step.result = counted(len(runs), "run")
    rows = [
        [run["runId"], run["lastWrittenAt"], reason, number]
        for run in counts
        for reason, number in run["reasons"].items()
    ]
    if rows:
        show_table(output, ("run", "last written", "reason", "records"), rows)
    else:
        output.line("Nothing lies in quarantine.")
    if len(runs) > limit:
        output.line(f"{len(runs) - limit:,} older runs are left out; --limit shows more.")
    output.document({"hub": hub.document(), "runs": counts, "leftOut": max(len(runs) - limit, 0)})
    return 0


def _run_counts(s3: Any, bucket: str, run_id: str, objects: list[QuarantineObject]) -> dict[str, Any]:
    reasons = Counter(
        record.reason for one in objects if one.has_records for record in read_records(s3, bucket, one.key)
    )
    return {
        "runId": run_id,
        "lastWrittenAt": max(one.modified for one in objects).isoformat(timespec="seconds"),
        "objects": len(objects),
        "bytes": sum(one.size for one in objects),
        "reasons": dict(sorted(reasons.items())),
    }


def of_run(hub: DeployedHub, output: Output, run_id: str) -> int:
    """List the records of a run: reason and place, never content."""
    s3 = hub.client("s3")
    objects = [one for one in list_quarantine(s3, hub.bucket, run_id) if one.has_records]
    records = [record.document() for one in objects for record in read_records(s3, hub.bucket, one.key)]
    if records:
        rows = [[one[name] for name in _RECORD_COLUMNS] for one in records]
        show_table(output, _RECORD_COLUMNS, [[*row[:4], short(row[4]), row[5]] for row in rows])
        output.line(f"Content: `{command_line()} quarantine show <key> --record <record>`")
    elif run_id in NOT_OF_RUNS:
        output.line(f"Nothing lies in quarantine below {run_id}/.")
    elif not read_audits(hub.client("dynamodb"), hub.table, [run_id]):
        raise CommandError(
            f"The hub's table knows no run {run_id}, and nothing lies in quarantine under that name.",
            f"`{command_line()} runs` lists the runs.",
        )
    else:
        output.line(f"Nothing of the run {run_id} lies in quarantine.")
    output.document({"hub": hub.document(), "runId": run_id, "records": records})
    return 0


def show(hub: DeployedHub, output: Output, key: str, record: int | None) -> int:
    """Print the content of an object, or of one of its records: PHI, with a warning on stderr.

    Raises CommandError when the key is not under `quarantine/`, when there is no such object or record,
    and when a line is too large to be shown.
    """
    _require_quarantine(key)
    s3 = hub.client("s3")
    _require_showable(s3, hub.bucket, key)
    lines = read_lines(s3, hub.bucket, key)
    if record is not None:
        if not key.endswith(".ndjson") or not 1 <= record <= len(lines):
            raise CommandError(f"{key} has no record {record}.", f"It has {counted(len(lines), 'record')}.")
        lines = [lines[record - 1]]
    print(f"Warning: {_WARNING}", file=sys.stderr)
    if key.endswith(".ndjson"):
        # a record is JSON, which escapes what could steer a terminal
        documents = [json.loads(line) for line in lines]
        for document in documents:
            output.line(json.dumps(document, indent=2, ensure_ascii=True))
        output.document({"hub": hub.document(), "key": key, "records": documents})
    else:
        text = b"\n".join(lines).decode("utf-8", errors="backslashreplace")
        output.line(json.dumps(text, ensure_ascii=True))
        output.document({"hub": hub.document(), "key": key, "line": text})
    return 0


def save(hub: DeployedHub, output: Output, run_id: str, folder: Path) -> int:
    """Write the objects of a run's quarantine into a folder that only its owner can read. Files that are
    there with the same size are left; raises CommandError when there is nothing to save."""
    s3 = hub.client("s3")
    objects = list(list_quarantine(s3, hub.bucket, run_id))
    if not objects:
        raise CommandError(f"Nothing of the run {run_id} lies in quarantine.")
    print(f"Warning: {_WARNING}", file=sys.stderr)
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    except FileExistsError:
        raise CommandError(f"{folder} is not a folder.", "Name another one.") from None
    written = 0
    with output.step(f"Save quarantine of {run_id}") as step:
        for one in objects:
            step.progress(one.name)
            written += _save(s3, hub.bucket, one, folder / one.name)
        step.result = f"{counted(written, 'object')} written, {len(objects) - written} there already"
    output.line(f"They are in {folder.resolve()}; delete them when you are done.")
    document = {"runId": run_id, "folder": str(folder.resolve()), "objects": [one.key for one in objects]}
    output.document({"hub": hub.document(), **document, "written": written})
    return 0


def _save(s3: Any, bucket: str, one: QuarantineObject, path: Path) -> bool:
    """Write an object to the path at once or not at all; False when it is there already."""
    if path.is_file() and path.stat().st_size == one.size:
        return False
    part = path.with_name(f".{path.name}.part")
    body = s3.get_object(Bucket=bucket, Key=one.key)["Body"]
    try:
        with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            for chunk in body.iter_chunks(1024 * 1024):
                file.write(chunk)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
    return True


def _require_quarantine(key: str) -> None:
    if not key.startswith(PREFIX) or ".." in key.split("/"):
        raise CommandError(
            f"{key!r} is not a key under {PREFIX}.",
            "Only quarantined lines are shown; see `quarantine <run>`.",
        )


def _require_showable(s3: Any, bucket: str, key: str) -> None:
    head = _head(s3, bucket, key)
    if not key.endswith(".ndjson") and head["ContentLength"] > _LARGEST_SHOWN:
        size = f"{head['ContentLength']:,} bytes"
        raise CommandError(f"{key} is one line of {size}.", "Take it out with `quarantine save`.")


def _head(s3: Any, bucket: str, key: str) -> Mapping[str, Any]:
    try:
        head: Mapping[str, Any] = s3.head_object(Bucket=bucket, Key=key)
    except ClientError as error:
        if error.response["Error"]["Code"] not in ("404", "NoSuchKey"):
            raise
        raise CommandError(f"There is no object {key}.", "See `quarantine <run>` for the keys.") from None
    return head
