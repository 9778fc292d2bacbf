from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.byte_spans import ByteSpans
from healthlake_export.resource_keys import (
    MAX_DEPTH,
    Rejection,
    ResourceKeys,
    is_any_too_deep,
    is_too_deep,
    is_utf8,
    read_keys,
)

PATIENT = (
    b'{"resourceType":"Patient","id":"p1","meta":{"versionId":"3","lastUpdated":"2026-11-20T10:00:00.123Z"}}'
)


def with_member(member: bytes) -> bytes:
    return b'{"resourceType":"Patient","id":"p1",' + member + b"}"


def keys_of(text: bytes) -> ResourceKeys:
    keys = read_keys(text)
    assert isinstance(keys, ResourceKeys)
    return keys


def test_the_keys_of_a_resource_are_read() -> None:
    keys = keys_of(PATIENT)
    assert (keys.resourceType, keys.id) == ("Patient", "p1")
    assert keys.meta is not None
    assert (keys.meta.versionId, keys.meta.lastUpdated) == ("3", "2026-11-20T10:00:00.123Z")


def test_a_resource_needs_no_meta() -> None:
    assert keys_of(b'{"resourceType":"Patient","id":"p1"}').meta is None


@pytest.mark.parametrize(
    "member",
    [
        b'"valueInteger":18446744073709551617',
        b'"value":1.10',
        b'"value":1e400',
        b'"text":{"div":"\\u00e9 \xc3\xa9 \xf0\x9f\x98\x80"}',
        b'"id":"p1"',
    ],
)
def test_what_other_parsers_stumble_over_passes(member: bytes) -> None:
    assert keys_of(with_member(member)).id == "p1"


def test_a_key_written_with_escapes_is_the_same_key() -> None:
    assert keys_of(b'{"resource\\u0054ype":"Patient","id":"p\\u0031"}').id == "p1"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (b'{"resourceType":"Patient","id":"p1"', Rejection.NOT_JSON),
        (b'{"resourceType":"Patient","id":"p1"} x', Rejection.NOT_JSON),
        (b'{"resourceType":"Patient","id":"p1",}', Rejection.NOT_JSON),
        (with_member(b'"a":NaN'), Rejection.NOT_JSON),
        (with_member(b'"a":01'), Rejection.NOT_JSON),
        (with_member(b'"a":"\x01"'), Rejection.NOT_JSON),
        (with_member(b'"a":"\\q"'), Rejection.NOT_JSON),
        (b'{"resourceType":5,"id":', Rejection.NOT_JSON),
        (with_member(b'"a":"\\ud800 alone"'), Rejection.NOT_JSON),
        (b"garbage", Rejection.NOT_JSON),
        (with_member(b'"a":"\xff"'), Rejection.NOT_UTF8),
        (b'{"resourceType":"Patient","id":"\xff"}', Rejection.NOT_UTF8),
        (with_member(b'"a":"\xed\xa0\x80"'), Rejection.NOT_UTF8),
        (b"[1]", Rejection.NOT_AN_OBJECT),
        (b' "text"', Rejection.NOT_AN_OBJECT),
        (b"null", Rejection.NOT_AN_OBJECT),
        (b'{"id":"p1"}', Rejection.NO_RESOURCE_TYPE),
        (b'{"resourceType":"","id":"p1"}', Rejection.NO_RESOURCE_TYPE),
        (b'{"resourceType":"Patient"}', Rejection.NO_ID),
        (b'{"resourceType":"Patient","id":""}', Rejection.NO_ID),
        (b'{"resourceType":"Patients","id":"p1"}', Rejection.UNKNOWN_TYPE),
        (b'{"resourceType":"patient","id":"p1"}', Rejection.UNKNOWN_TYPE),
        (b'{"resourceType":"../x","id":"p1"}', Rejection.UNKNOWN_TYPE),
        (b'{"resourceType":"Patients"}', Rejection.NO_ID),
        (b'{"resourceType":"Patient","id":7}', Rejection.WRONG_TYPE),
        (b'{"resourceType":["Patient"],"id":"p1"}', Rejection.WRONG_TYPE),
        (with_member(b'"meta":[]'), Rejection.WRONG_TYPE),
        (with_member(b'"meta":{"versionId":3}'), Rejection.WRONG_TYPE),
    ],
)
def test_a_broken_line_is_rejected_with_its_reason(text: bytes, reason: Rejection) -> None:
    assert read_keys(text) is reason


@pytest.mark.parametrize("levels", [MAX_DEPTH, 1_100, 100_000])
def test_a_line_that_nests_too_deeply_is_rejected(levels: int) -> None:
    assert read_keys(with_member(b'"a":' + b"[" * levels + b"]" * levels)) is Rejection.TOO_DEEP


def test_nesting_just_within_the_limit_passes() -> None:
    levels = MAX_DEPTH - 1
    assert keys_of(with_member(b'"a":' + b'{"b":' * levels + b"1" + b"}" * levels)).id == "p1"


def test_many_brackets_that_do_not_nest_pass() -> None:
    assert keys_of(with_member(b'"a":[' + b",".join([b"[{}]"] * 1000) + b"]")).id == "p1"


LIST, OBJECT = (b"[", b"]"), (b'{"":', b"}")
NESTS: dict[str, list[tuple[bytes, bytes]]] = {
    "lists": [LIST],
    "objects": [OBJECT],
    "lists in objects": [OBJECT, LIST],
}


def nested(levels: list[tuple[bytes, bytes]], innermost: bytes) -> bytes:
    return b"".join(begin for begin, _ in levels) + innermost + b"".join(end for _, end in reversed(levels))


def is_found(text: bytes) -> bool:
    """Both ways, of which one reads many texts and finds what the other does."""
    spans = ByteSpans(b"{}" + text + b"{}", [0, 2, 2 + len(text)], [2, 2 + len(text), 4 + len(text)])
    found = is_too_deep(text)
    assert is_any_too_deep(spans) is found
    return found


@pytest.mark.parametrize("kind", NESTS)
@pytest.mark.parametrize("innermost", [LIST, OBJECT, (b"{", b"}")])
def test_the_fewest_bytes_that_nest_too_deeply_are_found(kind: str, innermost: tuple[bytes, bytes]) -> None:
    levels = (NESTS[kind] * MAX_DEPTH)[:MAX_DEPTH]
    value = b"0" if innermost is OBJECT else b""
    assert not is_found(nested([*levels[1:], innermost], value))
    assert is_found(nested([*levels, innermost], value))


@given(
    st.lists(st.sampled_from([LIST, OBJECT]), min_size=MAX_DEPTH - 20, max_size=MAX_DEPTH + 20),
    st.sampled_from([b"0", b"[]", b'"' + b"]}" * 400 + b'"']),
)
def test_any_mix_of_lists_and_objects_is_too_deep_past_the_limit(
    levels: list[tuple[bytes, bytes]], innermost: bytes
) -> None:
    depth = len(levels) + (innermost == b"[]")
    assert is_found(nested(levels, innermost)) is (depth > MAX_DEPTH)


@pytest.mark.parametrize("kind", NESTS)
@pytest.mark.parametrize("innermost", [b"0", b'"%b"' % (b"x" * 3000)])
@given(
    before=st.integers(0, 4 * MAX_DEPTH),
    after=st.integers(0, 4 * MAX_DEPTH),
    beside=st.integers(0, 150),
    levels=st.integers(MAX_DEPTH - 2, MAX_DEPTH + 2),
)
def test_what_nests_too_deeply_is_found_wherever_it_stands(
    kind: str, innermost: bytes, before: int, after: int, beside: int, levels: int
) -> None:
    chain = nested((NESTS[kind] * levels)[: levels - 1], innermost)
    text = b'["%b",%b%b,"%b"]' % (b"x" * before, b"[]," * beside, chain, b"x" * after)
    assert is_found(text) is (levels > MAX_DEPTH)


def test_brackets_in_strings_are_not_nesting() -> None:
    assert keys_of(with_member(b'"a":"' + b'\\"{[' * 2000 + b'"')).id == "p1"


def test_a_long_text_is_checked_across_its_pieces() -> None:
    padding = b"a" * (1024 * 1024 - 1)
    assert is_utf8(padding + "é".encode())
    assert not is_utf8(padding + b"\xc3\x28")
    assert not is_utf8(padding + b"a\xc3")


@given(st.binary(max_size=60))
def test_any_bytes_are_read_or_rejected(text: bytes) -> None:
    assert isinstance(read_keys(text), ResourceKeys | Rejection)


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=12,
)


@given(st.dictionaries(st.text(min_size=1), JSON_VALUES, max_size=4), st.booleans())
def test_every_resource_that_the_standard_library_writes_is_read(
    members: dict[str, object], ascii_only: bool
) -> None:
    resource = {**members, "resourceType": "Patient", "id": "p1", "meta": {"versionId": "1"}}
    try:
        text = json.dumps(resource, ensure_ascii=ascii_only).encode()
    except UnicodeEncodeError:
        return
    assert keys_of(text).id == "p1"
