"""picows: a WebSocket core with a synchronous, zero-copy listener API, for Python and Cython."""

from picows.assembler import WSMessageAssembler
from picows.broadcast import broadcast
from picows.busypoll import BusyPoll
from picows.client import ws_connect
from picows.deflate_negotiation import PerMessageDeflate
from picows.errors import (
    WSError,
    WSHandshakeError,
    WSInvalidHeaderError,
    WSInvalidMessageError,
    WSInvalidStatusError,
    WSInvalidUpgradeError,
    WSInvalidURL,
    WSProtocolError,
)
from picows.frame import WSAutoPingStrategy, WSCloseCode, WSFrame, WSMsgType
from picows.listener import WSListener
from picows.namesake import refuse_mixture
from picows.receiver import WSReceiver, ws_connect_async
from picows.server import WSServer, ws_create_server
from picows.transport import PICOWS_DEBUG_LL, WSTransport
from picows.upgrade import (
    WSCloseHandshake,
    WSCloseInfo,
    WSUpgradeRequest,
    WSUpgradeResponse,
    WSUpgradeResponseWithListener,
)
from picows.url import WSParsedURL

refuse_mixture()

__version__ = "0.1.0"
__author__ = "the picows-connectors maintainers"

__all__ = [
    "ws_connect",
    "ws_create_server",
    "ws_connect_async",
    "broadcast",
    "WSServer",
    "WSListener",
    "WSMessageAssembler",
    "WSReceiver",
    "WSTransport",
    "WSFrame",
    "WSMsgType",
    "WSCloseCode",
    "WSAutoPingStrategy",
    "WSUpgradeRequest",
    "WSUpgradeResponse",
    "WSUpgradeResponseWithListener",
    "WSCloseHandshake",
    "WSCloseInfo",
    "WSParsedURL",
    "BusyPoll",
    "PerMessageDeflate",
    "WSError",
    "WSHandshakeError",
    "WSInvalidMessageError",
    "WSInvalidStatusError",
    "WSInvalidHeaderError",
    "WSInvalidUpgradeError",
    "WSProtocolError",
    "WSInvalidURL",
    "PICOWS_DEBUG_LL",
    "__version__",
    "__author__",
]
