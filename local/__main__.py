"""`python -m local`: the local AWS account, its data and its runs."""

import sys


def run() -> int:
    """Run the command line; with an interpreter that lacks what it needs, say which one has it."""
    try:
        from local.cli.main import main
        from local.demo.options import add_demo
    except ModuleNotFoundError as error:
        print(f"This Python has no module {error.name}: {sys.executable}", file=sys.stderr)
        print("Run `make setup`, then use .venv/bin/python -m local", file=sys.stderr)
        return 1
    return main(sys.argv[1:], more=[add_demo])


if __name__ == "__main__":
    sys.exit(run())
