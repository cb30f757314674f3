"""`connectors record` and `replay` as users call them: what was recorded comes back, always the same."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from connectors.capture import Record, RecordKind
from connectors.capture_file import CaptureWriter

ROOT = Path(__file__).parents[2]
DEADLINE_S = 30.0
DEMO = ROOT / "configs" / "demo.yaml"
MESSAGES = re.compile(r"^stream (\S+ \w+) messages=(\d+) events=(\d+)", re.MULTILINE)


def call(*arguments: object, stdin: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "connectors.cli", *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        input=stdin,
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=False,
    )


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A recording of the demo with its strategies, and what that run printed."""
    directory = tmp_path_factory.mktemp("recordings")
    result = call("run", DEMO, "--for", 2, "--record", directory)
    assert result.returncode == 0, result.stdout + result.stderr
    (path,) = directory.glob("*.cap.zst")
    assert f"recorded {path}" in result.stdout
    return path, result.stdout


def counts(output: str) -> dict[str, tuple[str, str]]:
    """Stream -> messages, events of a summary."""
    return {name: (messages, events) for name, messages, events in MESSAGES.findall(output)}


def told(output: str) -> list[str]:
    """What the strategies printed, without log lines (their times are the machine's)."""
    return [line for line in output.splitlines() if "imbalance " in line or " bps" in line]


def test_replay_delivers_what_the_run_delivered(recorded: tuple[Path, str]) -> None:
    path, live = recorded

    result = call("replay", path, "--config", DEMO)

    assert result.returncode == 0, result.stderr
    assert counts(result.stdout) == counts(live)
    assert all(int(messages) > 0 for messages, _ in counts(live).values())


def test_two_replays_print_the_same(recorded: tuple[Path, str]) -> None:
    path, _ = recorded

    first, second = (call("replay", path, "--config", DEMO) for _ in range(2))

    assert told(first.stdout) == told(second.stdout) != []


def test_replay_without_config_finds_the_streams_in_the_file(recorded: tuple[Path, str]) -> None:
    path, live = recorded

    result = call("replay", path, "--use", "strategies.print_quotes:PrintQuotes")

    assert result.returncode == 0, result.stderr
    found = counts(result.stdout)
    assert found.keys() == counts(live).keys()
    assert [each for name, each in found.items() if name.endswith(" quote")] == [
        counts(live)[name] for name in found if name.endswith(" quote")
    ]
    assert " x " in result.stdout


def test_step_by_step_ends_when_told(recorded: tuple[Path, str]) -> None:
    path, _ = recorded

    result = call("replay", path, "--pace", "stepped", stdin="\n\nq\n")

    assert result.returncode == 0, result.stderr
    assert result.stdout.count(" conn ") == 3
    # The seconds are those of the recording: a busy machine takes some to connect.
    assert re.search(r"stopped after \d+\.\d s: as told", result.stdout)


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
def test_signal_ends_a_slow_replay_with_a_summary(recorded: tuple[Path, str]) -> None:
    path, _ = recorded
    command = [
        sys.executable,
        "-m",
        "connectors.cli",
        "replay",
        str(path),
        "--pace",
        "paced",
        "--speed",
        "0.01",
    ]
    env = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(command, env=env, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=DEADLINE_S)

    assert process.returncode == 130
    assert ": SIGINT" in out


def test_record_leaves_strategies_out_and_decodes_nothing(tmp_path: Path) -> None:
    result = call("record", DEMO, "--for", 1, "--dir", tmp_path)

    assert result.returncode == 0, result.stdout + result.stderr
    assert len(list(tmp_path.glob("*.cap.zst"))) == 1
    assert "imbalance" not in result.stdout
    assert {events for _, events in counts(result.stdout).values()} == {"0"}


def test_directory_that_can_not_be_written_is_a_config_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    result = call("record", DEMO, "--for", 1, "--dir", tmp_path / "file" / "below")

    assert result.returncode == 2
    assert f"error: record.dir: {tmp_path / 'file' / 'below'} cannot be written: " in result.stderr
    assert "Traceback" not in result.stdout + result.stderr


def test_replay_tells_where_records_are_missing(tmp_path: Path) -> None:
    path = tmp_path / "a.cap.zst"
    writer = CaptureWriter(path, {})
    writer.write(Record(5, 0, RecordKind.MARKER, payload=b"36 records dropped before this place"))
    writer.close()

    result = call("replay", path)

    assert result.returncode == 0, result.stderr
    assert "a.cap.zst: at 5 ns: 36 records dropped before this place" in result.stdout
