"""Input of benchmarks: the same every time, as exported, and with as much that differs as real resources."""

import gzip
import json
import zlib
from itertools import islice
from pathlib import Path

import pytest

from bench.fhir_data import FEWEST_GIVEN, KINDS, LONG_LINE_BYTES, BenchData, made_up

PATIENT = (
    '{"resourceType":"Patient","id":"00000000-0000-0000-0000-%012d",'
    '"name":[{"family":"Cole117"}],"birthDate":"1960-04-13","extension":[{"valueDecimal":1.10}]}'
)


@pytest.fixture
def given(tmp_path: Path) -> Path:
    """A folder with resources of which none has been stamped by a server."""
    folder = tmp_path / "given"
    folder.mkdir()
    lines = "".join(PATIENT % number + "\n" for number in range(FEWEST_GIVEN))
    (folder / "Patient.000.ndjson.gz").write_bytes(gzip.compress(lines.encode()))
    return folder


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_made_up_is_the_same_every_time(kind: str) -> None:
    assert list(islice(made_up(kind), 50)) == list(islice(made_up(kind), 50))


@pytest.mark.parametrize("kind", KINDS)
def test_made_up_resources_have_ids_versions_and_instants(kind: str) -> None:
    resources = [json.loads(line) for line in islice(made_up(kind), 300)]

    assert len({resource["id"] for resource in resources}) == 300
    assert all(
        resource["meta"]["versionId"] and resource["meta"]["lastUpdated"].endswith("Z")
        for resource in resources
    )
    types = {resource["resourceType"] for resource in resources}
    assert len(types) > 5 if kind == "mixed" else types == {kind}


@pytest.mark.parametrize("kind", KINDS)
def test_made_up_resources_repeat_themselves_no_more_than_real_ones(kind: str) -> None:
    content = b"".join(islice(made_up(kind), 2000))

    assert 4 < len(content) / len(zlib.compress(content, 1)) < 13


@pytest.mark.parametrize("size", [1, 999, 100_000])
def test_an_input_has_the_size_asked_for_and_ends_with_a_whole_line(tmp_path: Path, size: int) -> None:
    found = BenchData(cache=tmp_path).input("Observation", size)

    assert size <= found.size < size + 1200
    assert json.loads(found.path.read_bytes().splitlines()[-1])


def test_an_input_is_made_once(tmp_path: Path) -> None:
    first = BenchData(cache=tmp_path).input("Patient", 5000)
    made = first.path.stat().st_mtime_ns

    assert BenchData(cache=tmp_path).input("Patient", 5000).path.stat().st_mtime_ns == made


def test_one_line_may_be_long(tmp_path: Path) -> None:
    found = BenchData(cache=tmp_path).input("mixed", LONG_LINE_BYTES + 1_000_000, long_line=True)

    lengths = sorted(map(len, found.path.read_bytes().splitlines(keepends=True)))
    assert lengths[-1] == LONG_LINE_BYTES
    assert lengths[-2] < 10_000


def test_given_resources_are_stamped_and_their_copies_are_others(tmp_path: Path, given: Path) -> None:
    found = BenchData(given, tmp_path).input("Patient", 100_000)

    lines = found.path.read_bytes().splitlines()
    resources = [json.loads(line) for line in lines]
    assert not found.made_up
    assert len(resources) > 2 * FEWEST_GIVEN
    assert len({resource["id"] for resource in resources}) == len(resources)
    assert all(resource["meta"]["versionId"] for resource in resources)
    assert all(b'"valueDecimal":1.10' in line for line in lines)


def test_what_was_not_given_is_made_up(tmp_path: Path, given: Path) -> None:
    assert BenchData(given, tmp_path).input("Observation", 1000).made_up
