"""Measure the round-trip time to a venue, and reconnect until it is good enough.

A name with several addresses leads to machines at different distances, so another connection may be faster.

python -m picows.examples.okx_roundtrip_time --threshold-ms 5 --attempts 10
python -m picows.examples.okx_roundtrip_time --url ws://127.0.0.1:9001/
"""

from __future__ import annotations

import argparse
import asyncio
import statistics

from picows import WSListener, ws_connect


async def measure(url: str, rounds: int) -> float:
    """Median round-trip time of protocol pings in seconds, over a fresh connection."""
    transport, _ = await ws_connect(WSListener, url)
    try:
        return statistics.median(await transport.measure_roundtrip_time(rounds, timeout=10))
    finally:
        transport.disconnect()
        await transport.wait_disconnected()


async def run(url: str, rounds: int, threshold_ms: float, attempts: int) -> None:
    for attempt in range(1, attempts + 1):
        roundtrip_ms = await measure(url, rounds) * 1e3
        print(f"attempt {attempt}: median of {rounds} round trips {roundtrip_ms:.3f} ms")
        if roundtrip_ms <= threshold_ms:
            print(f"within {threshold_ms} ms")
            return
    print(f"never within {threshold_ms} ms")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    default = "wss://ws.okx.com:8443/ws/v5/public"
    parser.add_argument("--url", default=default, help="endpoint (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=5, help="pings per connection (default: %(default)s)")
    parser.add_argument("--threshold-ms", type=float, default=20, help="good enough (default: %(default)s)")
    parser.add_argument("--attempts", type=int, default=5, help="connections at most (default: %(default)s)")
    arguments = parser.parse_args()
    asyncio.run(run(arguments.url, arguments.rounds, arguments.threshold_ms, arguments.attempts))


if __name__ == "__main__":
    main()
