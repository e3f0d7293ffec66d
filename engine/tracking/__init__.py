"""What :mod:`engine.tracking.tracker` is made of: assignment, motion, likeness. Numpy only."""
