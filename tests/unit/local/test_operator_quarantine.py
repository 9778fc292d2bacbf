"""`quarantine`: reasons and places for everybody, content only for who asks for it."""

from __future__ import annotations

import io
import json
import stat
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from local.cli.errors import CommandError
from local.cli.operations.hub import DeployedHub
from local.cli.operations.quarantine import of_run, overview, save, show
from local.cli.output import Output

if TYPE_CHECKING:
    from tests.unit.local.conftest import Written

SECRET = "Moesgaard"
KEY = "quarantine/run/000000-000.ndjson"


def record(reason: str, offset: int, **content: str) -> bytes:
    source = {"bucket": "hub-bucket", "key": "exports/x/Patient/P.ndjson", "etag": '"e"', "length": 9}
    return json.dumps({"reason": reason, "source": {**source, "offset": offset}, **content}).encode() + b"\n"


@pytest.fixture
def quarantined(written: Written) -> DeployedHub:
    """A run with three records, one of which has its line in an object of its own, and a run with one."""
    written.object(
        KEY,
        record("NOT_JSON", 0, line=f"{{{SECRET}\x1b[31m")
        + record("NOT_JSON", 9, lineBase64="/w==")
        + record("TOO_LONG", 18, rawKey="quarantine/run/000000-18.raw"),
    )
    written.object("quarantine/run/000000-18.raw", SECRET.encode() + b"\x1b[31m\xff")
    written.object("quarantine/other/errors-000-000.ndjson", record("EXPORT_ERROR", 0, line=SECRET))
    return written.hub


def test_records_are_counted_by_run_and_reason(quarantined: DeployedHub) -> None:
    shown = io.StringIO()

    overview(quarantined, Output(shown, as_json=True), 10)

    runs = {one["runId"]: one["reasons"] for one in json.loads(shown.getvalue())["runs"]}
    assert runs == {"run": {"NOT_JSON": 2, "TOO_LONG": 1}, "other": {"EXPORT_ERROR": 1}}


def test_changes_of_records_are_counted_and_told_by_their_reasons_too(written: Written) -> None:
    key = "quarantine/records/0123456789abcdef0123456789abcdef.json"
    kept = {"reason": "ITEM_TYPE_NOT_DECLARED", "record": {"note": SECRET * 2000}}
    written.object(key, json.dumps(kept, separators=(",", ":")).encode())
    written.object("quarantine/fhir-writes/ab.json", b'{"message": {}, "reason": "UNMAPPABLE"}')
    written.object("quarantine/fhir-writes/cd.json", b"{}")
    counted, listed = io.StringIO(), io.StringIO()

    overview(written.hub, Output(counted, as_json=True), 10)
    of_run(written.hub, Output(listed, as_json=True), "records")

    assert {one["runId"]: one["reasons"] for one in json.loads(counted.getvalue())["runs"]} == {
        "records": {"ITEM_TYPE_NOT_DECLARED": 1},
        "fhir-writes": {"UNKNOWN": 1, "UNMAPPABLE": 1},
    }
    (told,) = json.loads(listed.getvalue())["records"]
    assert (told["key"], told["reason"]) == (key, "ITEM_TYPE_NOT_DECLARED")
    assert SECRET not in counted.getvalue() + listed.getvalue()


def test_runs_past_the_limit_are_said_to_be_left_out(quarantined: DeployedHub) -> None:
    shown = io.StringIO()

    overview(quarantined, Output(shown), 1)

    assert "1 older runs are left out" in shown.getvalue()


def test_the_records_of_a_run_are_told_by_reason_and_place(quarantined: DeployedHub) -> None:
    shown = io.StringIO()

    of_run(quarantined, Output(shown, as_json=True), "run")

    records = json.loads(shown.getvalue())["records"]
    assert [(one["record"], one["reason"], one["offset"]) for one in records] == [
        (1, "NOT_JSON", 0),
        (2, "NOT_JSON", 9),
        (3, "TOO_LONG", 18),
    ]
    assert {one["key"] for one in records} == {KEY}


@pytest.mark.parametrize("as_json", [False, True])
def test_no_content_is_told_unless_it_is_asked_for(
    quarantined: DeployedHub, as_json: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    shown = io.StringIO()

    overview(quarantined, Output(shown, as_json=as_json), 10)
    of_run(quarantined, Output(shown, as_json=as_json), "run")

    assert SECRET not in shown.getvalue() + "".join(capsys.readouterr())


def test_content_comes_with_a_warning_and_cannot_steer_the_terminal(
    quarantined: DeployedHub, capsys: pytest.CaptureFixture[str]
) -> None:
    shown = io.StringIO()

    show(quarantined, Output(shown), KEY, 1)

    assert SECRET in shown.getvalue()
    assert "\x1b" not in shown.getvalue()
    assert "TOO_LONG" not in shown.getvalue()
    assert "PHI" in capsys.readouterr().err


def test_a_line_in_an_object_of_its_own_is_shown(quarantined: DeployedHub) -> None:
    shown = io.StringIO()

    show(quarantined, Output(shown, as_json=True), "quarantine/run/000000-18.raw", None)

    assert json.loads(shown.getvalue())["line"] == SECRET + "\x1b[31m\\xff"


@pytest.mark.parametrize(
    ("key", "number", "what"),
    [
        ("exports/x/Patient/P.ndjson", None, "is not a key under quarantine/"),
        ("quarantine/../exports/x", None, "is not a key under quarantine/"),
        ("quarantine/run/none.ndjson", None, "no object"),
        (KEY, 4, "no record 4"),
        ("quarantine/run/000000-18.raw", 1, "no record 1"),
    ],
)
def test_what_is_not_a_quarantined_line_is_not_shown(
    quarantined: DeployedHub, written: Written, key: str, number: int | None, what: str
) -> None:
    written.object("exports/x/Patient/P.ndjson", SECRET.encode())
    shown = io.StringIO()

    with pytest.raises(CommandError, match=what):
        show(quarantined, Output(shown), key, number)

    assert shown.getvalue() == ""


def test_a_line_too_large_for_a_terminal_is_only_saved(written: Written, hub: DeployedHub) -> None:
    written.object("quarantine/run/000000-0.raw", b"x" * (1024 * 1024 + 1))

    with pytest.raises(CommandError, match="1,048,577 bytes"):
        show(hub, Output(io.StringIO()), "quarantine/run/000000-0.raw", None)


def test_a_run_is_saved_where_only_its_owner_can_read_it(
    quarantined: DeployedHub, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "saved"

    save(quarantined, Output(io.StringIO()), "run", folder)

    assert sorted(path.name for path in folder.iterdir()) == ["000000-000.ndjson", "000000-18.raw"]
    assert SECRET.encode() in (folder / "000000-18.raw").read_bytes()
    modes = [stat.S_IMODE(path.stat().st_mode) for path in (folder, *folder.iterdir())]
    assert modes == [0o700, 0o600, 0o600]
    assert "PHI" in capsys.readouterr().err


def test_saving_again_writes_only_what_is_missing(quarantined: DeployedHub, tmp_path: Path) -> None:
    save(quarantined, Output(io.StringIO()), "run", tmp_path)
    (tmp_path / "000000-18.raw").unlink()
    shown = io.StringIO()

    save(quarantined, Output(shown, as_json=True), "run", tmp_path)

    assert json.loads(shown.getvalue())["written"] == 1


def test_a_run_that_nobody_knows_is_no_good_news(written: Written, hub: DeployedHub) -> None:
    with pytest.raises(CommandError, match="knows no run typo"):
        of_run(hub, Output(), "typo")

    written.audit("known", status="COMPLETED")
    assert of_run(hub, Output(), "known") == 0


def test_a_run_with_nothing_in_quarantine_has_nothing_to_save(hub: DeployedHub, tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="Nothing of the run"):
        save(hub, Output(io.StringIO()), "run", tmp_path / "saved")

    assert not (tmp_path / "saved").exists()
