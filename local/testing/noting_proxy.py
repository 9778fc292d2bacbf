"""A proxy that shows whether a program calls anybody."""

from __future__ import annotations

import socket
import threading
from typing import Self

from local.testing.patience import PATIENCE_SECONDS


class NotingProxy:
    """Notes the first line of every request and answers none, from entry to exit of the context."""

    def __init__(self) -> None:
        self.requests: list[str] = []
        self._server = socket.create_server(("127.0.0.1", 0))
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        self._thread.join(PATIENCE_SECONDS)

    @property
    def variables(self) -> dict[str, str]:
        """Environment variables that send every request for another host here."""
        address = f"http://127.0.0.1:{self._server.getsockname()[1]}"
        names = ("HTTPS_PROXY", "HTTP_PROXY", "https_proxy", "http_proxy")
        return {"NO_PROXY": "", "no_proxy": ""} | dict.fromkeys(names, address)

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._server.accept()
            except OSError:
                return
            with connection:
                self.requests.append(connection.recv(200).decode("latin-1").partition("\r\n")[0])
