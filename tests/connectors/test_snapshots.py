"""REST snapshots of books: asked for by the stream that is there now, and no request is lost."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from connectors.booksync import Action
from connectors.exchange import HttpGet
from connectors.instrument import Stream
from connectors.snapshots import Snapshots

TOPIC = "btcusdt@depth"


class Venue:
    """A connection and a REST client in one: answers when told to, `actions` are what the book says."""

    label = "toy"
    exchange: Any
    settings: Any
    clock: Any
    session: Any
    pipeline: Any
    rest_url = None
    facts: Any
    rest = None

    def __init__(self, *streams: Stream) -> None:
        self.exchange = self.settings = self.clock = self.session = self.pipeline = self.facts = self
        self.streams = {stream.topic: stream for stream in streams}
        self.asked: list[asyncio.Future[bytes]] = []
        self.answered: list[Stream] = []
        self.actions: list[int] = []
        self.snapshots = Snapshots(self, self)  # type: ignore[arg-type]

    def spawn(self, work: Any) -> asyncio.Task[None]:
        return asyncio.ensure_future(work)

    def snapshot_request(self, stream: Stream) -> HttpGet:
        return HttpGet(f"http://127.0.0.1/{stream.topic}", 1)

    async def get(self, _request: HttpGet) -> bytes:
        self.asked.append(asyncio.get_running_loop().create_future())
        return await self.asked[-1]

    def link_of(self, stream: Stream) -> Any:
        return self if self.streams.get(stream.topic) is stream else None

    def time_ns(self) -> int:
        return 0

    def on_rest_answer(self, stream: Stream, _body: bytes, _ns: int) -> int:
        self.answered.append(stream)
        return self.actions.pop(0) if self.actions else int(Action.APPLIED)

    async def until_asked(self, count: int) -> None:
        async with asyncio.timeout(5):
            while len(self.asked) < count:
                await asyncio.sleep(0)


def stream() -> Stream:
    return Stream("toy", "book", "depth", TOPIC, b"d")


async def test_a_stream_that_was_subscribed_anew_gets_its_own_snapshot() -> None:
    old, new = stream(), stream()
    venue = Venue(old)
    venue.snapshots.fetch(old)
    await venue.until_asked(1)

    # unsubscribe and subscribe by a strategy while the answer is on its way
    venue.streams = {TOPIC: new}
    venue.snapshots.fetch(new)
    await venue.until_asked(2)
    venue.asked[1].set_result(b"")
    venue.asked[0].set_result(b"")
    await asyncio.sleep(0.01)

    assert venue.answered == [new]


async def test_a_gap_right_after_the_answer_is_asked_for() -> None:
    mine = stream()
    venue = Venue(mine)
    loop = asyncio.get_running_loop()
    venue.snapshots.fetch(mine)
    await venue.until_asked(1)

    venue.asked[0].set_result(b"")
    # In the same round of the loop as the end of the task, before anybody hears of it.
    loop.call_soon(venue.snapshots.fetch, mine)

    await venue.until_asked(2)
    venue.asked[1].set_result(b"")


@pytest.mark.parametrize("action", [Action.NEED_SNAPSHOT, Action.REFRESH])
async def test_a_book_that_wants_another_snapshot_gets_one(
    monkeypatch: pytest.MonkeyPatch, action: Action
) -> None:
    monkeypatch.setattr("connectors.snapshots.AGAIN_S", 0.001)
    mine = stream()
    venue = Venue(mine)
    venue.actions = [int(action)]
    venue.snapshots.fetch(mine)
    await venue.until_asked(1)

    venue.asked[0].set_result(b"")

    await venue.until_asked(2)
    venue.asked[1].set_result(b"")


def broken(*_: object) -> int:
    raise KeyError("bids")


async def test_verbs_that_raise_are_asked_again(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("connectors.snapshots.AGAIN_S", 0.001)
    mine = stream()
    venue = Venue(mine)
    monkeypatch.setattr(venue, "on_rest_answer", broken)
    venue.snapshots.fetch(mine)
    await venue.until_asked(1)

    venue.asked[0].set_result(b"{}")
    await venue.until_asked(2)

    assert "KeyError" in caplog.text
    venue.streams = {}
    venue.asked[1].set_result(b"{}")
