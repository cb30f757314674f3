"""Keeps one book true, or says that it is not."""
from collections import deque

from connectors.book cimport Book, BookState
from connectors.events cimport BookChange
from connectors.fixed cimport ABSENT
from connectors.instrument cimport Stream
from connectors.sequence cimport Verdict
from connectors.errors import BookChecksum, BookCrossed, BookGap, ConfigError
from connectors.sequence import RULES

# So many old messages in a row are no repetition: the venue's numbering went back.
cdef int MAX_DROPS_IN_A_ROW = 50
# So many changes without the snapshot that a subscription begins with: it was lost, or never sent. More than
# what the subscription before can have left on its way; doubled with each time in vain.
cdef int MAX_WITHOUT_SNAPSHOT = 200
cdef int MAX_DOUBLINGS = 6


cdef class BookSync:
    """The book of one stream. Feed it every change; do what the returned Action says.

    A book that is not true has no levels: nobody can read a wrong price from it. After NEED_SNAPSHOT or
    NEED_RESUBSCRIBE nothing more is asked for until a snapshot came or on_resubscribed was called.
    """

    def __init__(self, Stream stream not None, exchange, *, continuity=None, Py_ssize_t max_buffer=10_000):
        fact = stream.fact
        kind = continuity if continuity is not None else fact.continuity
        if kind not in RULES:
            raise ConfigError(f"{stream.topic}: continuity: expected one of {', '.join(RULES)}, got {kind!r}")
        self.stream = stream
        self.book = Book(stream.instrument, fact.depth or 0)
        self._exchange = exchange
        self._rule = RULES[kind]
        self._has_rest = fact.snapshot == "rest"
        self._may_cross = fact.may_cross
        self._has_checksum = fact.checksum
        self._max_buffer = max_buffer
        self._snapshot_levels = fact.snapshot_levels or 0
        self._buffer = deque(maxlen=max_buffer)
        self.start()

    cpdef Action start(self) except *:
        """At subscription. NEED_SNAPSHOT: ask for it once the first change has come; BUFFERED: wait."""
        self._buffer.clear()
        self._held = None
        self._last_id = self._low_bid = self._high_ask = ABSENT
        self._is_refreshing = False
        self._drops_in_a_row = 0
        self._without_snapshot = 0
        self.book.wipe()
        self._phase = Phase.AWAITING_REST if self._has_rest else Phase.AWAITING_STREAM
        if self._rule.name == "none" and not self._has_rest:
            # Nothing to wait for: a stream of changes on an empty book.
            self._phase = Phase.FOLLOWING
        self.action = Action.NEED_SNAPSHOT if self._has_rest else Action.BUFFERED
        return self.action

    cpdef Action on_resubscribed(self) except *:
        """The stream was subscribed anew: start over."""
        return self.start()

    cpdef Action on_error(self, object error) except *:
        """A message of the stream could not be read: what it changed is unknown, as after a gap."""
        if self._phase == Phase.AWAITING_REST or self._phase == Phase.AWAITING_STREAM:
            # The buffer's continuity will tell.
            self.dropped += 1
            self.action = Action.DROPPED
        else:
            self.action = self._fail(error)
        return self.action

    cpdef bint covers(self, BookChange change) except *:
        """The book is LIVE and a snapshot of change.last_id brings nothing new. False: ids are ABSENT."""
        cdef bint has_ids = self._last_id != ABSENT and change.last_id != ABSENT
        return has_ids and self.book.state == BookState.LIVE and change.last_id <= self._last_id

    cpdef object on_stale(self):
        """The stream is silent: levels stay, the state says so; the next change makes it LIVE."""
        if self.book.state == BookState.LIVE:
            self.book.set_state(BookState.STALE)

    cpdef object on_lost(self):
        """The connection is gone: levels stay as STALE until on_resubscribed; changes are dropped."""
        self.on_stale()
        self._buffer.clear()
        self._held = None
        self._phase = Phase.AWAITING_STREAM

    cpdef Action on_change(self, BookChange change) except *:
        """A message of the stream. APPLIED: the book is true as of it."""
        if self._phase == Phase.FOLLOWING:
            self.action = self._follow(change)
        elif change.is_snapshot and not self._has_rest:
            self.action = self._replace(change)
        else:
            self.action = self._wait(change)
        return self.action

    cdef Action _follow(self, BookChange change) except *:
        cdef Verdict verdict = self._rule.follows(self._last_id, change)
        if verdict == Verdict.APPLY:
            return self._apply(change)
        if verdict == Verdict.DROP:
            return self._drop(change, True)
        if verdict == Verdict.GAP:
            return self._gap(change)
        return self._replace(change) if change.is_snapshot else self._apply(change)

    cdef Action _wait(self, BookChange change) except *:
        """No book yet, or one that the stream has not caught up with."""
        cdef Verdict verdict
        if self._phase == Phase.AWAITING_STREAM:
            return self._without(change)
        if self._phase == Phase.JOINING:
            verdict = self._rule.joins(self._last_id, change)
            if verdict == Verdict.DROP:
                return self._drop(change, False)
            if verdict == Verdict.GAP:
                return self._gap(change)
            self._phase = Phase.FOLLOWING
            return self._apply(change)
        self._buffer.append(change.copy())
        if self._held is None:
            return Action.BUFFERED
        snapshot, self._held = self._held, None
        self._join(snapshot)
        return self.action

    cdef Action _without(self, BookChange change) except *:
        """A change of a stream that has not sent its snapshot."""
        self.dropped += 1
        self._without_snapshot += 1
        if self._has_rest or self._without_snapshot < MAX_WITHOUT_SNAPSHOT << self._asked_in_vain:
            return Action.DROPPED
        self._asked_in_vain = min(self._asked_in_vain + 1, MAX_DOUBLINGS)
        return self._fail(BookGap(
            f"{self.stream.topic}: expected a snapshot, got {self._without_snapshot} changes, "
            f"the last one {change.ids}", symbol=self.stream.instrument.symbol, stream=self.stream.topic,
        ))

    cpdef list on_snapshot(self, BookChange snapshot):
        """The REST answer. The changes that were applied, the snapshot first; []: see `action`.

        BUFFERED: no change has come yet, the snapshot is held. NEED_SNAPSHOT: too old, ask again.
        REFRESH: joined, but prices have left it while it was on its way, ask again.
        """
        if self._phase != Phase.AWAITING_REST and not self._is_refreshing:
            self.dropped += 1
            self.action = Action.DROPPED
            return []
        if self._is_refreshing and not self._buffer and snapshot.last_id < self._last_id:
            self.action = Action.NEED_SNAPSHOT
            return []
        if not self._buffer and not self._is_refreshing:
            self._held = snapshot.copy()
            self.action = Action.BUFFERED
            return []
        return self._join(snapshot)

    cdef list _join(self, BookChange snapshot):
        """Snapshot and buffered changes become the book, or nothing does."""
        cdef BookChange change
        cdef Verdict verdict
        cdef int64_t last_id = snapshot.last_id
        cdef int64_t old = 0
        cdef list applied = [snapshot]
        for change in self._buffer:
            is_first = len(applied) == 1
            verdict = self._rule.joins(last_id, change) if is_first else self._rule.follows(last_id, change)
            if verdict == Verdict.DROP:
                old += 1
            elif verdict == Verdict.GAP:
                return self._too_old(snapshot, change)
            else:
                applied.append(change)
                last_id = change.last_id
        if not self._is_refreshing:
            self.dropped += old
        self._is_refreshing = False
        self._buffer.clear()
        self.book.apply_change(snapshot)
        self.book.begin_epoch()
        self._last_id = snapshot.last_id
        self._note_edges(snapshot)
        self._phase = Phase.JOINING if len(applied) == 1 else Phase.FOLLOWING
        for change in applied:
            self.action = Action.APPLIED if change is snapshot else self._apply(change)
            if self.action != Action.APPLIED and self.action != Action.REFRESH:
                return []
        error = self._fault(snapshot) if len(applied) == 1 else None
        if error is not None:
            self.action = self._fail(error)
            return []
        if self._is_refreshing:
            # One of the changes came near the edge, maybe not the last one.
            self.action = Action.REFRESH
        return applied

    cdef list _too_old(self, BookChange snapshot, BookChange first):
        """A change is missing between the snapshot and what was buffered: only a newer snapshot helps."""
        self.error = BookGap(
            f"{self.stream.topic}: the snapshot {snapshot.last_id} is too old for the change {first.ids}",
            symbol=self.stream.instrument.symbol, stream=self.stream.topic,
        )
        # What lies before `first` can not join a newer snapshot either.
        while self._buffer and self._buffer[0] is not first:
            self._buffer.popleft()
            self.dropped += 0 if self._is_refreshing else 1
        self.action = Action.NEED_SNAPSHOT
        return []

    cdef Action _replace(self, BookChange snapshot) except *:
        """A snapshot of the stream is the book."""
        cdef bint is_new = self.book.state != BookState.LIVE or self._rule.name != "full"
        self.book.apply_change(snapshot)
        self._last_id = snapshot.last_id
        self._phase = Phase.FOLLOWING
        self._drops_in_a_row = 0
        self._asked_in_vain = 0
        error = self._fault(snapshot)
        if error is not None:
            return self._fail(error)
        if is_new:
            self.book.begin_epoch()
        return Action.APPLIED

    cdef Action _apply(self, BookChange change) except *:
        if self._is_refreshing:
            self._buffer.append(change.copy())
            if len(self._buffer) >= self._max_buffer:
                # Nobody answers: ask again.
                self._buffer.clear()
                self._is_refreshing = False
        self.book.apply_change(change)
        self._last_id = change.last_id
        self._drops_in_a_row = 0
        error = self._fault(change)
        if error is not None:
            return self._fail(error)
        if self.book.state != BookState.LIVE:
            self.book.set_state(BookState.LIVE)
        return self._look_ahead()

    cdef object _fault(self, BookChange change):
        """What is wrong with the book after `change`; None: nothing."""
        cdef Book book = self.book
        cdef int64_t ours
        if book.is_crossed() and not self._may_cross:
            return BookCrossed(
                f"{self.stream.topic}: best bid {book.best_bid} is not below best ask {book.best_ask} "
                f"after the change {change.ids}", symbol=book.instrument.symbol, stream=self.stream.topic,
            )
        if self._has_checksum and change.checksum != ABSENT:
            ours = self._exchange.checksum(book)
            if ours != change.checksum:
                return BookChecksum(
                    f"{self.stream.topic}: expected checksum {change.checksum}, our levels give {ours} "
                    f"after the change {change.ids}", symbol=book.instrument.symbol, stream=self.stream.topic,
                )
            self.checksums += 1
        return None

    cdef int _note_edges(self, BookChange snapshot) except -1:
        """Levels beyond a truncated snapshot are unknown: look ahead at 3/4 of the way there."""
        cdef Py_ssize_t most = self._snapshot_levels
        cdef Book book = self.book
        self._low_bid = self._high_ask = ABSENT
        if most > 0 and snapshot.bid_count >= most:
            self._low_bid = book.worst_bid_px() + (book.best_bid_px() - book.worst_bid_px()) // 4
        if most > 0 and snapshot.ask_count >= most:
            self._high_ask = book.worst_ask_px() - (book.worst_ask_px() - book.best_ask_px()) // 4
        return 0

    cdef Action _look_ahead(self) except *:
        """APPLIED, or REFRESH: once until the snapshot comes."""
        cdef Book book = self.book
        if self._is_refreshing or self._phase != Phase.FOLLOWING:
            return Action.APPLIED
        if (self._low_bid == ABSENT or book.best_bid_px() >= self._low_bid) and (
            self._high_ask == ABSENT or ABSENT < book.best_ask_px() <= self._high_ask
        ):
            return Action.APPLIED
        self._is_refreshing = True
        self.refreshes += 1
        return Action.REFRESH

    cdef Action _drop(self, BookChange change, bint is_repeated) except *:
        if is_repeated:
            self.duplicates += 1
            self._drops_in_a_row += 1
            if self._drops_in_a_row > MAX_DROPS_IN_A_ROW:
                return self._gap(change)
        else:
            self.dropped += 1
        return Action.DROPPED

    cdef Action _gap(self, BookChange change) except *:
        self.gaps += 1
        last = None if self._last_id == ABSENT else self._last_id
        action = self._fail(BookGap(
            f"{self.stream.topic}: expected what follows {last} (rule {self._rule.name}), got {change.ids}",
            symbol=self.stream.instrument.symbol, stream=self.stream.topic,
            missing=self._rule.missing(self._last_id, change),
        ))
        # The first change that the new snapshot must join.
        self._keep(change)
        return action

    cdef int _keep(self, BookChange change) except -1:
        if self._phase == Phase.AWAITING_REST:
            self._buffer.append(change.copy())
        else:
            self.dropped += 1
        return 0

    cdef Action _fail(self, object error) except *:
        """One door: the book is not true any more."""
        if not isinstance(error, BookGap):
            self.failures += 1
        self.error = error
        self.start()
        self.book.set_state(BookState.INVALID)
        return Action.NEED_SNAPSHOT if self._has_rest else Action.NEED_RESUBSCRIBE

    def __repr__(self):
        return f"BookSync({self.book!r}, gaps={self.gaps}, failures={self.failures}, last={self.error!r})"
