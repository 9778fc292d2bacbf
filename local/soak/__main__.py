"""`python -m local.soak`: what takes too long for `make test`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from local.cli.errors import CommandError
from local.cli.output import Output
from local.soak.permissions import command as permissions


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what was asked for; 0 when everything held, 1 when something did not."""
    parser = argparse.ArgumentParser(prog="python -m local.soak", description=__doc__)
    parser.add_argument("part", nargs="?", choices=["all", "permissions", "faults"], default="all")
    parser.add_argument("--json", action="store_true", help="write one JSON document")
    parser.add_argument("--only", default="", help="permissions with this in their name")
    options = parser.parse_args(arguments)
    output = Output(as_json=options.json)
    try:
        document = {
            "permissions": permissions.report(permissions.take_permissions_away(output, options.only), output)
        }
    except CommandError as error:
        output.bad(str(error))
        return 1
    output.document(document)
    return 0


if __name__ == "__main__":
    sys.exit(main())
