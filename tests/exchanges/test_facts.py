"""Every facts file that ships: complete, dated, sourced, and its verbs do what a session asks of them."""

import re
from datetime import date
from string import Template

import msgspec
import pytest

from connectors import Channel, ConfigError
from connectors.errors import FactsError
from connectors.facts import load_facts
from connectors.registry import facts_files, load_exchange

VENUES = sorted(facts_files())


def channels_of(exchange):
    """Every channel in every variant."""
    for key, fact in exchange.facts.channels.items():
        yield key
        yield from (f"{key}.{variant}" for variant in fact.variants)


@pytest.mark.parametrize("venue", VENUES)
def test_facts_name_their_source_and_the_date_of_reading(venue):
    facts = load_exchange(venue).facts

    assert facts.source
    assert all(url.startswith("https://") for url in facts.source)
    assert date(2026, 1, 1) <= date.fromisoformat(facts.read)


@pytest.mark.parametrize("venue", VENUES)
def test_every_example_symbol_has_a_native_name(venue):
    exchange = load_exchange(venue)

    for rule in exchange.facts.symbols:
        instrument = exchange.instrument(rule.example)
        assert (instrument.kind, instrument.symbol) == (rule.kind, rule.example)
        assert instrument.native
    with pytest.raises(ConfigError, match=re.escape(exchange.facts.symbols[0].example)):
        exchange.native_symbol("btc/usdt")


@pytest.mark.parametrize("venue", VENUES)
def test_every_channel_makes_a_stream_that_its_frames_lead_to(venue):
    """The key stands between a prefix's start and end, so it must not hold the end."""
    exchange = load_exchange(venue)
    for text in channels_of(exchange):
        stream = exchange.stream(Channel.parse(text), exchange.instrument(exchange.facts.symbols[0].example))

        assert stream.route in exchange.facts.routes, text
        assert stream.fact.quiet_s is None or stream.fact.quiet_s > 0
        assert all(prefix.end.encode() not in stream.key for prefix in exchange.facts.frames.data), text
        assert "$" not in stream.topic


@pytest.mark.parametrize("venue", VENUES)
def test_requests_are_json_and_name_every_topic(venue):
    exchange = load_exchange(venue)
    instrument = exchange.instrument(exchange.facts.symbols[0].example)
    streams = [exchange.stream(Channel.parse(text), instrument) for text in channels_of(exchange)]

    for batch in exchange.batches(streams):
        for request in (exchange.subscribe(batch, 7), exchange.unsubscribe(batch, 8)):
            msgspec.json.decode(request)
            assert all(stream.topic.encode() in request for stream in batch)
            assert len(request) <= exchange.facts.subscribe.max_bytes
    ping = exchange.ping(9)
    assert ping is None or b"$" not in ping


@pytest.mark.parametrize("venue", VENUES)
def test_a_venues_own_channel_name_finds_its_facts(venue):
    """`{book: "depth20@100ms"}` gets the rule of partial books, `{raw: ...}` the right route."""
    exchange = load_exchange(venue)
    instrument = exchange.instrument(exchange.facts.symbols[0].example)
    for key, fact in exchange.facts.channels.items():
        kind = key.partition(".")[0]
        variant = fact.default
        name = Template(fact.name).safe_substitute(interval=fact.variants.get(variant, ""))

        typed = exchange.stream(Channel(kind, "", name), instrument)
        raw = exchange.stream(Channel("raw", "", name), instrument)

        assert (typed.route, typed.fact.continuity) == (fact.route, fact.continuity)
        assert (raw.kind, raw.topic, raw.route) == ("raw", typed.topic, fact.route)


@pytest.mark.parametrize("venue", VENUES)
def test_unknown_channels_are_told_with_what_there_is(venue):
    exchange = load_exchange(venue)
    instrument = exchange.instrument(exchange.facts.symbols[0].example)

    with pytest.raises(ConfigError, match="trade"):
        exchange.stream(Channel.parse("trades"), instrument)
    with pytest.raises(ConfigError, match="1m"):
        exchange.stream(Channel.parse("candle.7m"), instrument)


@pytest.mark.parametrize("venue", [name for name in VENUES if load_exchange(name).facts.rest])
def test_rest_calls_fit_the_weight_budget(venue):
    exchange = load_exchange(venue)
    budget = exchange.facts.rest.weight

    for request in exchange.instrument_requests():
        assert request.url.startswith("https://")
        assert request.weight <= budget.count
    for text in ("book",):
        stream = exchange.stream(Channel.parse(text), exchange.instrument(exchange.facts.symbols[0].example))
        snapshot = exchange.snapshot_request(stream)
        if stream.fact.snapshot == "rest":
            assert snapshot.weight <= budget.count
            assert f"limit={stream.fact.snapshot_levels}" in snapshot.url
        else:
            assert snapshot is None


def test_an_unknown_rule_is_told_when_facts_are_read(tmp_path):
    text = facts_files()["bybit_linear"].read_text().replace("continuity: step", "continuity: stepp")
    (tmp_path / "bybit_linear.yaml").write_text(text)

    with pytest.raises(FactsError, match=r"continuity.*'stepp'"):
        load_facts(tmp_path / "bybit_linear.yaml")
