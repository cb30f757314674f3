"""What a finished command tells its caller."""

from __future__ import annotations

import enum


class ExitCode(enum.IntEnum):
    """Documented in docs/cli.md."""

    OK = 0  # ended by itself, by --for, or by a strategy's ctx.stop()
    FAILED = 1  # an error, no data at all, or counts that do not agree with the mock's
    CONFIG = 2  # the command line, the config or a facts file is wrong; no socket was opened
    CAPTURE = 3  # the file is not a capture
    SIGINT = 130  # 128 + 2, after the summary
    SIGPIPE = 141  # 128 + 13: nobody reads the output any more
    SIGTERM = 143  # 128 + 15, after the summary
