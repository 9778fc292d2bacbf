"""What was built, archived once.

SAM archives and hashes the folder of each function and layer whenever it deploys: the hundred megabytes of a
layer, and one folder for each function though all of them are built from the same code. A template that names
archives is deployed without that, and is read in no time if it is JSON. Archives are kept with what SAM
caches, by what is in them.
"""

import json
import os
import time
import zipfile
from pathlib import Path
from typing import Any

from local.cli.fingerprint import fingerprint

TEMPLATE = "archived.json"
_NAMES = ("CodeUri", "ContentUri")
_KEPT_SECONDS = 30 * 24 * 3600


def archive(build_dir: Path, archives: Path) -> None:
    """Archive what the built template names, unless that was done, and write one that names the archives."""
    from samcli.yamlhelper import yaml_parse  # takes longer to import than most commands need

    template: dict[str, Any] = yaml_parse((build_dir / "template.yaml").read_text(encoding="utf-8"))
    archives.mkdir(parents=True, exist_ok=True)
    for resource in template["Resources"].values():
        properties = resource.get("Properties", {})
        for name in _NAMES:
            folder = properties.get(name)
            if isinstance(folder, str) and (build_dir / folder).is_dir():
                properties[name] = str(_archived(build_dir / folder, archives))
    (build_dir / TEMPLATE).write_text(json.dumps(template), encoding="utf-8")
    _forget_old(archives)


def _archived(folder: Path, archives: Path) -> Path:
    target = archives / f"{fingerprint(folder, ['.'])}.zip"
    if target.is_file():
        target.touch()
        return target
    unfinished = archives / f"{target.name}.{os.getpid()}"
    # quick instead of small: it goes no further than the account on the same machine
    with zipfile.ZipFile(unfinished, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as written:
        for file in sorted(folder.rglob("*")):
            written.write(file, file.relative_to(folder))
    unfinished.replace(target)
    return target


def _forget_old(archives: Path) -> None:
    oldest = time.time() - _KEPT_SECONDS
    for file in archives.iterdir():
        if file.stat().st_mtime < oldest:
            file.unlink()
