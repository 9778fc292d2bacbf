"""What follows from the declared item types is up to date, and one entry more is all that a type needs."""

from __future__ import annotations

import importlib.util
import json
import re
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml
from moto.events.models import EventPattern

from local.cli.main import main
from local.cli.project import Project
from local.item_types.consumers import MOST_METRICS
from local.item_types.declared import DECLARATION, DeclarationError, DeclaredType, read_declared
from local.item_types.sections import RUNBOOK, TEMPLATE, runbook_with, template_with, up_to_date
from local.testing.dead_letter_rules import findings as ways_to_lose
from local.testing.metric_reader import dashboard_body, sent_by
from local.testing.template_reader import Expanded, read, references, text

MAPPED = {
    "name": "TestOfBlood",
    "description": "What was drawn of a person",
    "fhir": {
        "resource": "Specimen",
        "role": "base",
        "key": {"skPrefix": "SAMPLE#"},
        "identifiedBy": ["id", "sk"],
        "template": {"status": {"$from": "status", "type": "code", "codes": {"available": "available"}}},
    },
}
UNMAPPED = {"name": "TestOfWill", "description": "What a person agreed to", "fhir": None}


def copy_with(root: Path, folder: Path, *more: Mapping[str, Any]) -> Path:
    """A copy of what the declaration decides, with more types in the declaration and nothing else done."""
    for path in (TEMPLATE, RUNBOOK, DECLARATION):
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(root / path, folder / path)
    declared = json.loads((folder / DECLARATION).read_text(encoding="utf-8"))
    (folder / DECLARATION).write_text(json.dumps([*declared, *more]), encoding="utf-8")
    return folder


@pytest.fixture
def template_of(
    root: Path, expanded_from: Callable[[Mapping[str, Any]], Expanded]
) -> Callable[[Path], Expanded]:
    """What CloudFormation would get from the template in a folder."""
    return lambda folder: expanded_from(read(folder / TEMPLATE))


def rules_of(root: Path, name: str) -> ModuleType:
    """The checks that another template test makes."""
    path = root / "tests" / "template" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(f"rules_of_{name}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def faults_of(root: Path, expanded: Expanded, runbook: str) -> set[str]:
    """What every check of the template finds, and where the runbook does not tell of an alarm."""
    alarms, policies, encryption, functions = (
        rules_of(root, f"test_{name}") for name in ("alarms", "policies", "encryption", "functions")
    )
    return {
        *ways_to_lose(expanded),
        *alarms.findings(expanded, sent_by(root / "functions")),
        *alarms.untold(expanded, runbook),
        *policies.findings(expanded),
        *encryption.findings(expanded),
        *functions.too_much(expanded),
    }


def test_what_follows_from_the_declaration_is_up_to_date(root: Path) -> None:
    """`python -m local item-types` writes it."""
    stale = [path for path, wanted in up_to_date(root).items() if (root / path).read_text("utf-8") != wanted]
    assert stale == []


@pytest.mark.parametrize("added", [MAPPED, UNMAPPED], ids=["mapped", "unmapped"])
def test_a_type_more_needs_one_entry(
    root: Path, tmp_path: Path, expanded: Expanded, template_of: Any, added: Mapping[str, Any]
) -> None:
    """With it and the command no check finds more than without it."""
    folder = copy_with(root, tmp_path, added)
    assert main(["item-types"], project=Project(folder)) == 0
    more = template_of(folder)
    before = faults_of(root, expanded, (root / RUNBOOK).read_text("utf-8"))
    assert faults_of(root, more, (folder / RUNBOOK).read_text("utf-8")) - before == set()
    name = added["name"]
    new = {one for one in more.resources.keys() - expanded.resources.keys() if not one.startswith(name)}
    assert new == set()
    assert set(expanded.resources) <= set(more.resources)
    assert (f"{name}ChangesFunction" in more.resources) is (added["fhir"] is not None)


def test_a_type_more_is_drawn_and_stands_in_the_lake(root: Path, tmp_path: Path, template_of: Any) -> None:
    folder = copy_with(root, tmp_path, MAPPED, UNMAPPED)
    main(["item-types"], project=Project(folder))
    more = template_of(folder)
    dashboard = rules_of(root, "test_dashboard")
    drawn = dashboard_body(more, "RecordConsumersDashboard", {})
    areas = [(one["x"], one["y"], one["width"], one["height"]) for one in drawn["widgets"]]
    assert not any(dashboard._overlap(one, other) for one in areas for other in areas if one is not other)
    for alarm in ("TestOfBloodChangesDeadLettersAlarm", "TestOfWillChangesWaitingAlarm"):
        assert alarm in references(more.properties("RecordConsumersDashboard"))
    names = [one.name for one in read_declared((folder / DECLARATION).read_text("utf-8"))]
    assert names[-2:] == ["TestOfBlood", "TestOfWill"]
    assert f"projection.item_type.values: {','.join(names)}\n" in (folder / TEMPLATE).read_text("utf-8")


def test_a_type_that_is_taken_out_leaves_nothing(root: Path) -> None:
    written = (root / TEMPLATE).read_text("utf-8"), (root / RUNBOOK).read_text("utf-8")
    types = read_declared((root / DECLARATION).read_text("utf-8"))
    fewer = [one for one in types if one.name != "Measurement"]
    template, runbook = template_with(written[0], fewer), runbook_with(written[1], fewer)
    assert "MeasurementChanges" not in template + runbook
    assert (template_with(template, types), runbook_with(runbook, types)) == written


def test_the_command_says_what_is_out_of_date_and_writes_nothing_when_it_is_to_check(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = copy_with(root, tmp_path, UNMAPPED)
    before = (folder / TEMPLATE).read_bytes()
    assert main(["item-types", "--check", "--json"], project=Project(folder)) == 1
    assert json.loads(capsys.readouterr().out) == {"outOfDate": ["template.yaml", "docs/runbook.md"]}
    assert (folder / TEMPLATE).read_bytes() == before
    assert main(["item-types"], project=Project(folder)) == 0
    assert main(["item-types", "--check"], project=Project(folder)) == 0
    assert "follows the declaration" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("types", "says"),
    [
        ([{**UNMAPPED, "name": "lower"}], "no name of an item type"),
        ([{**UNMAPPED, "name": "With2"}], "no name of an item type"),
        ([{**UNMAPPED, "name": "A" * 25}], "no name of an item type"),
        ([UNMAPPED, UNMAPPED], "TestOfWill is declared 2 times"),
        ([{**UNMAPPED, "name": "HTMLPage"}, {**UNMAPPED, "name": "HtmlPage"}], "is declared 2 times"),
    ],
)
def test_a_declaration_that_names_cannot_be_made_of_is_refused(
    types: list[Mapping[str, Any]], says: str
) -> None:
    with pytest.raises(DeclarationError, match=says):
        read_declared(json.dumps(types))


def test_a_type_whose_resources_would_have_names_of_others_is_refused(root: Path) -> None:
    clashing = [DeclaredType("Enrich", "Has a function EnrichChangesFunction", "Basic")]
    with pytest.raises(DeclarationError, match="something else named EnrichChanges"):
        template_with((root / TEMPLATE).read_text("utf-8"), clashing)


def test_a_broken_declaration_ends_the_command_with_its_reason(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = copy_with(root, tmp_path, {"name": "TestOfWill"})
    assert main(["item-types"], project=Project(folder)) == 1
    assert str(DECLARATION) in capsys.readouterr().err


def test_names_of_alarms_are_lower_case_with_dashes() -> None:
    names = {one: DeclaredType(one, "", None).kebab for one in ("Patient", "BloodSample", "HTMLPage")}
    assert names == {"Patient": "patient", "BloodSample": "blood-sample", "HTMLPage": "html-page"}


def test_alarms_on_throttled_consumers_add_up_no_more_than_they_can(root: Path) -> None:
    types = [DeclaredType("T" + "abcdefghijklmnopqrstuvwxyz"[n] * 3, "", "Basic") for n in range(23)]
    section = template_with((root / TEMPLATE).read_text("utf-8"), types).partition("# >>> generated")[2]
    names = re.findall(r"\$\{AWS::StackName\}-(consumers-throttled[-a-z]*)", section)
    assert names == ["consumers-throttled", "consumers-throttled-b", "consumers-throttled-c"]
    for part in section.split("ThrottledAlarm:")[1:4]:
        assert part.partition("EvaluationPeriods")[0].count("MetricStat") <= MOST_METRICS


def rules_for(event: Mapping[str, Any], expanded: Expanded) -> list[str]:
    """The rules on the hub's bus that let an event through."""
    return [
        name
        for name, rule in expanded.of_type("AWS::Events::Rule").items()
        if "EventBusName" in rule
        and EventPattern.load(json.dumps(rule["EventPattern"])).matches_event(dict(event))
    ]


def test_every_type_has_a_rule_that_brings_its_changes_to_its_queue_alone(
    root: Path, expanded: Expanded
) -> None:
    event = json.loads((root / "events/change_stream/change_reached_the_bus.json").read_text("utf-8"))
    types = read_declared((root / DECLARATION).read_text("utf-8"))
    for one in types:
        event["detail"]["meta"]["itemType"] = one.name
        assert rules_for(event, expanded) == [f"{one.name}ChangesRule"]
        (target,) = expanded.properties(f"{one.name}ChangesRule")["Targets"]
        assert text(target["Arn"]) == f"${{{one.name}ChangesQueue.Arn}}"


def test_changes_of_an_exported_resource_go_to_no_consumer_of_records(expanded: Expanded) -> None:
    """What the writer has written comes out of the next export, and must not come round again."""
    exported = {"source": "healthlake-hub", "detail": {"meta": {"itemType": "Patient"}}}
    assert rules_for(exported, expanded) == []


def test_the_runbook_stays_markdown_with_one_section_for_each_alarm(root: Path) -> None:
    types = read_declared(json.dumps([MAPPED, UNMAPPED]))
    told = runbook_with((root / RUNBOOK).read_text("utf-8"), types)
    for section in ("test-of-blood-changes-dead-letters", "test-of-will-changes-waiting"):
        assert told.count(f"### {section}\n") == 1
    assert "@" not in told.partition("<!-- >>> generated")[2].partition("<!-- <<< generated")[0]


def test_the_section_is_yaml_by_itself(root: Path) -> None:
    """A type that is declared alone has all that its resources name among themselves."""
    section = (root / TEMPLATE).read_text("utf-8").partition("# >>> generated")[2].partition("\n")[2]
    section = section.partition("  # <<< generated")[0]
    nodes = yaml.compose("Resources:\n" + section, Loader=yaml.SafeLoader)
    assert nodes is not None
