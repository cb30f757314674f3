"""Whatever a proxy answers: the tunnel stands, or ProxyError; never a byte read that was not asked for."""

from python_socks import ProxyError

from picows.handshake import MAX_HEADER_BYTES
from picows.proxy_dialogue import HEAD, Step, dialogue_with, find_http_head
from picows.url import parse_proxy_url

from .inputs import Choices

PROXIES = [
    parse_proxy_url(url)
    for url in (
        "http://p:1",
        "http://u:p%00@p:1",
        "socks5://p:1",
        "socks5h://u:p@p:1",
        "socks4a://me@p:1",
        "socks4a://p:1",
    )
]
HOSTS = ["a.test", "10.1.2.3", "2001:db8::1", "a" * 63 + ".test"]
MOST_STEPS = 5


def seeds():
    """Good answers and refusals of each dialogue; the last two bytes choose the proxy and the target."""
    answers = {
        (0, 1): [
            b"HTTP/1.1 200 OK\r\nVia: x\r\n\r\n",
            b"HTTP/1.0 407 no\r\n\r\n",
            b"HTTP/1.1 200 OK\r\n\r\nx",
        ],
        (2,): [b"\x05\x00\x05\x00\x00\x01" + bytes(6), b"\x05\xff", b"\x05\x00\x05\x05\x00\x01"],
        (3,): [b"\x05\x02\x01\x00\x05\x00\x00\x03\x04name\x00\x01", b"\x05\x02\x01\x01"],
        (4, 5): [b"\x00\x5a" + bytes(6), b"\x00\x5b" + bytes(6)],
    }
    for proxies, said in answers.items():
        for proxy in proxies:
            yield from (one + bytes([host, proxy]) for one in said for host in range(len(HOSTS)))


def check(data):
    choices = Choices(data)
    proxy, host = choices.one_of(PROXIES), choices.one_of(HOSTS)
    answer = choices.payload()
    try:
        dialogue = dialogue_with(proxy, host, 443)
        step = next(dialogue)
        for _ in range(MOST_STEPS):
            assert isinstance(step, Step)
            size = _head_size(answer) if step.size == HEAD else step.size
            assert step.size == HEAD or 0 < step.size <= 257
            if size is None or len(answer) < size:
                return
            step = dialogue.send(answer[:size])
            answer = answer[size:]
        raise AssertionError("the dialogue does not end")
    except (ProxyError, StopIteration):
        pass


def _head_size(answer):
    """As the reader does it, with what has arrived so far; None: more is wanted."""
    end = find_http_head(answer)
    assert end == -1 or 0 < end <= MAX_HEADER_BYTES
    return None if end < 0 else end
