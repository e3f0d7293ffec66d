"""Checks of boxes."""
