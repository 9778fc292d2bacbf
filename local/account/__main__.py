"""`python -m local.account`: serve one local account in the foreground."""

import argparse
import sys
from pathlib import Path

from local.account.ministack_names import MinistackNameMissing
from local.account.server import run
from local.account.settings import DEFAULT_PORT, DEFAULT_REGION, PARTS, AccountSettings


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m local.account", description=__doc__)
    parser.add_argument(
        "--port", type=int, default=DEFAULT_PORT, help="port of 127.0.0.1 to serve on (%(default)s)"
    )
    parser.add_argument(
        "--state-dir", type=Path, required=True, help="folder for everything the account writes"
    )
    parser.add_argument("--region", default=DEFAULT_REGION, help="the account's region (%(default)s)")
    parser.add_argument("--no-auth", action="store_true", help="do not enforce IAM policies")
    parser.add_argument("--parts", nargs="*", choices=PARTS, default=PARTS, help="parts to join to ministack")
    options = parser.parse_args()
    settings = AccountSettings(
        port=options.port,
        state_dir=options.state_dir.resolve(),
        auth=not options.no_auth,
        region=options.region,
        parts=tuple(options.parts),
    )
    try:
        run(settings)
    except MinistackNameMissing as error:
        print(f"The local account cannot start: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
