"""Importing us leaves the GIL off, module by module. `make freethreaded` runs it on such a Python."""

import importlib
import pkgutil
import subprocess
import sys
import sysconfig

import pytest

pytestmark = pytest.mark.skipif(
    not sysconfig.get_config_var("Py_GIL_DISABLED"), reason="this build of Python has a GIL"
)


def modules_of(package):
    """Names of all modules of `package`; importing it is left to the process that is looked at."""
    spec = importlib.util.find_spec(package)
    found = pkgutil.walk_packages(spec.submodule_search_locations, f"{package}.", onerror=lambda name: None)
    return [package, *(module.name for module in found if not module.name.endswith("__main__"))]


IMPORT_ALL = """
import importlib, sys
missing = set()
for name in sys.argv[2:]:
    try:
        importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name.partition(".")[0] == sys.argv[1]:
            raise
        missing.add(error.name)
    assert not sys._is_gil_enabled(), f"{name} has turned the GIL on"
print(*sorted(missing))
"""


@pytest.mark.parametrize("package", ["picows", "connectors", "strategies"])
def test_no_module_turns_the_gil_on(package):
    """A dependency without a build for this Python is skipped over by name; the core has none."""
    done = subprocess.run(
        # -W error: the interpreter warns where it turns the GIL on.
        [sys.executable, "-W", "error::RuntimeWarning", "-c", IMPORT_ALL, package, *modules_of(package)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    missing = done.stdout.split()
    if package == "picows":
        assert missing == []
    elif missing:
        pytest.skip(f"no build for this Python: {', '.join(missing)}")


def test_the_tests_themselves_run_without_the_gil():
    """A test dependency that turns it on would make all the other tests of threads mean little."""
    assert not sys._is_gil_enabled()
