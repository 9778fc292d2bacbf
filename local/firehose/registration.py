"""Joins delivery to ministack, which keeps the streams and serves their API.

ministack delivers every record by itself and at once, passes records on where their transformation fails, and
asks no role; all of that is replaced for destinations in S3.

POST /_local/firehose/flush transforms and delivers at once what waits, and answers when that is done with
{"objects": n, "undelivered": records}; the latter wait because a service refuses them.
POST /_local/firehose/faults with {"failRecords": n} lets the next n records of batches fail.
What waits is lost with the account's process, as everything in it that is not HealthLake's.
"""

from __future__ import annotations

import functools
import json
import logging
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

from local.account.joined_service import join_service
from local.account.ministack_names import ministack
from local.account.role_sessions import role_session
from local.firehose.delivery import Delivery
from local.firehose.destinations import Destination, destination_of
from local.firehose.intake import Answer, Faults, Intake
from local.firehose.records import Record
from local.firehose.services import AccountServices
from local.stepfunctions.role_clients import RoleClients

logger = logging.getLogger("local.firehose")

SERVICE, PREFIX = "local-firehose", "/_local/firehose"
LOOK_SECONDS = 0.5


def register(port: int) -> None:
    """Let streams deliver as on AWS, through the account served on the port."""
    firehose = ministack("ministack.services.firehose")
    clients = RoleClients(f"http://127.0.0.1:{port}", _role_credentials)
    deliveries = Deliveries(AccountServices(clients))
    faults = Faults()
    intake = Intake(deliveries.take, time.time, faults)
    firehose._HANDLERS.update(PutRecord=intake.put_record, PutRecordBatch=intake.put_record_batch)
    firehose._deliver_records_to_s3 = intake.deliver
    firehose.reset = _resetting(deliveries, clients, firehose.reset)
    _join_requests(deliveries, faults)
    threading.Thread(target=deliveries.work_for_ever, name="firehose", daemon=True).start()


class Deliveries:
    """What the destinations of all streams have not delivered yet."""

    def __init__(self, services: AccountServices) -> None:
        self._services = services
        self._lock = threading.Lock()
        self._of: dict[tuple[str, str], Delivery] = {}

    def take(self, stream: Mapping[str, Any], records: list[Record]) -> None:
        """Take in records for each S3 destination of the stream."""
        for kept in stream["destinations"]:
            if kept["type"] in ("ExtendedS3", "S3"):
                self._delivery(stream, kept).put(records)

    def work(self, everything: bool = False) -> dict[str, int]:
        """Deliver what is due, or everything; returns counts of objects, and of records that wait."""
        with self._lock:
            # what a stream held goes with it
            self._of = {key: delivery for key, delivery in self._of.items() if delivery.is_wanted()}
            deliveries = list(self._of.values())
        objects = sum(delivery.work(everything) for delivery in deliveries)
        return {"objects": objects, "undelivered": sum(delivery.undelivered() for delivery in deliveries)}

    def work_for_ever(self) -> None:
        """Deliver what is due, again and again."""
        while True:
            time.sleep(LOOK_SECONDS)
            try:
                self.work()
            except Exception:
                logger.exception("delivery stopped short")

    def forget(self) -> None:
        """Drop what waits."""
        with self._lock:
            self._of.clear()

    def _delivery(self, stream: Mapping[str, Any], kept: Mapping[str, Any]) -> Delivery:
        # the id is another one for every destination that was ever made
        key = (stream["arn"], kept["id"])
        with self._lock:
            if key not in self._of:
                wanted = functools.partial(_is_there, stream)
                self._of[key] = Delivery(_configured(stream, kept), self._services, time.time, wanted)
            return self._of[key]


def _configured(stream: Mapping[str, Any], kept: Mapping[str, Any]) -> Callable[[], Destination]:
    return lambda: destination_of(stream, kept)


def _is_there(stream: Mapping[str, Any]) -> bool:
    """Whether the account still has the stream."""
    region, account = stream["arn"].split(":")[3:5]
    streams = ministack("ministack.services.firehose")._streams
    return streams.get_scoped(account, region, stream["name"]) is stream


def _role_credentials(role_arn: str, region: str) -> Mapping[str, str]:
    return role_session("firehose", role_arn, region, account_id=role_arn.split(":")[4])


def _resetting(deliveries: Deliveries, clients: RoleClients, shipped: Callable[[], Any]) -> Callable[[], Any]:
    def reset() -> Any:
        deliveries.forget()
        clients.forget()
        return shipped()

    return reset


def _join_requests(deliveries: Deliveries, faults: Faults) -> None:
    async def handle_request(method: str, path: str, _headers: object, body: bytes, _query: object) -> Answer:
        match method, path.removeprefix(PREFIX):
            case "POST", "/flush":
                # a thread of its own: delivery calls this account, whose answers need threads as well
                run_reentrant = ministack("ministack.core.concurrency").run_reentrant
                told = await run_reentrant(deliveries.work, True, thread_name="firehose-flush")
            case "POST", "/faults":
                faults.ask(int(json.loads(body or b"{}").get("failRecords", 0)))
                told = {"failRecords": faults.records}
            case _:
                return (
                    404,
                    {"Content-Type": "application/json"},
                    b'{"message": "There is nothing at this path."}',
                )
        return 200, {"Content-Type": "application/json"}, json.dumps(told).encode()

    join_service(SERVICE, handle_request, (PREFIX,))
