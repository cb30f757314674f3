"""permessage-deflate in the handshake (RFC 7692 sections 5 and 7.1): tables of offers and answers."""

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from picows import PerMessageDeflate
from picows.deflate_negotiation import check_answer, choose, with_offer
from picows.negotiation import extension_offers

NAME = "permessage-deflate"
FRESH_BOTH = {"server_no_context_takeover": True, "client_no_context_takeover": True}


def header(*elements):
    return [("Sec-WebSocket-Extensions", ", ".join(elements))]


def element(*parameters):
    return "; ".join([NAME, *parameters])


def meaning(agreed):
    """(our bits, do we start afresh, their bits, do they)."""
    return tuple(agreed[:4])


# ---------------------------------------------------------------- options


def test_nothing_is_limited_by_default_but_the_size():
    options = PerMessageDeflate()

    assert dataclasses.astuple(options) == (False, False, 15, 15, -1, 8, 0, 10 * 1024 * 1024)


@pytest.mark.parametrize(
    ("name", "value", "error"),
    [
        ("server_max_window_bits", 7, ValueError),
        ("server_max_window_bits", 16, ValueError),
        ("server_max_window_bits", None, TypeError),
        ("client_max_window_bits", 7, ValueError),
        ("client_max_window_bits", True, TypeError),
        ("client_max_window_bits", "10", TypeError),
        ("server_no_context_takeover", 1, TypeError),
        ("client_no_context_takeover", None, TypeError),
        ("compression_level", 10, ValueError),
        ("compression_level", -2, ValueError),
        ("mem_level", 0, ValueError),
        ("mem_level", 10, ValueError),
        ("threshold", -1, ValueError),
        ("threshold", 1.5, TypeError),
        ("max_message_size", 0, ValueError),
        ("max_message_size", None, TypeError),
    ],
)
def test_a_wrong_option_is_refused_by_name(name, value, error):
    with pytest.raises(error, match=name):
        PerMessageDeflate(**{name: value})


def test_options_are_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        PerMessageDeflate().threshold = 5


# ---------------------------------------------------------------- the header's grammar


@pytest.mark.parametrize(
    ("value", "offers"),
    [
        ("a", [("a", [])]),
        ("a;b", [("a", [("b", None)])]),
        ('a ; b = 1 ;\tc="2", d; b=3', [("a", [("b", "1"), ("c", "2")]), ("d", [("b", "3")])]),
        ("a, , a; x; x", [("a", []), ("a", [("x", None), ("x", None)])]),
        (" ,", []),
    ],
)
def test_elements_come_apart_in_order(value, offers):
    assert extension_offers([("Sec-WebSocket-Extensions", value)]) == offers


# ---------------------------------------------------------------- the client's offer


@pytest.mark.parametrize(
    ("options", "offer"),
    [
        ({}, element("client_max_window_bits")),
        ({"client_max_window_bits": 10}, element("client_max_window_bits=10")),
        ({"server_max_window_bits": 8}, element("server_max_window_bits=8", "client_max_window_bits")),
        (
            FRESH_BOTH,
            element("server_no_context_takeover", "client_no_context_takeover", "client_max_window_bits"),
        ),
    ],
)
def test_the_offer_says_what_the_options_say(options, offer):
    assert with_offer([("A", "b")], PerMessageDeflate(**options)) == [
        ("A", "b"),
        ("Sec-WebSocket-Extensions", offer),
    ]


def test_without_options_headers_stay_as_they_are():
    own = header(NAME, "x-other")

    assert with_offer(own, None) == own


def test_an_offer_beside_the_callers_own_is_refused():
    with pytest.raises(ValueError, match="leave it out of extra_headers"):
        with_offer(header("x-other", element("client_max_window_bits")), PerMessageDeflate())


def test_other_extensions_of_the_caller_are_kept():
    headers = with_offer(header("x-other"), PerMessageDeflate())

    assert [name for name, _ in extension_offers(headers)] == ["x-other", NAME]


# ---------------------------------------------------------------- the server's choice


@pytest.mark.parametrize(
    ("offer", "options", "answer", "agreed"),
    [
        (element(), {}, element(), (15, False, 15, False)),
        # What Chromium and Firefox send.
        (element("client_max_window_bits"), {}, element(), (15, False, 15, False)),
        (
            element("client_max_window_bits"),
            {"client_max_window_bits": 10},
            element("client_max_window_bits=10"),
            (15, False, 10, False),
        ),
        (
            element("client_max_window_bits=9"),
            {"client_max_window_bits": 10},
            element("client_max_window_bits=9"),
            (15, False, 9, False),
        ),
        (element("client_max_window_bits=15"), {}, element(), (15, False, 15, False)),
        # 7.1.2.1: the same value or a smaller one; also where nothing was asked for.
        (
            element("server_max_window_bits=10"),
            {},
            element("server_max_window_bits=10"),
            (10, False, 15, False),
        ),
        (
            element("server_max_window_bits=10"),
            {"server_max_window_bits": 9},
            element("server_max_window_bits=9"),
            (9, False, 15, False),
        ),
        (
            element("server_max_window_bits=15"),
            {},
            element("server_max_window_bits=15"),
            (15, False, 15, False),
        ),
        (
            element(),
            {"server_max_window_bits": 8},
            element("server_max_window_bits=8"),
            (8, False, 15, False),
        ),
        # 7.1.1: asked for, and so confirmed; or our own wish.
        (
            element("server_no_context_takeover"),
            {},
            element("server_no_context_takeover"),
            (15, True, 15, False),
        ),
        (
            element("client_no_context_takeover"),
            {},
            element("client_no_context_takeover"),
            (15, False, 15, True),
        ),
        (
            element(),
            FRESH_BOTH,
            element("server_no_context_takeover", "client_no_context_takeover"),
            (15, True, 15, True),
        ),
        (
            element(' server_max_window_bits = "12" '),
            {},
            element("server_max_window_bits=12"),
            (12, False, 15, False),
        ),
    ],
)
def test_a_server_answers_an_offer(offer, options, answer, agreed):
    chosen = choose(header(offer), PerMessageDeflate(**options))

    assert (chosen[0], meaning(chosen[1])) == (answer, agreed)


INVALID = [
    element("x"),
    element("x=1"),
    element("server_no_context_takeover=1"),
    element('client_no_context_takeover="true"'),
    element("server_max_window_bits"),
    element("server_max_window_bits=7"),
    element("server_max_window_bits=16"),
    element("server_max_window_bits=010"),
    element("server_max_window_bits=ten"),
    element("client_max_window_bits=0"),
    element("client_max_window_bits=8.0"),
    element("server_no_context_takeover", "server_no_context_takeover"),
    element("client_no_context_takeover", "client_no_context_takeover"),
    element("server_max_window_bits=10", "server_max_window_bits=10"),
    element("client_max_window_bits", "client_max_window_bits=10"),
    element("Server_no_context_takeover"),
]


@pytest.mark.parametrize("offer", INVALID)
def test_a_server_declines_an_invalid_offer(offer):
    assert choose(header(offer), PerMessageDeflate()) is None


@pytest.mark.parametrize("offer", INVALID)
def test_the_next_offer_gets_its_chance(offer):
    headers = header(offer, "x-other", element("server_max_window_bits=9"), element())

    assert choose(headers, PerMessageDeflate())[0] == element("server_max_window_bits=9")


def test_a_window_limit_that_a_client_does_not_know_is_not_forced_on_it():
    options = PerMessageDeflate(client_max_window_bits=10)

    assert choose(header(element("server_no_context_takeover")), options) is None
    assert choose(header(element(), element("client_max_window_bits")), options)[0] == element(
        "client_max_window_bits=10"
    )


@pytest.mark.parametrize("offers", [[], ["x-other"], ["permessage-bzip2"], ["Permessage-Deflate"]])
def test_without_an_offer_there_is_no_answer(offers):
    assert choose(header(*offers) if offers else [], PerMessageDeflate()) is None


def test_a_server_without_options_declines_all():
    assert choose(header(element()), None) is None


# ---------------------------------------------------------------- the client's check of the answer


@pytest.mark.parametrize(
    ("answer", "options", "agreed"),
    [
        (element(), {}, (15, False, 15, False)),
        (element("client_max_window_bits=10"), {}, (10, False, 15, False)),
        (element("client_max_window_bits=8"), {"client_max_window_bits": 9}, (8, False, 15, False)),
        # Not limited by the server, but by our own word.
        (element(), {"client_max_window_bits": 9}, (9, False, 15, False)),
        (element(), {"client_no_context_takeover": True}, (15, True, 15, False)),
        # 7.1.1, 7.1.2.1: a server may promise what nobody asked for.
        (element("server_max_window_bits=9"), {}, (15, False, 9, False)),
        (element("server_max_window_bits=9"), {"server_max_window_bits": 10}, (15, False, 9, False)),
        (element("server_no_context_takeover"), {}, (15, False, 15, True)),
        (element("client_no_context_takeover"), {}, (15, True, 15, False)),
        (element("server_no_context_takeover"), {"server_no_context_takeover": True}, (15, False, 15, True)),
    ],
)
def test_a_client_takes_an_answer(answer, options, agreed):
    assert meaning(check_answer(header("x-other", answer), PerMessageDeflate(**options))) == agreed


@pytest.mark.parametrize(
    ("answer", "options"),
    [(invalid, {}) for invalid in INVALID]
    + [
        (element("client_max_window_bits"), {}),
        (element("client_max_window_bits=10"), {"client_max_window_bits": 9}),
        (element(), {"server_max_window_bits": 10}),
        (element("server_max_window_bits=11"), {"server_max_window_bits": 10}),
        (element(), {"server_no_context_takeover": True}),
        (element("client_no_context_takeover"), {"server_no_context_takeover": True}),
        (f"{NAME}, {NAME}", {}),
    ],
)
def test_an_answer_that_does_not_fit_the_offer_is_an_error(answer, options):
    with pytest.raises(ValueError, match=r"permessage|window_bits|takeover|parameter"):
        check_answer(header(answer), PerMessageDeflate(**options))


def test_an_answer_without_the_extension_means_no_compression():
    assert check_answer([], PerMessageDeflate(server_no_context_takeover=True)) is None
    assert check_answer(header("x-other"), PerMessageDeflate()) is None
    assert check_answer(header(element()), None) is None


# ---------------------------------------------------------------- both together

OPTIONS = st.builds(
    PerMessageDeflate,
    server_no_context_takeover=st.booleans(),
    client_no_context_takeover=st.booleans(),
    server_max_window_bits=st.integers(8, 15),
    client_max_window_bits=st.integers(8, 15),
)


@given(OPTIONS, OPTIONS)
def test_two_sides_always_agree_on_the_same(of_client, of_server):
    chosen = choose(with_offer([], of_client), of_server)

    client = check_answer(header(chosen[0]), of_client)
    server = chosen[1]
    # The client may hold itself to less than the server counts on.
    assert client.deflate_bits <= server.inflate_bits
    assert client.deflates_afresh >= server.inflates_afresh
    assert (client.inflate_bits, client.inflates_afresh) == (server.deflate_bits, server.deflates_afresh)
    assert server.deflate_bits <= min(of_client.server_max_window_bits, of_server.server_max_window_bits)
    assert client.deflate_bits <= min(of_client.client_max_window_bits, of_server.client_max_window_bits)
