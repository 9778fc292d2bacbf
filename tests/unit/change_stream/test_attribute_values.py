"""DynamoDB's attribute values come out as JSON with every digit that they came in with."""

from __future__ import annotations

import base64
import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given

from change_stream.attribute_values import plain_item, same_value, text_of
from change_stream.errors import Malformed, MalformedRecord
from local.testing.change_records import Item, attribute_values, images, numbers


def expected(value: dict[str, Any]) -> Any:
    """What a value is in plain JSON, numbers as their digits."""
    ((kind, content),) = value.items()
    if kind == "M":
        return {name: expected(one) for name, one in content.items()}
    if kind == "L":
        return [expected(one) for one in content]
    if kind in ("N", "NS"):
        return Number(content) if kind == "N" else [Number(one) for one in content]
    return None if kind == "NULL" else content


class Number(str):
    """A number's digits, which no text is equal to."""

    __slots__ = ()
    __hash__ = str.__hash__

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Number) and str(self) == str(other)


def parsed(text: bytes) -> Any:
    """JSON read by the standard library, with numbers left as the digits that stand there."""
    return json.loads(text, parse_float=Number, parse_int=Number)


@given(images())
def test_every_value_comes_out_as_it_went_in(image: Item) -> None:
    assert parsed(text_of(image)) == {name: expected(value) for name, value in image.items()}


@given(numbers())
def test_a_number_that_is_not_doubtful_survives_programs_that_read_doubles(number: str) -> None:
    doubtful: list[str] = []
    plain_item({"n": {"N": number}}, doubtful)
    if not doubtful:
        again = json.dumps(json.loads(number, parse_int=float))
        assert Decimal(again) == Decimal(number)


@given(numbers())
def test_a_number_that_is_not_doubtful_gets_no_exponent_from_a_jvm(number: str) -> None:
    """Java API, «Double.toString»: an exponent below 10^-3 and from 10^7 on. Whole numbers are none."""
    doubtful: list[str] = []
    plain_item({"n": {"N": number}}, doubtful)
    if not doubtful and "." in number:
        assert Decimal("0.001") <= abs(Decimal(number)) < 10**7


@pytest.mark.parametrize(
    "number",
    [
        "1.10",
        "0.0",
        "-0",
        "1234567890123456",
        "0.1234567890123456",
        "1E+2",
        "1e-7",
        "9" * 38,
        "100.0",
        "0.00001",
        "0.0005",
        "-0.000999",
        "12345678.5",
        "-10000000.1",
    ],
)
def test_a_number_whose_digits_a_double_would_change_is_doubtful(number: str) -> None:
    doubtful: list[str] = []
    assert text_of({"n": {"N": number}}) == b'{"n":%s}' % number.encode()
    plain_item({"n": {"N": number}}, doubtful)
    assert doubtful == [number]


@pytest.mark.parametrize(
    "number", ["0", "7", "-12.5", "0.5", "123456789012345", "0.001", "-0.25", "9999999.5", "-0.0015"]
)
def test_usual_numbers_are_not(number: str) -> None:
    doubtful: list[str] = []
    plain_item({"n": {"N": number}}, doubtful)
    assert doubtful == []


@pytest.mark.parametrize("text", ["", " ", "\x00", "\u2028", "\\ud800", "💉", 'a"b', "é" * 3])
def test_texts_of_every_kind_come_out(text: str) -> None:
    assert json.loads(text_of({"t": {"S": text}})) == {"t": text}


def test_binary_values_of_a_client_come_out_as_those_of_a_stream() -> None:
    of_client = text_of({"b": {"B": b"\x00\xff"}, "s": {"BS": [b"a"]}})
    of_stream = {"b": base64.b64encode(b"\x00\xff").decode(), "s": [base64.b64encode(b"a").decode()]}
    assert json.loads(of_client) == of_stream


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ({}, Malformed.VALUE),
        ({"S": "a", "N": "1"}, Malformed.VALUE),
        ({"X": "a"}, Malformed.VALUE),
        ({"S": 1}, Malformed.VALUE),
        ({"S": None}, Malformed.VALUE),
        ("text", Malformed.VALUE),
        ({"BOOL": "true"}, Malformed.VALUE),
        ({"BOOL": 1}, Malformed.VALUE),
        ({"NULL": False}, Malformed.VALUE),
        ({"L": {"S": "a"}}, Malformed.VALUE),
        ({"L": [{"S": "a"}, "b"]}, Malformed.VALUE),
        ({"M": [{"S": "a"}]}, Malformed.VALUE),
        ({"SS": ["a", 1]}, Malformed.VALUE),
        ({"SS": "ab"}, Malformed.VALUE),
        ({"N": 1}, Malformed.NUMBER),
        ({"N": "1,5"}, Malformed.NUMBER),
        ({"N": "NaN"}, Malformed.NUMBER),
        ({"N": "01"}, Malformed.NUMBER),
        ({"N": "1\n"}, Malformed.NUMBER),
        ({"N": "１"}, Malformed.NUMBER),
        ({"N": '1,"x":2'}, Malformed.NUMBER),
        ({"NS": ["1", "x"]}, Malformed.NUMBER),
        ({"B": "a"}, Malformed.BINARY),
        ({"B": "ü==="}, Malformed.BINARY),
        ({"BS": ["YQ==", "*"]}, Malformed.BINARY),
        ({"S": "\ud800"}, Malformed.TEXT),
    ],
)
def test_what_is_no_value_is_refused_with_its_reason(value: Any, reason: Malformed) -> None:
    with pytest.raises(MalformedRecord) as refused:
        text_of({"good": {"S": "a"}, "bad": value})
    assert refused.value.reason == reason
    assert "bad" not in str(refused.value)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"N": "1.10"}, {"N": "1.1"}),
        ({"N": "1E+2"}, {"N": "100"}),
        ({"NS": ["1", "2"]}, {"NS": ["2.0", "1"]}),
        ({"SS": ["a", "b"]}, {"SS": ["b", "a"]}),
        ({"BS": ["YQ==", "Yg=="]}, {"BS": ["Yg==", "YQ=="]}),
        ({"M": {"a": {"N": "1"}, "b": {"S": "x"}}}, {"M": {"b": {"S": "x"}, "a": {"N": "1.0"}}}),
        ({"L": [{"N": "1"}]}, {"L": [{"N": "1.0"}]}),
    ],
)
def test_values_are_the_same_that_dynamodb_takes_for_the_same(one: Any, other: Any) -> None:
    assert same_value(one, other)
    assert same_value(other, one)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"N": "1"}, {"S": "1"}),
        ({"N": "1"}, {"N": "1.00000000000000000000000000000000000001"}),
        ({"S": "a"}, {"S": "A"}),
        ({"L": [{"N": "1"}, {"N": "2"}]}, {"L": [{"N": "2"}, {"N": "1"}]}),
        ({"L": [{"N": "1"}]}, {"L": [{"N": "1"}, {"N": "1"}]}),
        ({"M": {"a": {"N": "1"}}}, {"M": {"b": {"N": "1"}}}),
        ({"M": {"a": {"NULL": True}}}, {"M": {}}),
        ({"SS": ["a"]}, {"SS": ["a", "b"]}),
        ({"BOOL": True}, {"BOOL": False}),
        ({"B": "YQ=="}, {"S": "YQ=="}),
    ],
)
def test_values_are_not_the_same_that_dynamodb_tells_apart(one: Any, other: Any) -> None:
    assert not same_value(one, other)


@given(attribute_values())
def test_a_value_is_the_same_as_itself(value: dict[str, Any]) -> None:
    assert same_value(value, json.loads(json.dumps(value)))
