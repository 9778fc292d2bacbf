"""The streams of the deployed application, and what they lead to, as scenarios act on them."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import Any

from change_stream.fhir_mapping import fhir_mappings
from local.account.own_pages import ask
from local.cli.fhir_client import FhirClient
from local.cli.lake.athena import Athena
from local.cli.lake.reingestion import Reingested, Reingestion
from local.demo.streams.chain import FLUSH
from local.demo.streams.lake_rows import distinct_rows
from local.lambda_runtime import deaths
from local.soak.permissions.stage import Stage
from local.testing.streamed_hub import StreamedHub

RECORDS_PIPE, LAKE_PIPE = "RecordsPipe", "LakeRowsPipe"
HIDDEN_SECONDS, MOST_RECEIVES = "4", 1000
_RETRIED_QUEUES = (
    "PatientChangesQueue",
    "AddressChangesQueue",
    "MeasurementChangesQueue",
    "FhirWritesQueue",
)


class StreamStage:
    """What scenarios do with the streams of a stage, and one id that nothing else in the account has."""

    def __init__(self, stage: Stage) -> None:
        self.id = f"soaked-{uuid.uuid4()}"
        self.stage = stage
        self.streams = StreamedHub(stage.account, stage.stack_name, stage.outputs)

    def hasten(self) -> None:
        """Let what failed be tried again within seconds, as often as need be, and rows wait for no others."""
        sqs = self.stage.client("sqs")
        for queue in _RETRIED_QUEUES:
            url = self.stage.physical_name(queue)
            asked = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["RedrivePolicy"])["Attributes"]
            policy = {**json.loads(asked["RedrivePolicy"]), "maxReceiveCount": MOST_RECEIVES}
            changed = {"VisibilityTimeout": HIDDEN_SECONDS, "RedrivePolicy": json.dumps(policy)}
            sqs.set_queue_attributes(QueueUrl=url, Attributes=changed)
        self._update_pipe(LAKE_PIPE, MaximumBatchingWindowInSeconds=0)

    def put(self, sk: str, item_type: str, **texts: str) -> None:
        """Write a record of the id."""
        self.streams.put("RecordsTableName", self.item(sk, item_type, **texts))

    def item(self, sk: str, item_type: str, **texts: str) -> dict[str, dict[str, str]]:
        """A record of the id, as DynamoDB wants it."""
        written = {"id": self.id, "sk": sk, "itemType": item_type, **texts}
        return {name: {"S": text} for name, text in written.items()}

    def delete(self, sk: str) -> None:
        """Delete a record of the id."""
        self.stage.client("dynamodb").delete_item(
            TableName=self.stage.outputs["RecordsTableName"], Key={"id": {"S": self.id}, "sk": {"S": sk}}
        )

    def resource(self, sk: str, item_type: str) -> Any:
        """The FHIR resource that a record of the id belongs to, None where there is none."""
        key = fhir_mappings().key_of(item_type, self.id, sk)
        assert key is not None
        answer = self._fhir.get(f"{key.resource_type}/{key.resource_id}")
        return answer.document() if answer.status == 200 else None

    def kept(self, prefix: str) -> list[Any]:
        """Objects of the hub's bucket below the prefix that tell of the id."""
        return self.streams.objects(self.streams.hub.bucket, prefix, self.id)

    def keys(self, prefix: str) -> list[str]:
        """The keys of these objects."""
        s3, bucket = self.stage.client("s3"), self.streams.hub.bucket
        listed = s3.list_objects_v2(Bucket=bucket, Prefix=prefix).get("Contents", [])
        wanted = self.id.encode()
        return [
            one["Key"]
            for one in listed
            if wanted in s3.get_object(Bucket=bucket, Key=one["Key"])["Body"].read()
        ]

    def rows(self) -> int:
        """How many rows of the id the lake has, once Firehose has delivered what it can."""
        self.ask(FLUSH, "POST")
        return distinct_rows(Athena.of(self.streams.hub), self.id)

    def failed_rows(self, having: str) -> bool:
        """Whether there is a record with the text below the lake's error prefix, once Firehose has delivered
        what it can."""
        self.ask(FLUSH, "POST")
        return bool(self.streams.failed_rows(having))

    def reingest(self) -> None:
        """Bring what lies below the lake's error prefix back into the delivery stream."""
        reingestion = Reingestion(self.streams.hub)
        for found in list(reingestion.prefix.objects()):
            reingestion.ingest(found, Reingested())

    @contextmanager
    def dying(self, *functions: str) -> Iterator[None]:
        """Let functions with one of these words in their names die of what tells of the id."""
        order = {"poison": self.id, "functions": functions}
        self.ask(deaths.PATH, "POST", order)
        try:
            yield
        finally:
            self.ask(deaths.PATH, "DELETE")

    @contextmanager
    def impatient_pipe(self, pipe: str) -> Iterator[None]:
        """Let a pipe give up what it fails on at once: the hundred tries of the template last too long."""
        before = self._update_pipe(pipe, MaximumRetryAttempts=0)
        try:
            yield
        finally:
            self._update_pipe(pipe, MaximumRetryAttempts=before["MaximumRetryAttempts"])

    @contextmanager
    def impatient_reader(self, function: str) -> Iterator[None]:
        """The same of the mapping through which a function reads its stream."""
        functions = self.stage.client("lambda")
        name = self.streams.function(function)
        (mapping,) = functions.list_event_source_mappings(FunctionName=name)["EventSourceMappings"]
        try:
            functions.update_event_source_mapping(UUID=mapping["UUID"], MaximumRetryAttempts=0)
            yield
        finally:
            before = mapping["MaximumRetryAttempts"]
            functions.update_event_source_mapping(UUID=mapping["UUID"], MaximumRetryAttempts=int(before))

    @contextmanager
    def stopped_pipe(self, pipe: str) -> Iterator[None]:
        """Let a pipe read nothing until the block ends."""
        pipes, name = self.stage.client("pipes"), self.stage.physical_name(pipe)
        pipes.stop_pipe(Name=name)
        try:
            yield
        finally:
            pipes.start_pipe(Name=name)

    def ask(self, path: str, method: str, document: Any = None) -> None:
        """Ask one of the account's own pages."""
        body = None if document is None else json.dumps(document).encode()
        ask(self.stage.account, path, method, body)

    def put_at_once(self, sort_keys: Sequence[str], item_type: str, **texts: str) -> None:
        """Write several records of the id in one request."""
        self.streams.put_at_once([self.item(sk, item_type, **texts) for sk in sort_keys])

    def _update_pipe(self, pipe: str, **changed: int) -> dict[str, Any]:
        """Change how a pipe reads its stream; returns how it did before."""
        pipes, name = self.stage.client("pipes"), self.stage.physical_name(pipe)
        described = pipes.describe_pipe(Name=name)
        source = described["SourceParameters"]
        before: dict[str, Any] = dict(source["DynamoDBStreamParameters"])
        # a pipe begins where it began: UpdatePipe does not take the position
        reading = {key: value for key, value in before.items() if key != "StartingPosition"} | changed
        pipes.update_pipe(
            Name=name,
            RoleArn=described["RoleArn"],
            SourceParameters={**source, "DynamoDBStreamParameters": reading},
        )
        return before

    @cached_property
    def _fhir(self) -> FhirClient:
        return FhirClient(self.stage.account, self.stage.outputs["DatastoreEndpoint"])
