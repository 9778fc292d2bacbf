"""A deployed hub whose streams are written to, and followed to everything that they lead to."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from functools import cached_property
from typing import Any, Self

from change_stream.fhir_mapping import fhir_mappings
from local.account.own_pages import ask
from local.account.state_file import RunningAccount
from local.cli.fhir_client import FhirClient
from local.cli.lake.athena import Athena
from local.cli.operations.hub import DeployedHub
from local.demo.bus_queue import BusQueue
from local.demo.streams import table_writes
from local.demo.streams.change_events import SOURCE, ChangeEvents, event_problems, place_of
from local.demo.streams.fhir_state import Expected, expected, state_problems
from local.demo.streams.items import PATIENT, Key
from local.demo.streams.lake_rows import distinct_rows, row_problems, rows_of
from local.demo.streams.plain_values import parsed
from local.demo.streams.plan import MODIFY, Plan
from local.demo.streams.stream_count import StreamCount
from local.demo.streams.work_plan import TESTS_COMPLETE, WorkPlan, work_problems

FLUSH = "/_local/firehose/flush"
SUBSCRIBER = "change-subscriber"
LOOK_SECONDS = 0.25
NOT_FOUND, DELETED = 404, 410


class Chain:
    """One plan in one hub. `patience` is how many seconds may bring nothing before what is missing counts as
    lost; `told` hears how far it is."""

    def __init__(
        self, account: RunningAccount, hub: DeployedHub, plan: Plan, work: WorkPlan, patience: float
    ) -> None:
        self.events = ChangeEvents(plan.prefix)
        self._account = account
        self._hub = hub
        self._plan = plan
        self._work = work
        self._patience = patience
        self._fhir = FhirClient(account, hub.outputs["DatastoreEndpoint"])
        self._bus = BusQueue(
            account,
            hub.outputs["EventBusName"],
            f"{plan.prefix}{SUBSCRIBER}",
            {"source": [SOURCE]},
            self.events.add,
        )

    def __enter__(self) -> Self:
        self._bus.__enter__()
        return self

    def __exit__(self, *exception: object) -> None:
        self._bus.__exit__(*exception)
        if not any(exception):
            self._bus.remove()

    def write(self, told: Callable[[int], None] = lambda _made: None) -> None:
        """Make the writes to the records table."""
        table = self._hub.outputs["RecordsTableName"]
        table_writes.make(self._plan.writes, self._hub.client("dynamodb"), table, told)

    def upload(self, told: Callable[[int], None] = lambda _made: None) -> None:
        """Upload what is to be uploaded, and put the states of jobs."""
        s3, bucket = self._hub.client("s3"), self._hub.outputs["UploadsBucketName"]
        for number, upload in enumerate(self._work.uploads, start=1):
            s3.put_object(Bucket=bucket, Key=upload.key, Body=upload.body)
            told(number)
        for state in self._work.states:
            self._hub.client("dynamodb").put_item(
                TableName=self._hub.outputs["JobsTableName"], Item=state.image
            )

    def wait_for_events(self) -> int:
        """Wait until every change was told of at the bus; returns how many were."""
        return self._bus.wait_while(lambda: self.events.distinct, len(self._plan.changes), self._patience)

    def wait_for_rows(self) -> int:
        """Have the lake's rows delivered until there is one of each change; returns how many there are."""
        athena = Athena.of(self._hub)

        def delivered() -> int:
            self.ask(FLUSH, "POST")
            return distinct_rows(athena, self._plan.prefix)

        return self._wait_while(delivered, len(self._plan.changes))

    @property
    def resources(self) -> list[Expected]:
        """Every resource that is, or was, because of the writes."""
        return expected(self._plan)

    def existing(self) -> set[str]:
        """Type and id of the resources that must be there in the end."""
        return {self._names[one.key] for one in self.resources if one.item is not None}

    def wait_for_resources(self) -> int:
        """Wait until HealthLake is as the table; returns how many resources are."""
        resources = self.resources
        return self._wait_while(lambda: len(resources) - len(self._wrong(resources)), len(resources))

    def wait_for_jobs(self) -> int:
        """Wait until workers have done every job; returns how many they have."""
        return self._wait_while(lambda: work_problems(self._work, self._jobs(), 0)[1], self._work.jobs)

    def count(self) -> StreamCount:
        """What has arrived where, and whether it says what was written."""
        resources = self.resources
        wrong = self._wrong(resources)
        rows = rows_of(Athena.of(self._hub), self._plan.prefix)
        transitions, done, work = work_problems(self._work, self._jobs(), self._noted())
        details = self.events.details(self._stored)
        problems = [
            *(f"event of {problem}" for problem in event_problems(self._plan, details)),
            *(f"row of {problem}" for problem in row_problems(self._plan, rows)),
            *(f"resource {problem}" for problem in state_problems(resources, self._names, self._resource)),
            *work,
        ]
        return StreamCount(
            writes=len(self._plan.writes),
            changes=len(self._plan.changes),
            resources=len(resources),
            expected_transitions=self._work.transitions.total(),
            expected_jobs=self._work.jobs,
            events=len(details),
            lake_rows=len({row.event_id for row in rows}),
            fhir_writes=len(resources) - len(wrong),
            transitions=transitions,
            jobs_done=done,
            problems=problems,
        )

    def example(self) -> dict[str, str]:
        """What one write has come to, end by end: the last change of a patient that is there in the end."""
        patients = [key for key in self._plan.final if key.item_type == PATIENT]
        last = {history[-1].key: history[-1] for history in self._plan.histories().values()}
        key = next((key for key in patients if last[key].name == MODIFY), patients[0])
        details = [
            detail
            for detail in self.events.details(self._stored)
            if (detail["meta"]["id"], detail["meta"]["sk"]) == (key.id, key.sk)
        ]
        detail = max(details, key=place_of)
        rows = rows_of(Athena.of(self._hub), key.id)
        row = next(row for row in rows if row.event_id == detail["meta"]["eventId"])
        resource = parsed(self._resource(self._names[key]) or b"{}")
        changed = ", ".join(sorted(detail.get("changed", {}))) or "everything"
        return {
            "for example, a write to": f"{key.id}, {key.sk}",
            "event on the bus": f"{detail['meta']['change']}, changed: {changed}",
            "row in the lake": f"{row.change} of {row.item_type}, event_id {row.event_id}",
            "resource in HealthLake": f"{self._names[key]}, version {resource['meta']['versionId']}",
        }

    def ask(self, path: str, method: str, body: bytes | None = None) -> bytes:
        """The answer of one of the account's own pages."""
        return ask(self._account, path, method, body)

    @cached_property
    def _names(self) -> Mapping[Key, str]:
        found = {}
        for one in self.resources:
            key = fhir_mappings().key_of(one.key.item_type, one.key.id, one.key.sk)
            assert key is not None
            found[one.key] = f"{key.resource_type}/{key.resource_id}"
        return found

    def _wrong(self, resources: Iterable[Expected]) -> list[Expected]:
        names = self._names
        return [one for one in resources if state_problems([one], names, self._resource)]

    def _resource(self, name: str) -> bytes | None:
        answer = self._fhir.get(name)
        return None if answer.status in (NOT_FOUND, DELETED) else answer.body

    def _stored(self, bucket: str, key: str) -> bytes:
        content: bytes = self._hub.client("s3").get_object(Bucket=bucket, Key=key)["Body"].read()
        return content

    def _jobs(self) -> list[dict[str, Any]]:
        """Items of jobs that workers have committed, for uploads and jobs of the plan."""
        pages = (
            self._hub.client("dynamodb")
            .get_paginator("scan")
            .paginate(TableName=self._hub.outputs["JobsTableName"], ConsistentRead=True)
        )
        items = [item for page in pages for item in page["Items"]]
        return [item for item in items if item.get("item", {}).get("S") in self._items]

    def _noted(self) -> int:
        """How many objects transitions of the plan's jobs have written."""
        s3, prefix = self._hub.client("s3"), f"transitions/{TESTS_COMPLETE}/"
        pages = s3.get_paginator("list_objects_v2").paginate(Bucket=self._hub.bucket, Prefix=prefix)
        keys = [listed["Key"] for page in pages for listed in page.get("Contents", [])]
        return sum(parsed(self._stored(self._hub.bucket, key))["jobId"] in self._items for key in keys)

    @cached_property
    def _items(self) -> frozenset[str]:
        """The ids of the items that uploads and jobs of the plan are."""
        return self._work.items(self._hub.outputs["UploadsBucketName"])

    def _wait_while(self, count: Callable[[], int], expected: int) -> int:
        """Wait until so many are there, or none more for too long; returns how many."""
        last, changed = -1, time.monotonic()
        while (met := count()) < expected:
            if met != last:
                last, changed = met, time.monotonic()
            elif time.monotonic() - changed > self._patience:
                break
            time.sleep(LOOK_SECONDS)
        return met
