"""Typed reading of a function's environment variables.

Settings are read once per cold start, by the handler's first call and never at import, so that a
missing variable is an error of one invocation which names the variable, and not an import failure.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from common.errors import InvalidSetting


@dataclass(frozen=True)
class Environment:
    """Reads values out of `variables`; every reader raises `InvalidSetting` naming the variable."""

    variables: Mapping[str, str]

    def text(self, name: str) -> str:
        """The value of `name`, stripped; it may not be empty."""
        value = self.variables.get(name, "").strip()
        if not value:
            raise InvalidSetting(f"The setting {name} is missing: set it in the function's environment.")
        return value

    def matching(self, name: str, pattern: str, expected: str) -> str:
        """The value of `name`, which must match `pattern` as a whole; `expected` says so in words."""
        value = self.text(name)
        if not re.fullmatch(pattern, value):
            raise InvalidSetting(f"The setting {name} is {value[:200]!r}, but must be {expected}.")
        return value

    def integer(self, name: str, *, minimum: int, maximum: int) -> int:
        """The value of `name` as a whole number between `minimum` and `maximum`, both included."""
        value = self.text(name)
        expected = f"a whole number from {minimum} to {maximum}"
        try:
            number = int(value)
        except ValueError:
            raise InvalidSetting(f"The setting {name} is {value!r}, but must be {expected}.") from None
        if not minimum <= number <= maximum:
            raise InvalidSetting(f"The setting {name} is {number}, but must be {expected}.")
        return number

    def choice(self, name: str, *allowed: str) -> str:
        """The value of `name`, which must be one of `allowed`."""
        value = self.text(name)
        if value not in allowed:
            raise InvalidSetting(f"The setting {name} is {value!r}, but must be one of {', '.join(allowed)}.")
        return value
