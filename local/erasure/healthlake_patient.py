"""Whether the datastore still has the patient: what it has, the next export brings back.

Follows «Reading a FHIR resource» and, for what erases there, «Removing Patient Compartment Resources with
$purge» and «Permanently Removing Resources with $erase» of the AWS HealthLake Developer Guide.
"""

from enum import StrEnum
from typing import Any
from urllib.parse import quote

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.exceptions import BotoCoreError, HTTPClientError
from botocore.httpsession import URLLib3Session

_SERVICE = "healthlake"
_SECONDS = 20


class InHealthLake(StrEnum):
    """What HealthLake says of the patient."""

    PRESENT = "present"
    DELETED = "deleted"
    ABSENT = "absent"
    UNKNOWN = "unknown"


def patient_in_healthlake(session: Any, endpoint: str, datastore_id: str, patient_id: str) -> InHealthLake:
    """What the datastore says of Patient/<id>. One that was only deleted keeps its versions in HealthLake;
    UNKNOWN when HealthLake refuses to say or does not answer."""
    path = f"/datastore/{quote(datastore_id)}/r4/Patient/{quote(patient_id)}"
    request = AWSRequest("GET", endpoint.rstrip("/") + path, headers={"Accept": "application/fhir+json"})
    credentials = session.get_credentials()
    if credentials is None:
        return InHealthLake.UNKNOWN
    SigV4Auth(credentials, _SERVICE, session.region_name).add_auth(request)
    try:
        status = URLLib3Session(timeout=_SECONDS).send(request.prepare()).status_code
    except (HTTPClientError, BotoCoreError):
        return InHealthLake.UNKNOWN
    answers = {200: InHealthLake.PRESENT, 404: InHealthLake.ABSENT, 410: InHealthLake.DELETED}
    return answers.get(status, InHealthLake.UNKNOWN)


def how_to_erase(patient_id: str) -> tuple[str, ...]:
    """The requests that erase the patient in HealthLake itself, below the datastore's endpoint."""
    return (
        f"POST Patient/{patient_id}/$purge?deleteAuditEvent=true",
        f"POST Patient/{patient_id}/$erase?deleteAuditEvent=true",
    )
