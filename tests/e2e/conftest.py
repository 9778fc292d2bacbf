"""The application, deployed by the real SAM CLI into a local account of the session's own."""

import json
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import pytest

from local.account import lifecycle
from local.account.clients import forget_foreign_settings
from local.account.state_file import RunningAccount
from local.cli import stack
from local.cli.executions import Executions
from local.cli.fhir_client import FhirClient
from local.cli.output import Output
from local.cli.project import Project
from local.cli.sam import local_environment
from local.cli.up import UpOptions, bring_up


@dataclass(frozen=True)
class Hub:
    """The deployed stack: the account it is in, its outputs, and clients for what tests do most."""

    account: RunningAccount
    stack_name: str
    outputs: Mapping[str, str]

    @property
    def fhir(self) -> FhirClient:
        """The FHIR REST API of the stack's datastore."""
        return FhirClient(self.account, self.outputs["DatastoreEndpoint"])

    @property
    def executions(self) -> Executions:
        """The executions of the export state machine."""
        return Executions(self.account, self.outputs["ExportStateMachineArn"])

    @property
    def stored(self) -> int:
        """How many resources the datastore has, whoever put them there."""
        with urllib.request.urlopen(f"{self.account.endpoint}/_local/healthlake") as answer:
            datastores = json.load(answer)["datastores"]
        ours = [one for one in datastores if one["datastoreId"] == self.outputs["DatastoreId"]]
        return sum(ours[0]["resources"].values())

    @contextmanager
    def held_export(self) -> Iterator[Callable[[], None]]:
        """Let the next export job run on until it is cancelled, released by what this yields, or left."""

        def release() -> None:
            # neither a job that has not begun yet nor one that has
            self._ask("DELETE")
            self._ask("POST", {"fault": "release"})

        self._ask("POST", {"fault": "hold-next-job", "status": "IN_PROGRESS"})
        try:
            yield release
        finally:
            release()

    def _ask(self, method: str, order: Mapping[str, str] | None = None) -> None:
        body = json.dumps(order).encode() if order else None
        url = f"{self.account.endpoint}/_local/healthlake/faults"
        urllib.request.urlopen(urllib.request.Request(url, body, method=method)).close()


@pytest.fixture(scope="session")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    """The stack, deployed once for the session on a free port, policies enforced.

    Every module finds what others have left: resources, runs, a watermark. What a test asserts is about what
    it did itself, or compared with what it found.
    """
    forget_foreign_settings()
    project = Project()
    state_dir = tmp_path_factory.mktemp("account")
    try:
        account = bring_up(project, state_dir, Output(), UpOptions(port=0))
        stack_name = local_environment(project.samconfig).stack_name
        yield Hub(account, stack_name, stack.outputs(account, stack_name))
    finally:
        lifecycle.stop(state_dir)
