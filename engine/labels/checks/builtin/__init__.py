"""The checks of this program, one a module. Every module of this package is imported when checks are listed."""
