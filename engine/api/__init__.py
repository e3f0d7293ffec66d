"""The functions and classes of the public API. Use them as ``engine.load_model`` and so on; see docs/api.md."""
