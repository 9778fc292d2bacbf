"""How a private name of a pinned package is replaced: it must exist, and it is replaced once."""

from __future__ import annotations

import importlib.metadata
import sys
from typing import Any

_shipped: dict[tuple[Any, str], Any] = {}


class PrivateNameMissingError(RuntimeError):
    """A private name that the local Step Functions engine replaces is not in the installed package."""

    def __init__(self, owner: Any, name: str, package: str = "moto") -> None:
        version = importlib.metadata.version(package)
        where = getattr(owner, "__qualname__", None) or getattr(owner, "__name__", repr(owner))
        super().__init__(
            f"{package} {version} has no {where}.{name}, which the local Step Functions engine replaces. "
            f"Install the pinned version ({package} in requirements/), or bring the patch up to date."
        )


def original(owner: Any, name: str, package: str = "moto") -> Any:
    """The attribute as the package ships it, even after it was replaced.

    Raises PrivateNameMissingError when the package does not have it.
    """
    if (owner, name) in _shipped:
        return _shipped[owner, name]
    if name not in vars(owner):
        raise PrivateNameMissingError(owner, name, package)
    return vars(owner)[name]


def replace(owner: Any, name: str, replacement: Any, package: str = "moto") -> None:
    """Put a replacement in the place of an attribute that must exist; doing it again changes nothing."""
    _shipped[owner, name] = original(owner, name, package)
    setattr(owner, name, replacement)


def add_method(owner: Any, name: str, method: Any) -> None:
    """Give a class an override of what it inherits; it must inherit it."""
    if not hasattr(owner, name):
        raise PrivateNameMissingError(owner, name)
    setattr(owner, name, method)


def replace_imports(owner: Any, name: str, package: str) -> None:
    """Let every module of a package that imported a replaced function by name have the replacement too."""
    shipped, replacement = original(owner, name), getattr(owner, name)
    for module_name, module in list(sys.modules.items()):
        if module_name.startswith(package) and vars(module).get(name) is shipped:
            setattr(module, name, replacement)
