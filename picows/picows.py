"""The names of the core under the module path that picows 2 had them at."""

from picows.assembler import WSMessageAssembler
from picows.broadcast import broadcast
from picows.errors import (
    WSHandshakeError,
    WSInvalidHeaderError,
    WSInvalidMessageError,
    WSInvalidStatusError,
    WSInvalidUpgradeError,
    WSProtocolError,
)
from picows.frame import WSAutoPingStrategy, WSCloseCode, WSFrame, WSMsgType
from picows.listener import WSListener
from picows.transport import PICOWS_DEBUG_LL, WSTransport
from picows.upgrade import (
    WSCloseHandshake,
    WSCloseInfo,
    WSUpgradeRequest,
    WSUpgradeResponse,
    WSUpgradeResponseWithListener,
)

__all__ = [
    "PICOWS_DEBUG_LL",
    "WSAutoPingStrategy",
    "WSCloseCode",
    "WSCloseHandshake",
    "WSCloseInfo",
    "WSFrame",
    "WSHandshakeError",
    "WSInvalidHeaderError",
    "WSInvalidMessageError",
    "WSInvalidStatusError",
    "WSInvalidUpgradeError",
    "WSListener",
    "WSMessageAssembler",
    "WSMsgType",
    "WSProtocolError",
    "WSTransport",
    "WSUpgradeRequest",
    "WSUpgradeResponse",
    "WSUpgradeResponseWithListener",
    "broadcast",
]
