"""Event loops in threads, for the tests of threads and of free-threaded Python."""

import asyncio
import contextlib
import sys
from concurrent.futures import ThreadPoolExecutor

# Asked at import: a module that is imported later may turn the GIL on, and a test fails then.
HAS_NO_GIL = not getattr(sys, "_is_gil_enabled", lambda: True)()


@contextlib.contextmanager
def at_short_turns():
    """Let threads that share a GIL take turns as often as they can; of no effect without one."""
    usual_s = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        yield
    finally:
        sys.setswitchinterval(usual_s)


def run_in_threads(coroutine_functions, loop_factory):
    """Run each in a thread of its own with an event loop of its own; their results, or the first error."""

    def run(function):
        complaints = []
        with asyncio.Runner(loop_factory=loop_factory) as runner:
            runner.get_loop().set_exception_handler(lambda _, context: complaints.append(context))
            result = runner.run(function())
        assert complaints == []
        return result

    with ThreadPoolExecutor(len(coroutine_functions)) as pool:
        return list(pool.map(run, coroutine_functions))
