"""What dies for the first time after a redrive has sent its messages, before it looks at the queue again."""

from __future__ import annotations

from typing import Any

import pytest

from local.testing.redrive_hub import RedriveHub


@pytest.mark.parametrize(("sent", "ending"), [("a", "Returned To DLQ"), ("abcdef", "Redriven")])
def test_after_a_redrive_by_sqs_it_counts_as_what_came_back(
    redrive: RedriveHub, sent: str, ending: str
) -> None:
    """The look has a number and does not know whose: as the README and the runbook say."""
    dead, work = redrive.pair()
    redrive.die(work, *sent)
    consumer = redrive.consumer(work)

    def another_dies(call: Any) -> Any:
        consumer.work()
        redrive.die(work, "new")
        return call()

    redrive.bench.call_faults.plan("Look Again", another_dies)

    run = redrive.run({"mode": "bulk"})

    assert run.path[-1] == ending
    assert sorted(consumer.processed) == sorted(sent)
    assert redrive.bodies(dead) == ["new"]
