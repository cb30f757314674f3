/* TLS records on their way between the socket and OpenSSL. */
#ifndef PICOWS_RECORDS_H
#define PICOWS_RECORDS_H

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* Memory for records that all connections of one event loop lend each other; NULL while one of them uses it. */
typedef struct {
    char *in; /* WS_RECORDS_IN bytes */
    char *out;
    size_t out_cap;
} ws_pool_t;

/* What one connection's BIO reads from and writes to. */
typedef struct {
    const char *next, *end; /* received records that OpenSSL has not taken yet */
    char *out;              /* records to send; NULL: none */
    size_t out_size, out_cap;
    ws_pool_t *pool;
    int is_dry;             /* the last call of OpenSSL has asked for more than there is */
    int is_marked;          /* and the BIO says so */
} ws_records_t;

#define WS_RECORDS_IN (128 * 1024)
#define WS_RECORDS_OUT (72 * 1024) /* what 64 KiB of plaintext become */
#define WS_RECORDS_OUT_KEPT (256 * 1024)

static inline char *ws_pool_take_in(ws_pool_t *pool)
{
    char *in = pool->in;
    if (in == NULL) {
        return (char *)malloc(WS_RECORDS_IN);
    }
    pool->in = NULL;
    return in;
}

static inline void ws_pool_put_in(ws_pool_t *pool, char *in)
{
    if (pool->in == NULL) {
        pool->in = in;
    } else {
        free(in);
    }
}

static inline void ws_pool_put_out(ws_pool_t *pool, char *out, size_t cap)
{
    if (pool->out == NULL && cap <= WS_RECORDS_OUT_KEPT) {
        pool->out = out;
        pool->out_cap = cap;
    } else {
        free(out);
    }
}

static inline void ws_pool_clear(ws_pool_t *pool)
{
    free(pool->in);
    free(pool->out);
    memset(pool, 0, sizeof(*pool));
}

/* Room for n more bytes to send. 0: there is no memory. */
static inline int ws_records_reserve(ws_records_t *records, size_t n)
{
    size_t cap;
    char *grown;
    if (records->out == NULL && records->pool->out != NULL) {
        records->out = records->pool->out;
        records->out_cap = records->pool->out_cap;
        records->pool->out = NULL;
    }
    if (records->out_cap - records->out_size >= n) {
        return 1;
    }
    if (n > (size_t)PTRDIFF_MAX / 2 - records->out_size) {
        return 0;
    }
    cap = 2 * records->out_cap;
    if (cap < records->out_size + n) {
        cap = records->out_size + n;
    }
    if (cap < WS_RECORDS_OUT) {
        cap = WS_RECORDS_OUT;
    }
    grown = (char *)realloc(records->out, cap);
    if (grown == NULL) {
        return 0;
    }
    records->out = grown;
    records->out_cap = cap;
    return 1;
}

#endif
