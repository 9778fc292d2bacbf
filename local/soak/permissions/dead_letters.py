"""The dead-letter queues of the deployed application, and redrives of them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from local.cli import stack
from local.soak.permissions.stage import Stage


@dataclass(frozen=True)
class DeadLetters:
    """What scenarios do with dead letters of a stage. Queues are named by their ids in the template."""

    stage: Stage

    def put(self, queue: str, body: str, **attributes: str) -> None:
        """Send a message to a dead-letter queue, with message attributes of the type String."""
        self._sqs.send_message(
            QueueUrl=self.stage.physical_name(queue),
            MessageBody=body,
            MessageAttributes={
                name: {"DataType": "String", "StringValue": value} for name, value in attributes.items()
            },
        )

    def put_by_rule(self, queue: str, rule: str, body: str, target_arn: str) -> None:
        """Send a message as EventBridge does when a rule could not deliver it; the rule by its id, too."""
        arn: str = self.stage.client("events").describe_rule(Name=self.stage.physical_name(rule))["Arn"]
        self.put(queue, body, RULE_ARN=arn, TARGET_ARN=target_arn)

    def put_by_schedule(self, queue: str, schedule: str, body: str, target_arn: str, occurrence: str) -> None:
        """Send a message as EventBridge Scheduler does when it could not start its target; the schedule is
        named without the stack before it."""
        name = f"{self.stage.stack_name}-{schedule}"
        arn: str = self.stage.client("scheduler").get_schedule(Name=name)["Arn"]
        self.put(queue, body, SCHEDULE_ARN=arn, TARGET_ARN=target_arn, SCHEDULED_TIME=occurrence)

    def redrive(self, queue: str, **request: Any) -> str:
        """Start a redrive of one queue; returns the execution's ARN."""
        return self.redrive_of(self.queue_arn(queue), **request)

    def redrive_of(self, queue_arn: str, **request: Any) -> str:
        """The same of a queue that need not be of the template."""
        arn: str = self.stage.client("stepfunctions").start_execution(
            stateMachineArn=self._machine, input=json.dumps({"queueArn": queue_arn, **request})
        )["executionArn"]
        return arn

    def put_by_reader(self, function: str, stream: str) -> str:
        """Send a message as Lambda does when a function has failed on a batch of a stream; returns the ARN of
        the queue for those, of which the template has none. What it tells of is not in the stream."""
        url = self._sqs.create_queue(QueueName=self._readers_queue, tags=self._tags("stream"))["QueueUrl"]
        batch = {"streamArn": stream, "shardId": "shardId-0", "batchSize": 1}
        batch |= {"startSequenceNumber": "1", "endSequenceNumber": "1"}
        told = {"requestContext": {"functionArn": self.function_arn(function)}, "DDBStreamBatchInfo": batch}
        self._sqs.send_message(QueueUrl=url, MessageBody=json.dumps(told))
        return self._arn(url)

    def queue_for_returns(self) -> str:
        """ARN of an empty queue that nobody reads, which what is redriven may be sent to."""
        url = self._sqs.create_queue(QueueName=f"{self.stage.stack_name}-returned")["QueueUrl"]
        self._empty(url)
        return self._arn(url)

    def lock(self, queue: str, execution: str) -> None:
        """Write an execution of that name into the lock of a queue."""
        name = self.queue_arn(queue).rpartition(":")[2]
        self.stage.client("dynamodb").put_item(
            TableName=self.stage.outputs["HubTableName"],
            Item={
                "pk": {"S": f"REDRIVE#{name}"},
                "sk": {"S": "LOCK"},
                "owner": {"S": f"{self._machine.replace(':stateMachine:', ':execution:')}:{execution}"},
            },
        )

    def settle(self) -> None:
        """Stop every redrive, empty every dead-letter queue, and forget its lock."""
        states, table = self.stage.client("stepfunctions"), self.stage.outputs["HubTableName"]
        for one in states.list_executions(stateMachineArn=self._machine, statusFilter="RUNNING")[
            "executions"
        ]:
            self.stage.stop(one["executionArn"])
        for url in self._urls():
            self._empty(url)
            key = {"pk": {"S": f"REDRIVE#{url.rpartition('/')[2]}"}, "sk": {"S": "LOCK"}}
            self.stage.client("dynamodb").delete_item(TableName=table, Key=key)

    def queue_arn(self, queue: str) -> str:
        """The ARN of a queue of the stack."""
        return self._arn(self.stage.physical_name(queue))

    def function_arn(self, function: str) -> str:
        """The ARN of a function of the stack."""
        arn: str = self.stage.client("lambda").get_function_configuration(
            FunctionName=self.stage.physical_name(function)
        )["FunctionArn"]
        return arn

    def _urls(self) -> Iterator[str]:
        yield from self._sqs.list_queues(QueueNamePrefix=self._readers_queue).get("QueueUrls", [])
        for one in stack.resources(self.stage.account, self.stage.stack_name):
            if one["ResourceType"] == "AWS::SQS::Queue" and "DeadLetter" in one["LogicalResourceId"]:
                yield one["PhysicalResourceId"]

    def _arn(self, url: str) -> str:
        asked = self._sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])
        arn: str = asked["Attributes"]["QueueArn"]
        return arn

    def _empty(self, url: str) -> None:
        self._sqs.purge_queue(QueueUrl=url)

    def _tags(self, kind: str) -> dict[str, str]:
        """What the redrive knows a queue of the stack by."""
        return {"redrive-kind": kind, "redrive-stack": self.stage.stack_name}

    @property
    def _readers_queue(self) -> str:
        return f"{self.stage.stack_name}-unread"

    @property
    def _sqs(self) -> Any:
        return self.stage.client("sqs")

    @property
    def _machine(self) -> str:
        return self.stage.outputs["RedriveStateMachineArn"]
