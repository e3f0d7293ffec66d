"""Writers of labels for other programs, one a file."""
