"""Listeners that write down what they are told, and let a test wait for it."""

import asyncio
from typing import NamedTuple

from picows import WSListener, WSMsgType

from .ws_peers import WAIT_S


class Seen(NamedTuple):
    """A frame as the listener saw it."""

    msg_type: int
    payload: bytes
    fin: bool = True


class Recorder(WSListener):
    """`events` holds the callbacks in order, `frames` the frames. `until` waits for a condition on them."""

    def __init__(self):
        self.events = []
        self.frames = []
        self.transport = None
        self._waiting = []

    def note(self, event):
        self.events.append(event)
        for condition, future in self._waiting:
            if not future.done() and condition():
                future.set_result(None)

    async def until(self, condition):
        """Wait until `condition()` holds; it is asked after every callback."""
        if condition():
            return
        future = asyncio.get_running_loop().create_future()
        self._waiting.append((condition, future))
        async with asyncio.timeout(WAIT_S):
            await future

    async def until_event(self, event):
        await self.until(lambda: event in self.events)

    async def until_frames(self, count):
        await self.until(lambda: len(self.frames) >= count)

    def on_ws_connected(self, transport):
        self.transport = transport
        self.note("connected")

    def on_ws_frame(self, transport, frame):
        self.frames.append(Seen(frame.msg_type, frame.get_payload_as_bytes(), frame.fin))
        self.note("frame")

    def on_ws_disconnected(self, transport):
        self.note("disconnected")

    def pause_writing(self):
        self.note("pause")

    def resume_writing(self):
        self.note("resume")


class Echo(Recorder):
    """Sends every data frame back, and answers a CLOSE as the topic guide shows."""

    def on_ws_frame(self, transport, frame):
        super().on_ws_frame(transport, frame)
        if frame.msg_type == 8:
            transport.send_close(frame.get_close_code(), frame.get_close_message())
            transport.disconnect()
        else:
            transport.send(frame.msg_type, frame.get_payload_as_memoryview(), frame.fin)


class SendsWhenPaused(Recorder):
    """Sends `payload` as TEXT from pause_writing, each time."""

    def __init__(self, payload):
        super().__init__()
        self._payload = payload

    def pause_writing(self):
        super().pause_writing()
        self.transport.send(WSMsgType.TEXT, self._payload)


class Raising(Recorder):
    """Raises `error` from the callback called `where`, each time."""

    def __init__(self, where, error):
        super().__init__()
        self._where = where
        self._error = error

    def note(self, event):
        super().note(event)
        if event == self._where:
            raise self._error
