"""checkov's rules for CloudFormation over the template as written and as SAM transforms it.

Every exception has its reason here, and goes when it is no longer needed. checkov lives in an environment of
its own (`make` installs it), is told to download nothing, and calls nobody.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pytest

from local.testing.noting_proxy import NotingProxy
from local.testing.template_reader import expand, read

ROOT = Path(__file__).parents[2]
CHECKOV = ROOT / ".cache" / "checkov" / "bin" / "checkov"
NO_LOOK_FOR_A_NEWER_VERSION = {"CKV_SKIP_PACKAGE_UPDATE_CHECK": "true"}
BROKEN = {"Resources": {"Unencrypted": {"Type": "AWS::SQS::Queue", "Properties": {"QueueName": "open"}}}}


@dataclass(frozen=True)
class Allowance:
    """A rule that a resource, or all that match a pattern, may break; and why."""

    rule: str
    resource: str
    reason: str


EXCEPTIONS = (
    Allowance(
        "CKV_AWS_18",
        "*Bucket",
        "S3's own access logs are delivered at best effort, to a bucket that needs its own. The audit trail "
        "records every access to an object, and is itself protected by validation and versions.",
    ),
    Allowance(
        "CKV_AWS_67",
        "HubTrail",
        "The trail records what belongs to the stack, which lives in one region; a trail over all regions "
        "belongs to the account.",
    ),
    Allowance(
        "CKV_AWS_115",
        "*Function",
        "Reserved concurrency would be taken from everybody else in the account. Byte ranges are bounded by "
        "MaxConcurrency, all other functions by the one execution that calls them or fills their queue.",
    ),
    Allowance(
        "CKV_AWS_116",
        "*Function",
        "Step Functions and SQS call the functions and keep what fails. The one that a rule calls too has a "
        "destination for failures, which the rule does not look for; test_queues_and_events.py requires it.",
    ),
    Allowance(
        "CKV_AWS_117",
        "*Function",
        "The functions reach AWS services only, over TLS, and nothing on a network reaches them. In a VPC "
        "each service would need an endpoint, and the functions no fewer rights.",
    ),
    Allowance(
        "CKV_AWS_173",
        "*Function",
        "Environment variables are names, ARNs and numbers, no secrets, and Lambda encrypts them with its "
        "own key; test_environment.py knows every one of them.",
    ),
)


@dataclass(frozen=True)
class Report:
    """What checkov said: file, rule and logical id of every failure, how many files it could not read and how
    many resources it looked at, and the calls that it made."""

    failed: frozenset[tuple[str, str, str]]
    unreadable: int
    resources: int
    requests: tuple[str, ...]

    def of(self, *files: str) -> set[tuple[str, str]]:
        """Rule and logical id of the failures in some files."""
        return {(rule, name) for file, rule, name in self.failed if file in files}


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Report]:
    """One run over the template, what SAM makes of it, and a template with a fault."""
    assert CHECKOV.exists(), "checkov is not installed: run `make .cache/checkov/.installed`"
    folder = tmp_path_factory.mktemp("checkov")
    (folder / "written.yaml").write_bytes((ROOT / "template.yaml").read_bytes())
    resources = expand(read(ROOT / "template.yaml"), ROOT).resources
    (folder / "transformed.json").write_text(json.dumps({"Resources": resources}))
    (folder / "broken.json").write_text(json.dumps(BROKEN))
    with NotingProxy() as proxy:
        answer = subprocess.run(
            [CHECKOV, "--directory", ".", "--framework", "cloudformation", "--skip-download", "-o", "json"],
            cwd=folder,
            env={"HOME": str(folder), **NO_LOOK_FOR_A_NEWER_VERSION, **proxy.variables},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert answer.stdout.startswith("{"), answer.stderr[-2000:]
        yield _read(json.loads(answer.stdout), tuple(proxy.requests))


def _read(answer: dict[str, Any], requests: tuple[str, ...]) -> Report:
    failed = {
        (one["file_path"].lstrip("/"), one["check_id"], one["resource"].rpartition(".")[2])
        for one in answer["results"]["failed_checks"]
    }
    summary = answer["summary"]
    return Report(frozenset(failed), summary["parsing_errors"], summary["resource_count"], requests)


def _allowed(rule: str, resource: str) -> bool:
    return any(one.rule == rule and fnmatchcase(resource, one.resource) for one in EXCEPTIONS)


def test_checkov_finds_nothing_that_has_no_reason(report: Report) -> None:
    found = report.of("written.yaml", "transformed.json")
    assert sorted(one for one in found if not _allowed(*one)) == []


def test_checkov_reads_every_resource_of_the_template(report: Report) -> None:
    """Of the transformed one, that is: as written, it knows fewer types."""
    assert report.unreadable == 0
    assert report.resources > len(expand(read(ROOT / "template.yaml"), ROOT).resources)


def test_checkov_would_find_a_queue_that_is_not_encrypted(report: Report) -> None:
    assert ("CKV_AWS_27", "Unencrypted") in report.of("broken.json")


def test_checkov_calls_nobody(report: Report) -> None:
    assert report.requests == ()


@pytest.mark.parametrize("exception", EXCEPTIONS, ids=lambda one: one.rule)
def test_every_exception_has_a_reason_and_is_still_needed(report: Report, exception: Allowance) -> None:
    assert len(exception.reason.split()) > 10
    found = report.of("written.yaml", "transformed.json")
    assert any(
        rule == exception.rule and fnmatchcase(resource, exception.resource) for rule, resource in found
    )


def test_no_two_exceptions_are_about_the_same(report: Report) -> None:
    assert len({one.rule for one in EXCEPTIONS}) == len(EXCEPTIONS)
