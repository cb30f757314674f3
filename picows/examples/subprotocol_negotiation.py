"""Agree on a subprotocol (RFC 6455 1.9): the client offers, the server chooses or refuses.

python -m picows.examples.subprotocol_negotiation --offer v3.feed v2.feed
"""

from __future__ import annotations

import argparse
import asyncio
from typing import Any

from picows import (
    WSInvalidStatusError,
    WSListener,
    WSUpgradeRequest,
    WSUpgradeResponse,
    WSUpgradeResponseWithListener,
    ws_connect,
    ws_create_server,
)
from picows.handshake import offered_subprotocols

SPOKEN = ("v2.feed", "v1.feed")  # best first


class Feed(WSListener):
    """A listener that knows which subprotocol it speaks."""

    def __init__(self, subprotocol: str) -> None:
        self.subprotocol = subprotocol


def accept(request: WSUpgradeRequest) -> Any:
    """The best subprotocol that the client offers; 400 if it speaks none of ours."""
    offered = offered_subprotocols(request.headers)
    chosen = next((name for name in SPOKEN if name in offered), None)
    if chosen is None:
        refusal = WSUpgradeResponse.create_error_response(400, f"speak one of {', '.join(SPOKEN)}".encode())
        return WSUpgradeResponseWithListener(refusal, None)
    answer = WSUpgradeResponse.create_101_response({"Sec-WebSocket-Protocol": chosen})
    return WSUpgradeResponseWithListener(answer, Feed(chosen))


def make_client(_request: WSUpgradeRequest, response: WSUpgradeResponse) -> Feed:
    # A server that chooses what was not offered never gets here: ws_connect has refused it.
    return Feed(response.headers.get("Sec-WebSocket-Protocol", "none"))


async def run(offer: list[str]) -> None:
    server = await ws_create_server(accept, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        try:
            transport, listener = await ws_connect(
                make_client,
                f"ws://127.0.0.1:{port}/",
                extra_headers={"Sec-WebSocket-Protocol": ", ".join(offer)},
            )
        except WSInvalidStatusError as exc:
            print(f"refused: {(exc.raw_body or b'').decode()}")
            return
        assert isinstance(listener, Feed)
        print(f"agreed on {listener.subprotocol}")
        transport.disconnect()
        await transport.wait_disconnected()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--offer", nargs="+", default=["v3.feed", "v2.feed"], help="names, best first")
    asyncio.run(run(parser.parse_args().offer))


if __name__ == "__main__":
    main()
