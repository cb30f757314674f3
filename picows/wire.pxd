# The bytes of RFC 6455 section 5, in C: see wire.h. None of it needs the GIL or can raise.

from libc.stdint cimport uint8_t, uint32_t, uint64_t


cdef extern from "wire.h" nogil:
    const int WS_HEADER_MAX             # 14: the longest header
    const int WS_ERR_NON_MINIMAL_LEN    # -1
    const int WS_ERR_LEN_MSB            # -2
    const uint32_t WS_UTF8_ACCEPT       # 0: the state at the start of a text, and required at its end
    const uint32_t WS_UTF8_REJECT       # 1: never valid, whatever follows

    ctypedef struct ws_header_t:
        uint8_t opcode
        uint8_t fin
        uint8_t rsv1
        uint8_t rsv2
        uint8_t rsv3
        uint8_t masked
        uint8_t header_len      # 2..14, mask included
        uint32_t mask           # the four bytes as memcpy loads them
        uint64_t payload_len

    # >0: header length, out filled; 0: more bytes wanted; <0: WS_ERR_*
    int ws_header_parse(const uint8_t *p, size_t avail, ws_header_t *out) noexcept
    # Header and payload size of a frame that needs no judging; 0: ask ws_header_parse
    size_t ws_ordinary_frame(const uint8_t *p, size_t avail, unsigned masked, uint64_t max_len,
                             unsigned *head) noexcept
    size_t ws_header_size(uint64_t payload_len, int masked) noexcept
    size_t ws_header_write(uint8_t *out, uint8_t byte0, int masked, uint32_t mask,
                           uint64_t payload_len) noexcept

    # dst is src or does not overlap it; phase: bytes of the payload that went before
    void ws_mask(uint8_t *dst, const uint8_t *src, size_t n, uint32_t mask, size_t phase) noexcept

    uint32_t ws_utf8_feed(uint32_t state, const uint8_t *p, size_t n) noexcept

    bint ws_close_code_is_valid_received(uint32_t code) noexcept
    bint ws_close_code_is_valid_sent(uint32_t code) noexcept
