"""What :mod:`engine.tracker` is made of: assignment, motion, likeness. Numpy only."""
