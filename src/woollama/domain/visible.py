"""Text of tools and models as people may be shown it: what could disguise it, or steer a screen, is made visible."""

from __future__ import annotations


def visible(text: str) -> str:
    """On one line: control and bidirectional characters as `\\u202e`; line breaks and tabs, too."""
    return "".join(c if c.isprintable() else f"\\u{ord(c):04x}" for c in text)
