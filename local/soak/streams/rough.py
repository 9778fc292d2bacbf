"""One plan, lived through in rough weather, and followed to its ends when it has cleared up."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from local.account.lifecycle import REPOSITORY
from local.account.state_file import RunningAccount
from local.cli import stack
from local.cli.errors import CommandError
from local.cli.operations.hub import DeployedHub
from local.demo.streams.chain import Chain
from local.demo.streams.plan import Plan
from local.demo.streams.stream_count import StreamCount
from local.demo.streams.work_plan import WorkPlan
from local.lambda_runtime import deaths
from local.soak.streams.fleet import MortalFleet
from local.soak.streams.weather import Settings
from local.sqs import deduplication
from local.workers.settings import worker_settings

FAULTS, RELEASE = "/_local/streams/faults", "/_local/streams/release"
MORTAL = (
    "EnrichChanges",
    "PrepareLakeRows",
    "PartitionLakeRows",
    "Changes",
    "WriteFhir",
    "DetectTransitions",
    "RecordUpload",
)
"""What the functions of the change streams have in their names."""

DETECTING = "DetectTransitionsFunction"
BATCH = 100
HIDDEN_SECONDS = 10
"""How long a message is hidden that was with a function which has died: minutes in the template."""

LATER_SECONDS = deduplication.WINDOW_SECONDS + 1
Told = Callable[[str], None]


class Rough:
    """A chain in rough weather; `dead` are the deaths of functions and workers so far."""

    def __init__(
        self, account: RunningAccount, hub: DeployedHub, plan: Plan, work: WorkPlan, patience: float
    ) -> None:
        self._account, self._hub, self._plan, self._work = account, hub, plan, work
        self._chain = Chain(account, hub, plan, work, patience)
        self.dead = 0

    def live(self, settings: Settings, seed: str, told: Told = lambda _text: None) -> StreamCount:
        """Write in bad weather, let it clear up, wait for what is to come, and count."""
        workers = worker_settings(self._account, self._hub.stack_name, self._hub.outputs)
        with self._chain as chain, quick_queues(self._hub):
            with MortalFleet(REPOSITORY, workers, seed, settings.worker_seconds) as fleet:
                with self._weather(settings, seed):
                    chain.upload(lambda made: told(f"{made} uploads"))
                    chain.write(lambda made: told(f"{made} writes"))
                    told("waiting for events")
                    chain.wait_for_events()
                    told("waiting for rows")
                    chain.wait_for_rows()
                fleet.calm()
                self.dead += fleet.deaths
                told("five minutes later")
                self._later()
                self._settle(told)
            return chain.count()

    def _settle(self, told: Told) -> None:
        for what, wait in {
            "events": self._chain.wait_for_events,
            "rows": self._chain.wait_for_rows,
            "jobs": self._chain.wait_for_jobs,
            "resources": self._chain.wait_for_resources,
        }.items():
            told(f"waiting for {what}")
            wait()

    def _later(self) -> None:
        """Deliver once more what was held, as if more than five minutes had gone by."""
        self._ask(deduplication.PATH, {"passed": LATER_SECONDS})
        self._chain.ask(RELEASE, "POST")
        send_transitions_again(self._hub)

    @contextmanager
    def _weather(self, settings: Settings, seed: str) -> Iterator[None]:
        order = {"chance": settings.deaths, "midst": settings.midst, "seed": seed, "functions": MORTAL}
        faults = {"shuffle": sum(seed.encode()), "repeat": settings.repeat, "late": settings.late}
        self._ask(deaths.PATH, order)
        self._ask(FAULTS, faults)
        try:
            yield
        finally:
            # what is held is delivered later, so the settings end, and what they have held stays
            self._ask(FAULTS, {})
            died = json.loads(self._chain.ask(deaths.PATH, "GET"))["died"]
            self.dead += sum(died.values())
            self._chain.ask(deaths.PATH, "DELETE")

    def _ask(self, path: str, document: Mapping[str, Any]) -> None:
        self._chain.ask(path, "POST", json.dumps(document).encode())


@contextmanager
def quick_queues(hub: DeployedHub) -> Iterator[None]:
    """The stack's queues hide messages for a moment only, and as the template says when the block ends."""
    sqs = hub.client("sqs")
    urls = [
        resource["PhysicalResourceId"]
        for resource in stack.resources(hub.account, hub.stack_name)
        if resource["ResourceType"] == "AWS::SQS::Queue"
    ]
    before = {
        url: sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["VisibilityTimeout"])["Attributes"]
        for url in urls
    }
    try:
        for url in urls:
            sqs.set_queue_attributes(QueueUrl=url, Attributes={"VisibilityTimeout": str(HIDDEN_SECONDS)})
        yield
    finally:
        for url, attributes in before.items():
            sqs.set_queue_attributes(QueueUrl=url, Attributes=attributes)


def send_transitions_again(hub: DeployedHub) -> None:
    """Give the function that detects transitions every record of its stream once more, as its reader may."""
    name = stack.functions(hub.account, hub.stack_name)[DETECTING]
    records = list(_records(hub, hub.outputs["JobsTableName"]))
    for first in range(0, len(records), BATCH):
        payload = json.dumps({"Records": records[first : first + BATCH]}).encode()
        answer = hub.client("lambda").invoke(FunctionName=name, Payload=payload)
        if "FunctionError" in answer:
            raise CommandError("The function that detects transitions failed on records that it has seen.")


def _records(hub: DeployedHub, table: str) -> Iterator[dict[str, Any]]:
    """The records of a table's stream, as Lambda hands them on."""
    described = hub.client("dynamodb").describe_table(TableName=table)["Table"]
    arn, streams = described["LatestStreamArn"], hub.client("dynamodbstreams")
    for shard in streams.describe_stream(StreamArn=arn)["StreamDescription"]["Shards"]:
        iterator = streams.get_shard_iterator(
            StreamArn=arn, ShardId=shard["ShardId"], ShardIteratorType="TRIM_HORIZON"
        )["ShardIterator"]
        while iterator:
            page = streams.get_records(ShardIterator=iterator, Limit=1000)
            for record in page["Records"]:
                change = record["dynamodb"]
                created = change["ApproximateCreationDateTime"].timestamp()
                yield {
                    **record,
                    "dynamodb": {**change, "ApproximateCreationDateTime": created},
                    "eventSourceARN": arn,
                }
            iterator = page.get("NextShardIterator") if page["Records"] else None
