"""A patient erased from the deployed stack by the command line, as in a real account."""

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from local.account.clients import client
from local.account.state_file import RunningAccount
from local.cli.export import run_export
from local.cli.main import main
from local.cli.operations.hub import DeployedHub
from local.cli.output import Output
from local.cli.project import Project
from local.cli.sam import account_variables
from local.erasure import stragglers
from local.testing.marked_records import MARKS, mark

if TYPE_CHECKING:
    from tests.e2e.conftest import Hub

PATIENT = mark("e2e")
REPLAY = {"types": ["Patient", "Observation"], "startedBy": "e2e"}
BUCKETS = ("HubBucketName", "LakeBucketName", "QueryResultsBucketName")
README = Path(__file__).parents[2] / "README.md"

Command = Callable[..., tuple[int, Any]]


@pytest.fixture
def command(hub: "Hub", monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """Runs a command in an account reached by a plain AWS environment; returns status and document."""
    eraser = user_who_may_erase(hub)
    # Runs that other tests have let fail left no function alive: nobody waits for a quarter of an hour here.
    monkeypatch.setattr(stragglers, "LONGEST_FUNCTION", timedelta(seconds=5))

    def run(*arguments: str) -> tuple[int, Any]:
        account = eraser if arguments[0] == "erase" else hub.account
        for name, value in account_variables(account).items():
            monkeypatch.setenv(name, value)
        capsys.readouterr()
        status = main([*arguments, "--aws", "--stack", hub.stack_name, "--json"], project=Project())
        return status, json.loads(capsys.readouterr().out)

    return run


def user_who_may_erase(hub: "Hub") -> RunningAccount:
    """The account, reached by a user who has the permissions that the README lists and no other."""
    listed = README.read_text(encoding="utf-8").partition("Who erases needs")[2].partition("\n\n")[0]
    actions: list[str] = []
    for name in re.findall(r"`([\w:]+)`", listed):
        actions.append(name if ":" in name else f"{actions[-1].partition(':')[0]}:{name}")
    iam, user = client(hub.account, "iam"), {"UserName": "eraser"}
    iam.create_user(**user)
    statement = {"Effect": "Allow", "Action": actions, "Resource": "*"}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    iam.put_user_policy(**user, PolicyName="erase", PolicyDocument=policy)
    key = iam.create_access_key(**user)["AccessKey"]
    return replace(hub.account, access_key_id=key["AccessKeyId"], secret_access_key=key["SecretAccessKey"])


def every_version(hub: "Hub") -> Iterator[tuple[str, str]]:
    """Key and content of every version in the stack's buckets, Parquet as the text of its rows."""
    s3 = DeployedHub(hub.account, hub.stack_name, hub.outputs).client("s3")
    for output in BUCKETS:
        for page in s3.get_paginator("list_object_versions").paginate(Bucket=hub.outputs[output]):
            for one in page.get("Versions", []):
                which = {"Bucket": hub.outputs[output], "Key": one["Key"], "VersionId": one["VersionId"]}
                content = s3.get_object(**which)["Body"].read()
                if content.startswith(b"PAR1"):
                    content = repr(pq.read_table(pa.BufferReader(content)).to_pylist()).encode()
                yield one["Key"], content.decode("latin-1")


def marked(hub: "Hub") -> set[str]:
    """The first parts of the keys with anything of the patient in one of their versions."""
    return {key.partition("/")[0] for key, content in every_version(hub) if MARKS.search(content)}


def put(hub: "Hub", resource: dict[str, Any]) -> None:
    path = f"{resource['resourceType']}/{resource['id']}"
    assert hub.fhir.put(path, json.dumps(resource).encode()).status in (200, 201)


def test_a_patient_is_erased_from_every_bucket_of_the_stack(hub: "Hub", command: Command) -> None:
    for patient in (PATIENT, "stays"):
        put(hub, {"resourceType": "Patient", "id": patient, "name": [{"text": patient}]})
        subject = {"subject": {"reference": f"Patient/{patient}"}, "code": {"text": "weight"}}
        put(hub, {"resourceType": "Observation", "id": f"of-{patient}", "status": "final", **subject})
    assert run_export(hub.account, hub.outputs, REPLAY, Output()).completed
    assert command("compact", "--type", "Observation")[0] == 0
    of_others = "select id, resource from fhir_current where resource_type in ('Patient', 'Observation') "
    of_others += f"and not contains(patient_ids, '{PATIENT}') order by id"
    before = command("query", of_others)[1]["rows"]
    assert (
        command("query", f"select * from fhir where id = '{PATIENT}' and resource_type = 'Patient'")[0] == 0
    )
    assert {"exports", "fhir", "current", "results"} <= marked(hub)

    status, refused = command("erase", PATIENT, "--yes")
    assert (status, "HealthLake still has the patient" in refused["error"]) == (1, True)
    for path in (f"Observation/of-{PATIENT}", f"Patient/{PATIENT}"):
        assert hub.fhir.request("DELETE", path).status == 204
    status, erased = command("erase", PATIENT, "--yes")

    assert (erased["left"], status, erased["verified"], erased["unknownBuckets"]) == ([], 0, True, [])
    assert marked(hub) == set()
    assert command("query", of_others)[1]["rows"] == before
    assert any(row[0] == "stays" for row in before)
    assert {area["bucket"] for area in erased["areas"] if area["erased"] or area["deletedObjects"]} == {
        "HubBucket",
        "LakeBucket",
        "QueryResultsBucket",
    }
