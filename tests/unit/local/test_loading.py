"""Loading in batch Bundles: exact text, distinct resources, the later of two lines wins."""

import json
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import Any, cast

from local.cli.fhir_client import Answer, FhirClient
from local.cli.loading import ENTRIES_PER_BUNDLE, Loaded, bundle, load_lines
from local.cli.ndjson_files import Line, RefusedLine

FILE = Path("data.ndjson")


class Datastore:
    """Accepts Bundles and remembers what was put last; refuses ids that begin with `bad`."""

    def __init__(self, status: int = 200) -> None:
        self.stored: dict[str, Any] = {}
        self.bundles: list[bytes] = []
        self._status = status
        self._lock = threading.Lock()

    def batch(self, sent: bytes) -> Answer:
        if self._status != 200:
            return Answer(self._status, b'{"message": "not today"}')
        if b'"poison"' in sent:
            return Answer(400, b'{"issue": [{"code": "invalid", "diagnostics": "Nested too deeply."}]}')
        with self._lock:
            self.bundles.append(sent)
            entries = [self._put(entry) for entry in json.loads(sent)["entry"]]
        return Answer(200, json.dumps({"entry": entries}).encode())

    def _put(self, entry: Any) -> Any:
        key = entry["request"]["url"]
        if "/bad" in key:
            outcome = {"issue": [{"code": "invalid", "diagnostics": "The status is not a code."}]}
            return {"response": {"status": "400 Bad Request", "outcome": outcome}}
        self.stored[key] = entry["resource"]
        return {"response": {"status": "201 Created"}}


def _line(number: int, resource_id: str, version: int = 1) -> Line:
    text = b'{"resourceType":"Patient","id":"%s","version":%d,"decimal":1.10}' % (
        resource_id.encode(),
        version,
    )
    return Line(FILE, number, "Patient", resource_id, text)


def _load(datastore: Datastore, lines: Iterable[Line | RefusedLine]) -> Loaded:
    return load_lines(cast(FhirClient, datastore), lines, lambda _: None)


def test_a_bundle_holds_the_text_of_each_line_unchanged() -> None:
    line = _line(1, "a")

    assert line.text in bundle([line])
    assert json.loads(bundle([line]))["entry"][0]["request"] == {"method": "PUT", "url": "Patient/a"}


def test_every_line_is_sent_in_bundles_of_bounded_size() -> None:
    datastore = Datastore()

    loaded = _load(datastore, [_line(number, f"p{number}") for number in range(ENTRIES_PER_BUNDLE * 2 + 1)])

    assert len(loaded.accepted) == len(datastore.stored) == ENTRIES_PER_BUNDLE * 2 + 1
    assert sorted(len(json.loads(sent)["entry"]) for sent in datastore.bundles) == [1, 100, 100]


def test_of_two_lines_with_one_id_the_later_wins_and_one_resource_is_counted() -> None:
    datastore = Datastore()
    others = [_line(number, f"p{number}") for number in range(3, 250)]

    loaded = _load(datastore, [_line(1, "same", 1), _line(2, "same", 2), *others, _line(250, "same", 3)])

    assert datastore.stored["Patient/same"]["version"] == 3
    assert len(loaded.accepted) == 248


def test_a_refused_entry_is_told_with_its_line_and_the_datastores_reason() -> None:
    loaded = _load(Datastore(), [_line(1, "good"), _line(2, "bad")])

    assert loaded.accepted == {"Patient/good"}
    assert loaded.refused == [RefusedLine(FILE, 2, "400 Bad Request: The status is not a code.")]


def test_a_refused_bundle_refuses_each_of_its_lines() -> None:
    loaded = _load(Datastore(status=403), [_line(1, "a"), _line(2, "b")])

    assert loaded.accepted == set()
    assert [line.number for line in loaded.refused] == [1, 2]
    assert "403 not today" in loaded.refused[0].reason


def test_a_line_that_spoils_its_bundle_is_refused_alone() -> None:
    loaded = _load(Datastore(), [_line(1, "a"), _line(2, "poison"), _line(3, "b")])

    assert loaded.accepted == {"Patient/a", "Patient/b"}
    assert [line.number for line in loaded.refused] == [2]
    assert "Nested too deeply." in loaded.refused[0].reason


def test_a_line_that_could_not_be_read_stays_refused() -> None:
    unreadable = RefusedLine(FILE, 1, "not JSON")

    assert _load(Datastore(), [unreadable, _line(2, "a")]).refused == [unreadable]
