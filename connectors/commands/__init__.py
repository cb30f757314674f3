"""One module per command, or per pair of commands that share their options."""
