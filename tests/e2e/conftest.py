"""The application, deployed by the real SAM CLI into a local account of the session's own."""

from collections.abc import Iterator, Mapping
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


@pytest.fixture(scope="session")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    """The stack, deployed once for the session on a free port, policies enforced."""
    forget_foreign_settings()
    project = Project()
    state_dir = tmp_path_factory.mktemp("account")
    try:
        account = bring_up(project, state_dir, Output(), UpOptions(port=0))
        stack_name = local_environment(project.samconfig).stack_name
        yield Hub(account, stack_name, stack.outputs(account, stack_name))
    finally:
        lifecycle.stop(state_dir)
