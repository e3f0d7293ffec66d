"""One file a codec; ``engine.codec`` is the door."""
