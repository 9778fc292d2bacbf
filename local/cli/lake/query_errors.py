"""Why a query was not run, in words, and what helps.

Follows the Athena user guide, «Troubleshoot issues in Athena» and «Use data usage controls»; the names before
the colon are Trino's error codes.
"""

from __future__ import annotations

import re

from botocore.exceptions import ClientError

from local.cli.errors import CommandError
from local.cli.lake.prices import bytes_text
from local.cli.refusals import refusal

TABLES = "The lake has the tables fhir, fhir_current and, after `compact`, fhir_latest."
COLUMNS = (
    "Columns: id, version_id, last_updated, patient_ids, datastore_id, run_id, resource, resource_type, "
    "export_date. What else a resource has is in `resource`: json_extract_scalar(resource, '$.status')."
)
NARROWER = (
    "Let it read less: where resource_type = 'Patient' and export_date >= '2026-11-01', fewer columns, or "
    "fhir_latest in place of fhir_current. The limit is the parameter QueryScanLimitGigabytes."
)
_HELP = {
    "TABLE_NOT_FOUND": TABLES,
    "SCHEMA_NOT_FOUND": TABLES,
    "COLUMN_NOT_FOUND": COLUMNS,
    "FUNCTION_NOT_FOUND": "Athena has the functions of Trino; the local account has those that FHIR needs.",
    "CONSTRAINT_VIOLATION": "Name a value for the partition: where resource_type = 'Patient'.",
    "INVALID_CAST_ARGUMENT": "try_cast gives NULL where cast fails.",
    "TYPE_MISMATCH": "Cast what is compared: cast(… as bigint), cast(… as timestamp).",
}
_CODE = re.compile(r"([A-Z][A-Z_]+): (?:line (\d+):(\d+): )?(.*)", re.DOTALL)
_DENIED = re.compile(r"not authorized to perform|access denied|permission denied", re.IGNORECASE)
_ATTACH = (
    "Have the policy attached that the stack's output LakeReaderPolicyArn names, or use another --profile."
)


def not_run(state: str, reason: str, scanned: int) -> CommandError:
    """The error for a query that ended as FAILED or CANCELLED."""
    if "bytes scanned limit" in reason.lower():
        read = f", {bytes_text(scanned)}" if scanned else ""
        return CommandError(
            f"The query reads more than its workgroup allows{read}: Athena stopped it.", NARROWER
        )
    if _DENIED.search(reason):
        return CommandError(f"Not allowed: {reason}", _ATTACH)
    if state == "CANCELLED":
        return CommandError(f"The query was stopped: {reason or 'nobody says why'}")
    found = _CODE.match(reason)
    if found is None:
        return CommandError(f"The query failed: {reason or 'Athena does not say why'}")
    code, line, column, says = found.groups()
    where = f" (line {line}, column {column})" if line else ""
    return CommandError(f"{says.strip().rstrip('.')}{where}.", _HELP.get(code, f"Athena calls it {code}."))


def refused(error: ClientError) -> Exception:
    """The error for a query that Athena did not take."""
    told = error.response["Error"]
    known = refusal(error)
    if known is not None:
        denied = known.what.startswith("Not allowed")
        return CommandError(known.what, _ATTACH if denied else known.todo)
    if error.response.get("AthenaErrorCode") == "MALFORMED_QUERY" or "mismatched input" in told["Message"]:
        return CommandError(f"Athena does not read this as SQL: {told['Message']}", "Quote text with '…'.")
    if told["Code"] == "InvalidRequestException":
        return CommandError(f"Athena does not take the query: {told['Message']}")
    return error
