"""A service of its own beside ministack's: how requests find it."""

import json
import sys
from collections.abc import Awaitable, Callable, Mapping
from types import ModuleType
from typing import Any

from local.account.ministack_names import ministack

Answer = tuple[int, dict[str, str], bytes]
Handler = Callable[[str, str, dict[str, str], bytes, Mapping[str, Any]], Awaitable[Answer]]


def json_answer(status: int, document: Mapping[str, Any]) -> Answer:
    """The answer that is a JSON document."""
    return status, {"content-type": "application/json"}, json.dumps(document).encode()


def join_service(
    name: str, handler: Handler, path_prefixes: tuple[str, ...], reset: Callable[[], None] = lambda: None
) -> None:
    """Let `handler` answer the requests of service `name`, and those whose path begins with one of the
    prefixes, which nothing else need tell. The service keeps its state itself; `reset` drops it."""
    app = ministack("ministack.app")
    router = ministack("ministack.core.router")
    module = ModuleType(f"ministack.services.{name}")
    module.__dict__.update(
        handle_request=handler,
        reset=reset,
        get_state=lambda: None,
        load_persisted_state=lambda _data: None,
    )
    sys.modules[module.__name__] = module
    app._loaded_modules[name] = module
    app.SERVICE_REGISTRY[name] = {"module": name}
    app.SERVICE_HANDLERS[name] = handler
    app._state_map = app._registry_state_map()
    detect = router.detect_service

    def detect_service(
        method: str, path: str, headers: dict[str, str], query_params: Mapping[str, Any]
    ) -> str:
        # Without a signature there is no scope to route by, and S3 would take the path for a bucket's.
        detected: str = (
            name if path.startswith(path_prefixes) else detect(method, path, headers, query_params)
        )
        return detected

    router.detect_service = app.detect_service = detect_service
