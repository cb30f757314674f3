"""`connectors run` in a process of its own, as users start it: piped, in a terminal, stopped by signals."""

from __future__ import annotations

import contextlib
import json
import os
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DEADLINE_S = 30.0
COMMAND = [sys.executable, "-m", "connectors.cli", "run"]
AGREES = re.compile(r"mock sent ([\d,]+) data messages, ([\d,]+) received: the counts agree")


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """The demo, with a metrics file."""
    path = tmp_path / "demo.yaml"
    text = (ROOT / "configs" / "demo.yaml").read_text()
    path.write_text(
        text.replace("every_s: 0.5", "{every_s: 0.1, file: metrics.jsonl}").replace(
            "metrics:\n  ", "metrics: "
        )
    )
    return path


@contextlib.contextmanager
def started(*arguments: object, **options: object) -> Iterator[subprocess.Popen[str]]:
    """The process, killed when the test is over."""
    env = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}
    process = subprocess.Popen(
        [*COMMAND, *map(str, arguments)],
        env=env,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        **options,  # type: ignore[call-overload]
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


def wait_for_line(process: subprocess.Popen[str], part: str) -> str:
    """All output up to the line that holds `part`."""
    seen = ""
    assert process.stdout is not None
    for line in process.stdout:
        seen += line
        if part in line:
            return seen
    raise AssertionError(f"{part!r} never came in:\n{seen}")


@pytest.mark.skipif(sys.platform == "win32", reason="signals and terminals of POSIX")
class TestRun:
    @pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
    @pytest.mark.parametrize("busy_poll", ["false", "true", "0.001"])
    def test_piped_run_ends_with_counts_that_agree_with_the_mock(
        self, config: Path, loop: str, busy_poll: str
    ) -> None:
        pytest.importorskip(loop)
        config.write_text(config.read_text() + f"\nloop: {loop}\nbusy_poll: {busy_poll}\n")
        with started(config, "--for", 2) as process:
            out, _ = process.communicate(timeout=DEADLINE_S)

        found = AGREES.search(out)
        assert process.returncode == 0, out
        assert found is not None, out
        assert found[1] == found[2] != "0"
        assert "\x1b[" not in out

    @pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
    def test_signal_stops_cleanly_with_a_summary(
        self, config: Path, number: signal.Signals, code: int
    ) -> None:
        with started(config) as process:
            wait_for_line(process, "connectors.run: ")
            process.send_signal(number)
            out, _ = process.communicate(timeout=DEADLINE_S)

        assert process.returncode == code, out
        assert f": {number.name}" in out
        assert AGREES.search(out)

    def test_closed_pipe_stops_the_run_without_noise(self, config: Path, tmp_path: Path) -> None:
        errors = tmp_path / "errors"
        with errors.open("w") as stderr:
            env = {**os.environ, "PYTHONPATH": str(ROOT)}
            process = subprocess.Popen(
                [*COMMAND, str(config)], env=env, stdout=subprocess.PIPE, stderr=stderr
            )
            assert process.stdout is not None
            process.stdout.readline()
            process.stdout.close()
            code = process.wait(timeout=DEADLINE_S)

        assert code == 141
        assert errors.read_text() == ""

    def test_metrics_file_has_the_final_counts(self, config: Path) -> None:
        with started(config, "--for", 1.5) as process:
            out, _ = process.communicate(timeout=DEADLINE_S)

        *_, last = (json.loads(line) for line in (config.parent / "metrics.jsonl").read_text().splitlines())
        total = sum(stream["messages"] for each in last["connections"] for stream in each["streams"])
        found = AGREES.search(out)
        assert found is not None, out
        assert total == int(found[2].replace(",", ""))

    def test_log_file_leaves_stdout_to_strategies_and_summary(self, config: Path, tmp_path: Path) -> None:
        log = tmp_path / "run.log"
        with started(config, "--for", 1, "--log-file", log) as process:
            out, _ = process.communicate(timeout=DEADLINE_S)

        assert " INFO " not in out
        assert " INFO " in log.read_text()

    def test_terminal_shows_the_table_and_what_is_printed(self, config: Path) -> None:
        master, slave = os.openpty()
        os.set_inheritable(slave, True)
        env = {**os.environ, "PYTHONPATH": str(ROOT), "TERM": "xterm", "COLUMNS": "120", "LINES": "40"}
        process = subprocess.Popen(
            [*COMMAND, str(config), "--for", "2"], env=env, stdin=slave, stdout=slave, stderr=slave
        )
        os.close(slave)

        out = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", read_all(master, process))

        assert process.wait(timeout=DEADLINE_S) == 0, out
        for part in ("Ctrl-C stops", "rtt ms", "lag us", "bid", "imbalance", "stopped after 2.0 s"):
            assert part in out, part
        assert AGREES.search(out)

    def test_second_signal_stops_at_once(self, tmp_path: Path) -> None:
        config = tmp_path / "stuck.yaml"
        text = (ROOT / "configs" / "demo.yaml").read_text()
        # A venue that no longer answers a CLOSE makes the clean stop wait.
        config.write_text(text.replace("mock:\n", "mock:\n  faults: [half_open:after_s=1]\n"))
        with started(config) as process:
            wait_for_line(process, "connectors.run: ")
            process.send_signal(signal.SIGINT)
            wait_for_line(process, "once more stops at once")
            process.send_signal(signal.SIGINT)
            process.communicate(timeout=DEADLINE_S)

        assert process.returncode == 130


def read_all(master: int, process: subprocess.Popen[bytes]) -> str:
    """What a terminal would have got until the process ended."""
    out = b""
    end = time.monotonic() + DEADLINE_S
    while time.monotonic() < end:
        if not select.select([master], [], [], 0.1)[0]:
            if process.poll() is not None:
                break
            continue
        try:
            data = os.read(master, 65536)
        except OSError:  # Linux: the other side has closed
            break
        if not data:
            break
        out += data
    os.close(master)
    return out.decode("utf-8", "replace")


@pytest.mark.parametrize(
    "shipped",
    [path for path in sorted((ROOT / "configs").glob("*.yaml")) if path.stem != "demo"],
    ids=lambda path: path.stem,
)
def test_shipped_config_runs_against_its_own_mock(shipped: Path, tmp_path: Path) -> None:
    config = tmp_path / shipped.name
    config.write_text("mock: {seed: 5}\nfor_s: 1.5\n" + shipped.read_text())
    with started(config) as process:
        out, _ = process.communicate(timeout=DEADLINE_S)

    assert process.returncode == 0, out
    assert AGREES.search(out), out
    assert " 0 received" not in out


@pytest.mark.parametrize(
    ("instruments", "why"),
    [
        ("default", "dead: no data message arrived on any stream (1 subscribed)"),
        ("rest", "stopped before any connection was made"),
        ("rest, instruments_s: 0.1", "dead: the instrument list cannot be read within 0.1 s"),
    ],
)
def test_run_without_any_data_fails_and_says_why(tmp_path: Path, instruments: str, why: str) -> None:
    config = tmp_path / "dead.yaml"
    # Port 1 of this machine: nobody listens there.
    config.write_text(
        "connections:\n"
        "  - {exchange: " + min(path.stem for path in (ROOT / "configs" / "exchanges").glob("*.yaml")) + ","
        " symbols: [BTC-USDT], channels: [trade], name: dead, url: 'ws://127.0.0.1:1',"
        " rest_url: 'http://127.0.0.1:1',"
        f" instruments: {instruments}}}\n"
    )
    with started(config, "--for", 1) as process:
        out, _ = process.communicate(timeout=DEADLINE_S)

    assert process.returncode == 1, out
    assert why in out
    assert "Traceback" not in out
