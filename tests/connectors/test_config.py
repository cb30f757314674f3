"""A config file is read whole: every problem is told, with its place, and nothing secret."""

from __future__ import annotations

from pathlib import Path

import pytest

from connectors import ConfigError
from connectors.config import load_settings
from connectors.settings import Settings

GOOD = """
connections:
  - exchange: okx
    symbols: [BTC-USDT]
    channels: [trade, candle.1m, {book: books}]
    headers: {X-Key: "${API_KEY}"}
    rtt: {max_ms: 50, action: reconnect}
strategies:
  - use: ./mine.py:Mine
    params: {threshold: 1.5}
"""
STRATEGY = """
import msgspec
from connectors import Strategy

class Mine(Strategy):
    class Params(msgspec.Struct, frozen=True):
        threshold: float = 1.0
        label: str = ""

class NoStrategy:
    pass
"""


def read(directory: Path, text: str, **env: str) -> Settings:
    (directory / "mine.py").write_text(STRATEGY)
    path = directory / "run.yaml"
    path.write_text(text)
    return load_settings(path, env)


def problems(directory: Path, text: str, **env: str) -> list[str]:
    """Without the directory: `run.yaml:3: ...`."""
    with pytest.raises(ConfigError) as caught:
        read(directory, text, **env)
    return [each.replace(f"{directory}/", "") for each in caught.value.problems]


def test_wrong_shape_does_not_hide_what_else_is_wrong(tmp_path: Path) -> None:
    text = """
connections:
  - exchange: okxx
    symbols: [BTC-USDT]
    channels: [trade]
    instruments: guess
  - exchange: okx
    symbols: [BTCUSDT]
    channels: [boook]
    symbol: BTC-USDT
    rtt: {race: 0}
"""

    found = problems(tmp_path, text)

    wanted = ("exchange: ", "instruments: ", "symbols[0]: ", "channels[0]: ", "symbol: ", "rtt.race: ")
    assert len(found) == len(wanted)
    for part in wanted:
        assert any(part in each for each in found), part


def test_good_file_is_decoded(tmp_path: Path) -> None:
    settings = read(tmp_path, GOOD, API_KEY="s3cret")

    connection = settings.connections[0]
    assert connection.channels == ("trade", "candle.1m", {"book": "books"})
    assert connection.headers == {"X-Key": "s3cret"}
    assert (connection.rtt.max_ms, connection.rtt.action, connection.rtt.rounds) == (50, "reconnect", 3)
    assert settings.strategies[0].params == {"threshold": 1.5}


def test_all_problems_are_told_at_once_with_their_lines(tmp_path: Path) -> None:
    text = """\
connections:
  - exchange: okkx
    symbols: [BTC-USDT]
    channels: [trade]
  - exchange: okx
    symbols: [btcusdt, ETH-USDT]
    channels: [trades, candle.7m]
    rtt: {max_msec: 50, race: 0}
  - exchange: bybit_spot
    symbols: BTC-USDT
    channels: [trade]
strategies:
  - use: ./mine.py:Mime
  - use: ./mine.py:Mine
    params: {treshold: 1.5}
lop: uvloop
"""
    found = problems(tmp_path, text)

    assert [each.split(": ")[0] + " " + each.split(": ")[1] for each in found] == [
        "run.yaml:2 connections[0].exchange",
        "run.yaml:6 connections[1].symbols[0]",
        "run.yaml:7 connections[1].channels[0]",
        "run.yaml:7 connections[1].channels[1]",
        "run.yaml:8 connections[1].rtt.max_msec",
        "run.yaml:10 connections[2].symbols",
        "run.yaml:13 strategies[0].use",
        "run.yaml:15 strategies[1].params",
        "run.yaml:16 lop",
    ]
    told = "\n".join(found)
    for hint in ("'okx'", "'max_ms'", "'Mine'", "'threshold'", "'loop'"):
        assert f"did you mean {hint}" in told


def test_meaning_is_checked_where_the_shape_is_right(tmp_path: Path) -> None:
    text = """\
connections:
  - exchange: okx
    symbols: [btcusdt, ETH-USDT, ETH-USDT]
    channels: [trades, candle.7m]
    url: http://localhost:1
    rtt: {race: 0, max_ms: -1}
    tls: {ca_file: nowhere.pem}
strategies:
  - use: ./mine.py:NoStrategy
    connections: [okkx]
    max_errors: -1
"""
    found = problems(tmp_path, text)

    told = "\n".join(found)
    assert "symbols[0]: symbol 'btcusdt': okx has symbols like BTC-USDT" in told
    assert "symbols[2]: 'ETH-USDT' is given twice" in told
    assert "channels[0]" in told
    assert "did you mean 'trade'?" in told
    assert "channels[1]" in told
    assert "7m" in told
    assert "url: expected ws or wss://host:port, got 'http://localhost:1'" in told
    assert "rtt.race: expected at least 1, got 0" in told
    assert "rtt.max_ms: expected more than 0, got -1" in told
    assert "tls.ca_file: expected a file" in told
    assert "expected a subclass of connectors.Strategy" in told
    assert "unknown connection 'okkx'; did you mean 'okx'?" in told
    assert "max_errors: expected 0 or more" in told
    lines = [int(each.split(":")[1]) for each in found]
    assert lines == sorted(lines)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("connections: []", "at least one connection"),
        ("connections: {okx: 1}", "expected a list, got {'okx': 1}"),
        ("[]", "expected a mapping"),
        ("", "expected a mapping"),
        ("connections:\n  - {exchange: okx, symbols: [BTC-USDT]}", "a key 'channels', which is missing"),
        (
            "connections:\n  - {exchange: okx, symbols: [BTC-USDT], channels: [trade], channels: [book]}",
            "twice",
        ),
        (
            "connections:\n  - {exchange: okx, symbols: [BTC-USDT], channels: [trade, 7]}",
            "a text or a mapping",
        ),
        (
            "connections:\n  - {exchange: okx, symbols: [1], channels: [trade]}",
            "symbols[0]: expected a text, got 1",
        ),
        (
            "connections:\n  - {exchange: okx, symbols: [A-B], channels: [book, book.5]}",
            "one book per instrument",
        ),
        (
            "connections:\n  - {exchange: okx, symbols: [A-B], channels: [trade], rtt: {action: reconect}}",
            "did you mean 'reconnect'?",
        ),
        (
            "connections:\n  - &a {exchange: okx, symbols: [A-B], channels: [trade], headers: {a: *a}}",
            "alias",
        ),
    ],
)
def test_wrong_shapes_are_told(tmp_path: Path, text: str, expected: str) -> None:
    assert any(expected in each for each in problems(tmp_path, text)), problems(tmp_path, text)


@pytest.mark.parametrize("text", ["a: [", "a: b: c", "\t- x", "a: !!python/object:os.system x", "\x00"])
def test_what_is_no_yaml_is_told_with_its_place(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigError, match=r"run\.yaml"):
        read(tmp_path, text)


def test_values_from_the_environment_are_never_shown(tmp_path: Path) -> None:
    text = """
connections:
  - exchange: okx
    symbols: [BTC-USDT]
    channels: [trade]
    proxy: "${PROXY}"
    rtt:
      race: ${RACE}
    headers: ["${PROXY}"]
strategies:
  - use: ./mine.py:Mine
    params: {threshold: "${PROXY}"}
"""
    with pytest.raises(ConfigError) as caught:
        read(tmp_path, text, PROXY="ftp://user:s3cret@host", RACE="0")

    assert "s3cret" not in str(caught.value)
    assert "not shown" in str(caught.value)


def test_error_that_quotes_a_value_from_the_environment_hides_it(tmp_path: Path) -> None:
    text = """
connections:
  - {exchange: okx, symbols: ["${SYMBOL}"], channels: ["${SYMBOL}"]}
"""
    found = "\n".join(problems(tmp_path, text, SYMBOL="s3cret"))

    assert "s3cret" not in found
    assert "symbol '***'" in found


def test_wrong_shape_hides_no_other_mistake(tmp_path: Path) -> None:
    text = """\
lop: 1
for_s: -1
busy_poll: 0
metrics: {every_s: 0}
mock: {rate: -5, faults: ["drp", "drop:evry=3", 7]}
connections:
  - {exchange: okx, symbols: [btcusdt], channels: [trad]}
"""
    found = problems(tmp_path, text)

    assert [each.split(": ")[1] for each in found] == [
        "lop",
        "for_s",
        "busy_poll",
        "metrics.every_s",
        "mock.faults[0]",
        "mock.faults[1]",
        "mock.faults[2]",
        "mock.rate",
        "connections[0].channels[0]",
        "connections[0].symbols[0]",
    ]


def test_faults_of_a_config_are_checked_before_the_run(tmp_path: Path) -> None:
    (found,) = problems(tmp_path, GOOD + "mock: {faults: ['drop:evry=3']}\n", API_KEY="x")

    assert "mock.faults[0]: fault drop: unknown option 'evry'" in found


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("class Mine(Strategy)\n    pass", "bad.py:2: SyntaxError: expected ':'"),
        ("raise RuntimeError('no key')", "importing it raised RuntimeError('no key') at "),
        ("raise SystemExit(3)", "importing it raised SystemExit(3) at "),
        (
            "class Mine(Strategy):\n    Params = dict",
            "expected a subclass of msgspec.Struct, got <class 'dict'>",
        ),
        ("class Mine(Strategy):\n    def on_trad(self, trade): ...", "did you mean 'on_trade'?"),
        (
            "class Mine(Strategy):\n    async def on_trade(self, trade): ...",
            "on_trade: expected a plain method",
        ),
    ],
)
def test_strategy_that_can_not_work_is_told_with_its_place(tmp_path: Path, body: str, expected: str) -> None:
    (tmp_path / "bad.py").write_text("from connectors import Strategy\n" + body)

    (found,) = problems(
        tmp_path, GOOD.replace("mine.py", "bad.py").replace("    params: {threshold: 1.5}\n", ""), API_KEY="x"
    )

    assert expected in found


def test_helper_of_a_strategy_may_begin_with_on(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(STRATEGY + "class Own(Mine):\n    def on_big_trade(self): ...\n")

    assert read(tmp_path, GOOD.replace("mine.py:Mine", "own.py:Own"), API_KEY="x").strategies


def test_missing_variable_is_told_by_name(tmp_path: Path) -> None:
    assert any("no variable API_KEY" in each for each in problems(tmp_path, GOOD))


def test_unquoted_variable_may_be_a_number(tmp_path: Path) -> None:
    settings = read(
        tmp_path,
        GOOD.replace("rtt: {max_ms: 50, action: reconnect}", "rtt:\n      max_ms: ${LIMIT}"),
        API_KEY="x",
        LIMIT="75.5",
    )

    assert settings.connections[0].rtt.max_ms == 75.5


def test_missing_file_is_a_config_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nowhere\.yaml"):
        load_settings(tmp_path / "nowhere.yaml", {})


@pytest.mark.parametrize("name", ["demo", "okx", "binance", "bybit"])
def test_shipped_configs_are_correct(name: str) -> None:
    path = Path(__file__).resolve().parents[2] / "configs" / f"{name}.yaml"

    assert load_settings(path, {}).connections
