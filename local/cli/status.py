"""`status`: what runs, what is deployed and stored, what was run, and what to do next."""

from collections.abc import Mapping
from typing import Any

from local.account import lifecycle, state_file
from local.account.clients import client
from local.account.state_file import RunningAccount
from local.cli import stack
from local.cli.executions import Executions
from local.cli.fhir_client import FhirClient
from local.cli.output import Output
from local.cli.project import Project, command_line
from local.cli.sam import local_environment

RECENT = 5
LABELS = {
    "region": "region",
    "policiesEnforced": "IAM policies enforced",
    "startedAt": "started at",
    "log": "log",
    "stack": "stack",
    "stackStatus": "stack status",
}


def status(project: Project, output: Output) -> int:
    """Show the account; 0 when it runs, 1 when it does not."""
    account = lifecycle.find(project.account_dir)
    if account is None:
        return _not_running(project, output)
    stack_name = local_environment(project.samconfig).stack_name
    deployed = stack.describe(account, stack_name)
    outputs = {item["OutputKey"]: item["OutputValue"] for item in (deployed or {}).get("Outputs", [])}
    document: dict[str, Any] = {
        "running": True,
        "answers": lifecycle.answers(account),
        "endpoint": account.endpoint,
        "port": account.port,
        "pid": account.pid,
        "region": account.region,
        "policiesEnforced": account.auth,
        "startedAt": account.started_at,
        "log": str(account.log_file),
        "stack": stack_name,
        "stackStatus": deployed["StackStatus"] if deployed else "not deployed",
        "outputs": outputs,
        "datastores": _datastores(account),
        "executions": _executions(account, outputs),
    }
    _show(document, output)
    output.document(document)
    return 0


def _not_running(project: Project, output: Output) -> int:
    left = state_file.read(project.account_dir)
    starting = state_file.read_process(project.account_dir)
    document: dict[str, Any] = {"running": False}
    if left is None and starting is not None and lifecycle.runs(starting):
        document |= {"starting": True, "pid": starting.pid}
        output.line(f"The local account is starting (process {starting.pid}).")
        output.line("If no other command starts it now: `make up` starts it anew, `make down` stops it.")
    elif left is None:
        output.line("The local account is not running. Start it with `make up`.")
    else:
        document |= {"died": True, "log": str(left.log_file)}
        output.bad(f"The local account has died (process {left.pid}, started {left.started_at}).")
        output.line(
            f"Its log is {left.log_file}. Start it again with `make up`, or clear it with `make down`."
        )
    output.document(document)
    return 1


def _show(document: Mapping[str, Any], output: Output) -> None:
    answering = "" if document["answers"] else ", but it does not answer"
    output.good(f"The local account runs at {document['endpoint']} (process {document['pid']}{answering})")
    output.fields({label: document[name] for name, label in LABELS.items()})
    if document["outputs"]:
        output.line()
        output.table("Stack outputs", ("output", "value"), list(document["outputs"].items()))
    for datastore in document["datastores"]:
        output.line()
        output.line(f"Datastore {datastore['id']} ({datastore['status']})", style="bold")
        total = sum(datastore["resources"].values())
        output.table("", ("type", "resources"), [*datastore["resources"].items(), ("all", total)])
    output.line()
    if document["executions"]:
        columns = ("execution", "status", "started")
        rows = [[execution[name] for name in columns] for execution in document["executions"]]
        output.table("Recent executions", columns, rows)
        output.line()
    _show_next_step(document, output)


def _show_next_step(document: Mapping[str, Any], output: Output) -> None:
    stored = any(datastore["resources"] for datastore in document["datastores"])
    if not document["outputs"]:
        output.line("Next: deploy the application with `make up`.")
    elif not stored:
        output.line(f"Next: load resources with `{command_line()} load <folder>`.")
    else:
        output.line(f"Next: `{command_line()} export`, `{command_line()} logs`, or `make down`.")


def _datastores(account: RunningAccount) -> list[dict[str, Any]]:
    found = client(account, "healthlake").list_fhir_datastores()["DatastorePropertiesList"]
    return [
        {
            "id": datastore["DatastoreId"],
            "status": datastore["DatastoreStatus"],
            "endpoint": datastore["DatastoreEndpoint"],
            "resources": _counts(account, datastore) if datastore["DatastoreStatus"] == "ACTIVE" else {},
        }
        for datastore in found
    ]


def _counts(account: RunningAccount, datastore: Mapping[str, Any]) -> dict[str, int]:
    """Resources by type, of the types that have any."""
    fhir = FhirClient(account, datastore["DatastoreEndpoint"])
    types = [entry["type"] for entry in fhir.get("metadata").document()["rest"][0]["resource"]]
    counts = {name: int(fhir.get(f"{name}?_summary=count").document().get("total", 0)) for name in types}
    return {name: count for name, count in counts.items() if count}


def _executions(account: RunningAccount, outputs: Mapping[str, str]) -> list[dict[str, Any]]:
    arn = outputs.get("ExportStateMachineArn")
    if arn is None:
        return []
    return [
        {
            "execution": execution["name"],
            "status": execution["status"],
            "started": execution["startDate"].isoformat(timespec="seconds"),
        }
        for execution in Executions(account, arn).recent(RECENT)
    ]
