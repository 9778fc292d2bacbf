"""What SQL finds in the lake after the demo's runs."""

from collections.abc import Mapping
from dataclasses import dataclass

from local.cli.lake.athena import Athena, Row

_BY_RUN = "select run_id, count(*) as row_count from fhir group by run_id"
_RESOURCES = """
select count(distinct resource_type || '/' || id) as resources, (select count(*) from fhir_current) as latest
from fhir
"""


@dataclass(frozen=True)
class LakeCount:
    """Rows of each run, the distinct resources among them, and the rows of the view of latest versions."""

    rows_by_run: Mapping[str, int]
    resources: int
    latest: int

    def document(self) -> dict[str, int]:
        """The counts as written to .local/demo.json."""
        return {
            "rows": sum(self.rows_by_run.values()),
            "resources": self.resources,
            "current": self.latest,
        }


def count_lake(athena: Athena) -> LakeCount:
    """Ask the lake; raises CommandError when a query fails."""
    [(resources, latest)] = _ask(athena, _RESOURCES)
    by_run = {str(run_id): int(rows or 0) for run_id, rows in _ask(athena, _BY_RUN)}
    return LakeCount(by_run, int(resources or 0), int(latest or 0))


def _ask(athena: Athena, sql: str) -> list[Row]:
    _, rows = athena.columns_and_rows(athena.run(sql).query_id)
    return list(rows)
