"""Commands as a user calls them, in this process: output, exit codes, errors without tracebacks."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from connectors.cli import main
from connectors.exit_code import ExitCode

ROOT = Path(__file__).parents[2]
COMMANDS = ("run", "check", "list", "symbols", "record", "replay", "mock")


def call(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, [str(each) for each in arguments])


@pytest.fixture
def venue(tmp_path: Path) -> str:
    """The name of a venue that ships; tests of shared code name none."""
    return min(path.stem for path in (ROOT / "configs" / "exchanges").glob("*.yaml"))


@pytest.fixture
def good(tmp_path: Path) -> Path:
    path = tmp_path / "good.yaml"
    text = (ROOT / "configs" / "demo.yaml").read_text()
    path.write_text(text)
    return path


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_each_command_has_examples(command: str) -> None:
    result = call(command, "--help")

    assert result.exit_code == 0
    assert "Examples:" in result.output
    assert f"connectors {command}" in result.output


def test_group_help_documents_the_exit_codes() -> None:
    out = " ".join(call("--help").output.split())

    for code in (
        "0 done",
        "1 the run failed",
        "2 command line or config wrong",
        "3 not a capture",
        "130",
        "143",
    ):
        assert code in out


def test_documented_exit_codes_are_those_of_the_code() -> None:
    page = (ROOT / "docs" / "cli.md").read_text()

    section = page.split("## Exit codes")[1].split("##")[0]

    assert {int(code) for code in re.findall(r"^\| (\d+) \|", section, re.MULTILINE)} == {
        int(e) for e in ExitCode
    }


def test_every_shipped_venue_is_listed() -> None:
    names = {path.stem for path in (ROOT / "configs" / "exchanges").glob("*.yaml")}

    result = call("list")

    assert names <= set(re.findall(r"^(\w+) ", result.stdout, re.MULTILINE))


def test_venue_is_told_in_full(venue: str) -> None:
    result = call("list", venue)

    assert "wss://" in result.stdout
    assert "read 20" in result.stdout


def test_unknown_venue_is_a_config_error_with_the_nearest_name(venue: str) -> None:
    result = call("symbols", venue + "x")

    assert result.exit_code == ExitCode.CONFIG
    assert f"did you mean {venue!r}?" in result.stderr
    assert "Traceback" not in result.output


@pytest.mark.parametrize("path", sorted((ROOT / "configs").glob("*.yaml")), ids=lambda path: path.stem)
def test_shipped_configs_are_correct(path: Path) -> None:
    result = call("check", path)

    assert result.exit_code == 0, result.output
    assert f"{path}: correct" in result.stdout


def test_all_mistakes_are_told_at_once(good: Path) -> None:
    text = good.read_text().replace("min_bps", "min_pbs").replace("for_s: 20", "for_s: soon\nfro_s: 1")
    good.write_text(text)

    result = call("check", good)

    assert result.exit_code == ExitCode.CONFIG
    assert "for_s" in result.stderr
    assert "fro_s" in result.stderr
    assert "Traceback" not in result.output


def test_wrong_parameter_of_a_strategy_names_the_right_one(good: Path) -> None:
    good.write_text(good.read_text().replace("min_bps", "min_pbs"))

    result = call("check", good)

    assert result.exit_code == ExitCode.CONFIG
    assert "did you mean 'min_bps'?" in result.stderr


def test_run_of_a_wrong_config_opens_nothing(good: Path) -> None:
    good.write_text(good.read_text().replace("BTC-USDT", "btc/usdt"))

    result = call("run", good)

    assert result.exit_code == ExitCode.CONFIG
    assert "btc/usdt" in result.stderr


def test_mock_wants_a_venue() -> None:
    result = call("mock")

    assert result.exit_code == ExitCode.CONFIG
    assert "--exchange NAME or --all" in result.stderr


def test_unknown_fault_names_the_known_ones(venue: str) -> None:
    result = call("mock", "--exchange", venue, "--fault", "dorp")

    assert result.exit_code == ExitCode.CONFIG
    assert "unknown fault 'dorp'; did you mean 'drop'?" in result.stderr


def test_faults_are_listed_with_their_options() -> None:
    out = call("mock", "--faults").stdout

    assert "half_open" in out
    assert "rtt_ms=200" in out
    assert "topic=*" in out


def test_file_that_is_no_capture_has_its_own_exit_code(tmp_path: Path, venue: str) -> None:
    path = tmp_path / "noise.cap.zst"
    path.write_bytes(b"this is no capture")

    result = call("replay", path)

    assert result.exit_code == ExitCode.CAPTURE
    assert "noise.cap.zst" in result.stderr


def test_mock_serves_for_its_time_and_tells_what_it_sent(venue: str) -> None:
    result = call("mock", "--exchange", venue, "--for", "0.05")

    assert result.exit_code == 0
    assert f"- exchange: {venue}" in result.stdout
    assert f"mock {venue} connects=0 sent=0" in result.stdout
