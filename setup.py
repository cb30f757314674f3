"""Build the Cython modules: every .pyx below PACKAGES becomes one extension named by its dotted path.

All else about the distribution stands in pyproject.toml. Environment:
    PICOWS_SANITIZE=1   AddressSanitizer + UndefinedBehaviorSanitizer, for `make sanitize`
    PICOWS_JOBS=N       processes that translate and compile; default: one per core, at most 8
    PICOWS_SKIP_EXT=1   no extensions: the Makefile installs like this, then compiles in place
    CFLAGS              an -O level in it wins over ours
"""

import hashlib
import os
import re
import sys
from pathlib import Path

if sys.version_info < (3, 11):  # noqa: UP036  pip runs this file before it looks at requires-python
    sys.exit(f"picows-connectors: expected Python 3.11 or newer, got {sys.version.split()[0]}")

import tomllib

from Cython.Build import cythonize
from setuptools import Extension, find_packages, setup

PACKAGES = ("picows", "connectors", "strategies")

DIRECTIVES = {
    "language_level": 3,
    # Bounds are checked once, by the code that takes bytes from outside (wire.h, buffer), not at each index.
    "boundscheck": False,
    "wraparound": False,  # no negative indices in C code
    "initializedcheck": False,  # memoryviews are assigned before use
    "nonecheck": False,  # a None check at each attribute costs more than the attribute
    "cdivision": True,  # divisors are constants or checked; C semantics for `/` and `%`
    "overflowcheck": False,  # sizes are bounded by max_frame_size before arithmetic
    "always_allow_keywords": True,  # signatures are the documented ones, also with one argument
    "binding": True,  # inspect.signature, stubtest and functools see real functions
    "embedsignature": True,  # help() tells the C types of arguments, which inspect.signature does not
    "embedsignature.format": "python",
    "auto_pickle": False,  # a socket, a parser or a view of a buffer is not pickled; keeps stubtest quiet
    "autotestdict": False,  # no __test__ dict in the modules; keeps stubtest quiet
    "freethreading_compatible": True,  # free-threaded CPython keeps the GIL off; one thread owns a connection
}

MACROS = [
    # With them, a call of an overridable method of a Python subclass turns the instance's inline attributes
    # into a dict for good (CPython 3.11), and the user's callbacks are slower from then on.
    ("CYTHON_USE_DICT_VERSIONS", "0"),
]

SANITIZE = os.environ.get("PICOWS_SANITIZE", "") not in ("", "0")
SKIP_EXT = os.environ.get("PICOWS_SKIP_EXT", "") not in ("", "0")
JOBS = int(os.environ.get("PICOWS_JOBS", "0")) or min(os.cpu_count() or 1, 8)


def compile_args() -> list[str]:
    """Flags of the C compiler; the interpreter's own (-fwrapv, -DNDEBUG ...) come first."""
    if sys.platform == "win32":
        return ["/O2"]
    # Symbols are hidden but for the module's init function: calls inside a module are direct.
    common = ["-fvisibility=hidden", "-Wno-unused-function"]
    if SANITIZE:
        checks = ["-fsanitize=address,undefined", "-fno-sanitize-recover=undefined"]
        return [*common, *checks, "-O1", "-g", "-fno-omit-frame-pointer"]
    # No -march: a wheel runs on any machine of its platform.
    return common if "-O" in os.environ.get("CFLAGS", "") else [*common, "-O3"]


def link_args() -> list[str]:
    """Nothing beyond libc is linked; the sanitizers bring their own run time."""
    return ["-fsanitize=address,undefined"] if SANITIZE else []


def extensions() -> list[Extension]:
    """One extension per .pyx, rebuilt when a header changes (.pxd files are followed by cythonize)."""
    headers = sorted(str(path) for package in PACKAGES for path in Path(package).rglob("*.h"))
    return [
        Extension(
            ".".join(path.with_suffix("").parts),
            [str(path)],
            include_dirs=[package for package in PACKAGES if Path(package).is_dir()],
            depends=headers,
            define_macros=MACROS,
            extra_compile_args=compile_args(),
            extra_link_args=link_args(),
        )
        for package in PACKAGES
        for path in sorted(Path(package).rglob("*.pyx"))
    ]


def is_stale() -> bool:
    """Whether this file is newer than some translated .c: its directives went into that file."""
    changed = Path(__file__).stat().st_mtime
    sources = [path.with_suffix(".c") for package in PACKAGES for path in Path(package).rglob("*.pyx")]
    return any(path.exists() and path.stat().st_mtime < changed for path in sources)


def cimported(start: Path) -> list[Path]:
    """The .pxd files of the core that one of them leads to, itself included; sorted."""
    found, pending = set(), [start]
    while pending:
        path = pending.pop()
        if path in found or path.name == "abi.pxd":
            continue
        found.add(path)
        for dots, name in re.findall(r"^from (\.+)([\w.]*) cimport", path.read_text(), re.MULTILINE):
            other = path.parents[len(dots) - 1].joinpath(*name.split(".")).with_suffix(".pxd")
            pending += [other] if name and other.exists() else []
    return sorted(found)


def layout_name(core: Path) -> str:
    """Layout_<version>_<hash of what users cimport>; comments and blank lines do not count."""
    version = tomllib.loads(Path("pyproject.toml").read_text())["project"]["version"]
    seen = hashlib.sha256()
    for path in cimported(core / "picows.pxd"):
        lines = [re.sub(r"(^|\s)# .*", "", line).rstrip() for line in path.read_text().splitlines()]
        seen.update("\n".join([path.relative_to(core).as_posix(), *filter(None, lines)]).encode())
    return f"Layout_{re.sub(r'[^0-9A-Za-z]', '_', version)}_{seen.hexdigest()[:8]}"


def write_layout(core: Path) -> None:
    """Make abi.pxd, by which extensions of another layout are refused; it is touched only if it changes."""
    text = (core / "abi.pxd.in").read_text().replace("@LAYOUT@", layout_name(core))
    made = core / "abi.pxd"
    if not made.exists() or made.read_text() != text:
        made.write_text(text)


def packages() -> list[str]:
    """Import packages; configs/ lies beside the code for its users and ships as connectors.configs."""
    found = find_packages(include=[pattern for name in PACKAGES for pattern in (name, f"{name}.*")])
    return [*found, "connectors.configs"] if Path("configs/__init__.py").exists() else found


# The guard: worker processes of cythonize import this file where the platform cannot fork.
if __name__ == "__main__":
    write_layout(Path("picows"))
    setup(
        packages=packages(),
        package_dir={"connectors.configs": "configs"} if Path("configs/__init__.py").exists() else {},
        ext_modules=cythonize(
            [] if SKIP_EXT else extensions(),
            compiler_directives=DIRECTIVES,
            nthreads=JOBS if JOBS > 1 else 0,
            force=is_stale(),
        ),
        options={"build_ext": {"parallel": JOBS}},
    )
