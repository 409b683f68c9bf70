"""Identifiers: a prefix that says what it names, and 24 random hexadecimal digits."""

from __future__ import annotations

import os


def new_id(prefix: str) -> str:
    """`new_id("chatcmpl-")` gives `chatcmpl-9f86d081884c7d659a2feaa0`."""
    return prefix + os.urandom(12).hex()
