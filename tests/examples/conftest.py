"""A user's directories, as the tests of the command line have them."""

from __future__ import annotations

from tests.cli.conftest import home

__all__ = ["home"]
