"""What cold starts cost: from the start of a process to its first answer, for every function of the template.

Each function gets a sample event and calls AWS as it does in Lambda; the services answer at once. It is
measured with tracing off and on, beside a bare handler that makes one client of boto3 and one call.

The interpreter has what Lambda's runtime has, and what a function's artifact and layers add. As in Lambda a
trace header is there and segments go out over UDP. Unlike there, modules are compiled already, and what is
called answers without TLS: Lambda compiles a function's own modules at its first start, and each service that
is called takes a handshake.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.answering_hub import HOST, Hub, answering
from bench.cold_start_report import BARE, TRACED, ColdStarts
from bench.measuring import Case, measure
from local.account.host import architecture, python_runtime
from local.testing.bare_runtime import bare_runtime, link_packages
from local.testing.mocked_hub import CREDENTIALS, HubQueues, hub_environment
from local.testing.sample_events import EVENTS, SAMPLES
from local.testing.template_reader import read

ROOT = Path(__file__).parents[1]

IN_ARTIFACTS = ("aws-lambda-powertools", "jmespath", "msgspec", "typing-extensions")
IN_TRACING_LAYER = ("aws-xray-sdk", "wrapt")
PARQUET_LAYER = "ParquetLayer"

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


@dataclass(frozen=True)
class Function:
    """A function of the template: its logical id, its handler, and whether it has the Parquet layer."""

    name: str
    handler: str
    writes_parquet: bool


@dataclass(frozen=True)
class Runtime:
    """An interpreter as in Lambda, and the folders of artifact and layers."""

    python: Path
    packages: Path
    tracing: Path
    parquet: Path

    def path(self, function: Function) -> str:
        """Where the function's modules are found."""
        folders = [ROOT / "functions", self.packages, self.tracing]
        return os.pathsep.join(map(str, [*folders, self.parquet] if function.writes_parquet else folders))


def run(samples: int, progress: Callable[[int, int], None]) -> ColdStarts:
    """Measure the cases; raises CalledProcessError when one of them fails."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        found = functions(read(ROOT / "template.yaml"))
        measured = measure(stack.enter_context(cases(runtime(folder), found)), samples, progress)
        return ColdStarts(measured, [one.name for one in found if one.writes_parquet])


def functions(template: Mapping[str, Any]) -> list[Function]:
    """Every function of the template."""
    return [
        Function(
            name,
            resource["Properties"]["Handler"],
            {"Ref": PARQUET_LAYER} in resource["Properties"].get("Layers", []),
        )
        for name, resource in template["Resources"].items()
        if resource["Type"] == "AWS::Serverless::Function"
    ]


def runtime(folder: Path) -> Runtime:
    """Make the interpreter and what its functions find there; raises CalledProcessError."""
    made = Runtime(
        bare_runtime(folder / "runtime"), folder / "artifact", folder / "tracing", folder / "parquet/python"
    )
    for path, names in ((made.packages, IN_ARTIFACTS), (made.tracing, IN_TRACING_LAYER)):
        path.mkdir()
        link_packages(path, names)
    layer = ROOT / "layers" / "parquet"
    subprocess.run(
        [
            shutil.which("make") or "make",
            "--silent",
            "--makefile",
            str(layer / "Makefile"),
            f"build-{PARQUET_LAYER}",
        ],
        cwd=layer / "wheels" / f"{python_runtime()}-{architecture()}",
        env=os.environ | {"ARTIFACTS_DIR": str(made.parquet.parent), "PATH": _path_of_tools()},
        check=True,
    )
    return made


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
                _case(runtime, function, hubs[phase_of(function)], traced)
                for function in functions
                for traced in (False, True)
            ),
        ]


def phase_of(function: Function) -> str:
    """How far the run's export is when the function is called."""
    return "LOCKED" if function.name == "StartExportFunction" else "EXPORTING"


def _case(runtime: Runtime, function: Function, hub: Mapping[str, str], traced: bool) -> Case:
    event = EVENTS / "healthlake_export" / f"{SAMPLES[function.name][0]}.json"
    return Case(
        function.name + TRACED * traced,
        [str(runtime.python), "-c", FUNCTION, function.handler, str(event)],
        {
            **hub,
            "PYTHONPATH": runtime.path(function),
            "POWERTOOLS_TRACE_DISABLED": "false" if traced else "true",
        },
    )


def environment(port: int, traces: int) -> dict[str, str]:
    """Lambda's variables and the hub's, with the services and a trace daemon on ports of this machine."""
    return {
        **CREDENTIALS,
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


def _path_of_tools() -> str:
    """The project's own python3 and pip before those of the system."""
    return os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])


@contextmanager
def listening_to_traces() -> Iterator[int]:
    """A trace daemon's socket that nobody reads; yields its port."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as daemon:
        daemon.bind((HOST, 0))
        yield daemon.getsockname()[1]
