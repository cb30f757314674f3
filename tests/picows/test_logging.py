"""Logging under picows.*: frames and state at level 9, and nothing formatted while nobody listens."""

import asyncio
import logging

import pytest

from picows import PICOWS_DEBUG_LL, WSFrame, WSMsgType

from .conftest import gone
from .ws_frames import TEXT
from .ws_listeners import Echo


def test_the_debug_level_is_9():
    assert PICOWS_DEBUG_LL == 9


async def test_frames_and_state_are_logged_at_level_9_under_the_tree(open_end, side, caplog):
    caplog.set_level(PICOWS_DEBUG_LL, logger="picows")
    end = await open_end(Echo())
    await end.peer.send(TEXT, b"hello")
    await end.peer.recv_frame()
    end.transport.disconnect()
    await gone(end.transport)

    records = [record for record in caplog.records if record.name.startswith("picows")]
    texts = [record.getMessage() for record in records]

    assert {record.name for record in records} == {f"picows.{side}"}
    for expected in ("connected, ", "received WSFrame(TEXT", "send TEXT", "disconnected, "):
        assert any(text.startswith(expected) for text in texts), (expected, texts)
    assert all(record.levelno == PICOWS_DEBUG_LL for record in records)


async def test_payloads_are_not_logged(open_end, caplog):
    caplog.set_level(PICOWS_DEBUG_LL, logger="picows")
    end = await open_end(Echo())

    await end.peer.send(TEXT, b"api-secret")
    await end.peer.recv_frame()

    assert "api-secret" not in caplog.text


async def test_nothing_is_formatted_while_the_level_is_off(open_end, caplog, monkeypatch):
    caplog.set_level(logging.DEBUG, logger="picows")  # 10: just above level 9
    calls = []

    class Counting(logging.Logger):
        def log(self, level, *args, **kwargs):
            calls.append((level, args))

    end = await open_end(Echo(), logger_name=Counting("x", level=logging.DEBUG))
    await end.peer.send(TEXT, b"hello")
    await end.peer.recv_frame()
    end.transport.disconnect()
    await gone(end.transport)

    assert calls == []
    assert WSFrame.__str__ is not object.__str__


@pytest.mark.parametrize(
    ("given", "name"),
    [(None, "picows.{side}"), ("feed", "picows.feed"), (logging.getLogger("mine"), "mine")],
)
async def test_logger_name_is_none_a_suffix_or_a_logger(open_end, side, caplog, given, name):
    caplog.set_level(PICOWS_DEBUG_LL)
    end = await open_end(logger_name=given)
    end.transport.send(WSMsgType.TEXT, b"x")

    names = {record.name for record in caplog.records if "send TEXT" in record.getMessage()}

    assert names == {name.format(side=side)}


async def test_a_logger_adapter_is_used_as_it_is(open_end, caplog):
    caplog.set_level(PICOWS_DEBUG_LL)
    adapter = logging.LoggerAdapter(logging.getLogger("mine"), {"venue": "x"})

    end = await open_end(logger_name=adapter)
    end.transport.send(WSMsgType.TEXT, b"x")

    assert any(record.name == "mine" and record.venue == "x" for record in caplog.records)


async def test_connections_leave_no_logger_behind(open_end):
    def known():
        return {name for name in logging.Logger.manager.loggerDict if name.startswith("picows")}

    await open_end()
    before = known()

    for _ in range(5):
        end = await open_end()
        end.transport.disconnect(False)
        await gone(end.transport)

    assert known() == before


async def test_a_wrong_logger_name_is_a_type_error(connect):
    with pytest.raises(TypeError, match="logger_name"):
        await connect(1, logger_name=42)


async def test_secrets_of_the_url_are_not_logged(raw_listener, security, caplog):
    from picows import ws_connect

    from .ws_listeners import Recorder

    caplog.set_level(PICOWS_DEBUG_LL)
    url = security.url(raw_listener.port, "/p?apiKey=hidden").replace("://", "://user:hidden@")
    accepting = asyncio.ensure_future(raw_listener.accept_upgrade())
    transport, _ = await ws_connect(Recorder, url, ssl_context=security.client, family=2)
    await accepting
    transport.disconnect(False)
    await gone(transport)

    assert "hidden" not in "".join(r.getMessage() for r in caplog.records if r.name.startswith("picows"))
