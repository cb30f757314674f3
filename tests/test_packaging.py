"""What is shipped: an sdist that builds a wheel, a wheel with all users need, a core that imports alone."""

import os
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
OPTIONAL = ("connectors", "strategies", "orjson", "msgspec", "yaml")

IMPORT_ALL = """
import importlib, pathlib, pkgutil, sys
import picows
names = [m.name for m in pkgutil.walk_packages(picows.__path__, "picows.") if ".examples." not in m.name]
for name in names:
    importlib.import_module(name)
print(picows.__file__, len(names))
"""

BLOCK = f"""
import sys
class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {OPTIONAL!r}:
            raise ModuleNotFoundError(f"blocked: {{name}}", name=name)
sys.meta_path.insert(0, Blocked())
"""


def run(*args: str | Path, cwd: Path, **env: str) -> str:
    """Run a command and give its output; a failure shows what it printed."""
    done = subprocess.run(
        [str(arg) for arg in args],
        cwd=cwd,
        env={**os.environ, "PIP_DISABLE_PIP_VERSION_CHECK": "1", **env},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, f"{args}\n{done.stdout[-8000:]}"
    return done.stdout


def test_picows_imports_without_connectors_and_its_libraries(tmp_path):
    where = Path(__import__("picows").__file__).parents[1]

    shown = run(sys.executable, "-c", BLOCK + IMPORT_ALL, cwd=tmp_path, PYTHONPATH=str(where))

    assert int(shown.split()[-1]) > 5


@pytest.mark.parametrize("name", OPTIONAL)
def test_the_import_block_blocks(name, tmp_path):
    probe = f"""
try:
    import {name}
except ModuleNotFoundError as error:
    print(error)
"""

    shown = run(sys.executable, "-c", BLOCK + probe, cwd=tmp_path)

    assert shown.strip() == f"blocked: {name}"


@pytest.fixture(scope="module")
def sdist(tmp_path_factory):
    """The source archive, made with the build requirements of this venv."""
    out = tmp_path_factory.mktemp("sdist")
    build = f"from setuptools import build_meta; print(build_meta.build_sdist({str(out)!r}))"
    run(sys.executable, "-c", build, cwd=ROOT)
    (archive,) = out.glob("*.tar.gz")
    return archive


@pytest.fixture(scope="module")
def wheel(sdist, tmp_path_factory):
    """The wheel built from the sdist alone. -O0: what the optimizer does is tested elsewhere."""
    out = tmp_path_factory.mktemp("wheel")
    pip = (sys.executable, "-m", "pip", "wheel", "--no-build-isolation", "--no-deps", "--no-index")
    run(*pip, "--wheel-dir", out, sdist, cwd=out, CFLAGS="-O0 -g0")
    (archive,) = out.glob("*.whl")
    return archive


def below(folder: str, *suffixes: str) -> set[str]:
    """Paths of the source tree's files with these suffixes."""
    return {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / folder).rglob("*")
        if path.name.endswith(suffixes) and "__pycache__" not in path.parts
    }


@pytest.mark.packaging
@pytest.mark.slow
def test_sdist_holds_sources_and_tests_and_nothing_generated(sdist):
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}

    wanted = below("picows", ".py", ".pyx", ".pxd", ".pyi", ".h", "py.typed") | below("tests", ".py", ".md")
    wanted |= below("tests/c", ".c") | {"Makefile", ".ci/run", "LICENSE", "README.md", "pyproject.toml"}
    assert wanted - names == {"picows/abi.pxd"}
    assert {name for name in names if name.endswith((".so", ".pyd", ".pyc", ".html"))} == set()
    assert {name for name in names if name.endswith(".c") and not name.startswith("tests/")} == set()


@pytest.mark.packaging
@pytest.mark.slow
def test_wheel_holds_what_users_cimport_and_type_check(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())

    wanted = below("picows", ".py", ".pxd", ".pyi", ".h", "py.typed")
    assert wanted - names == set()
    modules = {name.partition(".")[0] for name in names if name.endswith((".so", ".pyd"))}
    assert modules >= {path.removesuffix(".pyx") for path in below("picows", ".pyx")}


@pytest.mark.packaging
@pytest.mark.slow
def test_wheel_holds_no_test_no_capture_and_no_source_that_is_compiled(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()

    allowed = ("picows", "connectors", "strategies", "picows_connectors-")
    assert [name for name in names if not name.startswith(allowed)] == []
    foreign = (".c", ".pyx", ".gz", ".zst", ".jsonl", ".ndtext", ".zip")
    assert [name for name in names if name.endswith(foreign)] == []
    assert [name for name in names if "captures" in name.split("/") or "tests" in name.split("/")] == []


@pytest.mark.packaging
@pytest.mark.slow
def test_wheel_built_from_the_sdist_imports_in_a_fresh_venv(wheel, tmp_path):
    run(sys.executable, "-m", "venv", "--without-pip", "venv", cwd=tmp_path)
    python = tmp_path / "venv" / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
    pip = (sys.executable, "-m", "pip", "--python", python, "install", "--no-deps", "--no-index", "--quiet")
    run(*pip, wheel, cwd=tmp_path)
    # The dependencies come from this venv; a .pth line adds the folder, not the .pth files in it, so the
    # editable install of the source tree stays out.
    site = Path(
        run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", cwd=tmp_path).strip()
    )
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib"), encoding="utf-8")

    shown = run(python, "-c", IMPORT_ALL, cwd=tmp_path, PYTHONPATH="").split()

    assert Path(shown[0]).is_relative_to(site)
    assert int(shown[1]) > 5
