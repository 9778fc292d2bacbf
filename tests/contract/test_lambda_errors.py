"""Lambda functions that fail, against what AWS documents: «Lambda function errors in Python»."""

from collections.abc import Iterator

import pytest

from local.account.testing import running_account
from local.lambda_runtime.testing import Functions


@pytest.fixture(scope="module")
def functions(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Functions]:
    with running_account(tmp_path_factory.mktemp("account"), parts=("lambda_runtime",)) as account:
        yield Functions(account)


@pytest.fixture(scope="module")
def role(functions: Functions) -> str:
    return functions.role("nothing-allowed")


def test_an_exception_answers_with_its_class_message_and_stack(functions: Functions, role: str) -> None:
    functions.create(
        "raises",
        role,
        "class TooBusy(Exception): pass\n\ndef handler(event, context):\n    raise TooBusy('later')\n",
    )

    answer = functions.invoke("raises")

    assert answer.function_error == "Unhandled"
    assert (answer.payload["errorType"], answer.payload["errorMessage"]) == ("TooBusy", "later")
    assert answer.payload["stackTrace"] == [
        "  File \"/var/task/index.py\", line 4, in handler\n    raise TooBusy('later')\n"
    ]
    assert len(answer.payload["requestId"]) == 36


def test_a_function_that_raised_keeps_its_environment(functions: Functions, role: str) -> None:
    source = (
        "calls = []\ndef handler(event, context):\n    calls.append(1)\n    raise ValueError(len(calls))\n"
    )
    functions.create("counts", role, source)

    first, second = functions.invoke("counts"), functions.invoke("counts")

    assert (first.payload["errorMessage"], second.payload["errorMessage"]) == ("1", "2")


@pytest.mark.parametrize(
    ("name", "source", "error_type", "message"),
    [
        (
            "missing-module",
            "import not_installed_anywhere\n",
            "Runtime.ImportModuleError",
            "Unable to import module 'index': No module named 'not_installed_anywhere'",
        ),
        (
            "missing-handler",
            "def other(event, context): pass\n",
            "Runtime.HandlerNotFound",
            "Handler 'handler' missing on module 'index'",
        ),
        (
            "syntax",
            "def handler(event:\n",
            "Runtime.UserCodeSyntaxError",
            "Syntax error in module 'index': '(' was never closed (index.py, line 1)",
        ),
        ("raises-at-import", "raise LookupError('no setting')\n", "LookupError", "no setting"),
        (
            "set",
            "def handler(event, context): return {1}\n",
            "Runtime.MarshalError",
            "Unable to marshal response: Object of type set is not JSON serializable",
        ),
    ],
)
def test_an_error_of_the_runtime_has_the_type_of_aws(
    functions: Functions, role: str, name: str, source: str, error_type: str, message: str
) -> None:
    functions.create(name, role, source)

    answer = functions.invoke(name)

    assert answer.function_error == "Unhandled"
    assert (answer.payload["errorType"], answer.payload["errorMessage"]) == (error_type, message)


@pytest.mark.parametrize(
    ("name", "source", "reason"),
    [
        (
            "exits",
            "import sys\ndef handler(event, context): sys.exit(3)\n",
            "exited with error: exit status 3",
        ),
        (
            "exits-hard",
            "import os\ndef handler(event, context): os._exit(4)\n",
            "exited with error: exit status 4",
        ),
        ("exits-at-import", "import os\nos._exit(5)\n", "exited with error: exit status 5"),
        (
            "exits-silently",
            "import sys\ndef handler(event, context): sys.exit()\n",
            "exited without providing a reason",
        ),
    ],
)
def test_a_process_that_ends_is_an_exit_error(
    functions: Functions, role: str, name: str, source: str, reason: str
) -> None:
    functions.create(name, role, source)

    answer = functions.invoke(name)

    assert answer.payload["errorType"] == "Runtime.ExitError"
    assert answer.payload["errorMessage"].endswith(f"Error: Runtime {reason}")


def test_a_function_past_its_timeout_is_a_timeout(functions: Functions, role: str) -> None:
    functions.create("slow", role, "import time\ndef handler(event, context): time.sleep(30)\n", Timeout=1)

    answer = functions.invoke("slow")

    assert (answer.payload["errorType"], answer.function_error) == ("Sandbox.Timedout", "Unhandled")
    assert answer.payload["errorMessage"].endswith("Task timed out after 1.00 seconds")


def test_a_function_recovers_after_its_process_has_ended(functions: Functions, role: str) -> None:
    source = "import os\ndef handler(event, context):\n    return os._exit(1) if event else 'well'\n"
    functions.create("recovers", role, source)

    assert functions.invoke("recovers", event=True).payload["errorType"] == "Runtime.ExitError"
    assert functions.invoke("recovers", event=False).payload == "well"


def test_a_decimal_is_answered_as_a_number(functions: Functions, role: str) -> None:
    functions.create(
        "decimal", role, "import decimal\ndef handler(event, context): return [decimal.Decimal('1.5')]\n"
    )

    assert functions.invoke("decimal").payload == [1.5]


def test_what_a_function_prints_does_not_disturb_its_answer(functions: Functions, role: str) -> None:
    functions.create(
        "prints",
        role,
        "def handler(event, context):\n    print('{\"status\": \"error\"}')\n    return 'well'\n",
    )

    assert functions.invoke("prints").payload == "well"
