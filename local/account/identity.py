"""Says which account answers on a port: `GET /_local/account`.

A port in a state file may since have been taken by another program or by another copy of the repository; what
answers there is believed only when it names the same process and state directory.
"""

import json
import os
from collections.abc import Mapping
from typing import Any

from local.account.secure_transport import Application, Scope
from local.account.settings import AccountSettings

PATH = "/_local/account"


def answering_identity(application: Application, settings: AccountSettings) -> Application:
    """The ASGI application, which also answers who it is."""
    body = json.dumps(identity(settings, os.getpid())).encode()

    async def answering(scope: Scope, receive: Any, send: Any) -> None:
        if scope["type"] != "http" or scope["path"] != PATH:
            await application(scope, receive, send)
            return
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    return answering


def identity(settings: AccountSettings, pid: int) -> Mapping[str, object]:
    return {"pid": pid, "stateDir": str(settings.state_dir), "region": settings.region, "auth": settings.auth}
