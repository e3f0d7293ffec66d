# The only place that holds the version: pyproject.toml reads it from here, and so does a program that has no metadata
# of its installation (a checkout, a frozen build).
__version__ = "0.1.0"
