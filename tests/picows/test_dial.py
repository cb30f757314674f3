"""dial: addresses raced as RFC 8305 says, with a scripted resolver and scripted connects, and on loopback."""

import asyncio
import errno
import socket

import pytest

from picows.dial import dial, interleaved

V4, V6 = socket.AF_INET, socket.AF_INET6


def address(family, name):
    sockaddr = (name, 80) if family == V4 else (name, 80, 0, 0)
    return (family, socket.SOCK_STREAM, 6, "", sockaddr)


class Net:
    """Scripts `getaddrinfo` and `sock_connect` of the running loop.

    fates: name -> "ok", an OSError, or a Future that the test resolves. Order of the attempts in `tried`.
    """

    def __init__(self, monkeypatch, fates, families=None):
        self.loop = asyncio.get_running_loop()
        self.fates = fates
        self.tried = []
        self.sockets = []
        self.times = []
        found = [address((families or {}).get(name, V4), name) for name in fates]

        async def getaddrinfo(host, port, **_):
            return found

        monkeypatch.setattr(self.loop, "getaddrinfo", getaddrinfo)
        monkeypatch.setattr(self.loop, "sock_connect", self._connect)

    async def _connect(self, sock, sockaddr):
        name = sockaddr[0]
        self.tried.append(name)
        self.times.append(self.loop.time())
        self.sockets.append(sock)
        fate = self.fates[name]
        if isinstance(fate, asyncio.Future):
            fate = await fate
        if isinstance(fate, BaseException):
            raise fate

    def open_sockets(self):
        return [sock for sock in self.sockets if sock.fileno() >= 0]


def refused(name="x"):
    return ConnectionRefusedError(errno.ECONNREFUSED, f"refused by {name}")


def pending():
    return asyncio.get_running_loop().create_future()


async def until(condition):
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0)


# ---------------------------------------------------------------------------------------------------- order


@pytest.mark.parametrize(
    ("families", "first_count", "expected"),
    [
        ("666444", 1, "646464"),
        ("666444", 2, "664644"),
        ("666444", 5, "666444"),
        ("444", 1, "444"),
        ("6444", 1, "6444"),
        ("66664", 1, "64666"),
        ("464", 0, "464"),
    ],
)
def test_families_alternate_and_keep_their_order(families, first_count, expected):
    addresses = [address(V6 if f == "6" else V4, f"{f}-{i}") for i, f in enumerate(families)]

    got = interleaved(addresses, first_count)

    assert "".join(one[4][0][0] for one in got) == expected
    for f in "46":
        assert [one for one in got if one[4][0][0] == f] == [one for one in addresses if one[4][0][0] == f]


# ------------------------------------------------------------------------------------------------- the race


async def test_the_first_address_that_answers_is_the_only_one_tried(monkeypatch):
    net = Net(monkeypatch, {"a": "ok", "b": "ok"})

    sock = await dial("host", 80)

    assert net.tried == ["a"]
    assert net.open_sockets() == [sock]
    sock.close()


async def test_a_refusal_goes_to_the_next_address_at_once(monkeypatch):
    net = Net(monkeypatch, {"a": refused(), "b": refused(), "c": "ok"})

    sock = await dial("host", 80, happy_eyeballs_delay=100)

    assert net.tried == ["a", "b", "c"]
    assert net.open_sockets() == [sock]
    sock.close()


async def test_a_silent_address_is_overtaken_after_the_delay(monkeypatch):
    net = Net(monkeypatch, {"a": pending(), "b": "ok"})

    sock = await dial("host", 80, happy_eyeballs_delay=0.02)

    assert net.tried == ["a", "b"]
    # uvloop counts whole milliseconds, from the time of its last wake-up.
    assert net.times[1] - net.times[0] >= 0.01
    assert net.open_sockets() == [sock]
    sock.close()


async def test_the_slow_first_address_may_still_win(monkeypatch):
    net = Net(monkeypatch, {"a": pending(), "b": pending()})
    dialing = asyncio.ensure_future(dial("host", 80, happy_eyeballs_delay=0.001))
    await until(lambda: net.tried == ["a", "b"])

    net.fates["a"].set_result("ok")
    sock = await dialing

    assert sock is net.sockets[0]
    assert net.open_sockets() == [sock]
    sock.close()


async def test_two_that_win_together_leave_one_socket(monkeypatch):
    net = Net(monkeypatch, {"a": pending(), "b": pending(), "c": pending()})
    dialing = asyncio.ensure_future(dial("host", 80, happy_eyeballs_delay=0.001))
    await until(lambda: len(net.tried) == 3)

    for fate in net.fates.values():
        fate.set_result("ok")
    sock = await dialing

    assert net.open_sockets() == [sock]
    sock.close()


async def test_without_a_delay_one_address_is_tried_after_the_other(monkeypatch):
    net = Net(monkeypatch, {"a": pending(), "b": "ok"})
    dialing = asyncio.ensure_future(dial("host", 80, happy_eyeballs_delay=None))
    await until(lambda: net.tried)
    await asyncio.sleep(0.02)
    assert net.tried == ["a"]

    net.fates["a"].set_result(refused())
    sock = await dialing

    assert net.tried == ["a", "b"]
    sock.close()


async def test_the_first_error_is_raised_and_the_others_are_its_notes(monkeypatch):
    Net(monkeypatch, {"a": refused("a"), "b": OSError(errno.EHOSTUNREACH, "no route"), "c": refused("c")})

    with pytest.raises(ConnectionRefusedError, match="refused by a") as caught:
        await dial("host", 80)

    assert len(caught.value.__notes__) == 2
    assert "no route" in caught.value.__notes__[0]


async def test_no_address_is_an_error_that_names_the_host(monkeypatch):
    Net(monkeypatch, {})

    with pytest.raises(OSError, match="nowhere"):
        await dial("nowhere", 80)


async def test_an_unknown_name_is_a_gaierror(monkeypatch):
    async def fail(*_, **__):
        raise socket.gaierror(socket.EAI_NONAME, "unknown")

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", fail)

    with pytest.raises(socket.gaierror):
        await dial("nowhere.invalid", 80)


# --------------------------------------------------------------------------------------------- cancellation


async def test_cancelling_leaves_no_socket_and_no_task(monkeypatch):
    net = Net(monkeypatch, {"a": pending(), "b": pending()})
    before = asyncio.all_tasks()
    dialing = asyncio.ensure_future(dial("host", 80, happy_eyeballs_delay=0.001))
    await until(lambda: len(net.tried) == 2)

    dialing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await dialing

    assert net.open_sockets() == []
    assert asyncio.all_tasks() == before


async def test_cancelling_while_the_losers_are_given_up_is_not_lost(monkeypatch):
    net = Net(monkeypatch, {"a": pending(), "b": pending()})

    async def slow_to_cancel(sock, sockaddr):
        try:
            await Net._connect(net, sock, sockaddr)
        except asyncio.CancelledError:
            dialing.cancel()  # the caller gives up just now
            await asyncio.sleep(0)
            raise

    monkeypatch.setattr(net.loop, "sock_connect", slow_to_cancel)
    dialing = asyncio.ensure_future(dial("host", 80, happy_eyeballs_delay=0.001))
    await until(lambda: len(net.tried) == 2)

    net.fates["b"].set_result("ok")
    with pytest.raises(asyncio.CancelledError):
        await dialing
    await until(lambda: not net.open_sockets())


async def test_an_error_that_is_no_os_error_ends_the_race_and_leaves_no_socket(monkeypatch):
    net = Net(monkeypatch, {"a": pending(), "b": OverflowError("port")})

    with pytest.raises(OverflowError):
        await dial("host", 80, happy_eyeballs_delay=0.001)

    assert net.open_sockets() == []


# ------------------------------------------------------------------------------------------------- loopback


@pytest.fixture
def listening():
    sock = socket.create_server(("127.0.0.1", 0))
    yield sock
    sock.close()


async def test_the_socket_is_connected_and_does_not_block(listening):
    sock = await dial("127.0.0.1", listening.getsockname()[1])

    assert sock.getpeername() == listening.getsockname()
    assert sock.gettimeout() == 0
    sock.close()


async def test_local_addr_is_where_it_connects_from(listening):
    sock = await dial("127.0.0.1", listening.getsockname()[1], local_addr=("127.0.0.2", 0))

    assert sock.getsockname()[0] == "127.0.0.2"
    sock.close()


async def test_local_addr_of_the_other_family_is_an_error(listening):
    with pytest.raises(OSError, match="local_addr"):
        await dial("127.0.0.1", listening.getsockname()[1], local_addr=("::1", 0))


async def test_localhost_finds_the_family_that_listens(listening):
    sock = await dial("localhost", listening.getsockname()[1])

    assert sock.family == V4
    sock.close()


async def test_a_port_where_nobody_listens_is_refused(listening):
    port = listening.getsockname()[1]
    listening.close()

    with pytest.raises(ConnectionRefusedError):
        await dial("127.0.0.1", port)
