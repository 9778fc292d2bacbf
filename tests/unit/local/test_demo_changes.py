"""What the demo changes: a few resources of every type, and nothing of them but what it means to change."""

from typing import cast

from local.cli.fhir_client import Answer, FhirClient
from local.demo.changes import chosen, update


class OneResource:
    """A datastore that holds one resource as text."""

    def __init__(self, text: bytes) -> None:
        self.text = text

    def get(self, _path: str) -> Answer:
        return Answer(200, self.text)

    def put(self, _path: str, body: bytes) -> Answer:
        self.text = body
        return Answer(200, body)


def test_a_few_resources_of_each_type_are_chosen() -> None:
    loaded = {f"{name}/{number}" for name in ("Patient", "Encounter") for number in range(9)} | {
        "Device/only"
    }

    keys = chosen(loaded)

    assert keys == ["Device/only", *(f"Encounter/{n}" for n in range(3)), *(f"Patient/{n}" for n in range(3))]


def test_an_update_leaves_numbers_as_they_were_written() -> None:
    store = OneResource(
        b'{"resourceType":"Observation","id":"a","valueQuantity":{"value":1.10,"count":18446744073709551617}}'
    )

    update(cast(FhirClient, store), "Observation/a", b'"en-US"')

    assert b'{"value":1.10,"count":18446744073709551617}' in store.text
    assert b'"language":"en-US"' in store.text
