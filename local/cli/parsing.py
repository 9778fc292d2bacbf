"""The parser of the command line, which takes options between words as well as before and after them."""

import argparse
from collections.abc import Sequence
from typing import Any


def positive(text: str) -> int:
    """The number, 1 or more, that an option takes; raises ArgumentTypeError, which argparse shows."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of 1 or more")
    return int(text)


class Parser(argparse.ArgumentParser):
    """argparse gives the words after an option to nobody when an argument takes any number of words. Here
    they go to that argument: `quarantine show --aws KEY` is `quarantine --aws show KEY`."""

    def parse_known_args(  # type: ignore[override]
        self, args: Sequence[str] | None = None, namespace: Any = None
    ) -> tuple[argparse.Namespace, list[str]]:
        parsed, left = super().parse_known_args(args, namespace)
        takers = [action for action in self._actions if not action.option_strings and action.nargs == "*"]
        if takers:
            words = [word for word in left if not word.startswith("-")]
            left = [word for word in left if word.startswith("-")]
            setattr(parsed, takers[0].dest, [*getattr(parsed, takers[0].dest), *words])
        return parsed, left
