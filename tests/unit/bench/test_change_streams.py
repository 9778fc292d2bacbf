"""The benchmark of what reads streams: its arithmetic on fixed figures, and that its work runs."""

from pathlib import Path

import pytest

from bench.change_records import BATCH, batches, write_batches
from bench.change_streams import ALL_KINDS, FUNCTIONS, REFERENCE, UNASKED, StreamReport, kinds_of
from bench.change_streams_work import WORKS, deserialise
from bench.work_processes import WorkCase, WorkMeasured, WorkSample

RECORDS = 1000
SIZE = 2_000_000


def _measured(work: str, kind: str, seconds: float) -> WorkMeasured:
    case = WorkCase(kind, "bench.change_streams_work", work, Path("in"), SIZE, Path("w"))
    return WorkMeasured(case, [WorkSample(seconds, seconds, 100.0)] * 3)


def _report(**seconds: float) -> StreamReport:
    taken = {REFERENCE: 4.0, **dict.fromkeys([*UNASKED, *FUNCTIONS], 1.0), **seconds}
    return StreamReport(
        [_measured(work, kind, taken[work]) for work in taken for kind in kinds_of(work)], RECORDS
    )


def test_a_rate_is_records_by_seconds_of_the_processor() -> None:
    assert _report().rate(REFERENCE, "patients") == pytest.approx(250)


@pytest.mark.parametrize(("seconds", "holds"), [(2.0, True), (2.1, False)])
def test_a_function_is_to_be_twice_as_fast_as_the_reference(seconds: float, holds: bool) -> None:
    first, *_ = FUNCTIONS
    verdict, *_ = _report(**{first: seconds}).verdicts()

    assert verdict.holds is holds
    assert verdict.found == pytest.approx(4 / seconds)


def test_the_table_and_the_document_have_every_function() -> None:
    report = _report()

    assert all(label in report.table() for label in FUNCTIONS.values())
    assert report.document()["recordsPerCpuSecond"].keys() == {REFERENCE, *UNASKED, *FUNCTIONS}


@pytest.mark.parametrize("kind", ALL_KINDS)
def test_records_are_written_in_batches(tmp_path: Path, kind: str) -> None:
    write_batches(kind, BATCH + 4, tmp_path / "in")

    read = list(batches(tmp_path / "in"))

    assert [len(batch) for batch in read] == [BATCH, 4]
    deserialise(tmp_path / "in", tmp_path)()


def test_every_function_and_the_reference_is_work() -> None:
    assert WORKS.keys() == {REFERENCE, *UNASKED, *FUNCTIONS}
