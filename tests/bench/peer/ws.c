/* RFC 6455: upgrade, frame headers, masks; SHA-1 and base64 for it. */
#include "ws.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* RFC 3174, for messages of less than 120 bytes. */
static uint32_t rol(uint32_t x, int n)
{
    return x << n | x >> (32 - n);
}

static void sha1_block(uint32_t h[5], const uint8_t *block)
{
    uint32_t w[80], a = h[0], b = h[1], c = h[2], d = h[3], e = h[4];
    for (int i = 0; i < 16; i++) {
        w[i] = (uint32_t)block[4 * i] << 24 | (uint32_t)block[4 * i + 1] << 16 |
               (uint32_t)block[4 * i + 2] << 8 | block[4 * i + 3];
    }
    for (int i = 16; i < 80; i++) {
        w[i] = rol(w[i - 3] ^ w[i - 8] ^ w[i - 14] ^ w[i - 16], 1);
    }
    for (int i = 0; i < 80; i++) {
        uint32_t f = i < 20   ? (b & c) | (~b & d)
                     : i < 40 ? b ^ c ^ d
                     : i < 60 ? (b & c) | (b & d) | (c & d)
                              : b ^ c ^ d;
        static const uint32_t k[] = {0x5A827999, 0x6ED9EBA1, 0x8F1BBCDC, 0xCA62C1D6};
        uint32_t next = rol(a, 5) + f + e + w[i] + k[i / 20];
        e = d, d = c, c = rol(b, 30), b = a, a = next;
    }
    h[0] += a, h[1] += b, h[2] += c, h[3] += d, h[4] += e;
}

static void sha1(const char *text, size_t n, uint8_t digest[20])
{
    uint32_t h[5] = {0x67452301, 0xEFCDAB89, 0x98BADCFE, 0x10325476, 0xC3D2E1F0};
    uint8_t padded[128] = {0};
    size_t blocks = (n + 9 + 63) / 64;
    memcpy(padded, text, n);
    padded[n] = 0x80;
    padded[64 * blocks - 2] = (uint8_t)(n * 8 >> 8);
    padded[64 * blocks - 1] = (uint8_t)(n * 8);
    for (size_t i = 0; i < blocks; i++) {
        sha1_block(h, padded + 64 * i);
    }
    for (int i = 0; i < 20; i++) {
        digest[i] = (uint8_t)(h[i / 4] >> (24 - 8 * (i % 4)));
    }
}

/* RFC 4648 4, of 20 bytes: 28 characters. */
static void base64(const uint8_t digest[20], char out[29])
{
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    uint8_t padded[21] = {0};
    memcpy(padded, digest, 20);
    for (int i = 0; i < 7; i++) {
        uint32_t v = (uint32_t)padded[3 * i] << 16 | (uint32_t)padded[3 * i + 1] << 8 | padded[3 * i + 2];
        for (int j = 0; j < 4; j++) {
            out[4 * i + j] = letters[v >> (18 - 6 * j) & 63];
        }
    }
    out[27] = '=';
    out[28] = 0;
}

/* The header block in conn->in as a string, or NULL while it has not arrived whole. */
static char *header_block(conn_t *conn)
{
    size_t n = conn->in.end - conn->in.start;
    char *text = (char *)conn->in.data + conn->in.start;
    char *end = n ? memmem(text, n, "\r\n\r\n", 4) : NULL;
    if (end == NULL) {
        return NULL;
    }
    end[2] = 0;
    conn->in.start += (size_t)(end + 4 - text);
    return text;
}

int ws_accept(conn_t *conn, char *path, size_t path_size)
{
    char key[128], accept[29], answer[256];
    uint8_t digest[20];
    char *text = header_block(conn);
    if (text == NULL) {
        return 0;
    }
    char *field = strcasestr(text, "\r\nsec-websocket-key:");
    char format[32];
    snprintf(format, sizeof format, "GET %%%zus", path_size - 1);
    if (sscanf(text, format, path) != 1 || field == NULL || sscanf(field + 20, " %60[^\r \t]", key) != 1) {
        return -1;
    }
    strcat(key, "258EAFA5-E914-47DA-95CA-C5AB0DC85B11");
    sha1(key, strlen(key), digest);
    base64(digest, accept);
    int n = snprintf(answer, sizeof answer,
                     "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                     "Sec-WebSocket-Accept: %s\r\n\r\n",
                     accept);
    conn_put(conn, answer, (size_t)n);
    conn->is_open = 1;
    return 1;
}

void ws_ask(conn_t *conn, const char *host, const char *path)
{
    char request[512];
    int n = snprintf(request, sizeof request,
                     "GET %s HTTP/1.1\r\nHost: %s\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                     "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
                     path, host);
    conn_put(conn, request, (size_t)n);
}

int ws_answered(conn_t *conn)
{
    char *text = header_block(conn);
    if (text == NULL) {
        return 0;
    }
    conn->is_open = strstr(text, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=") != NULL;
    return conn->is_open ? 1 : -1;
}

int ws_header(const uint8_t *data, size_t n, frame_t *frame)
{
    if (n < 2) {
        return 0;
    }
    frame->fin = data[0] >> 7;
    frame->opcode = data[0] & 15;
    frame->masked = data[1] >> 7;
    frame->size = data[1] & 127;
    unsigned extended = frame->size == 126 ? 2 : frame->size == 127 ? 8 : 0;
    frame->head = 2 + extended + (frame->masked ? 4 : 0);
    if (n < frame->head) {
        return 0;
    }
    if (extended) {
        frame->size = 0;
        for (unsigned i = 0; i < extended; i++) {
            frame->size = frame->size << 8 | data[2 + i];
        }
    }
    if (frame->masked) {
        memcpy(frame->mask, data + 2 + extended, 4);
    }
    return 1;
}

unsigned ws_put_header(uint8_t *to, uint8_t opcode, uint64_t size, const uint8_t *mask)
{
    unsigned extended = size < 126 ? 0 : size < 65536 ? 2 : 8;
    to[0] = 0x80 | opcode;
    to[1] = (uint8_t)((mask ? 0x80 : 0) | (extended == 0 ? size : extended == 2 ? 126 : 127));
    for (unsigned i = 0; i < extended; i++) {
        to[2 + i] = (uint8_t)(size >> 8 * (extended - 1 - i));
    }
    if (mask != NULL) {
        memcpy(to + 2 + extended, mask, 4);
    }
    return 2 + extended + (mask ? 4 : 0);
}

void ws_mask(uint8_t *data, size_t n, const uint8_t mask[4])
{
    uint64_t key, word;
    size_t i = 0;
    memcpy(&key, mask, 4);
    memcpy((uint8_t *)&key + 4, mask, 4);
    for (; i + 8 <= n; i += 8) {
        memcpy(&word, data + i, 8);
        word ^= key;
        memcpy(data + i, &word, 8);
    }
    for (; i < n; i++) {
        data[i] ^= mask[i & 3];
    }
}

void ws_send(conn_t *conn, uint8_t opcode, const void *payload, size_t n)
{
    static buf_t frame; /* header and payload in one piece: one TLS record */
    const uint8_t mask[4] = {0x12, 0x34, 0x56, 0x78};
    frame.start = frame.end = 0;
    buf_reserve(&frame, n + 14);
    frame.end = ws_put_header(frame.data, opcode, n, conn->is_client ? mask : NULL);
    memcpy(frame.data + frame.end, payload, n);
    if (conn->is_client) {
        ws_mask(frame.data + frame.end, n, mask);
    }
    conn_put(conn, frame.data, frame.end + n);
}
