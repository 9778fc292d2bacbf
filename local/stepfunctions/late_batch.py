"""AWS Batch and EC2, imported when somebody uses them.

moto's engine imports an enumeration of its Batch, whose package imports all of EC2: half of what a start of
the account takes, for tasks that no workflow here has.
"""

import sys
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

NAME = "moto.batch"


def import_batch_late() -> None:
    """Let `import moto.batch` be cheap until its backends are asked for; nothing, once it is imported."""
    moto = find_spec("moto")
    if NAME in sys.modules or moto is None or not moto.submodule_search_locations:
        return
    package = ModuleType(NAME)
    package.__path__ = [str(Path(place) / "batch") for place in moto.submodule_search_locations]
    package.__getattr__ = _backends  # type: ignore[method-assign]
    sys.modules[NAME] = package


def _backends(name: str) -> object:
    if name != "batch_backends":
        raise AttributeError(f"module {NAME!r} has no attribute {name!r}")
    return import_module(f"{NAME}.models").batch_backends
