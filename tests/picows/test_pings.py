"""Pings: which pong answers which ping."""

import asyncio

import pytest

from picows.pings import Pings


class Sent:
    """A `send` that notes the payloads it is told to put on the wire; None: a ping of the user's own."""

    def __init__(self, *payloads):
        self.payloads = list(payloads)
        self.now_s = 100.0
        self.pings = Pings(self.send, lambda: self.now_s)

    def send(self):
        payload = self.payloads.pop(0) if self.payloads else b""
        if payload is not None:
            self.pings.note_payload(payload)


def waiter():
    return asyncio.get_running_loop().create_future()


async def test_a_pong_gives_its_round_trip_time():
    sent = Sent(b"")
    waiting = waiter()
    sent.pings.send(waiting)
    sent.now_s += 0.25

    sent.pings.on_pong(b"")

    assert waiting.result() == 0.25
    assert not sent.pings


async def test_pongs_are_told_apart_by_their_payload():
    sent = Sent(b"one", b"two")
    waiting = [waiter(), waiter()]
    for one in waiting:
        sent.pings.send(one)

    assert not sent.pings.matches(b"three")
    assert sent.pings.matches(b"two")
    sent.pings.on_pong(b"one")
    assert [one.done() for one in waiting] == [True, False]
    sent.pings.on_pong(b"two")
    assert waiting[1].done()


async def test_a_pong_that_answers_a_later_ping_answers_the_earlier_ones_too():
    # RFC 6455 5.5.3: a peer may answer the latest ping only.
    sent = Sent(b"one", b"two", b"three")
    waiting = [waiter() for _ in range(3)]
    for one in waiting:
        sent.pings.send(one)
        sent.now_s += 1

    sent.pings.on_pong(b"two")

    assert [one.done() for one in waiting] == [True, True, False]
    assert [one.result() for one in waiting[:2]] == [3.0, 2.0]


async def test_a_pong_with_an_unknown_payload_answers_nothing():
    sent = Sent(b"one")
    waiting = waiter()
    sent.pings.send(waiting)

    sent.pings.on_pong(b"other")

    assert not waiting.done()
    assert sent.pings


async def test_pings_of_the_users_own_are_answered_in_order():
    sent = Sent(None, None)
    waiting = [waiter(), waiter()]
    for one in waiting:
        sent.pings.send(one)

    sent.pings.on_pong()
    assert [one.done() for one in waiting] == [True, False]
    assert sent.pings.matches(b"any protocol pong fits a ping whose form is not known")
    sent.pings.on_pong()
    assert waiting[1].done()


async def test_a_pong_without_a_ping_is_nothing():
    sent = Sent()

    sent.pings.on_pong()
    sent.pings.on_pong(b"x")

    assert not sent.pings
    assert not sent.pings.matches(b"")


async def test_a_peer_that_answers_inside_the_call_is_heard():
    pings = Pings(lambda: pings.on_pong(None), lambda: 1.0)
    waiting = waiter()

    pings.send(waiting)

    assert waiting.result() == 0.0


async def test_a_ping_that_could_not_be_sent_is_not_waited_for():
    def fail():
        raise LookupError

    pings = Pings(fail, lambda: 1.0)
    with pytest.raises(LookupError):
        pings.send(waiter())

    assert not pings
    pings.note_payload(b"a ping of the user's own, later")


async def test_a_cancelled_waiter_is_skipped():
    sent = Sent()
    waiting = waiter()
    sent.pings.send(waiting)
    waiting.cancel()

    sent.pings.on_pong(b"")
    sent.pings.fail(ConnectionResetError())

    assert waiting.cancelled()


async def test_a_payload_outside_a_send_is_not_noted():
    sent = Sent(b"mine")
    sent.pings.send()

    sent.pings.note_payload(b"the user's own ping")

    assert sent.pings.matches(b"mine")
    assert not sent.pings.matches(b"the user's own ping")


async def test_failing_tells_everybody_who_waits():
    sent = Sent()
    waiting = [waiter(), waiter(), waiter()]
    for one in waiting:
        sent.pings.send(one)
    sent.pings.send()
    waiting[1].cancel()

    sent.pings.fail(ConnectionResetError("gone"))

    for one in (waiting[0], waiting[2]):
        with pytest.raises(ConnectionResetError, match="gone"):
            one.result()
    assert not sent.pings


async def test_unanswered_pings_do_not_pile_up():
    sent = Sent()
    for _ in range(5000):
        sent.pings.send()

    count = 0
    while sent.pings:
        sent.pings.on_pong()
        count += 1

    assert count <= 1024


async def test_a_waiter_whose_ping_is_forgotten_is_not_left_waiting():
    sent = Sent()
    waiting = waiter()
    sent.pings.send(waiting)
    for _ in range(1100):
        sent.pings.send()

    assert waiting.done()
    with pytest.raises(TimeoutError):
        waiting.result()
