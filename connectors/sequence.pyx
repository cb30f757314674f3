"""Continuity of book messages: ids in, a verdict out. Facts name the rule by its key in RULES.

    range       messages span ids first..last; the next one holds last + 1
    prev        messages name the last id of the one before
    prev_reset  the same, and numbers may fall: then the numbering starts anew
    step        ids rise by exactly one; 1 starts anew
    checksum    no ids: a checksum in each message is the continuity
    full        each message is a whole book
    none        nothing to go by

ABSENT ids never pass a rule that needs them, except that prev_reset lets a message pass that carries a
checksum: it is then compared (booksync) and proves more than ids do.
"""
from connectors.fixed cimport ABSENT


cdef class Rule:
    """The base passes everything: `none`, `checksum` and `full` are this."""

    def __init__(self, str name):
        self.name = name

    cpdef Verdict follows(self, int64_t last_id, BookChange change) except *:
        """Is `change` the next one after the message that ended with `last_id`?"""
        return Verdict.RESET if change.is_snapshot else Verdict.APPLY

    cpdef Verdict joins(self, int64_t snapshot_id, BookChange change) except *:
        """Does the first `change` join a snapshot of `snapshot_id`? DROP: older; GAP: snapshot too old."""
        return Verdict.APPLY

    cpdef int64_t missing(self, int64_t last_id, BookChange change) except *:
        """How many ids are missing between `last_id` and `change`; 0 where the rule cannot tell."""
        return 0


cdef class RangeRule(Rule):
    """first_id <= last_id_before + 1 <= last_id."""

    cpdef Verdict follows(self, int64_t last_id, BookChange change) except *:
        if change.is_snapshot:
            return Verdict.RESET
        return self.joins(last_id, change)

    cpdef Verdict joins(self, int64_t snapshot_id, BookChange change) except *:
        if snapshot_id == ABSENT or change.first_id == ABSENT or change.last_id < change.first_id:
            return Verdict.GAP
        if change.last_id <= snapshot_id:
            return Verdict.DROP
        return Verdict.APPLY if change.first_id - 1 <= snapshot_id else Verdict.GAP

    cpdef int64_t missing(self, int64_t last_id, BookChange change) except *:
        if last_id == ABSENT or change.first_id == ABSENT or change.first_id <= last_id:
            return 0
        return change.first_id - last_id - 1


cdef class PrevRule(Rule):
    """prev_id is the last_id of the message before."""

    cpdef Verdict follows(self, int64_t last_id, BookChange change) except *:
        if change.is_snapshot:
            return Verdict.RESET
        if last_id == ABSENT or change.prev_id == ABSENT or change.last_id < change.prev_id:
            return Verdict.GAP
        if change.prev_id == last_id:
            return Verdict.APPLY
        return Verdict.DROP if change.last_id <= last_id else Verdict.GAP

    cpdef Verdict joins(self, int64_t snapshot_id, BookChange change) except *:
        # Documented: first_id <= id <= last_id. Nothing of this book lies between prev_id and first_id, so a
        # snapshot taken there joins as well; a quiet book would else never join.
        if snapshot_id == ABSENT or change.prev_id == ABSENT or change.last_id < change.prev_id:
            return Verdict.GAP
        if change.last_id < snapshot_id:
            return Verdict.DROP
        if change.prev_id <= snapshot_id or (change.first_id != ABSENT and change.first_id <= snapshot_id):
            return Verdict.APPLY
        return Verdict.GAP


cdef class PrevResetRule(Rule):
    """prev_id is the last_id before; last_id below prev_id restarts the numbering, equal is a keep-alive."""

    cpdef Verdict follows(self, int64_t last_id, BookChange change) except *:
        if change.is_snapshot:
            return Verdict.RESET
        if change.last_id == ABSENT and change.prev_id == ABSENT and last_id == ABSENT:
            return Verdict.GAP if change.checksum == ABSENT else Verdict.APPLY
        if change.last_id == ABSENT or change.prev_id == ABSENT or last_id == ABSENT:
            return Verdict.GAP
        if change.prev_id == last_id:
            return Verdict.RESET if change.last_id < last_id else Verdict.APPLY
        # Only the very same id is a repetition: lower ones may follow a restart that we missed.
        return Verdict.DROP if change.last_id == last_id and change.prev_id < last_id else Verdict.GAP


cdef class StepRule(Rule):
    """last_id rises by one; 1 starts anew."""

    cpdef Verdict follows(self, int64_t last_id, BookChange change) except *:
        if change.is_snapshot or change.last_id == 1:
            return Verdict.RESET
        if last_id == ABSENT or change.last_id == ABSENT:
            return Verdict.GAP
        if change.last_id <= last_id:
            return Verdict.DROP
        return Verdict.APPLY if change.last_id - 1 == last_id else Verdict.GAP

    cpdef Verdict joins(self, int64_t snapshot_id, BookChange change) except *:
        return self.follows(snapshot_id, change)

    cpdef int64_t missing(self, int64_t last_id, BookChange change) except *:
        if last_id == ABSENT or change.last_id == ABSENT or change.last_id <= last_id:
            return 0
        return change.last_id - last_id - 1


RULES = {
    "range": RangeRule("range"),
    "prev": PrevRule("prev"),
    "prev_reset": PrevResetRule("prev_reset"),
    "step": StepRule("step"),
    "checksum": Rule("checksum"),
    "full": Rule("full"),
    "none": Rule("none"),
}
