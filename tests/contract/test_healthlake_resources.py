"""Single resources over REST.

AWS HealthLake Developer Guide: "Creating a FHIR resource", "Reading a FHIR resource", "Updating a FHIR
resource", "Deleting a FHIR resource", "FHIR R4 Capability Statement for AWS HealthLake".
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from local.healthlake.clock import ManualClock
from local.healthlake.errors import FhirError
from local.healthlake.resource_text import parse_resource
from local.healthlake.testing import HealthLakeServer
from local.healthlake.testing_client import FhirClient

START = datetime(2026, 3, 1, 12, 30, 0, 7000, tzinfo=UTC)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(START)


@pytest.fixture
def fhir(clock: ManualClock) -> Iterator[FhirClient]:
    with HealthLakeServer(clock=clock, pace=None) as server:
        yield server.client()


def test_create_assigns_id_version_and_time(fhir: FhirClient) -> None:
    created = fhir.send("POST", "Patient", {"resourceType": "Patient", "active": True})
    assert created.status == 201
    assert created.document["meta"] == {"versionId": "1", "lastUpdated": "2026-03-01T12:30:00.007Z"}
    assert created.headers["etag"] == 'W/"1"'
    assert created.headers["last-modified"] == "Sun, 01 Mar 2026 12:30:00 GMT"
    resource_id = created.document["id"]
    assert created.headers["location"] == f"{fhir.endpoint}Patient/{resource_id}/_history/1"
    assert fhir.send("GET", f"Patient/{resource_id}").body == created.body


def test_create_replaces_the_id_a_client_sends(fhir: FhirClient) -> None:
    created = fhir.send("POST", "Patient", {"resourceType": "Patient", "id": "mine"})
    assert created.document["id"] != "mine"
    assert fhir.send("GET", "Patient/mine").status == 404


def test_update_of_an_unknown_id_creates_it(fhir: FhirClient) -> None:
    assert fhir.put("Patient", "p1").status == 201


def test_update_counts_versions_and_moves_the_time(fhir: FhirClient, clock: ManualClock) -> None:
    fhir.put("Patient", "p1", active=True)
    clock.advance(timedelta(seconds=90))
    updated = fhir.put("Patient", "p1", active=False)
    assert updated.status == 200
    assert updated.document["meta"] == {"versionId": "2", "lastUpdated": "2026-03-01T12:31:30.007Z"}
    assert fhir.send("GET", "Patient/p1").document["active"] is False


def test_a_version_read_finds_the_current_version_only(fhir: FhirClient) -> None:
    fhir.put("Patient", "p1")
    fhir.put("Patient", "p1")
    assert fhir.send("GET", "Patient/p1/_history/2").status == 200
    assert fhir.send("GET", "Patient/p1/_history/1").status == 404


def test_if_match_with_another_version_is_refused_with_412(fhir: FhirClient) -> None:
    fhir.put("Patient", "p1")
    body = {"resourceType": "Patient", "id": "p1"}
    assert fhir.send("PUT", "Patient/p1", body, {"If-Match": 'W/"1"'}).status == 200
    stale = fhir.send("PUT", "Patient/p1", body, {"If-Match": 'W/"1"'})
    assert stale.status == 412
    assert "If-Match" in stale.reason
    assert fhir.send("GET", "Patient/p1").document["meta"]["versionId"] == "2"


def test_if_match_on_a_resource_that_is_not_there_is_refused(fhir: FhirClient) -> None:
    body = {"resourceType": "Patient", "id": "p1"}
    assert fhir.send("PUT", "Patient/p1", body, {"If-Match": 'W/"1"'}).status == 412


def test_if_none_match_stores_only_what_is_not_there(fhir: FhirClient) -> None:
    body = {"resourceType": "Patient", "id": "p1"}
    first = fhir.send("PUT", "Patient/p1", body, {"If-None-Match": "*"})
    assert (first.status, first.headers["etag"]) == (201, 'W/"1"')
    second = fhir.send("PUT", "Patient/p1", body, {"If-None-Match": "*"})
    assert second.status == 412
    assert "If-None-Match" in second.reason
    assert fhir.send("GET", "Patient/p1").headers["etag"] == 'W/"1"'


def test_if_none_match_stores_what_was_deleted(fhir: FhirClient) -> None:
    body = {"resourceType": "Patient", "id": "p1"}
    fhir.put("Patient", "p1")
    fhir.send("DELETE", "Patient/p1")
    assert fhir.send("PUT", "Patient/p1", body, {"If-None-Match": "*"}).status == 201


def test_if_none_match_takes_an_asterisk_alone(fhir: FhirClient) -> None:
    body = {"resourceType": "Patient", "id": "p1"}
    assert fhir.send("PUT", "Patient/p1", body, {"If-None-Match": 'W/"1"'}).status == 400


def test_of_two_that_create_at_once_one_is_refused(fhir: FhirClient) -> None:
    def create(name: str) -> int:
        client = FhirClient(fhir.endpoint)
        body = {"resourceType": "Patient", "id": "p1", "name": [{"family": name}]}
        return client.send("PUT", "Patient/p1", body, {"If-None-Match": "*"}).status

    with ThreadPoolExecutor(4) as pool:
        assert sorted(pool.map(create, "abcd")) == [201, 412, 412, 412]


def test_if_match_of_a_delete_names_the_version_to_delete(fhir: FhirClient) -> None:
    fhir.put("Patient", "p1")
    fhir.put("Patient", "p1")
    assert fhir.send("DELETE", "Patient/p1", headers={"If-Match": 'W/"1"'}).status == 412
    assert fhir.send("GET", "Patient/p1").status == 200
    assert fhir.send("DELETE", "Patient/p1", headers={"If-Match": 'W/"2"'}).status == 204
    assert fhir.send("DELETE", "Patient/p1", headers={"If-Match": 'W/"2"'}).status == 412


def test_a_deleted_resource_is_gone_and_comes_back_with_a_later_version(fhir: FhirClient) -> None:
    fhir.put("Patient", "p1")
    assert fhir.send("DELETE", "Patient/p1").status == 204
    assert fhir.send("GET", "Patient/p1").status == 410
    assert fhir.send("DELETE", "Patient/p1").status == 204
    again = fhir.put("Patient", "p1")
    assert again.status == 201
    assert again.document["meta"]["versionId"] == "3"


def test_deleting_what_never_was_is_not_found(fhir: FhirClient) -> None:
    assert fhir.send("DELETE", "Patient/p1").status == 404


def test_prefer_minimal_leaves_the_body_out(fhir: FhirClient) -> None:
    body = {"resourceType": "Patient", "id": "p1"}
    stored = fhir.send("PUT", "Patient/p1", body, {"Prefer": "return=minimal"})
    assert (stored.status, stored.body) == (201, b"")


@pytest.mark.parametrize(
    ("path", "body", "status", "reason"),
    [
        ("Patient/p1", b"{", 400, "not JSON"),
        ("Patient/p1", b"", 400, "no body"),
        ("Patient/p1", b'\xef\xbb\xbf{"resourceType":"Patient","id":"p1"}', 400, "byte order mark"),
        ("Patient/p1", b'{"resourceType":"Patient","id":"p1","x":"\xff"}', 400, "UTF-8"),
        ("Patient/p1", b"[]", 400, "not a JSON object"),
        ("Patient/p1", b'{"id":"p1"}', 400, "no resourceType"),
        ("Patient/p1", b'{"resourceType":5,"id":"p1"}', 400, "resourceType is not a string"),
        ("Patient/p1", b'{"resourceType":"Patientt","id":"p1"}', 400, "resourceType is not a resource type"),
        ("Patient/p1", b'{"resourceType":"Patient"}', 400, "no id"),
        ("Patient/p1", b'{"resourceType":"Patient","id":"p2"}', 400, "id of the resource differs"),
        ("Patient/p1", b'{"resourceType":"Group","id":"p1"}', 400, "resourceType of the resource differs"),
        ("Patient/p_1", b'{"resourceType":"Patient","id":"p_1"}', 400, "The id must be"),
        ("Patient/" + "x" * 65, b'{"resourceType":"Patient"}', 400, "The id must be"),
        ("Patient/p1", b'{"resourceType":"Patient","id":"p1","meta":[]}', 400, "meta is not an object"),
        ("Patient/p1", b'{"resourceType":"Patient","id":"p1","x":1,"x":2}', 400, "appears twice"),
        ("Nothing/p1", b'{"resourceType":"Patient","id":"p1"}', 404, "names no resource type"),
    ],
)
def test_a_refusal_says_why(fhir: FhirClient, path: str, body: bytes, status: int, reason: str) -> None:
    refused = fhir.send("PUT", path, body)
    assert refused.status == status
    assert reason in refused.reason
    assert refused.headers["content-type"] == "application/fhir+json"


@pytest.mark.usefixtures("usual_recursion_limit")
def test_too_deep_a_resource_is_refused(fhir: FhirClient) -> None:
    body = b'{"resourceType":"Patient","id":"p1","x":' + b"[" * 3000 + b"]" * 3000 + b"}"
    assert fhir.send("PUT", "Patient/p1", body).status == 400


def test_a_refusal_repeats_no_value_of_the_resource(fhir: FhirClient) -> None:
    body = b'{"resourceType":"Patient","id":"SECRET ID","name":[{"family":"SECRET NAME"}]}'
    assert b"SECRET" not in fhir.send("PUT", "Patient/p1", body).body


def test_everything_but_meta_stays_byte_for_byte(fhir: FhirClient) -> None:
    body = (
        '{ "resourceType" : "Observation", "id":"o1", "meta":{"profile":["http://x"],"versionId":"99"}, '
        '"valueQuantity":{"value":1.10}, "x":[18446744073709551617, 1e400, -0.0], "y":"é\\u00e9\\n 🩺" }'
    ).encode()
    fhir.send("PUT", "Observation/o1", body)
    stored = fhir.send("GET", "Observation/o1").body
    old_meta = b'{"profile":["http://x"],"versionId":"99"}'
    new_meta = b'{"versionId":"1","lastUpdated":"2026-03-01T12:30:00.007Z","profile":["http://x"]}'
    assert stored == body.replace(old_meta, new_meta)


def test_line_breaks_between_members_are_dropped_so_that_a_resource_is_one_line(fhir: FhirClient) -> None:
    body = b'{\r\n  "resourceType": "Patient",\n  "id": "p1",\n  "x": [1.10,\n 2]\n}\n'
    fhir.send("PUT", "Patient/p1", body)
    stored = fhir.send("GET", "Patient/p1").body
    assert b"\n" not in stored
    assert b'"x":[1.10,2]' in stored


def test_the_capability_statement_names_what_the_datastore_does(fhir: FhirClient) -> None:
    statement = fhir.send("GET", "metadata").document
    assert statement["resourceType"] == "CapabilityStatement"
    assert statement["fhirVersion"] == "4.0.1"
    assert "Observation" in [resource["type"] for resource in statement["rest"][0]["resource"]]


def test_an_unknown_datastore_is_not_found(fhir: FhirClient) -> None:
    base = fhir.endpoint.partition("/datastore/")[0]
    assert fhir.send("GET", f"{base}/datastore/{'0' * 32}/r4/Patient/p1").status == 404


def test_writers_at_the_same_time_count_every_version() -> None:
    with HealthLakeServer(pace=None) as server, ThreadPoolExecutor(8) as pool:
        client = server.client()
        answers = list(pool.map(lambda _: client.put("Patient", "p1").document["meta"], range(80)))
    stamps = sorted(answers, key=lambda meta: int(meta["versionId"]))
    assert [meta["versionId"] for meta in stamps] == [str(version) for version in range(1, 81)]
    times = [meta["lastUpdated"] for meta in stamps]
    assert times == sorted(times)


_NUMBERS = st.from_regex(r"-?(0|[1-9][0-9]{0,30})(\.[0-9]{1,20})?([eE][+-]?[0-9]{1,3})?", fullmatch=True)
_SCALARS = _NUMBERS | st.text(max_size=20).map(json.dumps) | st.sampled_from(["true", "false"])
_VALUES = st.recursive(
    _SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3).map(lambda items: f"[{', '.join(items)}]")
        | st.lists(inner, max_size=3).map(
            lambda items: "{" + ",".join(f'"k{number}" : {item}' for number, item in enumerate(items)) + "}"
        )
    ),
    max_leaves=10,
)


@settings(max_examples=200, deadline=None)
@given(
    values=st.lists(_VALUES, max_size=4),
    order=st.permutations(["resourceType", "id", "meta", "extras"]),
    has_id=st.booleans(),
    has_meta=st.booleans(),
)
def test_stamping_changes_nothing_else_whatever_the_resource_holds(
    values: list[str], order: list[str], has_id: bool, has_meta: bool
) -> None:
    members = {
        "resourceType": '"resourceType":"Basic"',
        "id": '"id" :"old"' if has_id else "",
        "meta": '"meta": {"source":"#x"}' if has_meta else "",
        "extras": ", ".join(f'"x{number}": {value}' for number, value in enumerate(values)),
    }
    text = "{" + ",".join(filter(None, (members[name] for name in order))) + "}"
    stamped = parse_resource(text.encode()).stamped("new", 7, "T").decode()
    document = json.loads(stamped)
    assert (document["id"], document["meta"]["versionId"]) == ("new", "7")
    assert document["meta"].get("source") == ("#x" if has_meta else None)
    assert members["extras"] in stamped
    assert json.loads(text) | {"id": "new", "meta": document["meta"]} == document


@settings(max_examples=200, deadline=None)
@given(body=st.binary(max_size=60) | st.text(alphabet='{}[]",:0x \n\\', max_size=40).map(str.encode))
def test_no_body_makes_the_parser_fail_otherwise_than_by_a_refusal(body: bytes) -> None:
    refusals: list[int] = []
    try:
        parse_resource(body)
    except FhirError as refusal:
        refusals.append(refusal.status)
    assert refusals in ([], [400])
