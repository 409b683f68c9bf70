"""woollama: one local door for every model and tool."""

__version__ = "0.1.0"
