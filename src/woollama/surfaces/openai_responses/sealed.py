"""`encrypted_content`: sealed thoughts in a form that tells, when they come back, whose they are.

A redacted thought and one whose maker merely shows no text look alike on this wire, and only the first may be given
back to its maker as redacted; so the first carries a mark.
"""

from __future__ import annotations

import base64
import binascii

from woollama.domain.errors import BadRequest
from woollama.domain.messages import Sealed

_REDACTED = "redacted:"
_SUMMARY = "woollama-summary:"


def seal(sealed: Sealed, redacted: bool) -> str:
    return _REDACTED + sealed.to_wire() if redacted else sealed.to_wire()


def unseal(text: str) -> tuple[Sealed, bool]:
    """What `seal` gave, or bytes that never passed through us: the sealed bytes, and whether they are redacted."""
    bare = text.removeprefix(_REDACTED)
    return Sealed.from_wire(bare), bare != text


def seal_summary(text: str) -> str:
    """A summary as the `encrypted_content` of a compaction. It hides nothing: the client has said all of it."""
    return _SUMMARY + base64.b64encode(text.encode()).decode()


def summary_of(sealed: str, path: str) -> str:
    """Raises `BadRequest` for a compaction that was made elsewhere: only its maker can read it."""
    try:
        if sealed.startswith(_SUMMARY):
            return base64.b64decode(sealed.removeprefix(_SUMMARY), validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        pass
    param = f"{path}.encrypted_content"
    raise BadRequest(f"`{param}` is no compaction of woollama's; send the items that it stands for", param=param)
