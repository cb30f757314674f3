"""What a connection is configured with, checked at the door: before any socket is opened."""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass
from typing import Any

from picows.deflate_negotiation import PerMessageDeflate
from picows.keepalive import PING_WHEN_IDLE, check_options

Logger = logging.Logger | logging.LoggerAdapter[Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionOptions:
    """The options that ws_connect and ws_create_server share; they document them. Times in seconds."""

    logger: Logger
    disconnect_on_exception: bool = True
    websocket_handshake_timeout: float | None = 5
    enable_auto_ping: bool = False
    auto_ping_idle_timeout: float = 10
    auto_ping_reply_timeout: float = 10
    auto_ping_strategy: int = PING_WHEN_IDLE
    enable_auto_pong: bool = True
    max_frame_size: int = 10 * 1024 * 1024
    read_buffer_init_size: int = 16 * 1024
    close_timeout: float = 10
    strict: bool = True
    auto_cork: bool = False
    compression: PerMessageDeflate | None = None

    def __post_init__(self) -> None:
        if self.enable_auto_ping:
            check_options(self.auto_ping_strategy, self.auto_ping_idle_timeout, self.auto_ping_reply_timeout)
        _check_number("websocket_handshake_timeout", self.websocket_handshake_timeout, or_none=True)
        _check_number("close_timeout", self.close_timeout)
        _check_size("max_frame_size", self.max_frame_size, 1)
        _check_size("read_buffer_init_size", self.read_buffer_init_size, 1)  # from 2048 on it is heeded
        if self.compression is not None and not isinstance(self.compression, PerMessageDeflate):
            raise TypeError(f"compression: expected a PerMessageDeflate or None, got {self.compression!r}")


def _check_number(name: str, value: float | None, *, or_none: bool = False) -> None:
    if value is None and or_none:
        return
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"{name}: expected seconds{' or None' if or_none else ''}, got {value!r}")
    if not 0 < value < math.inf:
        raise ValueError(f"{name}: expected a finite number of seconds > 0, got {value!r}")


def _check_size(name: str, value: int, least: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{name}: expected a number of bytes, got {value!r}")
    if not least <= value < 2**62:
        raise ValueError(f"{name}: expected {least} to 2**62 - 1 bytes, got {value!r}")


def get_logger(name: str | Logger | None, default: str) -> Logger:
    """None: `picows.<default>`; a str: `picows.<name>`; a logger is used as it is."""
    if name is None:
        return logging.getLogger(f"picows.{default}")
    if isinstance(name, str):
        return logging.getLogger(f"picows.{name}")
    if isinstance(name, (logging.Logger, logging.LoggerAdapter)):
        return name
    raise TypeError(f"logger_name: expected a str, a logger or None, got {type(name).__name__}")
