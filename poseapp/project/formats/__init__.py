"""Readers of other programs' labels, one a file."""
