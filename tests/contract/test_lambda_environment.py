"""What a function finds around it: its role's credentials, region, endpoint, layers, not the user's own."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from local.account.clients import client
from local.account.state_file import RunningAccount
from local.account.testing import running_account
from local.lambda_runtime.testing import Functions

ENVIRONMENT = """
import os
def handler(event, context):
    return {name: value for name, value in os.environ.items() if name.startswith(("AWS_", "HOME"))}
"""


@pytest.fixture(scope="module")
def account(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningAccount]:
    with pytest.MonkeyPatch.context() as user:
        user.setenv("AWS_PROFILE", "somebody")
        user.setenv("AWS_ACCESS_KEY_ID", "AKIAUSERSOWNKEY")
        user.setenv("AWS_CA_BUNDLE", "/somewhere")
        with running_account(tmp_path_factory.mktemp("account"), parts=("lambda_runtime",)) as account:
            yield account


@pytest.fixture(scope="module")
def functions(account: RunningAccount) -> Functions:
    return Functions(account)


def test_a_function_has_the_endpoint_and_the_region_of_the_account(
    account: RunningAccount, functions: Functions
) -> None:
    functions.create("environment", functions.role("environment"), ENVIRONMENT)

    found = functions.invoke("environment").payload

    assert (found["AWS_ENDPOINT_URL"], found["AWS_REGION"]) == (account.endpoint, account.region)
    assert found["AWS_ACCESS_KEY_ID"].startswith("ASIA")


def test_a_function_has_nothing_of_the_users_identity(account: RunningAccount, functions: Functions) -> None:
    functions.create("identity", functions.role("identity"), ENVIRONMENT)

    found = functions.invoke("identity").payload

    assert "AWS_PROFILE" not in found
    assert "AWS_CA_BUNDLE" not in found
    assert found["AWS_ACCESS_KEY_ID"] != "AKIAUSERSOWNKEY"
    assert found["HOME"].startswith(account.state_dir)


def test_a_function_imports_from_its_layers(functions: Functions) -> None:
    layer = functions.layer("greeting", {"python/greeting.py": "WORDS = 'from the layer'\n"})
    source = "import greeting\ndef handler(event, context): return [greeting.WORDS, greeting.__cached__]\n"
    functions.create("layered", functions.role("layered"), source, Layers=[layer])

    words, _ = functions.invoke("layered").payload

    assert words == "from the layer"


def test_a_function_starts_from_byte_code_that_came_with_its_archive(functions: Functions) -> None:
    source = "def handler(event, context):\n    return list(open(__cached__, 'rb').read(8)[4:])\n"
    functions.create("compiled", functions.role("compiled"), source)

    # the interpreter itself would have written byte code that is checked against the source's date: 0
    assert functions.invoke("compiled").payload == [1, 0, 0, 0]


MEETING = """
import os, pathlib, time

def handler(event, context):
    (pathlib.Path(event) / str(os.getpid())).touch()
    for _ in range(1000):
        if len(os.listdir(event)) == 2:
            return os.getpid()
        time.sleep(0.01)
"""


def test_concurrent_calls_run_in_environments_of_their_own(functions: Functions, tmp_path: Path) -> None:
    functions.create("meeting", functions.role("meeting"), MEETING)

    with ThreadPoolExecutor(2) as pool:
        answers = list(pool.map(functions.invoke, ["meeting"] * 2, [str(tmp_path)] * 2))

    met = {file.name for file in tmp_path.iterdir()}
    assert len(met) == 2
    assert {str(answer.payload) for answer in answers} == met


def test_lines_that_are_equal_are_log_events_of_their_own(
    account: RunningAccount, functions: Functions
) -> None:
    source = "def handler(event, context):\n    print('again')\n    print('again')\n"
    functions.create("repeating", functions.role("repeating"), source)

    functions.invoke("repeating")

    events = client(account, "logs").filter_log_events(logGroupName="/aws/lambda/repeating")["events"]
    assert [event["message"] for event in events].count("again") == 2
    assert len({event["eventId"] for event in events}) == len(events)
