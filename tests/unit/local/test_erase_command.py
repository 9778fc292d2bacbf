"""`erase`: what it refuses, whom it asks, and what it tells in the end."""

from __future__ import annotations

import io
import json
import sys
from typing import TYPE_CHECKING, Any

import pytest

from healthlake_export.erasures import read
from local.cli import stack
from local.cli.erase import EraseOptions, erase
from local.cli.errors import CommandError
from local.cli.main import main
from local.cli.operations.hub import DeployedHub
from local.cli.output import Output
from local.erasure import healthlake_patient, stragglers
from local.erasure.healthlake_patient import InHealthLake
from local.erasure.run_lock import RunLock
from local.testing.mocked_hub import BUCKET, LAKE_BUCKET

if TYPE_CHECKING:
    from tests.unit.local.conftest import Written

LINE = b'{"resourceType":"Patient","id":"p-1"}\n'
KEY = "exports/run-1/Patient/Patient-0.ndjson"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def resources(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The stack's resources, as CloudFormation lists them; a test may add some."""
    found = [
        {"LogicalResourceId": name, "ResourceType": "AWS::S3::Bucket", "PhysicalResourceId": bucket}
        for name, bucket in (("HubBucket", BUCKET), ("LakeBucket", LAKE_BUCKET))
    ]
    monkeypatch.setattr(stack, "resources", lambda account, name: found)
    return found


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch, resources: list[Any]) -> list[InHealthLake]:
    """What HealthLake says of every patient; a test may put something else in."""
    assert resources
    says = [InHealthLake.ABSENT]
    monkeypatch.setattr(healthlake_patient, "patient_in_healthlake", lambda *_: says[0])
    monkeypatch.setattr(stragglers, "unfinished_export_jobs", lambda *_: [])
    return says


def erased(hub: DeployedHub, **options: Any) -> tuple[int, Any]:
    """Status and document of an erasure of p-1."""
    shown = io.StringIO()
    status = erase(hub, Output(shown, as_json=True), EraseOptions("p-1", **options))
    return status, json.loads(shown.getvalue())


def test_an_erasure_that_finds_nothing_more_ends_well(
    hub: DeployedHub, written: Written, told: list[InHealthLake]
) -> None:
    assert told
    written.object(KEY, LINE)

    status, document = erased(hub, confirmed=True)

    assert (status, document["verified"], document["passes"]) == (0, True, 2)
    assert document["areas"][0]["erased"] == 1
    assert document["remains"][0]["what"] == "HealthLake"
    assert erased(hub, confirmed=True)[1]["passes"] == 1


@pytest.mark.parametrize("says", [InHealthLake.PRESENT, InHealthLake.UNKNOWN])
def test_a_patient_whom_healthlake_may_still_have_is_refused_with_the_way_to_erase_there(
    hub: DeployedHub, told: list[InHealthLake], says: InHealthLake
) -> None:
    told[0] = says

    with pytest.raises(CommandError) as refused:
        erased(hub, confirmed=True)

    assert "POST Patient/p-1/$purge" in refused.value.todo
    assert "POST Patient/p-1/$erase" in refused.value.todo
    assert read(hub.client("dynamodb"), hub.table, hub.datastore_id) == frozenset()
    assert erased(hub, confirmed=True, still_in_healthlake=True)[0] == 0


def test_a_dry_run_counts_whatever_healthlake_says(
    hub: DeployedHub, written: Written, told: list[InHealthLake]
) -> None:
    told[0] = InHealthLake.PRESENT
    written.object(KEY, LINE)

    status, document = erased(hub, dry_run=True)

    assert (status, document["verified"], document["areas"][0]["erased"]) == (0, False, 1)
    assert read(hub.client("dynamodb"), hub.table, hub.datastore_id) == frozenset()


@pytest.mark.parametrize(("typed", "goes_on"), [("p-1\n", True), ("p-2\n", False), ("", False)])
def test_whoever_types_the_id_again_goes_on(
    hub: DeployedHub, told: list[InHealthLake], monkeypatch: pytest.MonkeyPatch, typed: str, *, goes_on: bool
) -> None:
    assert told
    monkeypatch.setattr(sys, "stdin", Terminal(typed))
    if goes_on:
        assert erased(hub)[0] == 0
    else:
        with pytest.raises(CommandError, match="nothing was erased"):
            erased(hub)


def test_where_nobody_can_type_it_has_to_be_meant(
    hub: DeployedHub, told: list[InHealthLake], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert told
    monkeypatch.setattr(sys, "stdin", io.StringIO("p-1\n"))

    with pytest.raises(CommandError, match="nobody is there to confirm"):
        erased(hub)


def test_a_bucket_that_nobody_knows_leaves_the_erasure_unverified(
    hub: DeployedHub, told: list[InHealthLake], resources: list[Any]
) -> None:
    assert told
    new = {
        "LogicalResourceId": "NewBucket",
        "ResourceType": "AWS::S3::Bucket",
        "PhysicalResourceId": "new",
    }
    audit = {**new, "LogicalResourceId": "AuditTrailBucket"}
    resources += [new, audit]

    status, document = erased(hub, confirmed=True)

    assert (status, document["verified"]) == (1, False)
    assert document["unknownBuckets"] == ["NewBucket"]
    assert document["bucketsOfKeysOnly"] == ["AuditTrailBucket"]


def test_an_item_of_the_table_that_names_the_patient_leaves_the_erasure_unverified(
    hub: DeployedHub, written: Written, told: list[InHealthLake]
) -> None:
    assert told
    written.item({"pk": {"S": "RUN#1"}, "sk": {"S": "RUN"}}, cause="Patient/p-1 could not be read")

    status, document = erased(hub, confirmed=True)

    assert (status, document["tableItemsNamingThePatient"]) == (1, 1)


def test_a_lock_that_is_held_is_told_with_who_has_it(hub: DeployedHub, told: list[InHealthLake]) -> None:
    assert told
    assert RunLock(hub.client("dynamodb"), hub.table, hub.datastore_id, "other").acquire()

    with pytest.raises(CommandError, match="held by other since"):
        erased(hub, confirmed=True, wait_minutes=0)


def test_what_is_no_id_is_refused(hub: DeployedHub) -> None:
    for text in ("Patient/p-1", "", "p 1", "x" * 65):
        with pytest.raises(CommandError, match="no id of a FHIR resource"):
            erase(hub, Output(io.StringIO()), EraseOptions(text))


def test_minutes_are_numbers(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["erase", "p-1", "--wait", "soon"])
    assert "not a number of minutes" in capsys.readouterr().err
