"""Whole runs are compared over data that differs in its amount alone, and judged by what they took."""

from dataclasses import replace

from bench.local_hub import FunctionUse, RunUse
from bench.whole_runs import NOTHING, Size, WholeRuns, averages, parts

USE = FunctionUse(invocations=2, wall_ms=30.0, cpu_ms=10.0, log_bytes=500, requests={"s3 GetObject": 2})
RUN = RunUse(
    seconds=4.0,
    output={"lines": 100, "bytes": 1000, "ranges": 2, "files": 2},
    transitions=9,
    child_transitions=2,
    requests={"s3 GetObject": 2},
    functions={"ProcessRangeFunction": USE},
)


def runs(*seconds: float, child_transitions: int = 2) -> WholeRuns:
    """Runs over nothing, and over sizes that took so long."""
    nothing = Size(NOTHING, [replace(RUN, output={**RUN.output, "lines": 0})])
    sizes = [Size(f"{number}×", [replace(RUN, seconds=one)]) for number, one in enumerate(seconds, start=1)]
    last = Size("last", [replace(RUN, seconds=seconds[-1], child_transitions=child_transitions)])
    return WholeRuns([nothing, *sizes, last])


def verdicts(found: WholeRuns) -> list[bool]:
    return [holds for _, holds in found.verdicts()]


def test_the_parts_are_4_2_1_and_1_eighths_and_every_one_has_every_type() -> None:
    divided = parts(8)
    types = [set(part) for part in divided]
    sizes = [sum(map(len, part.values())) for part in divided]

    assert types[0] == types[1] == types[2] == types[3]
    assert [round(8 * size / sum(sizes)) for size in sizes] == [4, 2, 1, 1]


def test_runs_hold_when_transitions_are_the_same_and_time_at_most_doubles() -> None:
    assert verdicts(runs(2.0, 3.9, 7.8)) == [True, True, True]


def test_a_transition_more_for_more_data_is_told() -> None:
    assert verdicts(runs(2.0, 3.0, child_transitions=3)) == [False, False, True]


def test_time_that_grows_faster_than_the_data_is_told() -> None:
    assert verdicts(runs(2.0, 4.1)) == [True, True, False]


def test_the_table_shows_transitions_requests_and_processor_time() -> None:
    table = runs(2.0, 3.0).table()

    assert "s3 GetObject" in table
    assert "ProcessRangeFunction / calls" in table
    assert "10/2" in table


def test_times_of_a_function_are_averaged_over_its_runs() -> None:
    slower = replace(RUN, functions={"ProcessRangeFunction": replace(USE, wall_ms=90.0, cpu_ms=40.0)})

    assert averages([RUN, slower, RUN])["ProcessRangeFunction"] == replace(USE, wall_ms=30.0, cpu_ms=20.0)


def test_the_document_can_be_counted_from() -> None:
    one = runs(2.0).document()["sizes"][1]

    assert one["transitions"] == 9
    assert one["functions"]["ProcessRangeFunction"]["requests"] == {"s3 GetObject": 2}
