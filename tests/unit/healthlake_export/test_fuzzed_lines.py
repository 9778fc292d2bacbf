"""A hundred thousand lines with faults drawn at random: none crashes the processing of a range, none is lost
and none is changed."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from random import Random
from typing import Any, NoReturn

import pytest

from healthlake_export.fhir_r4 import RESOURCE_TYPES
from healthlake_export.resource_keys import MAX_DEPTH, Rejection
from local.testing.line_mutations import mutated_file, resource_lines
from local.testing.range_lab import KEY, RUN, Lab, id_of

MUTATED = 100_000
FILES = 12
LINES_A_FILE = 10_000
IDS_BEFORE = "runs/run-0/published-ids.bin"
MARK = b"\xef\xbb\xbf"
RESOURCE = b',"resource":'


@pytest.fixture(scope="module")
def sound() -> list[bytes]:
    """Resources as the sample has them."""
    return resource_lines(1_200)


def places_and_texts(content: bytes) -> Iterator[tuple[int, int, bytes]]:
    """Offset, length and text of every line that is not blank, found the plain way."""
    offset = 0
    for part in content.split(b"\n"):
        length = min(len(part) + 1, len(content) - offset)
        text = part.removesuffix(b"\r")
        if offset == 0:
            text = text.removeprefix(MARK)
        if text.strip():
            yield offset, length, text
        offset += length


def refuse(constant: str) -> NoReturn:
    raise ValueError(constant)


def each_name_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) < len(pairs):
        raise ValueError("a name occurs twice")
    return members


def as_others_read_it(text: bytes, **options: Any) -> Any:
    """What Python's own parser makes of a line; None when it is no JSON."""
    try:
        return json.loads(text.decode(), parse_constant=refuse, **options)
    except (ValueError, RecursionError):
        return None


def published_texts(lab: Lab, content: bytes) -> Iterator[tuple[dict[str, Any], bytes]]:
    """Meta and exact text of the resource of every event, wherever it travels."""
    for entry in lab.bus.entries:
        detail = entry["Detail"].encode()
        head, inline, rest = detail.partition(RESOURCE)
        if inline:
            yield json.loads(head + b"}")["meta"], rest.removesuffix(b"}")
        else:
            place = json.loads(detail)
            reference = place["reference"]
            assert reference["key"] == KEY
            begin = reference["offset"]
            yield place["meta"], content[begin : begin + reference["length"]]


def quarantined_texts(lab: Lab, places: dict[int, tuple[int, bytes]]) -> Iterator[tuple[str, bytes]]:
    """Reason and exact text of every quarantined line, at the place that its record names."""
    for record in lab.quarantined():
        source = record["source"]
        length, text = places[source["offset"]]
        assert (source["key"], source["length"]) == (KEY, length)
        assert lab.text_of(record) == text
        yield record["reason"], text


@pytest.mark.parametrize("seed", range(FILES))
def test_mutated_lines_never_crash_and_always_add_up(sound: Sequence[bytes], seed: int) -> None:
    random = Random(f"ranges {seed}")
    content = mutated_file(seed, sound, LINES_A_FILE)
    lab = Lab.holding(content)
    before = sorted({id_of(line) for line in random.sample(list(sound), 300)})
    lab.s3.objects[IDS_BEFORE] = b"".join(before)
    run = replace(RUN, previous_ids=IDS_BEFORE)

    pieces = lab.ranges(random.choice((40_000, 250_000, 1 << 20)))
    entries = lab.process(pieces, run)
    totals = lab.reconcile(pieces, run)

    lines, unchanged = list(places_and_texts(content)), set(sound)
    assert totals.lines == len(lines)
    assert sum(text not in unchanged for _, _, text in lines) >= MUTATED / FILES
    assert totals.lines == totals.rows + totals.repeated + totals.quarantined
    assert sum(entry.line_bytes + entry.blank_bytes for entry in entries) == len(content)
    published = list(published_texts(lab, content))
    bad = list(quarantined_texts(lab, {offset: (length, text) for offset, length, text in lines}))
    assert (len(published), len(bad)) == (totals.rows, totals.quarantined)
    left = Counter(text for _, _, text in lines)
    left.subtract([text for _, text in published] + [text for _, text in bad])
    assert min(left.values()) == 0, "something was published or quarantined that is no line"
    repeated = list(left.elements())
    assert len(repeated) == totals.repeated > 0
    assert {id_of(text) for text in repeated} <= set(before)


@pytest.mark.parametrize("seed", [1, 2])
def test_what_is_published_is_what_other_parsers_read(sound: Sequence[bytes], seed: int) -> None:
    lab = Lab.holding(mutated_file(seed, sound, LINES_A_FILE))
    lab.process(lab.ranges())

    for meta, text in published_texts(lab, lab.s3.objects[KEY]):
        resource = as_others_read_it(text)
        assert (resource["resourceType"], resource["id"]) == (meta["resourceType"], meta["id"])
        assert (resource.get("meta") or {}).get("versionId") == meta.get("versionId")


@pytest.mark.parametrize("seed", [3, 4])
def test_what_is_quarantined_could_not_be_published(sound: Sequence[bytes], seed: int) -> None:
    lab = Lab.holding(mutated_file(seed, sound, LINES_A_FILE))
    lab.process(lab.ranges())

    for record in lab.quarantined():
        text = lab.text_of(record)
        assert could_not_be_published(text), (record["reason"], text[:200])


def could_not_be_published(text: bytes) -> bool:
    """Whether something is wrong with a line that is no matter of taste, as a repeated name would be."""
    read = as_others_read_it(text, object_pairs_hook=each_name_once)
    if not isinstance(read, dict) or has_half_a_character(read):
        return True
    meta = read.get("meta", {})
    keys = [read.get("resourceType"), read.get("id")]
    known = [*(meta.get(name) for name in ("versionId", "lastUpdated"))] if isinstance(meta, dict) else []
    return (
        not all(isinstance(key, str) and key for key in keys)
        or keys[0] not in RESOURCE_TYPES
        or not (meta is None or isinstance(meta, dict))
        or not all(value is None or isinstance(value, str) for value in known)
        or (text.count(b"{") + text.count(b"[") > MAX_DEPTH)
    )


def has_half_a_character(read: Any) -> bool:
    """Whether a surrogate is escaped without its other half, which no UTF-8 can say (RFC 7493)."""
    try:
        json.dumps(read, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return True
    return False


def test_every_reason_that_a_line_can_give_is_met(sound: Sequence[bytes]) -> None:
    lab = Lab.holding(mutated_file(5, sound, LINES_A_FILE))
    lab.process(lab.ranges())

    met = {record["reason"] for record in lab.quarantined()}
    assert met == set(Rejection) - {Rejection.TOO_LONG, Rejection.EXPORT_ERROR, Rejection.EVENT_REFUSED}
