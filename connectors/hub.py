"""All strategies of a run, and what is told to all of them."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

from connectors.clock import Clock
from connectors.dispatch import Slot
from connectors.status import Status, StatusKind, label_of

log = logging.getLogger(__name__)
NS_PER_S = 1_000_000_000
_TELL_EVERY_NS = 10 * NS_PER_S  # slow callbacks: one warning per strategy and so long
_ERRORS_TOLD = 3  # tracebacks of one callback in so long
_ERRORS_EVERY_NS = 60 * NS_PER_S
_LEVELS = {
    StatusKind.STALE: logging.WARNING,
    StatusKind.GAP: logging.WARNING,
    StatusKind.MISSED: logging.WARNING,
    StatusKind.REFUSED: logging.ERROR,
    StatusKind.SLOW: logging.WARNING,
    StatusKind.STRATEGY_OFF: logging.ERROR,
    StatusKind.LOST: logging.WARNING,
    StatusKind.CONNECTING: logging.DEBUG,
    StatusKind.SUBSCRIBED: logging.DEBUG,
}


class Hub:
    """Slots in the order of the config. stop: ends the run; called with a reason."""

    def __init__(self, clock: Clock, stop: Callable[[str], None] = lambda _: None) -> None:
        self.clock = clock
        self.slots: list[Slot] = []
        self.exit_reason = ""  # a strategy raised SystemExit
        self._stop = stop
        self._labels: dict[str, str] = {}
        self._slow_told_ns: dict[str, int] = {}
        self._errors_told: dict[tuple[str, ...], tuple[int, int, int]] = {}  # since ns, told, not told

    def add(self, slot: Slot) -> None:
        self.slots.append(slot)

    def know(self, exchange: str, connection: str) -> str:
        """How logs name this connection, from now on."""
        label = self._labels[connection] = label_of(exchange, connection)
        return label

    def of_connection(self, name: str) -> Sequence[Slot]:
        """Those that listen to this connection."""
        return [slot for slot in self.slots if not slot.connections or name in slot.connections]

    def tell(self, status: Status) -> None:
        """Log it and call every on_status that is concerned."""
        label = self._labels.get(status.connection, status.connection)
        where = " ".join(part for part in (label, status.symbol, status.stream) if part)
        level = _LEVELS.get(status.kind, logging.INFO)
        text = ": ".join(part for part in (f"{where} {status.kind.value}".strip(), status.detail) if part)
        log.log(level, "%s", text)
        for slot in self.slots:
            if not slot.connections or not status.connection or status.connection in slot.connections:
                slot.on_status(status)

    # Called by slots. connection: "" for what comes from none

    def _who(self, slot: Slot, connection: str) -> str:
        label = self._labels.get(connection, connection)
        return f"{label}: strategy {slot.name}" if label else f"strategy {slot.name}"

    def on_error(self, slot: Slot, callback: str, error: BaseException, connection: str) -> None:
        """A strategy raised. It is counted by the slot; the connection never hears of it.

        Three a minute and callback are told: a callback that never works must not fill the disk.
        """
        more = self._untold_errors(slot.name, callback)
        if more is not None:
            log.error("%s: %s raised %r (%d in a row)%s", self._who(slot, connection), callback, error,
                      slot.errors_in_row, f"; {more} more since the last line" if more else "",
                      exc_info=error)  # fmt: skip

    def _untold_errors(self, *key: str) -> int | None:
        """None: this one is not told, as there is no end of them. Else how many were not before it."""
        now_ns = self.clock.monotonic_ns()
        since_ns, told, hidden = self._errors_told.get(key, (now_ns, 0, 0))
        if now_ns - since_ns >= _ERRORS_EVERY_NS:
            since_ns, told = now_ns, 0
        is_told = told < _ERRORS_TOLD
        self._errors_told[key] = (since_ns, told + 1, 0) if is_told else (since_ns, told, hidden + 1)
        return hidden if is_told else None

    def on_off(self, slot: Slot) -> None:
        """N exceptions in a row."""
        detail = f"strategy {slot.name}: switched off after {slot.errors_in_row} exceptions in a row"
        self.tell(Status(StatusKind.STRATEGY_OFF, self.clock.time_ns(), "", "", detail=detail))

    def on_exit(self, slot: Slot, callback: str, error: SystemExit, connection: str) -> None:
        """A strategy wants to leave, the hard way: the run ends, in order, and has failed."""
        who = self._who(slot, connection)
        self.exit_reason = f"{who}: {callback} raised SystemExit({error.code!r})"
        log.error("%s; expected ctx.stop()", self.exit_reason, exc_info=error)
        self._stop(self.exit_reason)

    def on_slow(self, slot: Slot, callback: str, elapsed_ns: int, connection: str) -> None:
        """A callback was longer than the budget; meanwhile nothing was read from the sockets of this loop."""
        now_ns = self.clock.monotonic_ns()
        if now_ns - self._slow_told_ns.get(slot.name, -_TELL_EVERY_NS) < _TELL_EVERY_NS:
            return
        self._slow_told_ns[slot.name] = now_ns
        detail = (
            f"strategy {slot.name}: {callback} took {elapsed_ns / 1e6:.1f} ms ({slot.slow} slow calls so far)"
        )
        values = {"elapsed_ms": elapsed_ns / 1e6}
        self.tell(Status(StatusKind.SLOW, self.clock.time_ns(), connection, "", detail=detail, values=values))
