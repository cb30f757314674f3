"""Which callable a connection calls: every way to override a callback, from Python."""

import asyncio
import contextlib
import functools
import weakref
from unittest import mock

import pytest

from picows import WSFrame, WSListener, WSMsgType
from picows.listener import has_override

from .wire_support import BINARY, TEXT, client_of_bare_server, frame, write_all


class Plain(WSListener):
    def __init__(self):
        self.seen = []

    def on_ws_frame(self, transport, frame):
        self.seen.append((type(transport).__name__, frame.get_payload_as_bytes()))


class Sub(Plain):
    pass


class SubSub(Sub):
    def on_ws_frame(self, transport, frame):
        self.seen.append("subsub")
        super().on_ws_frame(transport, frame)


class Mixin:
    def on_ws_frame(self, transport, frame):
        self.seen.append((type(transport).__name__, frame.get_payload_as_bytes()))


class WithMixin(Mixin, WSListener):
    def __init__(self):
        self.seen = []


class OptionalArguments(Plain):
    def on_ws_frame(self, transport=None, frame=None, *rest, more=None):
        super().on_ws_frame(transport, frame)


class Variadic(Plain):
    def on_ws_frame(self, *args):
        super().on_ws_frame(*args)


class Slotted(WSListener):
    __slots__ = ("seen",)

    def __init__(self):
        self.seen = []

    def on_ws_frame(self, transport, frame):
        self.seen.append((type(transport).__name__, frame.get_payload_as_bytes()))


def with_attribute(make):
    """A listener whose instance attribute on_ws_frame is `make(listener.seen)`."""
    listener = type("Attributed", (WSListener,), {})()
    listener.seen = []
    listener.on_ws_frame = make(listener.seen)
    return listener


def with_class_attribute(make):
    """A listener whose class attribute on_ws_frame is `make(seen)`."""
    seen = []
    listener = type("ClassAttributed", (WSListener,), {"on_ws_frame": make(seen)})()
    listener.seen = seen
    return listener


def two(seen):
    return lambda transport, frame: seen.append((type(transport).__name__, frame.get_payload_as_bytes()))


def three(seen):
    return lambda self, transport, frame: two(seen)(transport, frame)


class Callable:
    def __init__(self, seen):
        self.seen = seen

    def __call__(self, transport, frame):
        two(self.seen)(transport, frame)


class SlotHolds(WSListener):
    __slots__ = ("on_ws_frame", "seen")


def with_slot():
    listener = SlotHolds()
    listener.seen = []
    listener.on_ws_frame = two(listener.seen)
    return listener


LISTENERS = {
    "a method": Plain,
    "an inherited method": Sub,
    "a method of a mixin": WithMixin,
    "optional arguments": OptionalArguments,
    "variadic": Variadic,
    "slots": Slotted,
    "a slot that holds it": with_slot,
    "instance: a function": lambda: with_attribute(two),
    "instance: a partial": lambda: with_attribute(lambda seen: functools.partial(three(seen), None)),
    "instance: a callable": lambda: with_attribute(Callable),
    "instance: a bound method": lambda: with_attribute(lambda seen: Callable(seen).__call__),
    "instance: a mock": lambda: with_attribute(lambda seen: mock.Mock(side_effect=two(seen))),
    "class: staticmethod": lambda: with_class_attribute(lambda seen: staticmethod(two(seen))),
    "class: classmethod": lambda: with_class_attribute(lambda seen: classmethod(three(seen))),
    # Bare, a partial is to become a method in a later Python; 3.13 warns of it.
    "class: partial": lambda: with_class_attribute(lambda seen: staticmethod(functools.partial(two(seen)))),
    "class: partialmethod": lambda: with_class_attribute(lambda seen: functools.partialmethod(three(seen))),
    "class: mock": lambda: with_class_attribute(lambda seen: mock.Mock(side_effect=two(seen))),
    "class: callable": lambda: with_class_attribute(Callable),
    "class: property": lambda: with_class_attribute(lambda seen: property(lambda self: two(seen))),
    "class: lambda": lambda: with_class_attribute(three),
}


@pytest.mark.parametrize("kind", LISTENERS)
async def test_on_ws_frame_is_called_as_python_would(kind):
    listener = LISTENERS[kind]()

    async with client_of_bare_server(listener, behind_101=frame(TEXT, b"a") + frame(BINARY, b"b")) as (
        transport,
        _,
        _s,
    ):
        assert not transport.is_disconnected

    assert listener.seen == [("WSTransport", b"a"), ("WSTransport", b"b")]


async def test_a_subclass_of_a_subclass_may_call_up():
    async with client_of_bare_server(SubSub(), behind_101=frame(TEXT, b"a")) as (_, listener, _s):
        pass

    assert listener.seen == ["subsub", ("WSTransport", b"a")]


async def test_the_default_listener_takes_frames_and_does_nothing():
    async with client_of_bare_server(WSListener(), behind_101=frame(TEXT, b"a") * 3) as (
        transport,
        listener,
        sock,
    ):
        assert type(listener) is WSListener
        transport.send(TEXT, b"still open")
        assert await asyncio.get_running_loop().sock_recv(sock, 100)


async def test_the_callback_is_looked_up_when_the_connection_is_made():
    class Late(WSListener):
        def on_ws_connected(self, transport):
            self.seen = []
            self.on_ws_frame = two(self.seen)

        def on_ws_frame(self, transport, frame):
            self.seen.append("the one of the class")

    async with client_of_bare_server(Late(), behind_101=frame(TEXT, b"a")) as (_, listener, _s):
        pass

    assert listener.seen == ["the one of the class"]


@pytest.mark.parametrize("kind", ["staticmethod", "property", "instance", "method", "mock"])
async def test_is_user_specific_pong_is_called_as_python_would(kind):
    calls = []

    def pong(frame):
        calls.append(frame.get_payload_as_bytes())
        return frame.get_payload_as_memoryview() == b"pong"

    made = {
        "staticmethod": staticmethod(pong),
        "property": property(lambda self: pong),
        "method": lambda self, frame: pong(frame),
        "mock": mock.Mock(side_effect=pong),
        "instance": None,
    }[kind]
    listener = type("L", (Plain,), {} if made is None else {"is_user_specific_pong": made})()
    if made is None:
        listener.is_user_specific_pong = pong

    async with client_of_bare_server(listener) as (transport, _, sock):
        waiting = asyncio.ensure_future(transport.measure_roundtrip_time(1, timeout=10))
        await asyncio.sleep(0)
        await write_all(sock, frame(TEXT, b"data") + frame(TEXT, b"pong"))
        assert len(await waiting) == 1

    assert calls == [b"data", b"pong"]
    assert listener.seen == [("WSTransport", b"data")]


# -------------------------------------------------------------------------------------- exceptions and misuse


async def test_wrong_arity_ends_the_connection_like_any_exception():
    class Wrong(WSListener):
        def on_ws_frame(self):
            raise AssertionError("not reached")

    async with client_of_bare_server(Wrong(), behind_101=frame(TEXT, b"a")) as (transport, _, _s):
        with pytest.raises(TypeError, match="on_ws_frame"):
            await transport.wait_disconnected()


@pytest.mark.parametrize("value", [None, 5, "text"])
async def test_an_attribute_that_cannot_be_called_ends_the_connection(value):
    listener = type("L", (WSListener,), {})()
    listener.on_ws_frame = value

    async with client_of_bare_server(listener, behind_101=frame(TEXT, b"a")) as (transport, _, _s):
        with pytest.raises(TypeError):
            await transport.wait_disconnected()


async def test_a_property_that_raises_fails_the_connect():
    def broken(self):
        raise LookupError("no callback today")

    listener = type("L", (WSListener,), {"on_ws_frame": property(broken)})()

    with pytest.raises(LookupError, match="today"):
        async with client_of_bare_server(listener):
            pass


async def test_a_pong_check_without_a_truth_value_is_an_exception_of_the_listener():
    class NoTruth:
        def __bool__(self):
            raise ArithmeticError("neither")

    class Odd(Plain):
        def is_user_specific_pong(self, frame):
            return NoTruth()

    async with client_of_bare_server(Odd()) as (transport, _, sock):
        waiting = asyncio.ensure_future(transport.measure_roundtrip_time(1))
        await asyncio.sleep(0)
        await write_all(sock, frame(TEXT, b"a"))
        with pytest.raises(ArithmeticError):
            await transport.wait_disconnected()
        with pytest.raises(ConnectionResetError):
            await waiting


@pytest.mark.parametrize("listener", [WSListener(), Plain()])
@pytest.mark.parametrize(
    ("name", "arity"),
    [
        ("on_ws_connected", 1),
        ("on_ws_frame", 2),
        ("on_ws_disconnected", 1),
        ("send_user_specific_ping", 1),
        ("is_user_specific_pong", 1),
        ("pause_writing", 0),
        ("resume_writing", 0),
    ],
)
def test_defaults_called_with_none_or_wrong_types_never_crash(listener, name, arity):
    method = getattr(WSListener, name)
    for arguments in (
        (None,) * arity,
        (5,) * arity,
        ("x",) * arity,
        (WSFrame(),) * arity,
        (None,) * (arity + 1),
        (),
    ):
        with contextlib.suppress(TypeError, RuntimeError):
            method(listener, *arguments)
    with pytest.raises(TypeError):
        method(None, *(None,) * arity)


def test_default_pong_is_a_pong_frame():
    assert WSListener().is_user_specific_pong(WSFrame()) is (WSFrame().msg_type == WSMsgType.PONG)


def test_has_override_sees_class_and_instance():
    listener = Plain()

    assert has_override(listener, "on_ws_frame")
    assert not has_override(listener, "pause_writing")
    listener.pause_writing = lambda: None
    assert has_override(listener, "pause_writing")
    with pytest.raises(TypeError):
        has_override(None, "on_ws_frame")
    with pytest.raises(AttributeError):
        has_override(listener, "no_such_callback")


def test_listeners_take_weak_references_and_constructor_arguments():
    class Configured(WSListener):
        def __init__(self, symbol, *, depth):
            super().__init__()
            self.symbol, self.depth = symbol, depth

    listener = Configured("BTC", depth=5)

    assert weakref.ref(listener)() is listener
    assert (listener.symbol, listener.depth) == ("BTC", 5)
    assert WSListener.__new__(Configured).__dict__ == {}
