"""The way of a change from the bus to HealthLake: who may do what, and how long each waits for the other."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from common.errors import InvalidInput, InvalidSetting
from common.healthlake_http import TIMEOUT_SECONDS
from dlq_redrive.settings import RedriveSettings
from fhir_writer.errors import FhirWriteBusy, FhirWriteContended, FhirWriteDenied
from fhir_writer.settings import QueueSettings, WriterSettings
from fhir_writer.writer_state import KEPT_SECONDS
from local.account.lifecycle import REPOSITORY
from local.item_types.declared import DECLARATION, read_declared
from local.testing.mocked_hub import HubQueues, hub_environment
from local.testing.template_reader import Expanded, references, text

WRITER = "WriteFhirFunctionRole"
HUB = hub_environment(HubQueues("https://queue/start", "https://queue/check"))
DAY = 86_400


def consumers() -> list[str]:
    """The functions that take changes of types that map to FHIR."""
    types = read_declared((REPOSITORY / DECLARATION).read_text(encoding="utf-8"))
    return [f"{one.name}ChangesFunction" for one in types if one.resource]


def variables_of(expanded: Expanded, function: str) -> dict[str, str]:
    written: Mapping[str, Any] = expanded.properties(function)["Environment"]["Variables"]
    return {name: text(value) for name, value in written.items()}


def test_a_consumer_may_send_to_the_writers_queue_alone(expanded: Expanded) -> None:
    for name in consumers():
        allowed = expanded.resources_for(f"{name}Role", "sqs:SendMessage")
        assert [one.rpartition(":")[2] for one in allowed] == ["${FhirWritesQueue.QueueName}"], name


def test_the_writer_may_read_records_claim_resources_write_them_and_keep_what_is_refused(
    expanded: Expanded,
) -> None:
    assert expanded.resources_for(WRITER, "dynamodb:Query") == {"${RecordsTable.Arn}"}
    assert expanded.resources_for(WRITER, "dynamodb:UpdateItem") == {"${HubTable.Arn}"}
    assert expanded.resources_for(WRITER, "s3:PutObject") == {"${HubBucket.Arn}/quarantine/fhir-writes/*"}
    for action in ("ReadResource", "UpdateResource", "DeleteResource"):
        allowed = expanded.resources_for(WRITER, f"healthlake:{action}")
        assert [one.partition(":datastore/")[1] for one in allowed] == [":datastore/"], action


def test_the_writer_changes_no_item_of_the_hub_but_its_own(expanded: Expanded) -> None:
    (one,) = [one for one in expanded.granted(WRITER) if one.allows("dynamodb:UpdateItem")]
    assert one.conditions == {"ForAllValues:StringLike": {"dynamodb:LeadingKeys": "FHIR#*"}}


def test_the_writer_may_create_resources_only_under_the_ids_of_records(expanded: Expanded) -> None:
    """CreateResource is for ids of HealthLake's choice."""
    assert expanded.resources_for(WRITER, "healthlake:CreateResource") == set()


def test_a_claim_outlives_its_holder_and_ends_before_the_message_comes_again(expanded: Expanded) -> None:
    claim = int(variables_of(expanded, "WriteFhirFunction")["CLAIM_SECONDS"])
    assert expanded.properties("WriteFhirFunction")["Timeout"] + TIMEOUT_SECONDS < claim
    assert claim < expanded.properties("FhirWritesQueue")["VisibilityTimeout"]


def test_what_the_writer_remembers_outlives_every_message(expanded: Expanded) -> None:
    queue, dead = (expanded.properties(f"FhirWrites{one}Queue") for one in ("", "DeadLetter"))
    lives = queue["MessageRetentionPeriod"] + dead["MessageRetentionPeriod"]
    assert 3 * lives <= KEPT_SECONDS <= 365 * DAY


def test_an_outage_of_healthlake_is_told_early_and_waited_for_long(expanded: Expanded) -> None:
    """Every pending write fails in an outage; what is wrong with one resource is put away by the function."""
    queue = expanded.properties("FhirWritesQueue")
    tries = queue["RedrivePolicy"]["maxReceiveCount"] * queue["VisibilityTimeout"]
    assert DAY / 2 <= tries < queue["MessageRetentionPeriod"] - DAY
    assert expanded.properties("FhirWritesLateAlarm")["Threshold"] <= 3_600


def test_messages_of_a_resource_keep_their_group_and_others_do_not_wait(expanded: Expanded) -> None:
    queue = expanded.properties("FhirWritesQueue")
    assert queue["FifoQueue"] is expanded.properties("FhirWritesDeadLetterQueue")["FifoQueue"] is True
    assert (queue["DeduplicationScope"], queue["FifoThroughputLimit"]) == (
        "messageGroup",
        "perMessageGroupId",
    )


def test_a_parameter_says_how_many_workers_write_at_once(expanded: Expanded) -> None:
    (mapping,) = [
        one
        for one in expanded.of_type("AWS::Lambda::EventSourceMapping").values()
        if "FhirWritesQueue" in references(one["EventSourceArn"])
    ]
    assert text(mapping["ScalingConfig"]["MaximumConcurrency"]) == "${FhirWriteConcurrency}"


# One message for each look at a job: nothing is spread out there.
OF_ONE_RUN = {"StartExportQueue", "CheckExportQueue"}


def test_every_queue_that_spreads_work_out_has_a_bound_from_a_parameter(
    expanded: Expanded, template: dict[str, Any]
) -> None:
    """«Maximum concurrency for Amazon SQS event sources»: from 2 to 1,000."""
    bounds = {
        queue: text(one.get("ScalingConfig", {}).get("MaximumConcurrency", ""))
        for one in expanded.of_type("AWS::Lambda::EventSourceMapping").values()
        for queue in references(one["EventSourceArn"]) & expanded.of_type("AWS::SQS::Queue").keys()
        if queue not in OF_ONE_RUN
    }
    assert bounds == {
        "FhirWritesQueue": "${FhirWriteConcurrency}",
        **{f"{name.removesuffix('Function')}Queue": "${ConsumerConcurrency}" for name in consumers()},
    }
    for name in ("FhirWriteConcurrency", "ConsumerConcurrency"):
        parameter = template["Parameters"][name]
        assert (parameter["MinValue"], parameter["MaxValue"]) == (2, 1000)


def test_the_functions_read_the_settings_that_the_template_sets(expanded: Expanded) -> None:
    writer = {**variables_of(expanded, "WriteFhirFunction"), **HUB}
    assert WriterSettings.read(writer).claim_seconds == 90
    assert RedriveSettings.read(writer)  # what is inherited is whole
    for name in consumers():
        own = variables_of(expanded, name).items() - variables_of(expanded, "PlanRangesFunction").items()
        assert dict(own) == {
            "FHIR_WRITES": "${FhirWrites}",
            "FHIR_WRITES_QUEUE_URL": "${FhirWritesQueue}",
        }


@pytest.mark.parametrize(("value", "on"), [("on", True), ("off", False)])
def test_both_values_of_the_switch_are_understood(template: dict[str, Any], value: str, on: bool) -> None:
    assert value in template["Parameters"]["FhirWrites"]["AllowedValues"]
    read = QueueSettings.read({"FHIR_WRITES": value, "FHIR_WRITES_QUEUE_URL": "https://sqs/1/writes.fifo"})
    assert read.fhir_writes is on


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("FHIR_WRITES", "yes"),
        ("FHIR_WRITES_QUEUE_URL", "https://sqs/1/writes"),
        ("FHIR_WRITES_QUEUE_URL", ""),
    ],
)
def test_a_malformed_setting_of_a_consumer_is_named(name: str, value: str) -> None:
    sound = {"FHIR_WRITES": "on", "FHIR_WRITES_QUEUE_URL": "https://sqs/1/writes.fifo"}
    with pytest.raises(InvalidSetting, match=name):
        QueueSettings.read({**sound, name: value})


@pytest.mark.parametrize(
    "name", ["RECORDS_TABLE", "CLAIM_SECONDS", "HUB_TABLE", "HUB_BUCKET", "DATASTORE_ID"]
)
def test_a_missing_setting_of_the_writer_is_named(name: str) -> None:
    sound = {**HUB, "RECORDS_TABLE": "records", "CLAIM_SECONDS": "90"}
    assert WriterSettings.read(sound)
    with pytest.raises(InvalidSetting, match=name):
        WriterSettings.read({one: value for one, value in sound.items() if one != name})


def test_every_reason_and_every_error_of_the_writer_stands_in_the_runbook(root: Path) -> None:
    runbook = (root / "docs" / "runbook.md").read_text(encoding="utf-8")
    sections = {
        name: runbook.split(f"\n### fhir-writes-{name}\n", 1)[1].split("\n### ", 1)[0]
        for name in ("quarantined", "dead-letters")
    }
    source = (root / "functions" / "fhir_writer" / "failed_writes.py").read_text(encoding="utf-8")
    reasons = set(re.findall(r'"reason": "([A-Z_]+)"', source.rpartition('"""')[2]))
    assert reasons == set(re.findall(r"^\| `([A-Z_]+)` \|", sections["quarantined"], re.MULTILINE))
    left = {one.__name__ for one in (FhirWriteBusy, FhirWriteDenied, FhirWriteContended, InvalidInput)}
    assert left <= set(re.findall(r"`(\w+)`", sections["dead-letters"]))
