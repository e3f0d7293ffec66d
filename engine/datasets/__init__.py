"""The command ``python -m engine.datasets``; the formats themselves are in :mod:`engine.formats`."""
