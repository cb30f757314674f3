# Where received bytes lie between the kernel and the parser.

from .abi cimport PICOWS_LAYOUT

# The C code stands here, not in a header, so that extensions of users compile without include paths of ours.
cdef extern from * nogil:
    """
    /* A counted block of memory that received bytes lie in.
     *
     * The connection that reads into a block holds one reference, and so does each frame whose memoryview
     * somebody kept: the last one to let go frees it. A kept frame may be dropped on any thread, hence the
     * atomic counter. */
    #ifndef PICOWS_BLOCK
    #define PICOWS_BLOCK
    #include <stddef.h>
    #include <stdint.h>
    #include <stdlib.h>
    #include <string.h>

    /* Readable, zeroed bytes behind every block: parsers that load whole vectors (simdjson) may look past a
     * payload. */
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

    /* The same bytes in a larger block; only for a block with one reference. NULL: the old one stays. */
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
    #define WS_REFS(block) ((volatile __int64 *)&(block)->refs)
    static inline void ws_block_hold(ws_block_t *block) { _InterlockedIncrement64(WS_REFS(block)); }
    static inline void ws_block_drop(ws_block_t *block)
    {
        if (block != NULL && _InterlockedDecrement64(WS_REFS(block)) == 0) {
            free(block);
        }
    }
    static inline int ws_block_is_shared(ws_block_t *block) { return *WS_REFS(block) > 1; }
    #else
    static inline void ws_block_hold(ws_block_t *block)
    {
        __atomic_fetch_add(&block->refs, 1, __ATOMIC_RELAXED);
    }
    static inline void ws_block_drop(ws_block_t *block)
    {
        if (block != NULL && __atomic_fetch_sub(&block->refs, 1, __ATOMIC_ACQ_REL) == 1) {
            free(block);
        }
    }
    static inline int ws_block_is_shared(ws_block_t *block)
    {
        return __atomic_load_n(&block->refs, __ATOMIC_ACQUIRE) > 1;
    }
    #endif
    #endif
    """
    const size_t WS_BLOCK_SLACK
    ctypedef struct ws_block_t:
        size_t refs
        size_t cap
    char* ws_block_data(ws_block_t* block) noexcept
    ws_block_t* ws_block_new(size_t cap) noexcept
    ws_block_t* ws_block_grow(ws_block_t* block, size_t cap) noexcept
    void ws_block_hold(ws_block_t* block) noexcept
    void ws_block_drop(ws_block_t* block) noexcept
    bint ws_block_is_shared(ws_block_t* block) noexcept


cdef class Arena:
    """The block that all connections of one event loop read into, one after the other."""
    cdef ws_block_t* _block
    cdef object _borrower        # the Window whose bytes lie in the block now, or None
    cdef ws_block_t* borrow(self, Window window, Py_ssize_t size) except NULL
    cdef void give_back(self, Window window) noexcept


cdef class Window:
    """Received, not yet parsed bytes of one connection: `base[start:end]`; frames point into it.

    An idle connection holds no memory: it reads into the loop's arena and keeps only the tail of a frame that
    has not arrived whole.
    """
    cdef:
        Arena _arena
        Py_ssize_t _read_size    # most bytes asked of the kernel at once; grows while reads come back full
        Py_ssize_t _most         # up to here

        ws_block_t* block        # the block that `base` lies in; NULL while nothing is buffered
        bint _is_own             # block belongs to this window, not to the arena
        char* base
        Py_ssize_t start
        Py_ssize_t end
        Py_ssize_t _need         # bytes wanted from `start` on before parsing can go on

    cdef char* reserve(self, Py_ssize_t* room) except NULL
    cdef void commit(self, Py_ssize_t n) noexcept
    cdef void limit_reads(self, Py_ssize_t most) noexcept
    cdef int push(self, const char* data, Py_ssize_t n) except -1
    cdef int settle(self, Py_ssize_t need) except -1
    cdef void clear(self) noexcept
    cdef int _make_own(self, Py_ssize_t cap) except -1
    cdef int _enlarge(self, Py_ssize_t cap) except -1
    cdef void _swap(self, ws_block_t* own, Py_ssize_t pending) noexcept
