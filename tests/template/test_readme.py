"""What the README says of the template is what the template says."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
ROW = re.compile(r"^\| `(\w+)` \| (?:`(.*?)`)? ?\| (.+) \|$", re.MULTILINE)


def parameters_told() -> dict[str, str]:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    section = readme.split("### Parameters", 1)[1].split("\n## ", 1)[0]
    return {name: default for name, default, _ in ROW.findall(section)}


def test_every_parameter_stands_in_the_readme_with_its_default(template: dict[str, Any]) -> None:
    declared = {name: str(one.get("Default", "")) for name, one in template["Parameters"].items()}
    assert parameters_told() == declared
