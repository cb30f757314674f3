"""Busy polling: the loop does not sleep while connections are open, and all else goes on as before."""

import asyncio

import pytest

import picows
from picows import BusyPoll, WSMsgType
from picows.stream.loopio import STREAMS, running_poller

from .conftest import gone
from .ws_frames import TEXT
from .ws_listeners import Echo
from .ws_peers import WAIT_S

needs_epoll = pytest.mark.skipif(STREAMS != "epoll", reason="busy polling is epoll's")


async def until(condition):
    async with asyncio.timeout(WAIT_S):
        while not condition():
            await asyncio.sleep(0)


@needs_epoll
async def test_frames_arrive_while_polling(open_end):
    with BusyPoll():
        end = await open_end(Echo())
        for number in range(50):
            await end.peer.send(TEXT, b"%d" % number)
            assert (await end.peer.recv_frame()).payload == b"%d" % number


@needs_epoll
async def test_a_connection_that_was_open_before_is_polled_too(open_end):
    end = await open_end(Echo())

    with BusyPoll():
        await end.peer.send(TEXT, b"while polling")
        assert (await end.peer.recv_frame()).payload == b"while polling"

    await end.peer.send(TEXT, b"and after")
    assert (await end.peer.recv_frame()).payload == b"and after"


@needs_epoll
async def test_the_loop_does_not_sleep_while_nothing_comes(open_end):
    await open_end()
    fired = asyncio.Event()

    with BusyPoll():
        before = running_poller().turns
        asyncio.get_running_loop().call_later(0.05, fired.set)
        await fired.wait()
        turns = running_poller().turns - before

    # A loop that sleeps wakes once for the timer. 50 ms are some 500 turns on an idle machine.
    assert turns > 10


@needs_epoll
async def test_nothing_is_polled_without_a_connection():
    with BusyPoll():
        before = running_poller().turns
        await asyncio.sleep(0.02)
        assert running_poller().turns == before


@needs_epoll
async def test_it_sleeps_after_a_quiet_while_and_wakes_for_data(open_end):
    end = await open_end(Echo())
    poller = running_poller()

    with BusyPoll(sleep_after_s=0.01):
        await until(lambda: not poller.is_awake)
        asleep = poller.turns
        await asyncio.sleep(0.02)
        assert poller.turns == asleep

        await end.peer.send(TEXT, b"wake up")
        assert (await end.peer.recv_frame()).payload == b"wake up"
        await until(lambda: poller.turns > asleep)


@needs_epoll
async def test_it_stops_where_the_block_ends(open_end):
    end = await open_end(Echo())
    poller = running_poller()
    with BusyPoll():
        await until(lambda: poller.turns > 5)

    await until(lambda: not poller.is_awake)
    stopped = poller.turns
    await end.peer.send(TEXT, b"still there")

    assert (await end.peer.recv_frame()).payload == b"still there"
    assert poller.turns == stopped


@needs_epoll
async def test_a_reset_is_told_while_polling(open_end):
    with BusyPoll():
        end = await open_end()
        end.peer.reset()
        await gone(end.transport)

    assert isinstance(end.transport.disconnect_error, ConnectionResetError)


@needs_epoll
async def test_tasks_woken_by_a_frame_go_before_the_next_turn(open_end):
    woken = asyncio.Event()

    class Wakes(Echo):
        def on_ws_frame(self, transport, frame):
            woken.set()

    end = await open_end(Wakes())
    poller = running_poller()
    with BusyPoll(turn_s=0.1):
        await end.peer.send(TEXT, b"x")
        await woken.wait()
        seen = poller.turns
        end.transport.send(WSMsgType.TEXT, b"from the task")

    assert poller.turns - seen <= 1
    assert (await end.peer.recv_frame()).payload == b"from the task"


@needs_epoll
async def test_one_loop_polls_once():
    with BusyPoll(), pytest.raises(RuntimeError, match="on already"):
        BusyPoll().start()


@needs_epoll
async def test_stop_may_be_called_at_any_time():
    polling = BusyPoll()
    polling.stop()
    polling.start()
    polling.stop()
    polling.stop()

    assert not running_poller().is_spinning


@pytest.mark.skipif(STREAMS == "epoll", reason="where it cannot work")
async def test_other_streams_are_refused():
    with pytest.raises(RuntimeError, match="needs epoll streams"):
        BusyPoll().start()


def test_it_needs_a_running_loop():
    with pytest.raises(RuntimeError, match="no running event loop"):
        BusyPoll().start()


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"sleep_after_s": 0}, ValueError),
        ({"sleep_after_s": -1}, ValueError),
        ({"sleep_after_s": float("nan")}, ValueError),
        ({"sleep_after_s": float("inf")}, ValueError),
        ({"sleep_after_s": "1"}, TypeError),
        ({"sleep_after_s": True}, TypeError),
        ({"turn_s": 0}, ValueError),
        ({"turn_s": 0.2}, ValueError),
        ({"turn_s": None}, TypeError),
    ],
)
def test_what_cannot_work_is_refused(arguments, error):
    with pytest.raises(error, match=next(iter(arguments))):
        BusyPoll(**arguments)


def test_it_is_public():
    assert "BusyPoll" in picows.__all__
