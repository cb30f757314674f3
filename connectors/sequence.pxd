"""Continuity of book messages: ids in, a verdict out. Stateless; one object per kind of rule."""
from libc.stdint cimport int64_t

from connectors.events cimport BookChange

cpdef enum Verdict:
    APPLY = 0       # the next one
    DROP = 1        # seen already, or older than the snapshot
    GAP = 2         # something is missing before it
    RESET = 3       # valid, and the numbering (or the whole book) starts anew with it

cdef class Rule:
    cdef readonly str name

    # Is `change` the next one after last_id?
    cpdef Verdict follows(self, int64_t last_id, BookChange change) except *
    # Is it the first one on a REST snapshot?
    cpdef Verdict joins(self, int64_t snapshot_id, BookChange change) except *
    # Ids skipped at a GAP; 0: cannot tell.
    cpdef int64_t missing(self, int64_t last_id, BookChange change) except *
