"""The command line. Each command has a module below connectors/commands; here they come together."""

from __future__ import annotations

import os
import sys
from typing import Any, NoReturn

import click

from connectors.commands.catalog import list_command, symbols
from connectors.commands.check import check
from connectors.commands.mock import mock
from connectors.commands.replay import replay
from connectors.commands.run import record, run
from connectors.errors import CaptureError, ConfigError, ConnectorError
from connectors.exit_code import ExitCode


class _Group(click.Group):
    """Turns errors that a person must act on into a message and an exit code, without a traceback."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except ConfigError as error:
            self._fail(ctx, error, ExitCode.CONFIG)
        except CaptureError as error:
            self._fail(ctx, error, ExitCode.CAPTURE)
        except BrokenPipeError:
            _leave_unread()
        except (ConnectorError, OSError) as error:
            self._fail(ctx, error, ExitCode.FAILED)
        except KeyboardInterrupt:
            ctx.exit(ExitCode.SIGINT)

    def make_context(self, *args: Any, **kwargs: Any) -> click.Context:
        try:
            return super().make_context(*args, **kwargs)
        except BrokenPipeError:  # --help
            _leave_unread()
        except KeyboardInterrupt:
            sys.exit(ExitCode.SIGINT)

    @staticmethod
    def _fail(ctx: click.Context, error: Exception, code: ExitCode) -> None:
        click.echo(f"error: {error}", err=True)
        ctx.exit(code)


def _leave_unread() -> NoReturn:
    """Nobody reads the output any more (`| head`). What is still in its buffer goes nowhere: flushed at exit
    it would raise again."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(ExitCode.SIGPIPE)


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(package_name="picows-connectors", prog_name="connectors")
def main() -> None:
    """Connect to exchanges, keep books true, call strategies; record, replay and rehearse.

    \b
    Start here:
      connectors run configs/demo.yaml    two venues, two strategies, no network needed
      connectors list                     the venues there are
      connectors check my.yaml            is my config right?

    \b
    Exit codes: 0 done, 1 the run failed, 2 command line or config wrong, 3 not a capture,
    130 stopped by SIGINT, 143 by SIGTERM (after the summary, if the run had begun), 141 a closed pipe.
    """


for _command in (run, check, list_command, symbols, record, replay, mock):
    main.add_command(_command)

if __name__ == "__main__":
    sys.exit(main())
