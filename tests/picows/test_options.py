"""ConnectionOptions: every wrong option is refused at the door, with its name."""

import logging

import pytest

import picows
from picows.options import ConnectionOptions, get_logger

LOGGER = logging.getLogger("test")
NAN = float("nan")


def test_the_defaults_are_the_documented_ones():
    options = ConnectionOptions(logger=LOGGER)

    assert (options.disconnect_on_exception, options.enable_auto_pong, options.strict) == (True, True, True)
    assert (options.enable_auto_ping, options.auto_ping_strategy) == (False, 1)
    assert options.compression is None
    assert (options.websocket_handshake_timeout, options.close_timeout) == (5, 10)
    assert (options.max_frame_size, options.read_buffer_init_size) == (10 * 1024 * 1024, 16 * 1024)


@pytest.mark.parametrize(
    ("name", "value", "error"),
    [
        ("websocket_handshake_timeout", 0, ValueError),
        ("websocket_handshake_timeout", -1, ValueError),
        ("websocket_handshake_timeout", NAN, ValueError),
        ("websocket_handshake_timeout", float("inf"), ValueError),
        ("websocket_handshake_timeout", "5", TypeError),
        ("websocket_handshake_timeout", True, TypeError),
        ("close_timeout", None, TypeError),
        ("close_timeout", 0, ValueError),
        ("close_timeout", NAN, ValueError),
        ("close_timeout", [], TypeError),
        ("max_frame_size", 0, ValueError),
        ("max_frame_size", -5, ValueError),
        ("max_frame_size", 2**62, ValueError),
        ("max_frame_size", 1.5, TypeError),
        ("max_frame_size", None, TypeError),
        ("max_frame_size", True, TypeError),
        ("read_buffer_init_size", 0, ValueError),
        ("read_buffer_init_size", 2**62, ValueError),
        ("read_buffer_init_size", None, TypeError),
        ("read_buffer_init_size", "16K", TypeError),
    ],
)
def test_a_wrong_option_is_refused_by_name(name, value, error):
    with pytest.raises(error, match=name):
        ConnectionOptions(logger=LOGGER, **{name: value})


@pytest.mark.parametrize(
    "wrong",
    [
        {"auto_ping_idle_timeout": 1, "auto_ping_reply_timeout": 2},
        {"auto_ping_idle_timeout": 0},
        {"auto_ping_reply_timeout": -1},
        {"auto_ping_strategy": 7},
        {"auto_ping_idle_timeout": "10"},
        {"auto_ping_reply_timeout": None},
        {"auto_ping_strategy": None},
        {"auto_ping_strategy": "idle"},
    ],
)
def test_wrong_ping_options_are_refused_where_auto_ping_is_on(wrong):
    with pytest.raises((TypeError, ValueError), match="auto_ping"):
        ConnectionOptions(logger=LOGGER, enable_auto_ping=True, **wrong)

    ConnectionOptions(logger=LOGGER, enable_auto_ping=False, **wrong)


def test_no_handshake_timeout_is_an_option():
    assert (
        ConnectionOptions(logger=LOGGER, websocket_handshake_timeout=None).websocket_handshake_timeout is None
    )


@pytest.mark.parametrize(
    ("given", "name"), [(None, "picows.client"), ("feed", "picows.feed"), (LOGGER, "test")]
)
def test_logger_names_stand_under_picows(given, name):
    assert get_logger(given, "client").name == name


def test_a_logger_adapter_is_used_as_it_is():
    adapter = logging.LoggerAdapter(LOGGER, {})

    assert get_logger(adapter, "client") is adapter


@pytest.mark.parametrize("given", [5, b"name", object(), True])
def test_another_logger_is_refused(given):
    with pytest.raises(TypeError, match="logger_name"):
        get_logger(given, "client")


@pytest.mark.parametrize(
    ("arguments", "error", "named"),
    [
        ({"max_frame_size": 0}, ValueError, "max_frame_size"),
        ({"close_timeout": "1"}, TypeError, "close_timeout"),
        ({"logger_name": 5}, TypeError, "logger_name"),
        ({"ssl_context": True}, TypeError, "ssl_context"),
        ({"max_redirects": -1}, ValueError, "max_redirects"),
        ({"max_redirects": "1"}, (TypeError, ValueError), "max_redirects"),
        ({"socket_factory": 5}, TypeError, "socket_factory"),
        ({"extra_headers": [("a", "b\r\nc: d")]}, ValueError, None),
        ({"extra_headers": [("a b", "c")]}, ValueError, None),
        ({"extra_headers": {"a": 5}}, TypeError, None),
        ({"extra_headers": 5}, TypeError, None),
        ({"ssl": True}, TypeError, "ssl_context"),
        ({"sock": 1}, TypeError, "socket_factory"),
        ({"unknown": 1}, TypeError, "unknown"),
    ],
)
async def test_ws_connect_refuses_before_any_socket_is_opened(arguments, error, named):
    opened = []

    with pytest.raises(error, match=named):
        await picows.ws_connect(
            picows.WSListener,
            "ws://127.0.0.1:1/",
            **{"socket_factory": lambda h, p: opened.append(h), **arguments},
        )

    assert opened == []


@pytest.mark.parametrize("factory", [None, 5, "Listener"])
async def test_a_factory_that_cannot_be_called_is_refused(factory):
    with pytest.raises(TypeError, match="ws_listener_factory"):
        await picows.ws_connect(factory, "ws://127.0.0.1:1/")
    with pytest.raises(TypeError, match="ws_listener_factory"):
        await picows.ws_create_server(factory, "127.0.0.1", 0)


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("ssl_context", "use ssl"),
        ("compress", "use compression"),
        ("autocork", "use auto_cork"),
        ("x", "'x'$"),
    ],
)
async def test_a_misspelled_argument_of_a_server_is_told_the_right_one(name, wanted):
    with pytest.raises(TypeError, match=rf"ws_create_server\(\) .*{wanted}"):
        await picows.ws_create_server(picows.WSListener, "127.0.0.1", 0, **{name: None})


@pytest.mark.parametrize("url", [None, 5, b"ws://h/", "", "http://h/", "ws://", "ws://h/#f", "ws://h:99999/"])
async def test_a_wrong_url_is_refused(url):
    with pytest.raises((picows.WSInvalidURL, TypeError)):
        await picows.ws_connect(picows.WSListener, url)


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"host": "127.0.0.1", "port": 0, "path": "/tmp/x"},
        {"host": "127.0.0.1", "port": 0, "ssl": True},
        {"host": "127.0.0.1", "port": 0, "unknown": 1},
        {"host": "127.0.0.1", "port": 0, "max_frame_size": -1},
        {"host": "127.0.0.1", "port": "x y"},
        {"host": 5, "port": 0},
        {"sock": 5},
    ],
)
async def test_ws_create_server_refuses_wrong_arguments(arguments):
    with pytest.raises((TypeError, ValueError, OSError)):
        await picows.ws_create_server(lambda request: None, **arguments)
