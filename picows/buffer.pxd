# Where received bytes lie between the kernel and the parser.

cdef extern from "block.h" nogil:
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
    cdef ws_block_t* borrow(self, Window window) except NULL
    cdef void give_back(self, Window window) noexcept


cdef class Window:
    """Received, not yet parsed bytes of one connection: `base[start:end]`; frames point into it.

    An idle connection holds no memory: it reads into the loop's arena and keeps only the tail of a frame
    that has
    not arrived whole.
    """
    cdef:
        Arena _arena
        Py_ssize_t _read_size    # most bytes asked of the kernel at once; grows while reads come back full

        ws_block_t* block        # the block that `base` lies in; NULL while nothing is buffered
        bint _is_own             # block belongs to this window, not to the arena
        char* base
        Py_ssize_t start
        Py_ssize_t end
        Py_ssize_t _need         # bytes wanted from `start` on before parsing can go on

    cdef char* reserve(self, Py_ssize_t* room) except NULL
    cdef void commit(self, Py_ssize_t n) noexcept
    cdef int push(self, const char* data, Py_ssize_t n) except -1
    cdef int settle(self, Py_ssize_t need) except -1
    cdef void clear(self) noexcept
    cdef int _make_own(self, Py_ssize_t cap) except -1
    cdef int _enlarge(self, Py_ssize_t cap) except -1
    cdef void _swap(self, ws_block_t* own, Py_ssize_t pending) noexcept
