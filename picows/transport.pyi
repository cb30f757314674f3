"""Types of picows.transport; the documentation stands in transport.pyx."""

import asyncio
import sys
from typing import Any, Final, final

from picows.cork import Cork
from picows.frame import WSCloseCode, WSMsgType
from picows.stream.base import Stream
from picows.upgrade import WSCloseHandshake, WSUpgradeRequest, WSUpgradeResponse

if sys.version_info >= (3, 12):
    from collections.abc import Buffer
else:
    from typing_extensions import Buffer

PICOWS_DEBUG_LL: Final[int]

@final
class WSTransport:
    def __new__(
        cls,
        loop: asyncio.AbstractEventLoop | None = None,
        is_client_side: bool = True,
        is_strict: bool = True,
        logger: Any = None,
        ping_sender: Any = None,
    ) -> WSTransport: ...
    @property
    def underlying_transport(self) -> Stream: ...
    @property
    def request(self) -> WSUpgradeRequest: ...
    @property
    def response(self) -> WSUpgradeResponse: ...
    @property
    def close_handshake(self) -> WSCloseHandshake | None: ...
    @property
    def disconnect_error(self) -> Exception | None: ...
    @property
    def is_client_side(self) -> bool: ...
    @property
    def is_secure(self) -> bool: ...
    @property
    def is_close_frame_sent(self) -> bool: ...
    @property
    def is_disconnected(self) -> bool: ...
    def send(
        self,
        msg_type: WSMsgType | int,
        message: str | Buffer | None,
        fin: bool = True,
        rsv1: bool = False,
        rsv2: bool = False,
        rsv3: bool = False,
    ) -> None: ...
    def send_reuse_external_bytearray(
        self,
        msg_type: WSMsgType | int,
        buffer: bytearray,
        msg_offset: int,
        fin: bool = True,
        rsv1: bool = False,
        rsv2: bool = False,
        rsv3: bool = False,
    ) -> None: ...
    def send_ping(self, message: str | Buffer | None = None) -> None: ...
    def send_pong(self, message: str | Buffer | None = None) -> None: ...
    def send_close(
        self, close_code: WSCloseCode | int = ..., close_message: str | Buffer | None = None
    ) -> None: ...
    def cork(self) -> Cork: ...
    def disconnect(self, graceful: bool = True) -> None: ...
    def notify_user_specific_pong_received(self) -> None: ...
    def ping_for(self, waiter: asyncio.Future[float] | None) -> None: ...
    def release_waiters(self) -> None: ...
    async def measure_roundtrip_time(
        self,
        rounds: int,
        timeout: float | None = None,  # noqa: ASYNC109  the public API
    ) -> list[float]: ...
    async def wait_disconnected(self) -> None: ...
