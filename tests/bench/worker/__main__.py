"""One side of the comparison: a process that measures what it is told to, with the picows of its interpreter.

    python tests/bench/worker LOOP SETTINGS   (started by the runner; LOOP: asyncio, uvloop)

SETTINGS is JSON: ports and certificates of the peer, the folder with the compiled listener. Each line of
standard input is a run as JSON, {"kind": "echo", "tls": false, ...}; each answer is a line of JSON. It uses
only what picows 2.3.1 and this project have in common, unless it asks for it by `hasattr`.
"""

from __future__ import annotations

import asyncio
import gc
import json
import platform
import resource
import ssl
import sys
import traceback
from collections.abc import Coroutine
from typing import Any

settings = json.loads(sys.argv[2])
sys.path.insert(0, settings["extensions"])

import client  # noqa: E402  after the path is set
import server  # noqa: E402

import picows  # noqa: E402

KINDS = {
    "echo": client.echo,
    "firehose": client.firehose,
    "send": client.send,
    "latency": client.latency,
    "server": server.server,
    "server-memory": server.server_memory,
    "client-memory": server.client_memory,
}


def tls_contexts() -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """Client and server side. TLS 1.3 for both libraries; the peer chooses the cipher."""
    ours = ssl.create_default_context(cafile=settings["certificates"][0])
    theirs = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    theirs.load_cert_chain(*settings["certificates"][1:])
    for context in (ours, theirs):
        context.minimum_version = ssl.TLSVersion.TLSv1_3
    return ours, theirs


def coroutine_of(run: dict[str, Any]) -> Coroutine[Any, Any, dict[str, float]]:
    kind, is_tls = run.pop("kind"), run.pop("tls", False)
    contexts = tls_contexts() if is_tls else (None, None)
    target = client.Target(settings["ports"][int(is_tls)], settings["peer"], *contexts)
    return KINDS[kind](target, **run)


def identity(loop: str) -> dict[str, str]:
    return {
        "python": platform.python_version(),
        "picows": getattr(picows, "__version__", "?"),
        "file": picows.__file__,
        "loop": loop,
    }


def main() -> None:
    if sys.argv[1] == "uvloop":
        import uvloop as loops
    else:
        loops = asyncio
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))
    loop = loops.new_event_loop()
    asyncio.set_event_loop(loop)
    print(json.dumps(identity(sys.argv[1])), flush=True)
    for line in sys.stdin:
        try:
            gc.collect()
            answer = loop.run_until_complete(coroutine_of(json.loads(line)))
        except Exception:
            answer = {"error": traceback.format_exc()}
        print(json.dumps(answer), flush=True)
    loop.close()


if __name__ == "__main__":
    main()
