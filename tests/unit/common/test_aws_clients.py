"""Clients cost a cold start only what it uses."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import botocore.session
import pytest

from common import aws_clients
from dlq_redrive.counted_redrive import VISIBILITY_SECONDS
from local.testing.mocked_hub import CREDENTIALS


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Names of the services whose clients were made since."""
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    services: list[str] = []
    create: Callable[..., object] = botocore.session.Session.create_client

    def noting(session: botocore.session.Session, service: str, **settings: object) -> object:
        services.append(service)
        return create(session, service, **settings)

    monkeypatch.setattr(botocore.session.Session, "create_client", noting)
    aws_clients.forget_clients()
    yield services
    aws_clients.forget_clients()


def test_a_client_that_is_only_handed_on_is_never_made(made: list[str]) -> None:
    handed_on = [aws_clients.sqs(), aws_clients.s3()]
    aws_clients.dynamodb().meta  # noqa: B018
    assert made == ["dynamodb"]
    assert len(handed_on) == 2


def test_a_service_has_one_client_whichever_threads_ask(made: list[str]) -> None:
    with ThreadPoolExecutor(8) as threads:
        regions = list(threads.map(lambda _: aws_clients.events().meta.region_name, range(8)))
    assert regions == [CREDENTIALS["AWS_DEFAULT_REGION"]] * 8
    assert made == ["events"]


def test_every_service_has_a_client(made: list[str]) -> None:
    factories = {
        "dynamodb": aws_clients.dynamodb,
        "dynamodbstreams": aws_clients.dynamodb_streams,
        "events": aws_clients.events,
        "healthlake": aws_clients.healthlake,
        "lambda": aws_clients.functions_once,
        "pipes": aws_clients.pipes,
        "s3": aws_clients.s3,
        "scheduler": aws_clients.scheduler,
        "sqs": aws_clients.sqs,
        "stepfunctions": aws_clients.stepfunctions,
    }
    services = [factory().meta.service_model.service_name for factory in factories.values()]
    assert made == services == list(factories)


def test_what_must_be_known_to_be_sent_is_asked_for_once(made: list[str]) -> None:
    once: list[Any] = [aws_clients.sqs_once(), aws_clients.events_once(), aws_clients.functions_once()]
    usual: Any = aws_clients.sqs()
    assert [client.meta.config.retries["total_max_attempts"] for client in once] == [1, 1, 1]
    assert usual.meta.config.retries["total_max_attempts"] == 5
    assert made == ["sqs", "events", "lambda", "sqs"]


def test_a_function_is_waited_for_no_longer_than_its_message_is_hidden(made: list[str]) -> None:
    answer_within: Any = aws_clients.functions_once().meta.config
    assert 60 < answer_within.read_timeout < VISIBILITY_SECONDS
    assert made == ["lambda"]


def test_garbage_is_collected_as_before_once_a_client_is_made(made: list[str]) -> None:
    for collects in (True, False):
        aws_clients.forget_clients()
        if not collects:
            gc.disable()
        aws_clients.sqs().meta  # noqa: B018
        found = gc.isenabled()
        gc.enable()
        assert found is collects


def test_a_client_has_the_attributes_of_boto3s(made: list[str]) -> None:
    assert aws_clients.dynamodb().exceptions.ConditionalCheckFailedException
    with pytest.raises(AttributeError, match="nothing_of_the_kind"):
        aws_clients.dynamodb().nothing_of_the_kind  # type: ignore[attr-defined]  # noqa: B018
