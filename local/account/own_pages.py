"""The account's own pages, below /_local: what no service of AWS has, asked over HTTP."""

import urllib.request

from local.account.state_file import RunningAccount

_opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
"""The account is on this machine: whatever proxy the user has knows nothing of it."""


def ask(account: RunningAccount, path: str, method: str, body: bytes | None = None) -> bytes:
    """The answer of one of the account's own pages. Raises urllib.error.HTTPError for a refusal."""
    request = urllib.request.Request(f"{account.endpoint}{path}", body, method=method)  # noqa: S310
    with _opener.open(request) as answer:
        content: bytes = answer.read()
    return content
