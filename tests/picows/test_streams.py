"""The fallback streams carry the same tests: PICOWS_STREAMS=poll (add_reader) and =loop."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import picows
from picows.stream.loopio import STREAMS

HERE = Path(__file__).parent
GROUPS = {
    "guide": ["test_guide_frames.py", "test_guide_ping.py", "test_guide_closing.py", "test_guide_errors.py"],
    "io": ["test_close.py", "test_unix.py", "test_handshake_io.py", "test_backpressure.py"],
}


@pytest.mark.slow
@pytest.mark.skipif(STREAMS != "epoll", reason="these streams are what is tested already")
@pytest.mark.parametrize("kind", ["poll", "loop"])
@pytest.mark.parametrize("group", GROUPS)
def test_the_fallback_streams_pass_the_tests_of_the_usual_ones(kind, group):
    root = HERE.parents[1]
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "-c",
        str(root / "pyproject.toml"),
    ]
    command += ["--rootdir", str(root), *(str(HERE / name) for name in GROUPS[group])]
    environment = os.environ | {
        "PICOWS_STREAMS": kind,
        "PYTHONPATH": str(Path(picows.__file__).parents[1]),  # the picows that is tested here, not another
    }

    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600, check=False)

    assert done.returncode == 0, done.stdout[-4_000:] + done.stderr[-2_000:]


@pytest.mark.parametrize("kind", ["epoll", "poll", "loop"])
def test_picows_streams_chooses_the_streams(kind):
    code = "from picows.stream.loopio import STREAMS; print(STREAMS)"
    environment = os.environ | {"PICOWS_STREAMS": kind, "PYTHONPATH": str(Path(picows.__file__).parents[1])}

    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )

    assert done.stdout.strip() == kind


def test_an_unknown_kind_of_streams_is_refused():
    environment = os.environ | {"PICOWS_STREAMS": "fast", "PYTHONPATH": str(Path(picows.__file__).parents[1])}

    done = subprocess.run(
        [sys.executable, "-c", "import picows"], env=environment, capture_output=True, text=True, check=False
    )

    assert "PICOWS_STREAMS: expected auto, epoll, poll or loop, got 'fast'" in done.stderr
