"""Build a user's Cython extension out of tree, against the package that the tests import, and run it."""

import os
import subprocess
import sys
import sysconfig
import textwrap
from pathlib import Path

import pytest

# `make sanitize` runs the tests with the run time of ASan loaded: then the user's code is checked as well.
IS_SANITIZED = "asan" in os.environ.get("LD_PRELOAD", "")
FLAGS = ["-fsanitize=address", "-g", "-O1"] if IS_SANITIZED else ["-O0", "-g0"]

SETUP = """
from Cython.Build import cythonize
from setuptools import Extension, setup

extension = Extension({name!r}, [{name!r} + ".pyx"], define_macros={macros!r}, extra_compile_args={flags!r},
                      extra_link_args={links!r})
setup(ext_modules=cythonize([extension], language_level=3, include_path={include!r}))
"""


def build(folder, source, *, name="usercode", include=(), macros=()):
    """Compile `source` in `folder`. include: where .pxd files are looked for before the installed package."""
    pytest.importorskip("Cython", reason="Cython is needed to build an extension against the core")
    (folder / f"{name}.pyx").write_text(textwrap.dedent(source))
    links = FLAGS[:1] if IS_SANITIZED else []
    setup = SETUP.format(
        name=name, macros=list(macros), flags=FLAGS, links=links, include=[str(path) for path in include]
    )
    (folder / "setup.py").write_text(setup)
    built = run(folder, "setup.py", "-q", "build_ext", "--inplace", env={"LD_PRELOAD": ""})
    assert built.returncode == 0, built.stdout + built.stderr
    suffix = sysconfig.get_config_var("EXT_SUFFIX")
    assert (folder / f"{name}{suffix}").exists()


def run(folder, *arguments, env=None):
    """Run Python in `folder`; the finished process."""
    return subprocess.run(
        [sys.executable, *map(str, arguments)],
        check=False,
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=300,
        env=os.environ | (env or {}),
    )


def declarations():
    """The folder whose `picows/` holds the .pxd files that are cimported."""
    import picows

    return Path(picows.__file__).parents[1]
