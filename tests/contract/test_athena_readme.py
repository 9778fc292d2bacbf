"""The queries of the README, run as they stand there."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from local.account.testing import running_account
from local.cli.compact import compact
from local.cli.lake.athena import Athena, Row
from local.cli.operations.hub import DeployedHub
from local.cli.output import Output
from local.testing.lake_stack import Version, deploy_lake, write_versions
from local.testing.record_rows import RecordRow, write_changes

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
SECTION = README.split("\n## Query\n", 1)[1].split("\n## ", 1)[0]
QUERIES = [shlex.split(line)[4] for line in re.findall(r"^\S+ -m local query .*$", SECTION, re.MULTILINE)]

OBSERVATION = """{"resourceType":"Observation","id":"o1",
"code":{"coding":[{"code":"2160-0"},{"code":"14682-9"}]},"subject":{"reference":"Patient/example"},"valueQuantity":{"value":1.10,"unit":"mmol/L"}}"""


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DeployedHub]:
    with running_account(tmp_path_factory.mktemp("account"), parts=("athena",)) as account:
        hub = deploy_lake(account)
        patient = Version("example", patients=("example",), text='{"id":"example","birthDate":"1974-12-25"}')
        write_versions(hub, "Patient", [patient])
        write_versions(
            hub, "Observation", [Version("o1", "1", "2026-11-19T12:00:00Z", text="{}")], run="run-1"
        )
        observations = [
            Version("o1", "2", patients=("example",), text=OBSERVATION),
            Version("o2", patients=("other",), text='{"id":"o2","valueString":"no number"}'),
        ]
        write_versions(hub, "Observation", observations, run="run-2")
        write_changes(hub, [_measured("1", "72.40"), _measured("1", "72.40"), _measured("2", "72.50")])
        write_changes(hub, [_measured("3", None, "MEASUREMENT#8"), _measured("1", "99", "MEASUREMENT#8")])
        write_changes(hub, [_measured("4", "1", patient="nobody-of-healthlake")])
        yield hub


def _measured(
    number: str, value: str | None, sk: str = "MEASUREMENT#7", patient: str = "example"
) -> RecordRow:
    item = f'{{"id":"{patient}","sk":"{sk}","code":"29463-7","value":{value}}}'
    return RecordRow(patient, "Measurement", sk, number, None if value is None else item)


def ask(lake: DeployedHub, sql: str) -> tuple[list[str], list[Row]]:
    athena = Athena.of(lake)
    columns, rows = athena.columns_and_rows(athena.run(sql).query_id)
    return columns, list(rows)


def test_the_examples_answer_what_they_say(lake: DeployedHub) -> None:
    versions, born, of_a_patient, codes, _ = (ask(lake, sql) for sql in QUERIES)

    assert versions == (["resource_type", "versions"], [["Observation", "3"], ["Patient", "1"]])
    assert born == (["id", "born"], [["example", "1974-12-25"]])
    assert of_a_patient == (["id", "value", "unit"], [["o1", "1.10", "mmol/L"]])
    assert codes == (["id", "code"], [["o1", "14682-9"], ["o1", "2160-0"]])


def test_the_answer_that_is_shown_is_that_of_the_third(lake: DeployedHub) -> None:
    shown = SECTION.split("```\n")[3]
    columns, rows = ask(lake, QUERIES[2])
    assert [line.split() for line in shown.splitlines()] == [columns, *rows]


def test_records_are_joined_with_resources_and_the_answer_that_is_shown_is_right(lake: DeployedHub) -> None:
    (joining,) = [sql for sql in QUERIES if "records_current" in sql]
    columns, rows = ask(lake, joining)
    (shown,) = re.findall(r"```\n(id +born[^`]+)```", SECTION)
    assert [line.split() for line in shown.splitlines()] == [columns, *rows]


def test_the_same_queries_answer_the_same_from_the_compacted_table(lake: DeployedHub) -> None:
    assert compact(lake, Output()) == 0
    for sql in QUERIES[1:]:
        assert ask(lake, sql.replace("fhir_current", "fhir_latest")) == ask(lake, sql)
