"""When to build and deploy, and with which parameters."""

import json
import os
import threading
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from local.account.host import architecture, python_runtime
from local.cli.archives import TEMPLATE, archive
from local.cli.errors import CommandError
from local.cli.fingerprint import fingerprint
from local.cli.project import Project
from local.cli.sam import Sam, local_environment, require_wheels


def _samconfig(folder: Path, overrides: str) -> Path:
    file = folder / "samconfig.toml"
    file.write_text(f'[local.deploy.parameters]\nstack_name = "hub"\nparameter_overrides = {overrides}\n')
    return file


@pytest.mark.parametrize(
    "overrides", ['"A=1 PythonRuntime=python3.13"', '["A=1", "PythonRuntime=python3.13"]']
)
def test_the_running_interpreter_chooses_runtime_and_architecture(tmp_path: Path, overrides: str) -> None:
    environment = local_environment(_samconfig(tmp_path, overrides))

    assert environment.stack_name == "hub"
    assert environment.parameters == {
        "A": "1",
        "PythonRuntime": python_runtime(),
        "Architecture": architecture(),
    }


def test_a_missing_environment_is_told_by_name(tmp_path: Path) -> None:
    file = tmp_path / "samconfig.toml"
    file.write_text("version = 0.1\n")

    with pytest.raises(CommandError, match=r"no readable environment \[local\]"):
        local_environment(file)


def test_an_interpreter_that_a_layer_has_no_wheel_for_is_told_which_ones_it_has(tmp_path: Path) -> None:
    (tmp_path / "layers" / "parquet" / "wheels" / "python3.13-arm64").mkdir(parents=True)

    require_wheels(tmp_path, {"PythonRuntime": "python3.13", "Architecture": "arm64"})
    with pytest.raises(
        CommandError, match=r"layers/parquet/wheels names no wheel for python3\.15-arm64"
    ) as told:
        require_wheels(tmp_path, {"PythonRuntime": "python3.15", "Architecture": "arm64"})

    assert "Install the project with one of python3.13:" in told.value.todo


def test_a_fingerprint_changes_with_contents_names_and_parameters(tmp_path: Path) -> None:
    (tmp_path / "functions").mkdir()
    source = tmp_path / "functions" / "a.py"
    source.write_text("one")
    seen = {fingerprint(tmp_path, ["functions", "layers"])}

    source.write_text("two")
    seen.add(fingerprint(tmp_path, ["functions", "layers"]))
    source.rename(tmp_path / "functions" / "b.py")
    seen.add(fingerprint(tmp_path, ["functions", "layers"]))
    (tmp_path / "layers").write_text("")
    seen.add(fingerprint(tmp_path, ["functions", "layers"]))
    seen.add(fingerprint(tmp_path, ["functions", "layers"], ["Parameter=1"]))

    assert len(seen) == 5


def test_byte_code_is_no_change(tmp_path: Path) -> None:
    (tmp_path / "functions" / "__pycache__").mkdir(parents=True)
    before = fingerprint(tmp_path, ["functions"])

    (tmp_path / "functions" / "__pycache__" / "a.pyc").write_text("")

    assert fingerprint(tmp_path, ["functions"]) == before


def test_the_build_for_the_laptop_stays_out_of_the_one_for_aws(tmp_path: Path) -> None:
    project = Project(tmp_path)

    assert project.local_dir in project.build_dir.parents
    assert ".aws-sam" not in str(project.build_dir)


def _built(folder: Path, **resources: str) -> Path:
    """A build of resources, by name, whose code is so."""
    lines = ["Globals:", "  Function:", "    CodeUri: functions/", "Resources:"]
    for name, text in resources.items():
        (folder / name / "python").mkdir(parents=True)
        (folder / name / "python" / "code.py").write_text(text)
        lines += [f"  {name}:", "    Properties:", f"      CodeUri: {name}", "      Role: !GetAtt Role.Arn"]
    (folder / "template.yaml").write_text("\n".join(lines))
    return folder


def test_functions_that_are_built_alike_are_archived_once(tmp_path: Path) -> None:
    built, archives = _built(tmp_path / "built", A="same", B="same", C="other"), tmp_path / "archives"

    archive(built, archives)

    template = json.loads((built / TEMPLATE).read_text())
    first, second, third = (one["Properties"]["CodeUri"] for one in template["Resources"].values())
    assert first == second
    assert sorted(archives.iterdir()) == sorted([Path(first), Path(third)])
    with zipfile.ZipFile(first) as opened:
        assert opened.read("python/code.py") == b"same"
    assert template["Resources"]["A"]["Properties"]["Role"] == {"Fn::GetAtt": ["Role", "Arn"]}
    assert template["Globals"] == {"Function": {"CodeUri": "functions/"}}


def test_what_has_not_changed_is_not_archived_again_and_what_is_old_is_forgotten(tmp_path: Path) -> None:
    built, archives = _built(tmp_path / "built", A="same"), tmp_path / "archives"
    archive(built, archives)
    (before,) = archives.iterdir()
    old = archives / "old.zip"
    old.touch()
    os.utime(old, (0, 0))
    kept = before.stat().st_ino

    archive(built, archives)

    assert [(file.name, file.stat().st_ino) for file in archives.iterdir()] == [(before.name, kept)]


def test_copies_of_a_project_that_share_what_sam_caches_build_one_after_the_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "cache").mkdir()
    together = threading.Barrier(2)
    met: list[bool] = []

    def build(sam: Sam, *_arguments: object) -> None:
        sam.project.build_dir.mkdir(parents=True)
        (sam.project.build_dir / "template.yaml").write_text("Resources: {}")
        try:
            together.wait(timeout=0.3)
        except threading.BrokenBarrierError:
            return
        met.append(True)

    monkeypatch.setattr(Sam, "_run", build)
    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(lambda name: _copy(tmp_path, name).build(print), ["one", "other"])) == [True] * 2

    assert met == []


def _copy(folder: Path, name: str) -> Sam:
    """A project in a folder of its own, with the cache of all."""
    root = folder / name
    root.mkdir()
    (root / ".cache").symlink_to(folder / "cache")
    (root / "template.yaml").write_text("")
    _samconfig(root, "[]")
    return Sam(Project(root), root / "logs")
