"""The version of autoplace, defined once."""

__version__ = "0.1.0"
