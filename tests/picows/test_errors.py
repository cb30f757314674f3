"""The WSError tree: shape, attributes, text, pickling."""

import pickle

import pytest

from picows.errors import (
    WSError,
    WSHandshakeError,
    WSInvalidHeaderError,
    WSInvalidMessageError,
    WSInvalidStatusError,
    WSInvalidUpgradeError,
    WSInvalidURL,
    WSProtocolError,
    without_secrets,
)
from picows.upgrade import WSUpgradeResponse

PARENTS = {
    WSError: Exception,
    WSHandshakeError: WSError,
    WSInvalidMessageError: WSHandshakeError,
    WSInvalidStatusError: WSHandshakeError,
    WSInvalidHeaderError: WSHandshakeError,
    WSInvalidUpgradeError: WSInvalidHeaderError,
    WSProtocolError: WSError,
    WSInvalidURL: WSError,
}


@pytest.mark.parametrize("error", PARENTS, ids=lambda error: error.__name__)
def test_the_tree_is_the_documented_one(error):
    assert error.__bases__ == (PARENTS[error],)


@pytest.mark.parametrize("error", [WSHandshakeError, WSInvalidMessageError, WSInvalidStatusError])
def test_handshake_errors_take_the_response_by_position(error):
    response = WSUpgradeResponse.create_error_response(403)

    exc = error("refused", b"HEAD", b"BODY", response)

    assert (str(exc), exc.raw_header, exc.raw_body, exc.response) == ("refused", b"HEAD", b"BODY", response)
    assert (error("x").raw_header, error("x").raw_body, error("x").response) == (None, None, None)


@pytest.mark.parametrize("error", [WSInvalidHeaderError, WSInvalidUpgradeError])
def test_header_errors_name_header_and_value(error):
    exc = error("bad", "Upgrade", "h2c", b"HEAD", b"BODY")

    assert (exc.name, exc.value, exc.raw_header, exc.raw_body) == ("Upgrade", "h2c", b"HEAD", b"BODY")


def test_protocol_error_reads_as_its_message():
    exc = WSProtocolError(1002, "RSV1 is set")

    assert str(exc) == exc.message == "RSV1 is set"
    assert exc.code == exc.close_code == 1002


def test_invalid_url_is_no_value_error():
    exc = WSInvalidURL("ws://h:0/", "bad port")

    assert not isinstance(exc, ValueError)
    assert (exc.url, exc.msg) == ("ws://h:0/", "bad port")
    assert str(exc) == "invalid URL 'ws://h:0/': bad port"


@pytest.mark.parametrize(
    "error",
    [
        WSError("e"),
        WSHandshakeError("e", b"h", b"b", WSUpgradeResponse.create_error_response(404, b"gone")),
        WSInvalidMessageError("e", b"h"),
        WSInvalidStatusError("e", raw_body=b"b"),
        WSInvalidHeaderError("e", "Upgrade", None, b"h"),
        WSInvalidUpgradeError("e", name="Upgrade", value="x"),
        WSProtocolError(1007, "e"),
        WSInvalidURL("ws://", "e"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_errors_survive_pickling(error):
    copy = pickle.loads(pickle.dumps(error))

    assert type(copy) is type(error)
    assert str(copy) == str(error)
    state, want = dict(vars(copy)), dict(vars(error))
    response, wanted_response = state.pop("response", None), want.pop("response", None)
    assert state == want
    assert (response and response.to_bytes()) == (wanted_response and wanted_response.to_bytes())


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("ws://h/a@depth", "ws://h/a@depth"),
        ("ws://user:secret@h/a@depth?signature=secret", "ws://***@h/a@depth?..."),
        ("ws://secret@h", "ws://***@h"),
        ("ws://user:sec/ret@h/", "ws://***@h/"),
        ("ws://user:sec?ret@h/", "ws://***@h/"),
        ("ws://user:sec#ret@h/", "ws://***@h/"),
        ("ws://[::1]:80/x@y?token=secret", "ws://[::1]:80/x@y?..."),
        ("nonsense", "nonsense"),
    ],
)
def test_text_of_a_url_hides_user_info_and_query(url, shown):
    assert without_secrets(url) == shown
    assert "sec" not in str(WSInvalidURL(url, "x"))
