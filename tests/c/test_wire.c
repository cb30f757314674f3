/* wire.h against naive references. Every buffer is a malloc of exactly its size at a chosen misalignment, so
 * that AddressSanitizer sees each byte read or written too far. Prints "ok" lines, or the first failure and
 * exits with 1.
 */
#include "wire.h"

#include <stdio.h>
#include <stdlib.h>

static const char *test_name;
#define CHECK(cond, ...)                                                   \
    do {                                                                   \
        if (!(cond)) {                                                     \
            fprintf(stderr, "%s: line %d: %s: ", test_name, __LINE__, #cond); \
            fprintf(stderr, __VA_ARGS__);                                  \
            fprintf(stderr, "\n");                                         \
            exit(1);                                                       \
        }                                                                  \
    } while (0)

/* A block whose last byte is the last one of its malloc, `offset` bytes into it. */
typedef struct {
    uint8_t *base, *p;
} block_t;

static block_t block_new(size_t offset, size_t n)
{
    block_t b;
    b.base = malloc(offset + n ? offset + n : 1);
    if (!b.base)
        abort();
    memset(b.base, 0xA5, offset + n);
    b.p = b.base + offset;
    return b;
}

static uint32_t random_state = 12345;
static uint8_t random_byte(void)
{
    random_state = random_state * 1664525u + 1013904223u;
    return (uint8_t)(random_state >> 24);
}

/* ---------------------------------------------------------------- mask */

static void check_mask(size_t n, size_t offset, size_t phase, int in_place)
{
    static const uint8_t key[4] = {0x11, 0x42, 0xc8, 0xfe};
    uint32_t mask;
    memcpy(&mask, key, 4);
    block_t src = block_new(offset, n);
    block_t dst = in_place ? src : block_new((offset * 7 + 3) % 64, n);
    uint8_t *want = malloc(n + 1);
    if (!want)
        abort();
    for (size_t i = 0; i < n; i++) {
        src.p[i] = random_byte();
        want[i] = src.p[i] ^ key[(phase + i) % 4];
    }

    ws_mask(dst.p, src.p, n, mask, phase);

    CHECK(memcmp(dst.p, want, n) == 0, "n=%zu offset=%zu phase=%zu in_place=%d", n, offset, phase, in_place);
    for (const uint8_t *q = dst.base; q < dst.p; q++)
        CHECK(*q == 0xA5, "byte before the block was written: n=%zu offset=%zu", n, offset);
    free(want);
    if (!in_place)
        free(dst.base);
    free(src.base);
}

static void test_mask_equals_naive_at_every_size_offset_and_phase(void)
{
    for (size_t n = 0; n <= 200; n++)
        for (size_t offset = 0; offset < 64; offset++)
            for (size_t phase = 0; phase < 4; phase++) {
                check_mask(n, offset, phase, 0);
                check_mask(n, offset, phase, 1);
            }
    for (size_t n = 1000; n < 1100; n++)
        check_mask(n, n % 64, n * 31, n & 1);
    check_mask(77, 5, SIZE_MAX - 2, 0); /* a phase is taken modulo 4, however large */
}

static void test_mask_in_pieces_equals_mask_at_once(void)
{
    uint8_t text[150], whole[150], pieces[150];
    const uint32_t mask = 0xdeadbeef;
    for (size_t i = 0; i < sizeof text; i++)
        text[i] = random_byte();
    ws_mask(whole, text, sizeof text, mask, 0);

    for (size_t cut = 0; cut <= sizeof text; cut++) {
        ws_mask(pieces, text, cut, mask, 0);
        ws_mask(pieces + cut, text + cut, sizeof text - cut, mask, cut);

        CHECK(memcmp(pieces, whole, sizeof text) == 0, "cut=%zu", cut);
    }
}

/* ---------------------------------------------------------------- header */

static void check_round_trip(uint64_t len, int masked, uint8_t byte0, size_t want_size)
{
    const size_t size = ws_header_size(len, masked);
    CHECK(size == want_size, "len=%llu masked=%d size=%zu", (unsigned long long)len, masked, size);
    block_t b = block_new(3, size);
    CHECK(ws_header_write(b.p, byte0, masked, 0x01020304, len) == size, "len=%llu", (unsigned long long)len);

    ws_header_t h;
    for (size_t avail = 0; avail < size; avail++) {
        block_t cut = block_new(avail % 5, avail);
        memcpy(cut.p, b.p, avail);
        CHECK(ws_header_parse(cut.p, avail, &h) == 0, "avail=%zu of %zu", avail, size);
        CHECK(avail < 1 || h.opcode == (byte0 & 15), "opcode is known from the first byte on");
        CHECK(h.header_len == (avail < 2 ? 0 : size), "header_len is known from the second byte on");
        free(cut.base);
    }
    CHECK(ws_header_parse(b.p, size, &h) == (int)size, "len=%llu", (unsigned long long)len);

    CHECK(h.header_len == size && h.masked == !!masked, "header_len=%u masked=%u", h.header_len, h.masked);
    CHECK(h.payload_len == len, "len=%llu", (unsigned long long)len);
    CHECK(h.mask == (masked ? 0x01020304u : 0u), "mask=%x", h.mask);
    CHECK(h.opcode == (byte0 & 15) && h.fin == byte0 >> 7, "byte0=%02x", byte0);
    CHECK((h.rsv1 << 2 | h.rsv2 << 1 | h.rsv3) == (byte0 >> 4 & 7), "byte0=%02x", byte0);
    free(b.base);
}

static void test_header_round_trip_at_every_length_boundary(void)
{
    static const struct {
        uint64_t len;
        size_t size;
    } rows[] = {{0, 2}, {1, 2}, {124, 2}, {125, 2}, {126, 4}, {127, 4}, {128, 4}, {255, 4}, {256, 4},
        {65534, 4}, {65535, 4}, {65536, 10}, {65537, 10}, {0xffffffff, 10}, {0x100000000, 10},
        {INT64_MAX, 10}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        for (int byte0 = 0; byte0 < 256; byte0++) {
            check_round_trip(rows[i].len, 0, (uint8_t)byte0, rows[i].size);
            check_round_trip(rows[i].len, 1, (uint8_t)byte0, rows[i].size + 4);
        }
}

static void test_header_is_written_in_network_byte_order(void)
{
    static const uint8_t want16[] = {0x82, 0x7e, 0x01, 0x02};
    static const uint8_t want64[] = {0x82, 0x7f, 0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0x08};
    uint8_t out[WS_HEADER_MAX];

    ws_header_write(out, 0x82, 0, 0, 0x0102);
    CHECK(memcmp(out, want16, sizeof want16) == 0, "16-bit length");
    ws_header_write(out, 0x82, 0, 0, 0x0102030405060708);
    CHECK(memcmp(out, want64, sizeof want64) == 0, "64-bit length");
}

static void check_error(const uint8_t *bytes, size_t n, size_t judged_at, int error)
{
    ws_header_t h;
    for (size_t avail = 0; avail <= n; avail++) {
        block_t b = block_new(1, avail);
        memcpy(b.p, bytes, avail);
        const int got = ws_header_parse(b.p, avail, &h);
        CHECK(got == (avail < judged_at ? 0 : error), "avail=%zu got=%d", avail, got);
        free(b.base);
    }
}

static void test_bad_length_is_refused_as_soon_as_it_is_complete(void)
{
    static const uint8_t short16[] = {0x81, 0xfe, 0, 125, 1, 2, 3, 4};
    static const uint8_t short64[] = {0x81, 0xff, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 1, 2, 3, 4};
    static const uint8_t msb64[] = {0x81, 0xff, 0x80, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4};

    check_error(short16, sizeof short16, 4, WS_ERR_NON_MINIMAL_LEN);
    check_error(short64, sizeof short64, 10, WS_ERR_NON_MINIMAL_LEN);
    check_error(msb64, sizeof msb64, 3, WS_ERR_LEN_MSB);
}

/* ---------------------------------------------------------------- UTF-8 */

typedef enum { VALID, INCOMPLETE, INVALID } verdict_t;

/* The bytes of a code point, surrogates and too large ones included: an encoder without checks. */
static size_t encode(uint32_t c, uint8_t *u)
{
    if (c < 0x80)
        return u[0] = (uint8_t)c, 1;
    const size_t k = c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    for (size_t j = k; j-- > 1; c >>= 6)
        u[j] = (uint8_t)(0x80 | (c & 63));
    static const uint8_t marks[] = {0, 0, 0xc0, 0xe0, 0xf0};
    u[0] = (uint8_t)(marks[k] | c);
    return k;
}

/* Is p[0..n), 0 < n < 4, the beginning of some character? Looks it up among the beginnings of all of them. */
static int is_prefix_of_a_character(const uint8_t *p, size_t n)
{
    static uint8_t *seen; /* indexed by length and bytes; built once */
    if (!seen) {
        seen = calloc(1, 1u << 26);
        if (!seen)
            abort();
        for (uint32_t c = 0x80; c <= 0x10ffff; c++) {
            uint8_t u[4];
            if (c >= 0xd800 && c <= 0xdfff)
                continue;
            const size_t k = encode(c, u);
            uint32_t key = 0;
            for (size_t i = 0; i + 1 < k; i++) {
                key = key << 8 | u[i];
                seen[(i + 1) << 24 | key] = 1;
            }
        }
    }
    uint32_t key = 0;
    for (size_t i = 0; i < n; i++)
        key = key << 8 | p[i];
    return seen[n << 24 | key];
}

/* Decode by the definition: assemble the code point, ask whether it is one and its form the shortest. */
static verdict_t naive_utf8(const uint8_t *p, size_t n)
{
    size_t i = 0;
    while (i < n) {
        const uint8_t a = p[i];
        const size_t k = a < 0x80 ? 1
            : (a & 0xe0) == 0xc0  ? 2
            : (a & 0xf0) == 0xe0  ? 3
            : (a & 0xf8) == 0xf0  ? 4
                                  : 0;
        if (k == 0)
            return INVALID;
        if (n - i < k)
            return is_prefix_of_a_character(p + i, n - i) ? INCOMPLETE : INVALID;
        uint32_t c = k == 1 ? a : a & (0x7fu >> k);
        for (size_t j = 1; j < k; j++) {
            if ((p[i + j] & 0xc0) != 0x80)
                return INVALID;
            c = c << 6 | (p[i + j] & 0x3f);
        }
        static const uint32_t smallest[] = {0, 0, 0x80, 0x800, 0x10000};
        if (c < smallest[k] || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
            return INVALID;
        i += k;
    }
    return VALID;
}

static verdict_t verdict(uint32_t state)
{
    return state == WS_UTF8_ACCEPT ? VALID : state == WS_UTF8_REJECT ? INVALID : INCOMPLETE;
}

/* The same answer for the whole and for every cut in two, each piece in its own exact block. */
static void check_utf8(const uint8_t *p, size_t n)
{
    const verdict_t want = naive_utf8(p, n);
    CHECK(verdict(ws_utf8_feed(WS_UTF8_ACCEPT, p, n)) == want, "%02x %02x %02x.. n=%zu", p[0], p[1], p[2], n);
    for (size_t cut = 0; cut <= n; cut++) {
        const uint32_t state = ws_utf8_feed(WS_UTF8_ACCEPT, p, cut);
        CHECK(verdict(state) == naive_utf8(p, cut), "prefix: cut=%zu n=%zu", cut, n);
        CHECK(verdict(ws_utf8_feed(state, p + cut, n - cut)) == want, "cut=%zu n=%zu", cut, n);
    }
}

static void test_every_code_point_is_accepted_and_every_surrogate_refused(void)
{
    uint8_t u[12];
    for (uint32_t c = 0; c < 0x140000; c++) {
        memset(u, 'x', sizeof u);
        const size_t k = encode(c, u);
        const verdict_t want = c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff) ? INVALID : VALID;
        CHECK(verdict(ws_utf8_feed(WS_UTF8_ACCEPT, u, k)) == want, "U+%04X alone", c);
        CHECK(verdict(ws_utf8_feed(WS_UTF8_ACCEPT, u, sizeof u)) == want, "U+%04X in text", c);
        for (size_t cut = 1; cut < k; cut++) {
            const uint32_t state = ws_utf8_feed(WS_UTF8_ACCEPT, u, cut);
            CHECK(want == INVALID || verdict(state) == INCOMPLETE, "U+%04X cut=%zu", c, cut);
            CHECK(verdict(ws_utf8_feed(state, u + cut, k - cut)) == want, "U+%04X cut=%zu", c, cut);
        }
    }
}

static void test_every_sequence_of_up_to_three_bytes(void)
{
    uint8_t u[4] = {0};
    for (uint32_t v = 0; v < 1u << 24; v++) {
        u[0] = (uint8_t)(v >> 16), u[1] = (uint8_t)(v >> 8), u[2] = (uint8_t)v;
        const verdict_t want = naive_utf8(u, 3);
        CHECK(verdict(ws_utf8_feed(WS_UTF8_ACCEPT, u, 3)) == want, "%06x", v);
        if ((v & 0xff) == 0) {
            check_utf8(u, 1);
            check_utf8(u, 2);
        }
        /* The fast path, which looks at four bytes at once, says the same. */
        u[3] = 'x';
        CHECK(verdict(ws_utf8_feed(WS_UTF8_ACCEPT, u, 4)) == naive_utf8(u, 4), "%06x + x", v);
        uint32_t state = WS_UTF8_ACCEPT;
        for (size_t i = 0; i < 3; i++)
            state = ws_utf8_feed(state, u + i, 1);
        CHECK(verdict(state) == want, "%06x byte by byte", v);
    }
}

static void test_four_byte_sequences_at_their_edges(void)
{
    static const uint8_t edges[] = {
        0x00, 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc0, 0xc2, 0xe0, 0xf0, 0xff};
    for (unsigned a = 0xe0; a <= 0xff; a++)
        for (unsigned b = 0; b < 256; b++)
            for (size_t i = 0; i < sizeof edges; i++)
                for (size_t j = 0; j < sizeof edges; j++) {
                    const uint8_t u[4] = {(uint8_t)a, (uint8_t)b, edges[i], edges[j]};
                    check_utf8(u, 4);
                }
}

static void test_one_character_at_every_place_of_a_long_text(void)
{
    static const char *const characters[] = {
        "\xc3\xa9", "\xe2\x82\xac", "\xf0\x9f\x98\x80", "\xed\xa0\x80", "\xff", "\xc0\x80"};
    for (size_t k = 0; k < sizeof characters / sizeof *characters; k++)
        for (size_t n = 1; n <= 90; n++) {
            const size_t size = strlen(characters[k]);
            for (size_t at = 0; at + size <= n; at++) {
                block_t b = block_new(at % 9, n);
                memset(b.p, 'a', n);
                memcpy(b.p + at, characters[k], size);
                const verdict_t want = naive_utf8(b.p, n);
                CHECK(verdict(ws_utf8_feed(WS_UTF8_ACCEPT, b.p, n)) == want, "k=%zu n=%zu at=%zu", k, n, at);
                for (size_t cut = at; cut <= at + size; cut++) {
                    const uint32_t state = ws_utf8_feed(WS_UTF8_ACCEPT, b.p, cut);
                    CHECK(verdict(ws_utf8_feed(state, b.p + cut, n - cut)) == want, "cut=%zu", cut);
                }
                free(b.base);
            }
        }
}

static void test_reject_is_final_and_nothing_fed_changes_nothing(void)
{
    const uint8_t text[] = "valid text";
    const uint8_t half[] = {0xe2, 0x82};

    CHECK(ws_utf8_feed(WS_UTF8_REJECT, text, 10) == WS_UTF8_REJECT, "absorbing");
    CHECK(ws_utf8_feed(WS_UTF8_REJECT, text, 0) == WS_UTF8_REJECT, "absorbing");
    const uint32_t state = ws_utf8_feed(WS_UTF8_ACCEPT, half, 2);
    CHECK(verdict(state) == INCOMPLETE && ws_utf8_feed(state, text, 0) == state, "empty piece");
}

/* ---------------------------------------------------------------- close codes */

static void test_close_codes(void)
{
    for (uint32_t code = 0; code < 70000; code++) {
        int want = code >= 3000 && code <= 4999;
        switch (code) {
        case 1000: case 1001: case 1002: case 1003:
        case 1007: case 1008: case 1009: case 1010: case 1011: case 1012: case 1013: case 1014:
            want = 1;
        }
        CHECK(ws_close_code_is_valid_received(code) == want, "code=%u", code);
        CHECK(ws_close_code_is_valid_sent(code) == want, "code=%u", code);
    }
}

#define RUN(name) (test_name = #name, name(), printf("ok %s\n", #name))

int main(void)
{
    RUN(test_mask_equals_naive_at_every_size_offset_and_phase);
    RUN(test_mask_in_pieces_equals_mask_at_once);
    RUN(test_header_round_trip_at_every_length_boundary);
    RUN(test_header_is_written_in_network_byte_order);
    RUN(test_bad_length_is_refused_as_soon_as_it_is_complete);
    RUN(test_every_code_point_is_accepted_and_every_surrogate_refused);
    RUN(test_every_sequence_of_up_to_three_bytes);
    RUN(test_four_byte_sequences_at_their_edges);
    RUN(test_one_character_at_every_place_of_a_long_text);
    RUN(test_reject_is_final_and_nothing_fed_changes_nothing);
    RUN(test_close_codes);
    return 0;
}
