"""Archives are unpacked once, and linked to wherever they are to be unpacked again."""

import io
import zipfile
from pathlib import Path

import pytest

from local.lambda_runtime.testing import archive
from local.lambda_runtime.unpacked_archives import UnpackedArchives, linking

FILES = {"index.py": "WORD = 'here'\n", "package/part.py": "", "broken.py": "def\n", "data.bin": "text"}


def unpack(packed: bytes, folder: Path) -> Path:
    folder.mkdir()
    with linking.ZipFile(io.BytesIO(packed)) as opened:
        opened.extractall(folder)
    return folder


@pytest.fixture
def archives(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> UnpackedArchives:
    """Archives that are unpacked below the test's own folder."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    return UnpackedArchives()


def test_a_reference_is_unpacked_to_what_the_archive_has_and_byte_code(
    archives: UnpackedArchives, tmp_path: Path
) -> None:
    folder = unpack(archives.reference(archive(FILES)), tmp_path / "code")

    assert {name: (folder / name).read_text() for name in FILES} == FILES
    assert [file.name.split(".")[0] for file in folder.glob("__pycache__/*.pyc")] == ["index"]


def test_an_archive_is_unpacked_once_however_often_it_is_started_from(
    archives: UnpackedArchives, tmp_path: Path
) -> None:
    references = [archives.reference(archive(FILES)) for _ in range(2)]
    first, again = (unpack(one, tmp_path / f"{number}") for number, one in enumerate(references))

    assert (first / "index.py").samefile(again / "index.py")
    assert len(list(tmp_path.glob("unpacked-*"))) == 1


def test_another_archive_is_unpacked_beside_it(archives: UnpackedArchives, tmp_path: Path) -> None:
    archives.reference(archive(FILES))
    changed = archives.reference(archive(FILES | {"index.py": "WORD = 'there'\n"}))

    assert (unpack(changed, tmp_path / "changed") / "index.py").read_text() == "WORD = 'there'\n"


def test_an_archive_that_is_no_reference_is_unpacked_as_ever(tmp_path: Path) -> None:
    folder = unpack(archive(FILES), tmp_path / "code")

    assert {name: (folder / name).read_text() for name in FILES} == FILES
    assert not (folder / "index.py").is_symlink()


def test_what_is_no_archive_is_refused(archives: UnpackedArchives) -> None:
    with pytest.raises(zipfile.BadZipFile):
        archives.reference(b"no archive")
