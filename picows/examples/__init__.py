"""Runnable examples: `python -m picows.examples.echo_demo`."""
