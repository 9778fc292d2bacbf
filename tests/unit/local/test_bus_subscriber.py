"""When the subscriber may say that it has counted everything."""

from typing import Any

import pytest

from local.account.state_file import RunningAccount
from local.demo import bus_queue
from local.demo.bus_subscriber import BusSubscriber

ACCOUNT = RunningAccount(1, "", 1, "us-east-1", True, "", "", "key", "secret")


class Queue:
    """A queue of which only the depth is asked: what waits, and what was received but not deleted."""

    def __init__(self, waiting: int, in_flight: int) -> None:
        self._depth = (waiting, in_flight)

    def get_queue_attributes(self, **asked: Any) -> Any:
        return {"Attributes": dict(zip(asked["AttributeNames"], map(str, self._depth), strict=True))}


@pytest.mark.parametrize(("waiting", "in_flight", "empty"), [(0, 0, True), (1, 0, False), (0, 1, False)])
def test_a_queue_is_empty_when_nothing_waits_and_nothing_is_in_flight(
    monkeypatch: pytest.MonkeyPatch, waiting: int, in_flight: int, empty: bool
) -> None:
    monkeypatch.setattr(bus_queue, "client", lambda _account, _service: Queue(waiting, in_flight))
    monkeypatch.setattr(bus_queue, "SURPLUS_SECONDS", 0.0)
    subscriber = BusSubscriber(ACCOUNT, "bus")

    assert subscriber.wait_until_empty(0.3) is empty
