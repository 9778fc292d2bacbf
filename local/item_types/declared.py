"""The declared item types, as names of resources and alarms need them."""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

DECLARATION = Path("functions/change_stream/item_types.json")

# Letters alone: alarms are named in lower case with dashes, and a number has no place in such a name. 24 of
# them leave room in the name of a rule for that of a stack.
_NAME = re.compile(r"[A-Z][a-zA-Z]{0,23}")


class DeclarationError(Exception):
    """The declaration cannot be used; the message says why."""


@dataclass(frozen=True)
class DeclaredType:
    """An item type; `resource` is the FHIR resource that its items become or belong to, if any."""

    name: str
    description: str
    resource: str | None

    @property
    def kebab(self) -> str:
        """The name as alarms have it: `BloodSample` is `blood-sample`."""
        return re.sub(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "-", self.name).lower()

    @property
    def camel(self) -> str:
        """The name with a small first letter, as ids of metrics have it."""
        return self.name[0].lower() + self.name[1:]


def read_declared(text: str) -> list[DeclaredType]:
    """The types of a declaration in its order; raises `DeclarationError` where names of resources could not
    be made of them. Their mappings are checked elsewhere, by the schema."""
    types = [
        DeclaredType(one["name"], one["description"], one["fhir"]["resource"] if one["fhir"] else None)
        for one in json.loads(text)
    ]
    for one in types:
        if not _NAME.fullmatch(one.name):
            raise DeclarationError(
                f"{one.name!r} is no name of an item type: a capital, then up to 23 letters."
            )
    for names in (Counter(one.name for one in types), Counter(one.kebab for one in types)):
        name, count = names.most_common(1)[0] if names else ("", 0)
        if count > 1:
            raise DeclarationError(f"{name} is declared {count} times.")
    return types
