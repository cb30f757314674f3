"""Mistakes of the first hour: the message names the thing, what was expected and what came; no traceback."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from connectors.cli import main
from connectors.exit_code import ExitCode

ROOT = Path(__file__).parents[2]


def call(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, [str(each) for each in arguments])


@pytest.fixture
def venue() -> str:
    return min(path.stem for path in (ROOT / "configs" / "exchanges").glob("*.yaml"))


@pytest.mark.parametrize(
    "command", [("list",), ("mock", "--faults"), ("--help",), ("check", "configs/demo.yaml")]
)
def test_closed_pipe_ends_any_command_with_141_and_no_word(command: tuple[str, ...]) -> None:
    reading, writing = os.pipe()
    os.close(reading)

    done = subprocess.run(
        [sys.executable, "-m", "connectors", *command],
        cwd=ROOT,
        stdout=writing,
        stderr=subprocess.PIPE,
        timeout=60,
        check=False,
    )
    os.close(writing)

    assert (done.returncode, done.stderr.decode()) == (ExitCode.SIGPIPE, "")


@pytest.mark.parametrize(("port", "all_venues"), [(65536, False), (65535, False), (-1, False), (65530, True)])
def test_port_that_leaves_no_room_for_all_is_refused_at_the_door(
    port: int, all_venues: bool, venue: str
) -> None:
    whose = ["--all"] if all_venues else ["--exchange", venue]

    result = call("mock", *whose, "--port", str(port), "--for", "0.1")

    assert result.exit_code == ExitCode.CONFIG
    assert "--port" in result.output
    assert str(port) in result.output


def test_log_file_that_cannot_be_written_is_a_mistake_of_the_command_line(tmp_path: Path) -> None:
    log = tmp_path / "missing" / "run.log"

    result = call("run", ROOT / "configs" / "demo.yaml", "--for", "1", "--log-file", log)

    assert result.exit_code == ExitCode.CONFIG
    assert f"--log-file: {log} cannot be written" in result.output


def test_shipped_config_is_found_from_any_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    assert call("check", "configs/demo.yaml").exit_code == ExitCode.OK
    assert "configs/nope.yaml' does not exist" in call("check", "configs/nope.yaml").output


def test_own_config_of_that_name_goes_before_the_shipped_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs" / "demo.yaml").write_text("connections: []\n")

    assert call("check", "configs/demo.yaml").exit_code == ExitCode.CONFIG


@pytest.mark.parametrize("command", ["check", "run"])
def test_uvloop_that_is_not_installed_is_a_mistake_of_the_config(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tmp_path / "my.yaml"
    config.write_text("loop: uvloop\n" + (ROOT / "configs" / "demo.yaml").read_text())
    monkeypatch.setitem(sys.modules, "uvloop", None)

    result = call(command, config)

    assert result.exit_code == ExitCode.CONFIG
    assert "my.yaml:1: loop: uvloop is not installed" in result.output
    assert "pip install uvloop" in result.output


def test_module_name_of_a_file_beside_the_config_is_told_how_files_are_named(
    tmp_path: Path, venue: str
) -> None:
    (tmp_path / "beside.py").write_text("from connectors import Strategy\nclass Mine(Strategy): pass\n")
    config = tmp_path / "my.yaml"
    config.write_text(
        f"connections:\n  - {{exchange: {venue}, symbols: [BTC-USDT], channels: [trade]}}\n"
        'strategies:\n  - {use: "beside:Mine"}\n'
    )

    result = call("check", config)

    assert result.exit_code == ExitCode.CONFIG
    assert "the file beside the config is './beside.py:...'" in result.output


def test_constructor_without_params_is_told_what_it_is_given(tmp_path: Path, venue: str) -> None:
    (tmp_path / "mine.py").write_text(
        "from connectors import Strategy\n"
        "class Mine(Strategy):\n"
        "    def __init__(self):\n"
        "        self.count = 0\n"
    )
    config = tmp_path / "my.yaml"
    config.write_text(
        f"connections:\n  - {{exchange: {venue}, symbols: [BTC-USDT], channels: [trade]}}\n"
        'strategies:\n  - {use: "./mine.py:Mine"}\n'
    )

    result = call("check", config)

    assert result.exit_code == ExitCode.CONFIG
    assert "my.yaml:4" in result.output
    assert "expected __init__(self, params, name)" in result.output
    assert "on_start" in result.output
