"""What all tests share: where the recorded exchange messages lie, and how long hypothesis searches."""

import os
from pathlib import Path

import pytest
from hypothesis import settings

ROOT = Path(__file__).resolve().parents[1]
# Recorded messages are not part of the repository (size, licences); they lie beside a checkout, or anywhere.
CAPTURES_DIR = Path(os.environ.get("CAPTURES_DIR") or ROOT.parent / "shared" / "data" / "captures")

# A deadline per example measures the machine; a hang is caught by the time limits of the tests themselves.
settings.register_profile("dev", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True, print_blob=True)
settings.register_profile("long", deadline=None, max_examples=5_000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "dev"))


def pytest_report_header() -> list[str]:
    """Tell at the top which picows is tested and whether captures are there."""
    try:
        import picows

        tested = picows.__file__
    except ImportError as error:
        tested = f"{error}; run `make build`"
    there = "found" if CAPTURES_DIR.is_dir() else "absent: the tests that replay them skip"
    return [f"picows: {tested}", f"captures: {CAPTURES_DIR} ({there})"]


@pytest.fixture(scope="session")
def captures_dir() -> Path:
    """Folder of the recorded messages; skips the test where there is none. Tests only read from it."""
    if not CAPTURES_DIR.is_dir():
        pytest.skip(f"no recorded messages in {CAPTURES_DIR}; set CAPTURES_DIR to the folder that holds them")
    return CAPTURES_DIR
