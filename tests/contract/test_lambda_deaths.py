"""Functions that die when the account is asked for it."""

import json
import urllib.request
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from local.account.state_file import RunningAccount
from local.account.testing import running_account
from local.lambda_runtime.deaths import PATH
from local.lambda_runtime.testing import Functions

COUNTS = "calls = []\ndef handler(event, context):\n    calls.append(1)\n    return len(calls)\n"
SLOW = "import time\ndef handler(event, context):\n    time.sleep(5)\n"


@pytest.fixture(scope="module")
def account(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningAccount]:
    with running_account(tmp_path_factory.mktemp("account"), parts=("lambda_runtime",)) as account:
        yield account


@pytest.fixture(scope="module")
def functions(account: RunningAccount) -> Functions:
    functions = Functions(account)
    role = functions.role("nothing-allowed")
    functions.create("counts", role, COUNTS)
    functions.create("slow", role, SLOW)
    return functions


@pytest.fixture(autouse=True)
def alive(account: RunningAccount) -> Iterator[None]:
    yield
    _ask(account, "DELETE")


def _ask(account: RunningAccount, method: str, order: Mapping[str, Any] | None = None) -> Any:
    body = None if order is None else json.dumps(order).encode()
    request = urllib.request.Request(f"{account.endpoint}{PATH}", body, method=method)
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)


def test_a_function_dies_as_often_as_was_asked_for_and_no_other_does(
    account: RunningAccount, functions: Functions
) -> None:
    before = functions.invoke("counts").payload
    _ask(account, "POST", {"chance": 0.5, "seed": "1", "functions": ["ount"]})

    answers = [functions.invoke("counts") for _ in range(30)]

    died = [answer for answer in answers if answer.function_error]
    assert {answer.payload["errorType"] for answer in died} == {"Runtime.ExitError"}
    assert _ask(account, "GET")["died"] == {"counts": len(died)}
    _ask(account, "DELETE")
    # some died before they had counted, others when they had
    counted = functions.invoke("counts").payload - before - 1
    assert 30 - len(died) < counted < 30


def test_a_function_that_dies_in_the_midst_begins_anew(account: RunningAccount, functions: Functions) -> None:
    _ask(account, "POST", {"chance": 1, "midst": 1, "functions": ["slow"]})

    answer = functions.invoke("slow")

    assert answer.payload == {
        "errorType": "Runtime.ExitError",
        "errorMessage": answer.payload["errorMessage"],
    }
    assert "signal: killed" in answer.payload["errorMessage"]


def test_an_invocation_with_poison_dies_each_time_and_no_other_does(
    account: RunningAccount, functions: Functions
) -> None:
    _ask(account, "POST", {"poison": "büse"})

    answers = [functions.invoke("counts", event) for event in ({"a": ["büse"]}, "sound", "das büse")]

    assert [bool(answer.function_error) for answer in answers] == [True, False, True]


def test_an_order_that_says_something_else_is_refused(account: RunningAccount) -> None:
    with pytest.raises(urllib.error.HTTPError, match="400"):
        _ask(account, "POST", {"often": True})
