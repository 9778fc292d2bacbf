"""Queues that deliver twice and out of order, a bus that takes some entries of a call and not others, and
time that passes for a phase whose holder has died."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from random import Random
from typing import Any

import boto3

from healthlake_export.table_keys import state_key
from local.soak.faults.mortal import Handler, Mortality
from local.stepfunctions.work_threads import WorkThreads
from local.testing.export_hub import ExportHub
from local.testing.mocked_hub import REGION, TABLE

_AGES_EVERY_SECONDS = 0.05


class Disorder:
    """Delivers messages of a queue as SQS may: twice, at the same time or later, and in another order."""

    def __init__(self, seed: str, chance: float) -> None:
        self._random = Random(seed)  # noqa: S311
        self._lock = threading.Lock()
        self._copies = WorkThreads()
        self.chance = chance

    def of(self, handler: Handler) -> Handler:
        """The handler as a disorderly queue calls it."""

        def deliver(event: Any, context: Any) -> Any:
            with self._lock:
                fate = self._random.random()
                delay = max(0.0, self._random.uniform(-0.1, 0.1))
                overtaken = fate < self.chance / 3
                if not overtaken and fate < self.chance:
                    self._copy(handler, event, context, delay)
            if overtaken:
                time.sleep(delay)
                return {"batchItemFailures": [{"itemIdentifier": event["Records"][0]["messageId"]}]}
            return handler(event, context)

        return deliver

    def end(self) -> None:
        """Be orderly from now on, and wait for copies that are still being handled. Raises TimeoutError."""
        with self._lock:
            self.chance = 0.0
        self._copies.join()

    def _copy(self, handler: Handler, event: Any, context: Any, delay: float) -> None:
        def handle() -> None:
            time.sleep(delay)
            with suppress(Exception):  # a copy that fails is a copy that was not delivered
                handler(event, context)

        self._copies.start("copy", handle)


def moody_bus(seed: str, chance: Callable[[], float]) -> Callable[[Mapping[str, Any]], str | None]:
    """A refusal of some entries of PutEvents, for the moment."""
    random, lock = Random(seed), threading.Lock()  # noqa: S311

    def refuse(_entry: Mapping[str, Any]) -> str | None:
        with lock:
            return "InternalFailure" if random.random() < chance() else None

    return refuse


@contextmanager
def time_passing(hub: ExportHub, mortality: Mortality) -> Iterator[None]:
    """Let the phase STARTING expire as soon as no invocation can hold it any more."""
    over = threading.Event()

    def age() -> None:
        while not over.wait(_AGES_EVERY_SECONDS):
            state = hub.state
            if (
                state.phase == "STARTING"
                and state.starting_until
                and not mortality.runs("StartExportFunction")
            ):
                _expire(hub.datastore.datastore_id, state.starting_until)

    thread = threading.Thread(target=age, name="time", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join(10)


def _expire(datastore_id: str, until: int) -> None:
    dynamodb = boto3.client("dynamodb", REGION)
    with suppress(dynamodb.exceptions.ConditionalCheckFailedException):
        dynamodb.update_item(
            TableName=TABLE,
            Key=state_key(datastore_id),
            UpdateExpression="SET startingUntil = :then",
            ConditionExpression="phase = :starting AND startingUntil = :until",
            ExpressionAttributeValues={
                ":then": {"N": "0"},
                ":starting": {"S": "STARTING"},
                ":until": {"N": str(until)},
            },
        )
