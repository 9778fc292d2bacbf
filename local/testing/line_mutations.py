"""Lines of NDJSON as they may arrive when something went wrong on their way: real-looking FHIR resources,
and what a seeded random makes of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import islice
from random import Random

from healthlake_export.resource_keys import MAX_DEPTH
from local.sample_data.exact_json import exact_json
from local.sample_data.generator import generate

Mutation = Callable[[Random, bytes], bytes]

_BRACKETS = (b"{", b"}", b"[", b"]", b'"', b",", b":", b"\\")
_NOT_UTF8 = (b"\x80", b"\xc3", b"\xff\xfe", b"\xed\xa0\x80", b"\xc0\xaf", b"\xf4\x90\x80\x80", b"\xe2\x82")
_NUMBERS = (b"1e400", b"-0", b"-0.0", b"9" * 40, b"1." + b"0" * 60, b"01", b"1.", b"+1", b"NaN", b"-Infinity")
_ESCAPES = (
    b"\\ud83d\\ude00",
    b"\\ud800",
    b"\\udc00\\ud800",
    b"\\u0000",
    b"\\u12",
    b"\\x41",
    b"\\/",
    b"\\u2028",
)
_MARK = b"\xef\xbb\xbf"
_KEYS = (b"resourceType", b"id", b"meta", b"versionId", b"lastUpdated")
_VALUES = (b'""', b"null", b"7", b"true", b"[]", b"{}", b'"x"', b'["a"]', b'{"versionId":3}', b'"\\u00e4"')


def resource_lines(count: int) -> list[bytes]:
    """So many resources of the sample, each with its version as HealthLake exports them."""
    head, stamp = (
        b'{"resourceType"',
        b'"meta":{"versionId":"%d","lastUpdated":"2026-11-20T09:59:%02d.%03dZ"},',
    )
    lines = []
    for number, resource in enumerate(islice(generate(patients=40), count)):
        text = exact_json(resource).encode()
        assert text.startswith(head)
        if b'"meta":' not in text:
            text = b"{" + stamp % (number % 7 + 1, number % 60, number % 1000) + text[1:]
        lines.append(text)
    return lines


def flip_bytes(random: Random, line: bytes) -> bytes:
    changed = bytearray(line)
    for _ in range(random.randint(1, 4)):
        changed[random.randrange(len(changed))] ^= 1 << random.randrange(8)
    return bytes(changed)


def cut(random: Random, line: bytes) -> bytes:
    start, stop = sorted(random.randrange(len(line) + 1) for _ in range(2))
    return random.choice((line[:start], line[stop:], line[:start] + line[stop:]))


def double_a_part(random: Random, line: bytes) -> bytes:
    start = random.randrange(len(line))
    stop = start + random.randint(1, 40)
    return line[:stop] + line[start:]


def add_syntax(random: Random, line: bytes) -> bytes:
    return _insert(random, line, random.choice(_BRACKETS) * random.choice((1, 1, 2, 3)))


def add_control_characters(random: Random, line: bytes) -> bytes:
    return _insert(random, line, bytes([random.choice((*range(32), 127))]))


def add_bytes_that_are_no_text(random: Random, line: bytes) -> bytes:
    return _insert(random, line, random.choice(_NOT_UTF8))


def add_line_ends(random: Random, line: bytes) -> bytes:
    return _insert(
        random, line, random.choice((b"\r", b"\n", b"\r\n", b"\n\n", b"\xe2\x80\xa8", b"\x0b", b"\x85"))
    )


def add_a_byte_order_mark(random: Random, line: bytes) -> bytes:
    return random.choice((_MARK + line, line + _MARK, _insert(random, line, _MARK)))


def add_escapes(random: Random, line: bytes) -> bytes:
    parts = line.split(b'"')
    at = random.randrange(1, len(parts), 2) if len(parts) > 1 else 0
    parts[at] += random.choice(_ESCAPES)
    return b'"'.join(parts)


def add_a_member(random: Random, line: bytes) -> bytes:
    """A member more, which may repeat one of those that identify the resource, or nest deeply."""
    name = b'"%b":' % random.choice((*_KEYS, b"extra"))
    member = name + random.choice((*_VALUES, *_NUMBERS, _nested(random)))
    return b"{%b,%b" % (member, line[1:]) if random.random() < 0.5 else b"%b,%b}" % (line[:-1], member)


def replace_a_value(random: Random, line: bytes) -> bytes:
    key = b'"%b":' % random.choice(_KEYS)
    before, found, after = line.partition(key)
    if not found:
        return line
    end = min((at for at in (after.find(b","), after.find(b"}")) if at >= 0), default=len(after))
    return before + key + random.choice((*_VALUES, *_NUMBERS)) + after[end:]


def pad_with_space(random: Random, line: bytes) -> bytes:
    space = bytes(random.choices(b" \t\r\x0b\x0c", k=random.randint(1, 5)))
    return random.choice((space + line, line + space, space))


def grow(random: Random, line: bytes) -> bytes:
    """Long enough, now and then, to travel by reference."""
    size = random.choices((300, 5_000, 210_000), weights=(30, 9, 1))[0]
    return b'%b,"text":"%b"}' % (line[:-1], b"a" * size)


def replace_it_all(random: Random, line: bytes) -> bytes:
    whole = (b"[%b]", b'"%b"', b"%b%b", b"{}", b"null", b"0", b"[[[[", b"%b {}", b"NaN")
    return random.choice(whole).replace(b"%b", line)


MUTATIONS: Sequence[Mutation] = (
    flip_bytes,
    cut,
    double_a_part,
    add_syntax,
    add_control_characters,
    add_bytes_that_are_no_text,
    add_line_ends,
    add_a_byte_order_mark,
    add_escapes,
    add_a_member,
    replace_a_value,
    pad_with_space,
    grow,
    replace_it_all,
)


def mutated_line(random: Random, line: bytes) -> bytes:
    """The line as it is, or after one to three mutations."""
    for _ in range(random.choice((0, 1, 1, 1, 2, 3))):
        if line:
            line = random.choice(MUTATIONS)(random, line)
    return line


def mutated_file(seed: int, lines: Sequence[bytes], count: int) -> bytes:
    """`count` lines drawn from `lines`, mutated, each with one of the terminators that occur."""
    random = Random(seed)  # noqa: S311 - repeatable on purpose
    ends = (b"\n",) * 8 + (b"\r\n", b"\n\n")
    mutated = (mutated_line(random, random.choice(lines)) + random.choice(ends) for _ in range(count))
    return (_MARK if random.random() < 0.5 else b"") + b"".join(mutated) + random.choice((b"", *lines))


def _insert(random: Random, line: bytes, what: bytes) -> bytes:
    at = random.randrange(len(line) + 1)
    return line[:at] + what + line[at:]


def _nested(random: Random) -> bytes:
    depth: int = random.choice((3, 50, *range(MAX_DEPTH - 2, MAX_DEPTH + 2), 1_100, 20_000))
    if random.random() < 0.5:
        return b"[" * depth + b"]" * depth
    return b'{"a":' * depth + b"1" + b"}" * depth
