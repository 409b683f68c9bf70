"""`encrypted_content`: sealed thoughts in a form that tells, when they come back, whose they are.

A redacted thought and one whose maker merely shows no text look alike on this wire, and only the first may be given
back to its maker as redacted; so the first carries a mark.
"""

from __future__ import annotations

from woollama.domain.messages import Sealed

_REDACTED = "redacted:"


def seal(sealed: Sealed, redacted: bool) -> str:
    return _REDACTED + sealed.to_wire() if redacted else sealed.to_wire()


def unseal(text: str) -> tuple[Sealed, bool]:
    """What `seal` gave, or bytes that never passed through us: the sealed bytes, and whether they are redacted."""
    bare = text.removeprefix(_REDACTED)
    return Sealed.from_wire(bare), bare != text
