"""`variables`: the environment of the deployed functions, as `sam local invoke --env-vars` takes it."""

import sys
from typing import Any

from local.cli import stack
from local.cli.accounts import named
from local.cli.operations.hub import DeployedHub
from local.cli.output import Output


def variables(hub: DeployedHub, output: Output) -> int:
    """Write variables by function and name, as the one document on stdout."""
    print(f"Of stack {hub.stack_name} of {named(hub.account)}", file=sys.stderr)
    output.document(function_variables(hub))
    return 0


def function_variables(hub: DeployedHub) -> dict[str, dict[str, str]]:
    """The variables of each function by its logical id.

    Without them SAM resolves references to resources to their logical ids, which no function takes for
    settings.
    """
    lambdas: Any = hub.client("lambda")
    return {
        name: lambdas.get_function_configuration(FunctionName=deployed)
        .get("Environment", {})
        .get("Variables", {})
        for name, deployed in sorted(stack.functions(hub.account, hub.stack_name).items())
    }
