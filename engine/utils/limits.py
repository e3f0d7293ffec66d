"""Bounds on what files may ask for, for readers that import nothing else."""

from __future__ import annotations

# The densest published schemas have some hundred points; 200,000 are a mistake or a trap.
MAX_KEYPOINTS = 5000
MAX_LIMBS = 20_000
MAX_NAME = 1000  # characters
