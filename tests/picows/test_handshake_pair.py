"""The client's side of the opening handshake against the server's."""

from hypothesis import given
from hypothesis import strategies as st

from picows.handshake import (
    build_101,
    build_request,
    check_headers,
    check_request,
    check_response,
    make_key,
    offered_extensions,
    offered_subprotocols,
    parse_request,
    parse_response,
    request_head_end,
    response_head_end,
)
from picows.upgrade import WSUpgradeResponse
from picows.url import parse_url

TOKENS = st.from_regex(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,12}", fullmatch=True)
VALUES = st.text(
    st.characters(min_codepoint=0x20, max_codepoint=0xFF, exclude_characters="\x7f"), max_size=30
)
RESERVED = ("upgrade", "connection", "host", "authorization", "content-length", "transfer-encoding")
EXTRA = st.lists(st.tuples(TOKENS.filter(lambda name: name.lower() not in RESERVED), VALUES), max_size=6)


@given(EXTRA, st.lists(TOKENS, unique=True, max_size=4), st.data())
def test_what_the_client_asks_the_server_understands(extra, subprotocols, data):
    key = make_key()
    if subprotocols:
        extra = [*extra, ("Sec-WebSocket-Protocol", ", ".join(subprotocols))]
    fields = check_headers(extra)

    wire = build_request(parse_url("ws://user:pass@h:81/a?b"), key, fields)
    request = parse_request(wire[: request_head_end(wire)])

    assert check_request(request) == key
    assert offered_subprotocols(request.headers) == subprotocols
    for name, value in extra:
        sent = value.encode("latin-1").strip(b" \t").decode("ascii", "surrogateescape")
        assert sent in request.headers.getall(name)
    chosen = data.draw(st.sampled_from(subprotocols)) if subprotocols else None
    headers = {} if chosen is None else {"Sec-WebSocket-Protocol": chosen}
    answer = build_101(key, WSUpgradeResponse.create_101_response(headers), request)
    response = parse_response(answer[: response_head_end(answer)])
    check_response(response, key, offered_subprotocols(fields), offered_extensions(fields), answer)
    assert response.headers.get("Sec-WebSocket-Protocol") == chosen
