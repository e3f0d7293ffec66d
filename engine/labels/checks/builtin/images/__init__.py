"""Checks of images and frames."""
