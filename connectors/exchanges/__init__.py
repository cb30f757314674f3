"""Verbs, one module per venue or dialect; named by the facts files, never imported by shared code."""
