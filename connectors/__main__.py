"""The command line from its first moment: Ctrl-C ends it without a traceback while modules are loaded too."""

from __future__ import annotations

import sys

SIGINT = 130  # exit_code.ExitCode.SIGINT; that module is not loaded yet


def main() -> None:
    """What the script `connectors` and `python -m connectors` call."""
    try:
        from connectors.cli import main as command

        command()
    except KeyboardInterrupt:
        sys.exit(SIGINT)
    except ImportError as error:
        if error.name != "picows":
            raise
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
