/* The bytes of RFC 6455 section 5: frame header, masking, UTF-8 check, close codes.
 *
 * Static inline C11 without Python.h, so that the parser and the transport share one copy that the
 * compiler inlines, and tests/c can run it alone under AddressSanitizer. Nothing here allocates, keeps
 * state or reads a byte outside the range it is given. No alignment is required anywhere: words are moved
 * by memcpy, which every compiler turns into one load or store.
 */
#ifndef PICOWS_WIRE_H
#define PICOWS_WIRE_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#if defined(__GNUC__)
#define WS_LIKELY(x) __builtin_expect(!!(x), 1)
#define WS_UNLIKELY(x) __builtin_expect(!!(x), 0)
#else
#define WS_LIKELY(x) (x)
#define WS_UNLIKELY(x) (x)
#endif

/* ---------------------------------------------------------------- frame header (5.2) */

#define WS_HEADER_MAX 14

#define WS_ERR_NON_MINIMAL_LEN (-1) /* 126 or 127 used for a length that fits a shorter form */
#define WS_ERR_LEN_MSB (-2)         /* the most significant bit of a 64-bit length is set */

typedef struct {
    uint8_t opcode;
    uint8_t fin;
    uint8_t rsv1, rsv2, rsv3;
    uint8_t masked;
    uint8_t header_len;   /* 2..14, mask included */
    uint32_t mask;        /* the four mask bytes as memcpy loads them; 0 if not masked */
    uint64_t payload_len; /* <= 2^63 - 1 */
} ws_header_t;

/* Read a frame header from p[0..avail).
 *
 * > 0: the header's length (2..14), *out is filled.
 *   0: more bytes are wanted. What is known is filled in already, so that a caller can refuse a bad frame
 *      early: opcode, fin and rsv from 1 byte on, masked and header_len from 2 on, payload_len once its
 *      bytes are there (0 before).
 * < 0: WS_ERR_*, as soon as the length is complete (its top bit as soon as that byte is there), so that
 *      the answer does not depend on how the bytes were cut.
 */
static inline int ws_header_parse(const uint8_t *p, size_t avail, ws_header_t *out)
{
    out->masked = 0;
    out->header_len = 0;
    out->mask = 0;
    out->payload_len = 0;
    if (avail < 1) {
        out->opcode = out->fin = out->rsv1 = out->rsv2 = out->rsv3 = 0;
        return 0;
    }
    out->opcode = p[0] & 0x0f;
    out->fin = p[0] >> 7;
    out->rsv1 = (p[0] >> 6) & 1;
    out->rsv2 = (p[0] >> 5) & 1;
    out->rsv3 = (p[0] >> 4) & 1;
    if (avail < 2)
        return 0;

    const uint8_t len7 = p[1] & 0x7f;
    uint64_t len = len7;
    size_t size = 2;

    out->masked = p[1] >> 7;
    if (len7 == 126)
        size = 4;
    else if (len7 == 127)
        size = 10;
    out->header_len = (uint8_t)(size + (out->masked ? 4 : 0));

    if (len7 == 127 && avail > 2 && (p[2] & 0x80))
        return WS_ERR_LEN_MSB;
    if (avail < size)
        return 0;
    if (len7 == 126) {
        len = (uint64_t)p[2] << 8 | p[3];
        if (len < 126)
            return WS_ERR_NON_MINIMAL_LEN;
    } else if (len7 == 127) {
        len = (uint64_t)p[2] << 56 | (uint64_t)p[3] << 48 | (uint64_t)p[4] << 40 | (uint64_t)p[5] << 32
            | (uint64_t)p[6] << 24 | (uint64_t)p[7] << 16 | (uint64_t)p[8] << 8 | (uint64_t)p[9];
        if (len < 65536)
            return WS_ERR_NON_MINIMAL_LEN;
    }
    out->payload_len = len;
    if (avail < out->header_len)
        return 0;
    if (out->masked)
        memcpy(&out->mask, p + size, 4);
    return out->header_len;
}

/* The size in all of an ordinary frame whose header is at p[0..avail): a whole TEXT or BINARY message (FIN, no
 * reserved bit) of less than 64 KiB, masked as `masked` says (0 or 1), of at most max_len bytes. *head gets the
 * header's size. 0: anything else, or more bytes are wanted; ws_header_parse tells which.
 *
 * Nearly every frame is ordinary, and of an ordinary one there is nothing left to judge but its text. */
static inline size_t ws_ordinary_frame(const uint8_t *p, size_t avail, unsigned masked, uint64_t max_len,
                                       unsigned *head)
{
    if (avail < 4)
        return 0;

    const unsigned len7 = p[1] ^ (masked << 7); /* 128 or more where the mask bit is wrong */
    size_t len = len7;
    unsigned size = 2 + 4 * masked;

    if (len7 >= 126) {
        len = (size_t)p[2] << 8 | p[3];
        if (len7 != 126 || len < 126)
            return 0;
        size += 2;
    }
    if ((p[0] != 0x82 && p[0] != 0x81) || len > max_len || avail < size)
        return 0;
    *head = size;
    return size + len;
}

/* Size in bytes (2..14) of the header that announces payload_len. */
static inline size_t ws_header_size(uint64_t payload_len, int masked)
{
    return (payload_len < 126 ? 2u : payload_len < 65536 ? 4u : 10u) + (masked ? 4u : 0u);
}

/* Write a header; byte0 is FIN, RSV and opcode as they go on the wire. Returns ws_header_size() and writes
 * exactly that many bytes. payload_len must be <= 2^63 - 1. mask is ignored unless masked. */
static inline size_t ws_header_write(uint8_t *out, uint8_t byte0, int masked, uint32_t mask,
                                     uint64_t payload_len)
{
    const uint8_t mask_bit = masked ? 0x80 : 0;
    size_t size;

    out[0] = byte0;
    if (payload_len < 126) {
        out[1] = (uint8_t)(mask_bit | payload_len);
        size = 2;
    } else if (payload_len < 65536) {
        out[1] = mask_bit | 126;
        out[2] = (uint8_t)(payload_len >> 8);
        out[3] = (uint8_t)payload_len;
        size = 4;
    } else {
        out[1] = mask_bit | 127;
        out[2] = (uint8_t)(payload_len >> 56);
        out[3] = (uint8_t)(payload_len >> 48);
        out[4] = (uint8_t)(payload_len >> 40);
        out[5] = (uint8_t)(payload_len >> 32);
        out[6] = (uint8_t)(payload_len >> 24);
        out[7] = (uint8_t)(payload_len >> 16);
        out[8] = (uint8_t)(payload_len >> 8);
        out[9] = (uint8_t)payload_len;
        size = 10;
    }
    if (masked) {
        memcpy(out + size, &mask, 4);
        size += 4;
    }
    return size;
}

/* ---------------------------------------------------------------- masking (5.3) */

static inline uint64_t ws_load64(const uint8_t *p)
{
    uint64_t v;
    memcpy(&v, p, 8);
    return v;
}

static inline void ws_xor64(uint8_t *dst, uint64_t a, uint64_t mask)
{
    a ^= mask;
    memcpy(dst, &a, 8);
}

/* The mask as it stands `phase` bytes into the payload. */
static inline uint32_t ws_mask_rotate(uint32_t mask, size_t phase)
{
    const unsigned shift = 8u * (unsigned)(phase & 3);
    const uint64_t twice = (uint64_t)mask << 32 | mask;
#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    return (uint32_t)(twice >> (32 - shift));
#else
    return (uint32_t)(twice >> shift);
#endif
}

/* dst[i] = src[i] ^ mask byte (phase + i) % 4, for i in [0, n). dst is src, or does not overlap it.
 *
 * The last block overlaps the one before it instead of going byte by byte. That is right in place too,
 * because the source of the last block is loaded before anything is stored. Blocks are multiples of four
 * bytes, so the mask of the last one is rotated by n alone.
 */
static inline void ws_mask(uint8_t *dst, const uint8_t *src, size_t n, uint32_t mask, size_t phase)
{
    mask = ws_mask_rotate(mask, phase);
    const uint64_t m = (uint64_t)mask << 32 | mask;
    const uint32_t last_mask = ws_mask_rotate(mask, n);
    const uint64_t t = (uint64_t)last_mask << 32 | last_mask;

    if (n >= 32) {
        const uint8_t *last = src + n - 32;
        const uint64_t l0 = ws_load64(last), l1 = ws_load64(last + 8);
        const uint64_t l2 = ws_load64(last + 16), l3 = ws_load64(last + 24);

        for (size_t i = 0; i < n - 32; i += 32) { /* four words a step: gcc -O3 makes them SSE or NEON */
            const uint64_t a = ws_load64(src + i), b = ws_load64(src + i + 8);
            const uint64_t c = ws_load64(src + i + 16), d = ws_load64(src + i + 24);
            ws_xor64(dst + i, a, m);
            ws_xor64(dst + i + 8, b, m);
            ws_xor64(dst + i + 16, c, m);
            ws_xor64(dst + i + 24, d, m);
        }
        ws_xor64(dst + n - 32, l0, t);
        ws_xor64(dst + n - 24, l1, t);
        ws_xor64(dst + n - 16, l2, t);
        ws_xor64(dst + n - 8, l3, t);
    } else if (n >= 16) {
        const uint64_t a = ws_load64(src), b = ws_load64(src + 8);
        const uint64_t l0 = ws_load64(src + n - 16), l1 = ws_load64(src + n - 8);
        ws_xor64(dst, a, m);
        ws_xor64(dst + 8, b, m);
        ws_xor64(dst + n - 16, l0, t);
        ws_xor64(dst + n - 8, l1, t);
    } else if (n >= 8) {
        const uint64_t a = ws_load64(src), l = ws_load64(src + n - 8);
        ws_xor64(dst, a, m);
        ws_xor64(dst + n - 8, l, t);
    } else if (n >= 4) {
        uint32_t a, l;
        memcpy(&a, src, 4);
        memcpy(&l, src + n - 4, 4);
        a ^= mask;
        l ^= last_mask;
        memcpy(dst, &a, 4);
        memcpy(dst + n - 4, &l, 4);
    } else {
        uint8_t k[4];
        memcpy(k, &mask, 4);
        for (size_t i = 0; i < n; i++)
            dst[i] = src[i] ^ k[i];
    }
}

/* ---------------------------------------------------------------- UTF-8 (8.1, RFC 3629) */

/* A state says what may come next: how many continuation bytes are missing (bits 0-7) and the range of the
 * next one (lowest in bits 8-15, highest in bits 16-23). Only the second byte of a sequence has a range
 * other than 80..BF: that is where RFC 3629 section 4 shuts out overlong forms, surrogates and what is
 * above U+10FFFF. */
#define WS_UTF8_ACCEPT 0u /* between two characters: the start of a message, and what its end requires */
#define WS_UTF8_REJECT 1u /* no state proper, as its range is empty; absorbing */
#define WS_UTF8_STATE(missing, lowest, highest) \
    ((uint32_t)(missing) | (uint32_t)(lowest) << 8 | (uint32_t)(highest) << 16)

static inline uint32_t ws_utf8_lead(uint8_t byte)
{
    if (byte < 0x80)
        return WS_UTF8_ACCEPT;
    if (byte < 0xc2 || byte > 0xf4)
        return WS_UTF8_REJECT;
    if (byte < 0xe0)
        return WS_UTF8_STATE(1, 0x80, 0xbf);
    if (byte < 0xf0)
        return WS_UTF8_STATE(2, byte == 0xe0 ? 0xa0 : 0x80, byte == 0xed ? 0x9f : 0xbf);
    return WS_UTF8_STATE(3, byte == 0xf0 ? 0x90 : 0x80, byte == 0xf4 ? 0x8f : 0xbf);
}

static inline uint32_t ws_utf8_step(uint32_t state, uint8_t byte)
{
    if (state == WS_UTF8_ACCEPT)
        return ws_utf8_lead(byte);
    if (byte < (state >> 8 & 0xff) || byte > (state >> 16 & 0xff))
        return WS_UTF8_REJECT;
    return (state & 0xff) == 1 ? WS_UTF8_ACCEPT : WS_UTF8_STATE((state & 0xff) - 1, 0x80, 0xbf);
}

/* Length (2..4) of the character that starts at p with a byte >= 0x80, 0 if it is none. Reads p[0..4). The
 * ranges are those of ws_utf8_lead(): a surrogate or an overlong form shows in the top bits of the second
 * byte. */
static inline size_t ws_utf8_char(const uint8_t *p)
{
    const unsigned a = p[0], b = p[1], c = p[2], d = p[3];

    if (a < 0xe0)
        return a >= 0xc2 && (b & 0xc0) == 0x80 ? 2 : 0;
    if ((b & 0xc0) != 0x80 || (c & 0xc0) != 0x80)
        return 0;
    if (a < 0xf0) {
        /* The upper 5 of 16 bits: 0 is below U+0800, 27 is D800-DFFF. */
        const unsigned top = (a & 0x0f) << 1 | (b >> 5 & 1);
        return top != 0 && top != 27 ? 3 : 0;
    }
    const unsigned plane = (a & 0x0f) << 2 | (b >> 4 & 3); /* above 16 is above U+10FFFF */
    return (d & 0xc0) == 0x80 && plane >= 1 && plane <= 16 ? 4 : 0;
}

/* Go on with the check over p[0..n). The message is valid so far unless WS_UTF8_REJECT comes back, which
 * happens at the first byte that no valid text could have there. */
static inline uint32_t ws_utf8_feed(uint32_t state, const uint8_t *p, size_t n)
{
    const uint64_t high_bits = UINT64_C(0x8080808080808080);
    const uint8_t *const end = p + n;

    if (WS_UNLIKELY(state == WS_UTF8_REJECT))
        return WS_UTF8_REJECT;
    while (WS_UNLIKELY(state != WS_UTF8_ACCEPT) && p < end)
        if ((state = ws_utf8_step(state, *p++)) == WS_UTF8_REJECT)
            return WS_UTF8_REJECT;

    while (p < end) { /* here the state is ACCEPT */
        while (end - p >= 32
               && !((ws_load64(p) | ws_load64(p + 8) | ws_load64(p + 16) | ws_load64(p + 24)) & high_bits))
            p += 32;
        while (end - p >= 8 && !(ws_load64(p) & high_bits))
            p += 8;
        while (p < end && *p < 0x80)
            p++;
        while (p < end && *p >= 0x80) { /* one character a turn; text that is not ASCII comes in runs */
            if (WS_LIKELY(end - p >= 4)) {
                const size_t size = ws_utf8_char(p);
                if (WS_UNLIKELY(size == 0))
                    return WS_UTF8_REJECT;
                p += size;
                continue;
            }
            state = ws_utf8_lead(*p++);
            while (state > WS_UTF8_REJECT && p < end)
                state = ws_utf8_step(state, *p++);
            if (WS_UNLIKELY(state == WS_UTF8_REJECT))
                return WS_UTF8_REJECT;
        }
    }
    return state;
}

/* ---------------------------------------------------------------- close codes (7.4) */

/* 1000-1003 and 1007-1011 are the RFC's own, 1012-1014 are registered with IANA, 3000-4999 belong to
 * libraries and applications. 1004 is reserved; 1005, 1006 and 1015 never go on the wire; nothing else is
 * assigned. */
static inline int ws_close_code_is_valid_received(uint32_t code)
{
    return (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014)
        || (code >= 3000 && code <= 4999);
}

static inline int ws_close_code_is_valid_sent(uint32_t code)
{
    return ws_close_code_is_valid_received(code);
}

#endif /* PICOWS_WIRE_H */
