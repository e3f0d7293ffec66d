"""One file a codec; ``engine.codecs.registry`` is the door."""
