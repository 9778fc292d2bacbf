"""`python -m local.soak`: what takes too long for `make test`.

`permissions` takes those of the deployed stack away, one at a time, that a local account can show.
`faults` lets hundreds of runs of the export workflow meet faults drawn at random from a seed, `redrive` as
many of the redrive workflow; `streams` follows thousands of writes to tables. The functions have to be
importable: PYTHONPATH=functions.
"""

from __future__ import annotations

import argparse
import random
import sys
from collections.abc import Sequence
from typing import Any

from local.account import signals
from local.cli.errors import CommandError
from local.cli.output import Output

LARGEST_SEED = 1_000_000
RUNS = 200


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what was asked for; 0 when everything held, 1 when something did not, 130 after Ctrl-C."""
    options = _parser().parse_args(arguments)
    output = Output(as_json=options.json)
    try:
        with signals.interrupting():
            document = _soak(options, output)
    except CommandError as error:
        output.bad(str(error))
        return 1
    except KeyboardInterrupt:
        output.bad("Interrupted; nothing is left running.")
        return 130
    output.document(document)
    return 1 if any(part["problems"] for part in document.values()) else 0


def _soak(options: argparse.Namespace, output: Output) -> dict[str, Any]:
    document: dict[str, Any] = {}
    seed = options.seed if options.seed is not None else random.randrange(LARGEST_SEED)  # noqa: S311
    if options.part in ("all", "faults"):
        from local.soak.faults.command import exports

        document["faults"] = exports().run(output, options.runs or RUNS, seed)
    if options.part in ("all", "redrive"):
        from local.soak.redrive.command import redrives

        document["redrive"] = redrives().run(output, options.runs or RUNS, seed)
    if options.part in ("all", "streams"):
        from local.soak.streams.command import WRITES, follow_writes

        document["streams"] = follow_writes(output, options.runs or WRITES, seed)
    if options.part in ("all", "permissions"):
        from local.soak.permissions import command as permissions

        removals = permissions.take_permissions_away(output, options.only)
        document["permissions"] = permissions.report(removals, output)
    return document


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m local.soak", description=__doc__)
    parts = ["all", "permissions", "faults", "redrive", "streams"]
    parser.add_argument("part", nargs="?", choices=parts, default="all")
    parser.add_argument(
        "--runs",
        type=int,
        help=f"runs of each workflow ({RUNS} if not given), or writes of `streams` (10,000)",
    )
    parser.add_argument("--seed", type=int, help="what the faults are drawn from; drawn itself if not given")
    parser.add_argument(
        "--only", default="", help="only permissions that this regular expression is found in"
    )
    parser.add_argument("--json", action="store_true", help="write one JSON document and nothing else")
    return parser


if __name__ == "__main__":
    sys.exit(main())
