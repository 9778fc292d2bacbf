"""Which requests count as secure transport.

Bucket policies, SAM's managed bucket among them, refuse requests with `aws:SecureTransport` false. A request
over the loopback interface never leaves the machine, so the local account counts it as secure, the way a load
balancer that terminates TLS does: by X-Forwarded-Proto. A request that says `http` there stays insecure.

AWS documentation: «AWS global condition context keys» (aws:SecureTransport).
"""

from collections.abc import Awaitable, Callable, MutableMapping
from ipaddress import ip_address
from typing import Any

Scope = MutableMapping[str, Any]
Application = Callable[
    [Scope, Callable[[], Awaitable[Any]], Callable[[Any], Awaitable[None]]], Awaitable[None]
]

FORWARDED_PROTOCOL = b"x-forwarded-proto"


def counting_loopback_as_secure(application: Application) -> Application:
    """The ASGI application, with requests from the loopback interface marked as secure transport."""

    async def marked(scope: Scope, receive: Any, send: Any) -> None:
        if scope["type"] == "http" and is_loopback(scope.get("client")) and not _names_protocol(scope):
            scope = {**scope, "headers": [*scope["headers"], (FORWARDED_PROTOCOL, b"https")]}
        await application(scope, receive, send)

    return marked


def is_loopback(client: tuple[str, int] | None) -> bool:
    """Whether a peer is on this machine's loopback interface; an unknown peer is not."""
    return client is not None and ip_address(client[0]).is_loopback


def _names_protocol(scope: Scope) -> bool:
    return any(name.lower() == FORWARDED_PROTOCOL for name, _ in scope["headers"])
