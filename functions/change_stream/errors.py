"""What a record can be refused for. Reasons and places are words of this code, never a value of an item."""

from __future__ import annotations

from enum import StrEnum

from common.errors import HubError


class Malformed(StrEnum):
    """Why no event and no row can be made of a record."""

    RECORD = "RECORD_NOT_READABLE"
    EVENT_NAME = "EVENT_NAME_NOT_KNOWN"
    SOURCE = "STREAM_NOT_NAMED"
    SEQUENCE_NUMBER = "SEQUENCE_NUMBER_MISSING"
    TIME = "TIME_NOT_READABLE"
    KEYS = "KEYS_NOT_THOSE_OF_RECORDS"
    IMAGE = "IMAGE_MISSING"
    ITEM_TYPE = "ITEM_TYPE_NOT_DECLARED"
    ITEM_TYPE_CHANGED = "ITEM_TYPE_CHANGED"
    VALUE = "ATTRIBUTE_VALUE_NOT_READABLE"
    NUMBER = "NUMBER_NOT_READABLE"
    BINARY = "BINARY_NOT_BASE64"
    TEXT = "TEXT_NOT_UNICODE"


class MalformedRecord(HubError):
    """A record that is none of a stream with new and old images, or of an item of no declared type, or of
    another one than before."""

    def __init__(self, reason: Malformed) -> None:
        super().__init__(f"The record was refused: {reason.value}.")
        self.reason = reason


class Unmapped(StrEnum):
    """Why an item has no FHIR resource."""

    MISSING = "REQUIRED_VALUE_MISSING"
    WRONG_TYPE = "TYPE_OF_ATTRIBUTE_DOES_NOT_FIT"
    STRING = "NOT_A_STRING"
    CODE = "NOT_A_CODE_OF_THIS_ELEMENT"
    DATE = "NOT_A_DATE"
    DATE_TIME = "NOT_A_DATE_TIME"
    NUMBER = "NOT_A_NUMBER_OF_THIS_ELEMENT"
    URI = "NOT_A_URI"
    KEY = "SORT_KEY_NOT_OF_THIS_TYPE"


class MappingError(HubError):
    """An item cannot be written as the FHIR resource that its type is declared to be. `element` is the
    place in the resource, such as `Patient.address.use`, `reason` says why."""

    def __init__(self, element: str, reason: Unmapped) -> None:
        super().__init__(f"{element} could not be mapped: {reason.value}.")
        self.element = element
        self.reason = reason
