"""Compile counting.pyx against the picows of this interpreter: python setup.py build_ext --inplace."""

import importlib.util
from pathlib import Path

from Cython.Build import cythonize
from setuptools import Extension, setup


def is_stale(module: Path) -> bool:
    """Whether a declaration of picows is newer: Cython does not follow those of other packages."""
    spec = importlib.util.find_spec("picows")
    assert spec is not None
    assert spec.origin is not None
    declared = max(path.stat().st_mtime for path in Path(spec.origin).parent.rglob("*.pxd"))
    return not module.exists() or module.stat().st_mtime < declared


# The guard: worker processes of cythonize import this file where the platform cannot fork.
if __name__ == "__main__":
    setup(
        name="counting",
        py_modules=[],
        ext_modules=cythonize(
            # -O3 also where CFLAGS is set: it takes the place of the interpreter's own flags.
            [Extension("counting", ["counting.pyx"], extra_compile_args=["-O3"])],
            language_level=3,
            quiet=True,
            force=is_stale(Path("counting.c")),
        ),
    )
