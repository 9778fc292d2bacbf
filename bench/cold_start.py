"""What cold starts cost: from the start of a process to its first answer, for every function of the template.

Each function gets a sample event and calls AWS as it does in Lambda; the services answer at once. It is
measured with tracing off and on, beside a bare handler that makes one client of boto3 and one call.

The interpreter has what Lambda's runtime has, and what a function's artifact and layers add. As in Lambda a
trace header is there and segments go out over UDP. Unlike there what is called answers without TLS, of which
each service takes a handshake. Modules are compiled, and once more they are not: SAM deploys none that is,
and Lambda compiles at every cold start what is not its own.
"""

from __future__ import annotations

import socket
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from bench.answering_hub import HOST, Hub, answering
from bench.cold_start_report import BARE, TRACED, UNCOMPILED, ColdStarts
from bench.lambda_packages import ROOT, Function, Runtime, functions, make_runtime
from bench.measuring import Case, measure
from local.testing.mocked_hub import CREDENTIALS, OWN_VARIABLES, HubQueues, hub_environment
from local.testing.sample_events import EVENTS, SAMPLES
from local.testing.template_reader import read

# The process ends here: Lambda keeps it, and what Python tears down at its end is no part of a start.
ENDED = "import os; os._exit(0)\n"
BARE_HANDLER = (
    """
import boto3
client = boto3.client("dynamodb")
def handler(event, context):
    key = {":pk": {"S": "DATASTORE"}}
    return client.query(TableName="hub", KeyConditionExpression="pk = :pk", ExpressionAttributeValues=key)
handler({}, None)
"""
    + ENDED
)
FUNCTION = (
    """
import importlib, json, sys
handler, event = sys.argv[1:]
module, _, name = handler.rpartition(".")
lambda_handler = getattr(importlib.import_module(module), name)
with open(event) as file:
    event = json.load(file)
class context:
    function_name, aws_request_id, memory_limit_in_mb = "function", "1", 256
    invoked_function_arn = "arn:aws:lambda:us-east-1:123456789012:function:function"
    get_remaining_time_in_millis = staticmethod(lambda: 60_000)
answer = lambda_handler(event, context)
assert not (isinstance(answer, dict) and answer.get("batchItemFailures")), answer
"""
    + ENDED
)
SAMPLED = "Root=1-6740b6a0-0123456789abcdef01234567;Parent=0123456789abcdef;Sampled=1"


def run(samples: int, progress: Callable[[int, int], None]) -> ColdStarts:
    """Measure the cases; raises CalledProcessError when one of them fails."""
    with ExitStack() as stack:
        runtime = make_runtime(Path(stack.enter_context(tempfile.TemporaryDirectory())))
        found = functions(read(ROOT / "template.yaml"))
        measured = measure(stack.enter_context(cases(runtime, found)), samples, progress)
        return ColdStarts(measured, [one.name for one in found if one.writes_parquet])


@contextmanager
def cases(runtime: Runtime, functions: Sequence[Function]) -> Iterator[list[Case]]:
    """The programs, while the services that they call answer."""
    with ExitStack() as stack:
        traces = stack.enter_context(listening_to_traces())
        hubs = {
            phase: environment(stack.enter_context(answering(Hub(phase))), traces)
            for phase in ("LOCKED", "EXPORTING")
        }
        yield [
            Case("python alone", [str(runtime.python), "-c", ENDED], hubs["LOCKED"]),
            Case(BARE, [str(runtime.python), "-c", BARE_HANDLER], hubs["LOCKED"]),
            *(
                case
                for function in functions
                for case in _starts(runtime, function, hubs[phase_of(function)])
            ),
        ]


def phase_of(function: Function) -> str:
    """How far the run's export is when the function is called."""
    return "LOCKED" if function.name == "StartExportFunction" else "EXPORTING"


def _starts(runtime: Runtime, function: Function, hub: Mapping[str, str]) -> Iterator[Case]:
    """The starts of a function: without tracing, with it, and with it as Lambda has it at first."""
    event = EVENTS / f"{SAMPLES[function.name][0]}.json"
    command = [str(runtime.python), "-c", FUNCTION, function.handler, str(event)]
    untraced = {**hub, "PYTHONPATH": runtime.compiled.path(function), "POWERTOOLS_TRACE_DISABLED": "true"}
    traced = {**untraced, "POWERTOOLS_TRACE_DISABLED": "false"}
    deployed = {"PYTHONPATH": runtime.deployed.path(function), "PYTHONDONTWRITEBYTECODE": "1"}
    yield Case(function.name, command, untraced)
    yield Case(function.name + TRACED, command, traced)
    yield Case(function.name + UNCOMPILED, command, {**traced, **deployed})


def environment(port: int, traces: int) -> dict[str, str]:
    """Lambda's variables and the hub's, with the services and a trace daemon on ports of this machine."""
    return {
        **CREDENTIALS,
        **OWN_VARIABLES,
        **hub_environment(HubQueues(f"http://{HOST}:{port}/start", f"http://{HOST}:{port}/check")),
        "PATH": "",
        "AWS_REGION": CREDENTIALS["AWS_DEFAULT_REGION"],
        "AWS_ENDPOINT_URL": f"http://{HOST}:{port}",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_XRAY_DAEMON_ADDRESS": f"{HOST}:{traces}",
        "LAMBDA_TASK_ROOT": str(ROOT / "functions"),
        "_X_AMZN_TRACE_ID": SAMPLED,
        "POWERTOOLS_SERVICE_NAME": "bench",
        "POWERTOOLS_LOG_LEVEL": "INFO",
    }


@contextmanager
def listening_to_traces() -> Iterator[int]:
    """A trace daemon's socket that nobody reads; yields its port."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as daemon:
        daemon.bind((HOST, 0))
        yield daemon.getsockname()[1]
