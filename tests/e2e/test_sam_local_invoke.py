"""Each sample event under `sam local invoke`, in AWS's own runtime image, against the deployed stack.

It needs a container runtime and is skipped with SAM's own words where there is none. SAM exits with 0 even
when a handler raises, cannot be imported or runs out of time, so what counts is the payload; how payloads are
read is tested everywhere, with answers as SAM prints them.
"""

import json
import re
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from samcli.yamlhelper import yaml_dump, yaml_parse

from local.account.clients import client
from local.account.settings import HOST
from local.cli import stack
from local.cli.operations.hub import DeployedHub
from local.cli.operations.variables import function_variables
from local.cli.project import Project
from local.cli.sam import account_variables, local_environment, sam_environment
from local.testing.sample_events import EVENTS
from local.testing.sample_events import SAMPLES as OF_FUNCTIONS

if TYPE_CHECKING:
    from tests.e2e.conftest import Hub

HOST_SEEN_FROM_CONTAINERS = "host.docker.internal"
NO_RUNTIME = re.compile(r"Running AWS SAM projects locally requires .*")
TIMED_OUT = re.compile(r"Function '.*' timed out after \d+ seconds")


class NoPayload(AssertionError):
    """The invocation printed no payload; the text says what SAM said instead."""


def payload_of(stdout: str, stderr: str) -> Any:
    """The payload that SAM printed. Raises NoPayload with the reason when there is none."""
    lines = [line for line in stdout.splitlines() if line.strip()]
    if lines:
        try:
            return json.loads(lines[-1])
        except ValueError:
            raise NoPayload(f"No JSON: {lines[-1][:200]}") from None
    told = TIMED_OUT.search(stderr) or NO_RUNTIME.search(stderr)
    raise NoPayload(told[0] if told else f"Nothing was printed: {stderr[-500:]}")


Judge = Callable[[Any], bool]


def refused(error: str) -> Judge:
    """The handler raised this error of its own."""
    return lambda payload: isinstance(payload, dict) and payload.get("errorType") == error


def returned(expected: Mapping[str, Any]) -> Judge:
    """The handler returned, among other fields, these."""
    return lambda payload: isinstance(payload, dict) and expected.items() <= payload.items()


def has(field: str) -> Judge:
    """The handler returned this field, whatever is in it."""
    return lambda payload: isinstance(payload, dict) and field in payload


def failed_items(count: int) -> Judge:
    """The handler gave back so many messages of its batch."""
    return lambda payload: (
        isinstance(payload, dict) and len(payload.get("batchItemFailures", [{}] * 9)) == count
    )


def a_list() -> Judge:
    """The handler returned a list, with something in it."""
    return lambda payload: isinstance(payload, list) and bool(payload)


def counted() -> Judge:
    """The handler returned numbers by name, or none."""
    return lambda payload: isinstance(payload, dict) and all(isinstance(one, int) for one in payload.values())


def acquired(mode: str) -> Judge:
    """The handler took the run lock for a run of this kind."""
    return lambda payload: isinstance(payload, dict) and payload.get("run", {}).get("mode") == mode


# The samples are of a run that the deployed stack does not know. In this order: what takes the run lock is
# followed by what releases it.
SAMPLES: list[tuple[str, str, Judge]] = [
    ("AcquireRunLockFunction", "healthlake_export/request_with_unknown_field", refused("InvalidInput")),
    ("StartExportFunction", "healthlake_export/run_waits_for_export", failed_items(1)),
    ("CheckExportFunction", "healthlake_export/check_is_due", failed_items(0)),
    ("CheckExportFunction", "healthlake_export/job_reported_completed", failed_items(0)),
    ("PlanRangesFunction", "healthlake_export/export_completed", refused("HealthLakeRefused")),
    ("PlanRangesFunction", "healthlake_export/export_completed_with_errors", refused("HealthLakeRefused")),
    ("ProcessRangeFunction", "healthlake_export/range_of_patients", refused("RunSuperseded")),
    ("ReconcileRunFunction", "healthlake_export/ranges_processed", refused("AwsCallFailed")),
    ("ReconcileRunFunction", "healthlake_export/nothing_was_exported", returned({"lines": 0})),
    ("AdvanceWatermarkFunction", "healthlake_export/run_was_reconciled", refused("RunSuperseded")),
    ("AcquireRunLockFunction", "healthlake_export/schedule_fired", has("run")),
    ("CleanUpFailedRunFunction", "healthlake_export/execution_was_stopped", returned({"outcome": "FAILED"})),
    ("CleanUpFailedRunFunction", "healthlake_export/range_could_not_be_processed", has("outcome")),
    ("PublishRunEventsFunction", "healthlake_export/run_is_complete", has("published")),
    ("AcquireRunLockFunction", "healthlake_export/replay_requested", acquired("replay")),
    ("PlanRedriveFunction", "dlq_redrive/daily_look_fired", returned({"dryRun": False})),
    ("PlanRedriveFunction", "dlq_redrive/positions_are_due", returned({"dryRun": False})),
    ("PlanRedriveFunction", "dlq_redrive/dry_run_requested", returned({"dryRun": True})),
    ("PlanRedriveFunction", "dlq_redrive/alarm_went_off", refused("InvalidInput")),
    ("PlanRedriveFunction", "dlq_redrive/redrive_requested", refused("InvalidInput")),
    ("PlanRedriveFunction", "dlq_redrive/redrive_with_unknown_field", refused("InvalidInput")),
    ("RedriveMessagesFunction", "dlq_redrive/dead_letters_planned", refused("LockLost")),
    *(
        (function, "fhir_writer/changes_were_received", failed_items(0))
        for function, samples in OF_FUNCTIONS.items()
        if "fhir_writer/changes_were_received" in samples
    ),
    ("WriteFhirFunction", "fhir_writer/writes_were_queued", failed_items(0)),
    ("EnrichChangesFunction", "change_stream/records_were_written", a_list()),
    ("EnrichChangesFunction", "change_stream/record_was_removed", a_list()),
    ("PrepareLakeRowsFunction", "change_stream/rows_are_asked_for", a_list()),
    ("PartitionLakeRowsFunction", "change_stream/firehose_batch", has("records")),
    ("RecordUploadFunction", "uploads/object_was_uploaded", counted()),
    ("RecordUploadFunction", "uploads/object_was_deleted", counted()),
    ("RecordUploadFunction", "uploads/notifications_were_turned_on", counted()),
    ("DetectTransitionsFunction", "transitions/jobs_were_changed", failed_items(0)),
]


@dataclass(frozen=True)
class SamLocal:
    """`sam local invoke` in the project's folder, with a template of its own."""

    folder: Path
    environment: Mapping[str, str]

    def run(self, function: str, *options: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "samcli", "local", "invoke", function, *options]
        template = ["--template", str(self.folder / "template.yaml")]
        return subprocess.run(
            [*command, *template],
            cwd=self.folder,
            env=dict(self.environment),
            capture_output=True,
            text=True,
            check=False,
            timeout=280,
            stdin=subprocess.DEVNULL,
        )


TEMPLATE_OF_NOTHING = """
Transform: AWS::Serverless-2016-10-31
Resources:
  NothingFunction:
    Type: AWS::Serverless::Function
    Properties: {CodeUri: ., Handler: nothing.lambda_handler, Runtime: python3.13}
"""


@pytest.fixture(scope="session")
def container_runtime(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Skips, with SAM's own reason, where SAM finds no container runtime."""
    folder = tmp_path_factory.mktemp("nothing")
    (folder / "template.yaml").write_text(TEMPLATE_OF_NOTHING)
    environment = {**sam_environment(Project()), "AWS_DEFAULT_REGION": "us-east-1"}
    # --skip-pull-image: with a runtime this fails quickly, for lack of a handler or of the image
    answer = SamLocal(folder, environment).run("NothingFunction", "--skip-pull-image", "--no-event")
    missing = NO_RUNTIME.search(answer.stderr)
    if missing:
        pytest.skip(missing[0])


class Forwarder:
    """Passes connections at an address that containers reach on to the local account, which listens on
    127.0.0.1 only."""

    def __init__(self, address: str, port: int) -> None:
        self._port = port
        self._listener = socket.create_server((address, 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                caller, _ = self._listener.accept()
            except OSError:
                return
            account = socket.create_connection((HOST, self._port))
            for source, target in ((caller, account), (account, caller)):
                threading.Thread(target=_pass_on, args=(source, target), daemon=True).start()


def _pass_on(source: socket.socket, target: socket.socket) -> None:
    """Until the source has ended, which the target is then told."""
    try:
        while content := source.recv(65536):
            target.sendall(content)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        target.close()


@pytest.fixture(scope="module")
def endpoint(hub: "Hub", container_runtime: None) -> Iterator[str]:
    """The local account's endpoint as containers reach it."""
    if sys.platform != "linux":
        # Docker Desktop and Finch lead this name to the loopback of the machine
        yield f"http://{HOST_SEEN_FROM_CONTAINERS}:{hub.account.port}"
        return
    with closing(Forwarder(_bridge_gateway(), hub.account.port)) as forwarder:
        yield f"http://{HOST_SEEN_FROM_CONTAINERS}:{forwarder.port}"


def _bridge_gateway() -> str:
    """This machine's address on the network of its containers; nothing outside the machine reaches it."""
    asked = ["network", "inspect", "bridge", "--format", "{{(index .IPAM.Config 0).Gateway}}"]
    for engine in ("docker", "finch"):
        try:
            return subprocess.run([engine, *asked], capture_output=True, text=True, check=True).stdout.strip()
        except (FileNotFoundError, subprocess.CalledProcessError):
            continue
    pytest.fail("Neither docker nor finch tells the gateway of its network «bridge».")


def local_template(built: str, build_dir: Path) -> str:
    """The built template for another folder: sources by absolute path, and AWS_ENDPOINT_URL declared, since
    SAM hands a function only variables that the template declares."""
    template = yaml_parse(built)
    template["Globals"]["Function"]["Environment"]["Variables"]["AWS_ENDPOINT_URL"] = ""
    template["Globals"]["Function"].pop("CodeUri", None)
    for resource in template["Resources"].values():
        for name in ("CodeUri", "ContentUri"):
            source = resource.get("Properties", {}).get(name)
            if isinstance(source, str):
                resource["Properties"][name] = str((build_dir / source).resolve())
    text: str = yaml_dump(template)
    return text


def variables_of(deployed: Mapping[str, str], hub_endpoint: str, endpoint: str) -> dict[str, str]:
    """The environment of a deployed function, with the account where a container reaches it."""
    moved = {name: value.replace(hub_endpoint, endpoint) for name, value in deployed.items()}
    return {**moved, "AWS_ENDPOINT_URL": endpoint}


Invoke = Callable[[str, str], Any]


@pytest.fixture(scope="module")
def invoke(hub: "Hub", endpoint: str, tmp_path_factory: pytest.TempPathFactory) -> Invoke:
    """Invokes a function with a sample event in the runtime's image; returns its payload."""
    project, folder = Project(), tmp_path_factory.mktemp("sam-local")
    built = (project.build_dir / "template.yaml").read_text(encoding="utf-8")
    (folder / "template.yaml").write_text(local_template(built, project.build_dir), encoding="utf-8")
    deployed = function_variables(DeployedHub(hub.account, hub.stack_name, hub.outputs))
    variables = {name: variables_of(own, hub.account.endpoint, endpoint) for name, own in deployed.items()}
    (folder / "variables.json").write_text(json.dumps(variables), encoding="utf-8")
    sam = SamLocal(folder, {**sam_environment(project), **account_variables(hub.account)})
    parameters = [
        f"{name}={value}" for name, value in local_environment(project.samconfig).parameters.items()
    ]

    def call(function: str, event: str) -> Any:
        options = ["--event", str(EVENTS / f"{event}.json"), "--env-vars", str(folder / "variables.json")]
        options += ["--add-host", f"{HOST_SEEN_FROM_CONTAINERS}:host-gateway"]
        answer = sam.run(function, *options, "--parameter-overrides", *parameters)
        return payload_of(answer.stdout, answer.stderr)

    return call


@pytest.fixture
def lock_released(hub: "Hub") -> Iterator[None]:
    """Whatever a sample has locked is released for the tests to come."""
    yield
    function = stack.functions(hub.account, hub.stack_name)["CleanUpFailedRunFunction"]
    for event in ("schedule_fired", "replay_requested"):
        arn = json.loads((EVENTS / "healthlake_export" / f"{event}.json").read_bytes())["execution"]["arn"]
        payload = json.dumps({"executionArn": arn, "failure": {"Error": "Test"}}).encode()
        client(hub.account, "lambda").invoke(FunctionName=function, Payload=payload)


@pytest.mark.timeout(1800)
def test_every_sample_event_runs_in_the_runtimes_image(
    container_runtime: None, invoke: Invoke, lock_released: None
) -> None:
    for function, event, right in SAMPLES:
        payload = invoke(function, event)
        assert right(payload), f"{function} with {event}: {payload}"


def test_every_sample_event_has_its_judge() -> None:
    samples = {(function, event) for function, events in OF_FUNCTIONS.items() for event in events}
    assert {(function, event) for function, event, _ in SAMPLES} == samples


RAISED = json.dumps(
    {
        "errorMessage": "The input has the unknown field 'typos'.",
        "errorType": "InvalidInput",
        "requestId": "a7b1",
        "stackTrace": ['  File "/var/task/common/observability.py", line 60, in entry\n'],
    }
)
NOT_IMPORTED = json.dumps(
    {
        "errorMessage": "Unable to import module 'healthlake_export.plan_ranges': No module named 'msgspec'",
        "errorType": "Runtime.ImportModuleError",
        "requestId": "",
        "stackTrace": [],
    }
)
REPORTED = (
    "START RequestId: a7b1 Version: $LATEST\nEND RequestId: a7b1\nREPORT RequestId: a7b1 Duration: 9 ms\n"
)
TIME_IS_OVER = (
    "Invoking handler (python3.13)\n\nFunction 'ProcessRangeFunction' timed out after 900 seconds\n"
)
NO_CONTAINERS = (
    "No current session found, using default AWS::AccountId\nError: Running AWS SAM projects locally "
    "requires a container runtime. Do you have Docker or Finch installed and running?\n"
)


def test_what_a_handler_returns_is_its_payload() -> None:
    assert returned({"lines": 0})(payload_of('\n{"lines": 0, "rows": 0}\n', REPORTED))
    assert failed_items(0)(payload_of('{"batchItemFailures": []}', REPORTED))


def test_an_error_that_the_handler_raised_is_judged_by_its_type() -> None:
    assert refused("InvalidInput")(payload_of(RAISED, REPORTED))
    assert not refused("RunSuperseded")(payload_of(RAISED, REPORTED))


@pytest.mark.parametrize("judge", [judge for _, _, judge in SAMPLES])
@pytest.mark.parametrize("payload", [NOT_IMPORTED, "null"])
def test_a_handler_that_did_not_run_satisfies_no_judge(judge: Judge, payload: str) -> None:
    assert not judge(payload_of(payload, REPORTED))


@pytest.mark.parametrize(
    ("stdout", "stderr", "reason"),
    [
        ("", TIME_IS_OVER, "timed out after 900 seconds"),
        ("", NO_CONTAINERS, "requires a container runtime"),
        ("", "Error: Container creation failed", "Container creation failed"),
        ("not JSON", "", "No JSON"),
    ],
)
def test_an_invocation_without_a_payload_tells_why(stdout: str, stderr: str, reason: str) -> None:
    with pytest.raises(NoPayload, match=reason):
        payload_of(stdout, stderr)


def test_the_template_for_containers_finds_its_sources_and_takes_the_endpoint() -> None:
    project = Project()

    template = yaml_parse(local_template(project.template.read_text(encoding="utf-8"), project.root))

    assert template["Globals"]["Function"]["Environment"]["Variables"]["AWS_ENDPOINT_URL"] == ""
    sources = [one["Properties"].get("ContentUri") for one in template["Resources"].values()]
    layers = {str(project.root / name) for name in ("layers/parquet", "layers/tracing", "workers")}
    assert {source for source in sources if source} == layers


def test_the_variables_for_containers_lead_to_the_account_from_there() -> None:
    deployed = {"HUB_TABLE": "hub", "START_QUEUE_URL": "http://127.0.0.1:4566/000000000000/start"}

    assert variables_of(deployed, "http://127.0.0.1:4566", "http://host.docker.internal:5000") == {
        "HUB_TABLE": "hub",
        "START_QUEUE_URL": "http://host.docker.internal:5000/000000000000/start",
        "AWS_ENDPOINT_URL": "http://host.docker.internal:5000",
    }


def test_what_is_sent_to_the_forwarder_reaches_the_account_and_back() -> None:
    with (
        socket.create_server((HOST, 0)) as account,
        closing(Forwarder(HOST, account.getsockname()[1])) as forwarder,
        socket.create_connection((HOST, forwarder.port), timeout=5) as caller,
    ):
        reached, _ = account.accept()
        with reached:
            caller.sendall(b"question")
            assert reached.recv(100) == b"question"
            reached.sendall(b"answer")
            assert caller.recv(100) == b"answer"
