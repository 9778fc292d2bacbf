"""What a function's cold start costs: from the start of the process to its first answer, with one AWS call.

The function is the one that publishes what waits in the outbox, with its outbox empty: it makes clients of
two services and one query. It is measured with tracing off and on, beside bare handlers of the same call.

As in Lambda a trace header is there and segments go out over UDP: outside of Lambda the X-Ray SDK makes a
client of its own for sampling rules, which takes several times as long. The packages are those of the
development environment, compiled; a first start in Lambda also loads code from its disk and compiles the
function's own.
"""

from __future__ import annotations

import json
import socket
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from bench.measuring import Case, measure
from bench.report import Result
from local.testing.mocked_hub import CREDENTIALS, HubQueues, hub_environment

ROOT = Path(__file__).parents[1]
HOST = "127.0.0.1"

TITLE = "Cold start: process start to first answer"
ONE_CLIENT = "bare handler, one client"
TWO_CLIENTS = "bare handler, two clients"
UNTRACED = "function, tracing off"
TRACED = "function, tracing on"

BARE = """
import boto3
clients = [boto3.client(service) for service in {services}]
def handler(event, context):
    key = {{":pk": {{"S": "DATASTORE"}}}}
    return clients[0].query(TableName="hub", KeyConditionExpression="pk = :pk", ExpressionAttributeValues=key)
handler({{}}, None)
"""
FUNCTION = """
from types import SimpleNamespace
from healthlake_export.publish_run_events import lambda_handler
context = SimpleNamespace(function_name="publish", aws_request_id="1", memory_limit_in_mb=256,
                          invoked_function_arn="arn:aws:lambda:us-east-1:123456789012:function:publish")
assert lambda_handler({}, context) == {"published": []}
"""
SAMPLED = "Root=1-6740b6a0-0123456789abcdef01234567;Parent=0123456789abcdef;Sampled=1"


def run(samples: int, progress: Callable[[int, int], None]) -> Result:
    """Measure the cases; raises CalledProcessError when one of them fails."""
    with answering_dynamodb() as port, listening_to_traces() as traces:
        return Result(TITLE, ONE_CLIENT, measure(cases(port, traces), samples, progress))


def cases(port: int, traces: int) -> list[Case]:
    """The programs, for a DynamoDB on one port and a trace daemon on another."""
    lambda_runtime = {
        **CREDENTIALS,
        **hub_environment(HubQueues(f"http://{HOST}/start", f"http://{HOST}/check")),
        "PATH": "",
        "PYTHONPATH": str(ROOT / "functions"),
        "AWS_ENDPOINT_URL": f"http://{HOST}:{port}",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_XRAY_DAEMON_ADDRESS": f"{HOST}:{traces}",
        "LAMBDA_TASK_ROOT": str(ROOT / "functions"),
        "_X_AMZN_TRACE_ID": SAMPLED,
        "POWERTOOLS_SERVICE_NAME": "bench",
    }
    untraced, traced = ({**lambda_runtime, "POWERTOOLS_TRACE_DISABLED": off} for off in ("true", "false"))
    return [
        _case("python alone", "", untraced),
        _case(ONE_CLIENT, BARE.format(services=["dynamodb"]), untraced),
        _case(TWO_CLIENTS, BARE.format(services=["dynamodb", "events"]), untraced),
        _case(UNTRACED, FUNCTION, untraced),
        _case(TRACED, FUNCTION, traced),
    ]


def _case(name: str, program: str, environment: Mapping[str, str]) -> Case:
    return Case(name, [sys.executable, "-c", program], environment)


class _EmptyTable(BaseHTTPRequestHandler):
    """Answers every query with nothing."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        body = json.dumps({"Items": [], "Count": 0, "ScannedCount": 0}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/x-amz-json-1.0")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing of requests."""


@contextmanager
def answering_dynamodb() -> Iterator[int]:
    """A DynamoDB with nothing in it; yields its port."""
    with ThreadingHTTPServer((HOST, 0), _EmptyTable) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()


@contextmanager
def listening_to_traces() -> Iterator[int]:
    """A trace daemon's socket that nobody reads; yields its port."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as daemon:
        daemon.bind((HOST, 0))
        yield daemon.getsockname()[1]
