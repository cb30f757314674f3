"""Accept key, offers, and the origin check."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict

from picows.negotiation import (
    accept_for,
    find_unoffered,
    offered_extensions,
    offered_subprotocols,
    origin_is_allowed,
)
from picows.upgrade import WSUpgradeRequest


def test_accept_key_is_that_of_the_rfc():
    assert accept_for("dGhlIHNhbXBsZSBub25jZQ==") == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="  # RFC 6455 1.3


def test_subprotocols_in_order_over_repeated_headers():
    headers = [("Sec-WebSocket-Protocol", "b, A"), ("sec-websocket-protocol", "c")]

    assert offered_subprotocols(headers) == offered_subprotocols(CIMultiDict(headers)) == ["b", "A", "c"]
    assert offered_subprotocols([]) == offered_subprotocols({}) == []


@pytest.mark.parametrize(
    ("value", "names"),
    [
        ("foo", ["foo"]),
        ("foo, bar", ["foo", "bar"]),
        ("permessage-deflate; client_max_window_bits; server_max_window_bits=10", ["permessage-deflate"]),
        ('foo; x="token" , bar ;y = 1', ["foo", "bar"]),
        ("foo;x,foo;y", ["foo", "foo"]),
        (",foo,, ,bar,", ["foo", "bar"]),
        ("", []),
    ],
)
def test_extensions_are_named_without_parameters(value, names):
    assert offered_extensions({"Sec-WebSocket-Extensions": value}) == names


@pytest.mark.parametrize(
    "value", ["foo bar", "foo;", "foo;=1", "foo; x=", 'foo; x="a', 'foo; x="a,b"', ";x", "f(oo)"]
)
def test_malformed_extensions_are_refused(value):
    with pytest.raises(ValueError, match="malformed Sec-WebSocket-Extensions"):
        offered_extensions({"Sec-WebSocket-Extensions": value})


@pytest.mark.parametrize("unit", [" ", "a ", "a;b ", "a;b=c ;", ",", ", ", ' ;a="b"', "a;b=", "\t;"])
def test_time_to_refuse_extensions_does_not_explode_with_length(unit):
    value = "x " + unit * (16000 // len(unit)) + "("

    start = time.perf_counter()
    with pytest.raises(ValueError, match="malformed"):
        offered_extensions({"Sec-WebSocket-Extensions": value})

    assert time.perf_counter() - start < 0.5


@given(st.text())
def test_any_text_is_extensions_or_a_value_error(text):
    try:
        names = offered_extensions({"Sec-WebSocket-Extensions": text})
    except ValueError:
        return
    assert all(name in text for name in names)


@pytest.mark.parametrize(
    ("answer", "fault"),
    [
        ([], None),
        ([("Sec-WebSocket-Protocol", "chat")], None),
        ([("Sec-WebSocket-Protocol", "")], None),
        ([("Sec-WebSocket-Protocol", "Chat")], "Sec-WebSocket-Protocol"),
        ([("Sec-WebSocket-Protocol", "other")], "Sec-WebSocket-Protocol"),
        ([("Sec-WebSocket-Protocol", "chat, superchat")], "Sec-WebSocket-Protocol"),
        ([("Sec-WebSocket-Protocol", "chat"), ("Sec-WebSocket-Protocol", "chat")], "Sec-WebSocket-Protocol"),
        ([("Sec-WebSocket-Extensions", "x-foo; a=1")], None),
        ([("Sec-WebSocket-Extensions", "x-bar")], "Sec-WebSocket-Extensions"),
        (
            [("Sec-WebSocket-Extensions", "x-foo"), ("Sec-WebSocket-Extensions", "x-bar")],
            "Sec-WebSocket-Extensions",
        ),
        ([("Sec-WebSocket-Extensions", "x-foo;")], "Sec-WebSocket-Extensions"),
    ],
)
def test_an_answer_stays_within_the_offer(answer, fault):
    found = find_unoffered(CIMultiDict(answer), ["chat", "superchat"], ["x-foo"])

    assert (found and found[0]) == fault


# ---------------------------------------------------------------------------------------------- origins

ALLOWED = ["https://example.com", "https://app.example.com:8443", "http://[::1]:3000"]


def request_from(*origins):
    return WSUpgradeRequest(headers=CIMultiDict(("Origin", origin) for origin in origins))


@pytest.mark.parametrize(
    "origin",
    [
        "https://example.com",
        "https://EXAMPLE.com",
        "https://example.com:443",
        "https://app.example.com:8443",
        "http://[::1]:3000",
    ],
)
def test_a_listed_origin_is_allowed(origin):
    assert origin_is_allowed(request_from(origin), ALLOWED)
    assert origin_is_allowed(request_from(origin), iter(ALLOWED))


@pytest.mark.parametrize(
    "origin",
    [
        "http://example.com",
        "https://example.com:8443",
        "https://evil-example.com",
        "https://example.com.evil.com",
        "https://sub.example.com",
        "https://app.example.com",
        "https://example.com@evil.com",
        "https://evil.com#https://example.com",
        "https://example.com/",
        "https://example.com https://evil.com",
        "https://example.com:99999",
        "https://example.com:x",
        "https://[::1",
        "example.com",
        "null",
        "NULL",
        "",
        "*",
    ],
)
def test_any_other_origin_is_not(origin):
    assert not origin_is_allowed(request_from(origin), ALLOWED)


def test_two_origins_are_not_allowed_even_if_both_are_listed():
    assert not origin_is_allowed(request_from("https://example.com", "https://example.com"), ALLOWED)


def test_null_must_be_listed():
    assert origin_is_allowed(request_from("null"), [*ALLOWED, "null"])
    assert not origin_is_allowed(request_from("null"), ALLOWED)


def test_missing_origin_is_the_callers_choice():
    assert origin_is_allowed(request_from(), ALLOWED)
    assert not origin_is_allowed(request_from(), ALLOWED, allow_missing=False)
    assert not origin_is_allowed(request_from("https://example.com"), [])


@pytest.mark.parametrize(
    "entry", ["example.com", "https://example.com/", "*", "https://", "https://*.example.com"]
)
def test_an_entry_that_is_no_origin_is_the_callers_mistake(entry):
    with pytest.raises(ValueError, match="allowed origin"):
        origin_is_allowed(request_from("https://example.com"), [entry])


@given(st.text())
def test_any_origin_gets_an_answer(text):
    assert origin_is_allowed(request_from(text), ["https://only.example"]) in (True, False)
