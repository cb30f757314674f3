"""The opening handshake of RFC 6455 section 4: pure functions from bytes to values and back.

Client (handshake_client.py): check_headers, make_key, build_request; then response_head_end, parse_response,
    check_response. Of a refusal: response_body_length, BodyReader.
Server (handshake_server.py): request_head_end, parse_request, check_request; then build_101 or build_answer.
Both (negotiation.py): accept_for, offered_subprotocols, offered_extensions, origin_is_allowed.
permessage-deflate is offered, chosen and checked in deflate_negotiation.py.
The grammar beneath is http1.py. This module is the one that the core imports.
"""

from picows.handshake_client import (
    build_request,
    check_headers,
    check_response,
    is_interim,
    make_key,
    parse_response,
    response_body_length,
    response_head_end,
)
from picows.handshake_server import (
    RequestRefused,
    build_101,
    build_answer,
    check_request,
    parse_request,
    refusal_bytes,
    request_head_end,
)
from picows.http1 import MAX_BODY_BYTES, MAX_HEADER_BYTES, MAX_HEADERS, BodyReader, find_head_end
from picows.negotiation import accept_for, offered_extensions, offered_subprotocols, origin_is_allowed

__all__ = [
    "MAX_BODY_BYTES",
    "MAX_HEADERS",
    "MAX_HEADER_BYTES",
    "BodyReader",
    "RequestRefused",
    "accept_for",
    "build_101",
    "build_answer",
    "build_request",
    "check_headers",
    "check_request",
    "check_response",
    "find_head_end",
    "is_interim",
    "make_key",
    "offered_extensions",
    "offered_subprotocols",
    "origin_is_allowed",
    "parse_request",
    "parse_response",
    "refusal_bytes",
    "request_head_end",
    "response_body_length",
    "response_head_end",
]
