"""What is sent once more to a FIFO queue, within five minutes and after them."""

import json
import urllib.error
import urllib.request
from collections.abc import Iterator

import pytest

from local.account.clients import client
from local.account.state_file import RunningAccount
from local.account.testing import running_account
from local.sqs.deduplication import PATH, WINDOW_SECONDS
from local.sqs.testing import create_queue, send, taken


@pytest.fixture(scope="module")
def account(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningAccount]:
    with running_account(tmp_path_factory.mktemp("account"), parts=("sqs",)) as account:
        yield account


def _ask(account: RunningAccount, document: object) -> None:
    body = json.dumps(document).encode()
    urllib.request.urlopen(urllib.request.Request(f"{account.endpoint}{PATH}", body)).close()


@pytest.mark.parametrize(("seconds", "messages"), [(WINDOW_SECONDS - 60, 1), (WINDOW_SECONDS + 1, 2)])
def test_what_is_sent_again_is_another_message_after_five_minutes(
    account: RunningAccount, seconds: int, messages: int
) -> None:
    sqs = client(account, "sqs")
    url, _ = create_queue(sqs, f"after-{seconds}.fifo")
    send(sqs, url, ["once"])

    _ask(account, {"passed": seconds})
    send(sqs, url, ["once"])

    assert [message["Body"] for message in taken(sqs, url)] == ["once"] * messages


def test_a_request_without_seconds_is_refused(account: RunningAccount) -> None:
    with pytest.raises(urllib.error.HTTPError, match="400"):
        _ask(account, {})
