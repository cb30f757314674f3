/* A counted block of memory that received bytes lie in.
 *
 * The connection that reads into a block holds one reference, and so does each frame whose memoryview somebody kept:
 * the last one to let go frees it. A kept frame may be dropped on any thread, hence the atomic counter.
 */
#ifndef PICOWS_BLOCK_H
#define PICOWS_BLOCK_H

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* Readable, zeroed bytes behind every block: parsers that load whole vectors (simdjson) may look past a payload. */
#define WS_BLOCK_SLACK 256

typedef struct {
    size_t refs;
    size_t cap; /* usable bytes; WS_BLOCK_SLACK more lie behind them */
} ws_block_t;

static inline char *ws_block_data(ws_block_t *block)
{
    return (char *)(block + 1);
}

/* A block with one reference, or NULL when there is no memory. */
static inline ws_block_t *ws_block_new(size_t cap)
{
    ws_block_t *block;
    if (cap > (size_t)PTRDIFF_MAX - sizeof(ws_block_t) - WS_BLOCK_SLACK) {
        return NULL;
    }
    block = (ws_block_t *)malloc(sizeof(ws_block_t) + cap + WS_BLOCK_SLACK);
    if (block == NULL) {
        return NULL;
    }
    block->refs = 1;
    block->cap = cap;
    memset(ws_block_data(block) + cap, 0, WS_BLOCK_SLACK);
    return block;
}

/* The same bytes in a larger block; only for a block with one reference. NULL leaves the old one as it was. */
static inline ws_block_t *ws_block_grow(ws_block_t *block, size_t cap)
{
    ws_block_t *grown;
    if (cap > (size_t)PTRDIFF_MAX - sizeof(ws_block_t) - WS_BLOCK_SLACK) {
        return NULL;
    }
    grown = (ws_block_t *)realloc(block, sizeof(ws_block_t) + cap + WS_BLOCK_SLACK);
    if (grown == NULL) {
        return NULL;
    }
    grown->cap = cap;
    memset(ws_block_data(grown) + cap, 0, WS_BLOCK_SLACK);
    return grown;
}

#if defined(_MSC_VER)
#include <intrin.h>
static inline void ws_block_hold(ws_block_t *block) { _InterlockedIncrement64((volatile __int64 *)&block->refs); }
static inline void ws_block_drop(ws_block_t *block)
{
    if (block != NULL && _InterlockedDecrement64((volatile __int64 *)&block->refs) == 0) {
        free(block);
    }
}
static inline int ws_block_is_shared(ws_block_t *block) { return *(volatile size_t *)&block->refs > 1; }
#else
static inline void ws_block_hold(ws_block_t *block) { __atomic_fetch_add(&block->refs, 1, __ATOMIC_RELAXED); }
static inline void ws_block_drop(ws_block_t *block)
{
    if (block != NULL && __atomic_fetch_sub(&block->refs, 1, __ATOMIC_ACQ_REL) == 1) {
        free(block);
    }
}
static inline int ws_block_is_shared(ws_block_t *block) { return __atomic_load_n(&block->refs, __ATOMIC_ACQUIRE) > 1; }
#endif

#endif
