"""The audit trail: off unless asked for, and when on, records that nobody can change or remove unseen.

Followed: "Logging data events" (its table has no type for HealthLake), "Logging management events" (a trail
can leave out the events of KMS, and cannot choose others by service), "Amazon S3 bucket policy for
CloudTrail", "Configure AWS KMS key policies for CloudTrail" (AWS CloudTrail User Guide).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from local.testing.template_reader import Expanded, statements, text

TRAIL = "arn:${AWS::Partition}:cloudtrail:${AWS::Region}:${AWS::AccountId}:trail/${AWS::StackName}-audit"


@pytest.fixture
def trail(expanded: Expanded) -> Mapping[str, Any]:
    """The trail's properties."""
    return expanded.properties("HubTrail")


@pytest.fixture
def selectors(trail: Mapping[str, Any]) -> list[dict[str, list[str]]]:
    """What the trail records: per selector, the values by field."""
    return [
        {
            field["Field"]: [text(value) for value in field.get("Equals", field.get("StartsWith"))]
            for field in selector["FieldSelectors"]
        }
        for selector in trail["AdvancedEventSelectors"]
    ]


def test_the_trail_is_off_unless_asked_for(template: dict[str, Any]) -> None:
    assert template["Parameters"]["AuditTrail"]["Default"] == "off"
    assert template["Conditions"]["AuditTrailOn"] == {"Fn::Equals": [{"Ref": "AuditTrail"}, "on"]}


def test_everything_of_the_trail_and_nothing_else_depends_on_the_parameter(template: dict[str, Any]) -> None:
    conditional = {
        name for name, one in template["Resources"].items() if one.get("Condition") == "AuditTrailOn"
    }
    assert conditional == {"HubTrail", "AuditTrailBucket", "AuditTrailBucketPolicy"}


def test_every_object_of_the_hubs_buckets_is_recorded_and_no_other_bucket(
    selectors: list[dict[str, list[str]]], expanded: Expanded
) -> None:
    holding = expanded.of_type("AWS::S3::Bucket").keys() - {"AuditTrailBucket"}
    (data,) = [one for one in selectors if one["eventCategory"] == ["Data"]]
    assert data["resources.type"] == ["AWS::S3::Object"]
    assert sorted(data["resources.ARN"]) == sorted(f"${{{name}.Arn}}/" for name in holding)


def test_uses_of_key_and_datastore_are_recorded_as_management_events(
    selectors: list[dict[str, list[str]]],
) -> None:
    """With no field that would leave out events of KMS, or those that only read."""
    assert {"eventCategory": ["Management"]} in selectors


def test_records_are_encrypted_and_can_be_checked_for_changes(trail: Mapping[str, Any]) -> None:
    assert text(trail["KMSKeyId"]) == "${HubKey.Arn}"
    assert trail["EnableLogFileValidation"] is True
    assert trail["IsLogging"] is True


def test_the_trail_has_the_name_that_the_policies_let_in(expanded: Expanded) -> None:
    assert TRAIL.endswith("trail/" + text(expanded.properties("HubTrail")["TrailName"]))
    let_in = [
        *statements(expanded.properties("AuditTrailBucketPolicy")["PolicyDocument"]),
        *statements(expanded.properties("HubKey")["KeyPolicy"]),
    ]
    ours = [one for one in let_in if one.services == ("cloudtrail.amazonaws.com",)]
    assert len(ours) == 3
    assert {one.conditions["StringEquals"]["aws:SourceArn"] for one in ours} == {TRAIL}


def test_the_trail_may_check_the_bucket_and_write_below_its_account(expanded: Expanded) -> None:
    document = expanded.properties("AuditTrailBucketPolicy")["PolicyDocument"]
    allowed = {one.actions: one.resources for one in statements(document) if one.effect == "Allow"}
    assert allowed == {
        ("s3:GetBucketAcl",): ("${AuditTrailBucket.Arn}",),
        ("s3:PutObject",): ("${AuditTrailBucket.Arn}/AWSLogs/${AWS::AccountId}/*",),
    }


def test_nobody_may_remove_a_record_before_its_time(expanded: Expanded) -> None:
    document = expanded.properties("AuditTrailBucketPolicy")["PolicyDocument"]
    (refused,) = [one for one in statements(document) if "s3:DeleteObject" in one.actions]
    assert (refused.effect, refused.conditions) == ("Deny", {})
    assert refused.actions == ("s3:DeleteObject", "s3:DeleteObjectVersion")
    assert refused.resources == ("${AuditTrailBucket.Arn}/*",)


def test_records_are_kept_as_long_as_asked_and_by_default_six_years(
    template: dict[str, Any], expanded: Expanded
) -> None:
    rules = expanded.properties("AuditTrailBucket")["LifecycleConfiguration"]["Rules"]
    (records,) = [rule for rule in rules if "ExpirationInDays" in rule]
    assert "Prefix" not in records
    assert text(records["ExpirationInDays"]) == "${AuditRetentionDays}"
    assert template["Parameters"]["AuditRetentionDays"]["Default"] >= 6 * 365


def test_the_trail_waits_for_the_policy_that_lets_it_in(template: dict[str, Any]) -> None:
    assert template["Resources"]["HubTrail"]["DependsOn"] == "AuditTrailBucketPolicy"
