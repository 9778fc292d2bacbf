"""Why a resource was not written."""

from __future__ import annotations

from common.errors import HubError


class FhirWriteBusy(HubError):
    """HealthLake is busy or did not answer; the message stays in its queue. `ended` says whether the request
    is known to have ended: one whose answer was lost may still arrive."""

    def __init__(self, message: str, *, ended: bool = True) -> None:
        super().__init__(message)
        self.ended = ended


class FhirWriteLost(FhirWriteBusy):
    """HealthLake may still be going to create the resource; until it cannot any more, nobody writes it."""

    def __init__(self) -> None:
        super().__init__("The answer to the creation of a resource was lost.", ended=False)


class FhirWriteDenied(HubError):
    """HealthLake takes no write from this function, whatever it is: a permission is missing, or the
    datastore."""


class FhirWriteContended(HubError):
    """The resource changes in HealthLake faster than it is written, or another worker is writing it."""


class ResourceUnmappable(HubError):
    """The items of a resource cannot be made into one; the message says why, without their content."""


class ResourceRefused(HubError):
    """HealthLake refuses this resource as it is, and says why in `answer`, which may quote the resource;
    neither that nor the `resource` is part of the message."""

    def __init__(self, operation: str, status: int, answer: bytes, resource: bytes) -> None:
        super().__init__(f"HealthLake refused {operation} with {status}.")
        self.operation = operation
        self.status = status
        self.answer = answer
        self.resource = resource
