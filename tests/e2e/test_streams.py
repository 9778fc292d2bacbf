"""Changes of records, uploads and jobs in the deployed stack, followed to everything that they lead to."""

from typing import Any

import pytest

from local.cli.operations.hub import DeployedHub
from local.demo.streams.plan import draw
from local.demo.streams.work_plan import draw_work
from local.soak.streams.rough import Rough
from local.soak.streams.weather import Settings
from local.testing.patience import PATIENCE_SECONDS

WRITES, UPLOADS, STATES = 500, 20, 30
WEATHER = Settings(repeat=0.2, late=0.05, deaths=0.04, midst=0.1, worker_seconds=5.0)


@pytest.mark.timeout(300)
def test_everything_arrives_once_while_deliveries_repeat_and_functions_and_workers_die(hub: Any) -> None:
    deployed = DeployedHub(hub.account, hub.stack_name, hub.outputs)
    plan, work = draw("e2e", WRITES), draw_work("e2e", UPLOADS, STATES)
    rough = Rough(hub.account, deployed, plan, work, PATIENCE_SECONDS)

    count = rough.live(WEATHER, "e2e")

    assert [f"{check.name}: {check.numbers}" for check in count.checks() if not check.holds] == []
    assert list(count.problems) == []
    assert rough.dead > 0
    assert count.document() == {
        "writes": WRITES,
        "changes": len(plan.changes),
        "events": len(plan.changes),
        "lakeRows": len(plan.changes),
        "fhirWrites": count.resources,
        "transitions": work.transitions.total(),
        "jobsDone": work.jobs,
        "lost": 0,
    }
