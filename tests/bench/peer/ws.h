/* A WebSocket peer that is neither of the two libraries under comparison.
 *
 * conn.c: one connection: socket or TLS, receive buffer, send queue.
 * ws.c:   RFC 6455: upgrade, frame headers, masks; SHA-1 and base64 for it.
 * peer.c: what the server side does with a connection (the path of the request says what).
 * load.c: the client side: connections that ask, or that only stay.
 */
#ifndef BENCH_WS_H
#define BENCH_WS_H

#define _GNU_SOURCE
#include <stddef.h>
#include <stdint.h>

#ifdef WITH_TLS
#include <openssl/ssl.h>
#else
typedef struct ssl_st SSL;
typedef struct ssl_ctx_st SSL_CTX;
#endif

enum { OP_TEXT = 1, OP_BINARY = 2, OP_CLOSE = 8, OP_PING = 9, OP_PONG = 10 };
enum mode { MODE_NONE, MODE_ECHO, MODE_FIREHOSE, MODE_SINK, MODE_PACED, MODE_IDLE };

typedef struct {
    uint8_t *data;
    size_t start, end, cap; /* bytes are data[start:end] */
} buf_t;

typedef struct conn {
    int fd;
    SSL *ssl; /* NULL: plain. Reads from the socket, writes into memory that conn_flush() sends */
    int is_client, is_open, wants_write;
    uint32_t watched; /* events that epoll knows of */
    buf_t in, out;
    size_t skip; /* payload bytes of a sunk frame that are still to come */

    /* What a server's connection was asked to do */
    enum mode mode;
    uint64_t count, size, chunk, rate; /* frames in all, payload bytes, frames per send, frames per second */
    int is_record_per_frame;
    uint64_t left;
    buf_t prepared; /* `chunk` frames of the firehose */
    size_t frame_size;
} conn_t;

typedef struct {
    uint64_t size;       /* payload bytes */
    unsigned head;       /* header bytes, mask included */
    uint8_t opcode, fin, masked;
    uint8_t mask[4];
} frame_t;

/* conn.c. Functions that fail with -1 have met the end of the connection. */
void buf_reserve(buf_t *buf, size_t more);
void buf_put(buf_t *buf, const void *data, size_t n);
SSL_CTX *tls_context(int is_client, const char *cert, const char *key);
conn_t *conn_new(int fd, SSL_CTX *tls, int is_client);
void conn_free(conn_t *conn);
int conn_fill(conn_t *conn, size_t room); /* >0 bytes came, 0 nothing now, -1 over */
void conn_put(conn_t *conn, const void *data, size_t n);
int conn_flush(conn_t *conn);
void conn_block(conn_t *conn);
int set_nonblocking(int fd, int on);

/* ws.c */
int ws_accept(conn_t *conn, char *path, size_t path_size); /* 1 upgraded, 0 more bytes wanted, -1 refused */
void ws_ask(conn_t *conn, const char *host, const char *path);
int ws_answered(conn_t *conn);
int ws_header(const uint8_t *data, size_t n, frame_t *frame); /* 1 read, 0 more bytes wanted */
unsigned ws_put_header(uint8_t *to, uint8_t opcode, uint64_t size, const uint8_t *mask);
void ws_mask(uint8_t *data, size_t n, const uint8_t mask[4]);
void ws_send(conn_t *conn, uint8_t opcode, const void *payload, size_t n);

/* load.c */
int run_load(int argc, char **argv);
int run_idle(int argc, char **argv);

_Noreturn void die(const char *what);
uint64_t now_ns(void);

#endif
