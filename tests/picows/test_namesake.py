"""An environment with files of PyPI's package of the same import name is refused by name."""

import subprocess
import sys
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path

import pytest

import picows
from picows.namesake import refuse_mixture

PACKAGE = Path(picows.__file__).parent


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """A folder with our package in it, as links."""
    for source in PACKAGE.rglob("*"):
        if source.is_file() and source.suffix in (".py", ".so", ".pyd"):
            target = tmp_path / "picows" / source.relative_to(PACKAGE)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.symlink_to(source)
    return tmp_path


def import_in(folder: Path) -> subprocess.CompletedProcess[str]:
    code = f"import sys; sys.path.insert(0, {str(folder)!r}); import picows; print(picows.__file__)"
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False
    )


def test_our_package_alone_is_imported(installed: Path) -> None:
    done = import_in(installed)

    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(str(installed))


@pytest.mark.parametrize("suffix", EXTENSION_SUFFIXES)
def test_import_beside_files_of_the_other_package_says_what_to_do(installed: Path, suffix: str) -> None:
    (installed / "picows" / f"picows{suffix}").write_bytes(b"")

    done = import_in(installed)

    assert done.returncode == 1
    assert "ImportError" in done.stderr.splitlines()[-1]
    assert "pip uninstall picows picows-connectors" in done.stderr.splitlines()[-1]


def test_who_stands_on_picows_may_ask_when_the_other_lies_over_ours(tmp_path: Path) -> None:
    refuse_mixture(tmp_path)
    (tmp_path / f"picows{EXTENSION_SUFFIXES[0]}").write_bytes(b"")

    with pytest.raises(ImportError, match=r"two packages.*PyPI's picows") as caught:
        refuse_mixture(tmp_path)

    assert caught.value.name == "picows"
