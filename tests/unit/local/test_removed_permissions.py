"""What is concluded of something that was on its way without a permission."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest

from local.soak.permissions import removal
from local.soak.permissions.catalogue import expected_end, named_as
from local.soak.permissions.grants import Grant
from local.soak.permissions.logs import Logs
from local.soak.permissions.scenarios import SCENARIOS
from local.soak.permissions.shown import ARRIVED, HELD, LOST, Journey
from local.soak.permissions.stage import DidNotHappenError

LOOKS = 4
PUT = Grant("RecordsPipeRole", 0, 0, 0, "events:PutEvents", "${HubEventBus.Arn}")
STORE = Grant("LakeRowsStreamRole", 0, 0, 0, "s3:PutObject", "${LakeBucket.Arn}/records/*")
LOCK = Grant("AcquireRunLockFunctionRole", 0, 0, 0, "dynamodb:PutItem", "${HubTable.Arn}")


class ShortStage:
    """A stage in which nothing takes longer than a few looks."""

    def wait_until(self, condition: Callable[[], Any], _seconds: float = 0.0) -> None:
        if not any(condition() for _ in range(LOOKS)):
            raise DidNotHappenError("it did not come to pass")


class SaidLogs:
    """Logs that say something from the second look on."""

    def __init__(self, *said: tuple[str, str]) -> None:
        self._said, self._looks = said, 0

    def of_the_role(self) -> Iterator[tuple[str, str]]:
        self._looks += 1
        yield from self._said if self._looks > 1 else ()


class TakenRoles:
    """Roles of which it is noted what they lack."""

    def __init__(self) -> None:
        self.lacks = False

    @contextmanager
    def lacking(self, _grant: Grant) -> Iterator[None]:
        self.lacks = True
        yield
        self.lacks = False


def after(looks: int) -> Callable[[], bool]:
    """Something that has arrived after so many looks."""
    left = iter([False] * looks)
    return lambda: next(left, True)


@pytest.mark.parametrize(
    ("journey", "said", "found"),
    [
        pytest.param(Journey(after(100)), [("log", "no PutEvents")], (HELD, "nowhere"), id="not named"),
        pytest.param(Journey(after(100)), [("log", "EVENTS:putevents")], (HELD, "log"), id="named"),
        pytest.param(
            Journey(after(100), told="not events:PutEvents"), [], (HELD, "answer"), id="told the sender"
        ),
        pytest.param(
            Journey(after(0)), [("log", "events:PutEvents")], (ARRIVED, "nowhere"), id="arrived unnamed"
        ),
        pytest.param(
            Journey(after(3)), [("log", "events:PutEvents")], (ARRIVED, "log"), id="arrived though named"
        ),
    ],
)
def test_what_is_on_its_way_is_held_only_if_it_does_not_arrive(
    journey: Journey, said: Sequence[tuple[str, str]], found: tuple[str, str]
) -> None:
    stage: Any = ShortStage()
    logs: Any = SaidLogs(*said)
    assert removal.held(stage, journey, logs, "events:PutEvents") == found


@pytest.mark.parametrize(("helps", "became"), [(True, HELD), (False, LOST)])
def test_what_was_held_has_to_arrive_once_it_is_done_again(helps: bool, became: str) -> None:
    came: list[bool] = []
    stage: Any = ShortStage()
    journey = Journey(lambda: came, again=lambda: came.append(True) if helps else None)
    assert removal.given_back(stage, journey) == became


def test_what_a_scenario_has_arranged_lasts_until_the_permission_is_back_and_no_longer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    told: list[str] = []
    roles: Any = TakenRoles()

    def scenario(_stage: Any) -> Generator[Journey | None, None, None]:
        try:
            yield None
            told.append(f"sent, lacking {roles.lacks}")
            yield Journey(
                lambda: not roles.lacks, "events:PutEvents", again=lambda: told.append("sent again")
            )
        finally:
            told.append(f"over, lacking {roles.lacks}")

    monkeypatch.setitem(SCENARIOS, "a change of a patient", scenario)
    monkeypatch.setattr(removal, "settle", lambda _stage: None)
    monkeypatch.setattr(Logs, "from_now", lambda *_: SaidLogs())
    stage: Any = ShortStage()

    removed = removal.remove(stage, roles, PUT)

    assert (removed.status, removed.named_in, removed.problem) == (HELD, "answer", None)
    assert told == ["sent, lacking True", "sent again", "over, lacking False"]


def test_what_arrives_without_a_permission_is_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    def scenario(_stage: Any) -> Generator[Journey | None, None, None]:
        yield None
        yield Journey(after(0))

    monkeypatch.setitem(SCENARIOS, "a change of a patient", scenario)
    monkeypatch.setattr(removal, "settle", lambda _stage: None)
    monkeypatch.setattr(Logs, "from_now", lambda *_: SaidLogs())
    stage: Any = ShortStage()
    roles: Any = TakenRoles()

    removed = removal.remove(stage, roles, PUT)

    assert removed.problem == "it arrived without the permission, and HELD was expected"


def test_firehose_names_the_service_and_everybody_else_the_action() -> None:
    assert [named_as(one) for one in (PUT, STORE)] == ["events:PutEvents", "S3.AccessDenied"]


def test_what_is_on_its_way_is_to_be_held_and_a_run_to_fail() -> None:
    assert [expected_end(one) for one in (PUT, STORE, LOCK)] == [HELD, HELD, "FAILED"]
