from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from healthlake_export.byte_ranges import (
    ByteRange,
    ExportedObject,
    count_ranges,
    cut_into_ranges,
    resource_type_of,
)

FOLDER = "exports/run-1/store-FHIR_EXPORT-job"


def exported(name: str, size: int) -> ExportedObject:
    return ExportedObject(key=f"{FOLDER}/{name}", size=size, etag='"abc"')


def test_an_object_smaller_than_a_range_is_one_range() -> None:
    assert list(cut_into_ranges([exported("Patient/Patient-0-0-0.ndjson", 10)], 64)) == [
        ByteRange(0, f"{FOLDER}/Patient/Patient-0-0-0.ndjson", 10, '"abc"', 0, 10, "Patient")
    ]


def test_the_last_range_of_an_object_ends_with_it() -> None:
    pieces = list(cut_into_ranges([exported("Patient/a.ndjson", 130)], 64))
    assert [(piece.start, piece.end) for piece in pieces] == [(0, 64), (64, 128), (128, 130)]


def test_an_object_of_exactly_the_range_size_is_one_range() -> None:
    assert len(list(cut_into_ranges([exported("Patient/a.ndjson", 64)], 64))) == 1


def test_an_empty_object_has_no_range() -> None:
    assert list(cut_into_ranges([exported("Patient/a.ndjson", 0)], 64)) == []


def test_indexes_follow_the_keys_however_the_objects_were_listed() -> None:
    objects = [exported("Patient/a.ndjson", 100), exported("Device/b.ndjson", 100)]
    forwards = list(cut_into_ranges(objects, 64))
    assert forwards == list(cut_into_ranges(reversed(objects), 64))
    assert [(piece.index, piece.resource_type) for piece in forwards] == [
        (0, "Device"),
        (1, "Device"),
        (2, "Patient"),
        (3, "Patient"),
    ]


def test_the_resource_type_is_the_folder_of_the_key() -> None:
    assert resource_type_of(f"{FOLDER}/Observation/Observation-1-2-3.ndjson") == "Observation"
    assert resource_type_of("Observation.ndjson") == ""


def test_an_item_of_the_map_reads_back_as_the_same_range() -> None:
    piece = ByteRange(7, "exports/r/Patient/p.ndjson", 100, '"abc"', 64, 100, "Patient")
    assert ByteRange.from_item(piece.to_item()) == piece
    assert set(piece.to_item()) == {"index", "key", "size", "etag", "start", "end", "resourceType"}


@given(st.lists(st.integers(0, 2000), max_size=8), st.integers(1, 300))
def test_ranges_tile_every_object(sizes: list[int], range_size: int) -> None:
    objects = [exported(f"Patient/{number:03d}.ndjson", size) for number, size in enumerate(sizes)]
    pieces = list(cut_into_ranges(objects, range_size))
    assert [piece.index for piece in pieces] == list(range(len(pieces)))
    for one in objects:
        position = 0
        for piece in (piece for piece in pieces if piece.key == one.key):
            assert piece.start == position
            assert 0 < piece.end - piece.start <= range_size
            position = piece.end
        assert position == one.size


@given(st.lists(st.integers(0, 500), max_size=5), st.integers(1, 100))
def test_ranges_are_counted_without_being_made(sizes: list[int], range_size: int) -> None:
    objects = [exported(f"Patient/{number}", size) for number, size in enumerate(sizes)]
    assert count_ranges(objects, range_size) == len(list(cut_into_ranges(objects, range_size)))
