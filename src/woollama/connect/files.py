"""Files that belong to other programs: read as they are, kept beside themselves, replaced in one step."""

from __future__ import annotations

import os
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from woollama.connect.settings import Malformed

_LIMIT_BYTES = 16 * 2**20


def read(path: Path) -> str | None:
    """The text of a file, `None` if there is none. Raises `Malformed` for what is no text, `OSError` where it cannot be
    read."""
    if path.exists() and not path.is_file():
        raise Malformed("is no file")
    try:
        if path.stat().st_size > _LIMIT_BYTES:
            raise Malformed(f"is larger than {_LIMIT_BYTES} bytes")
        with path.open(encoding="utf-8", newline="") as file:
            return file.read()
    except FileNotFoundError:
        return None
    except UnicodeDecodeError:
        raise Malformed("is not UTF-8") from None


def keep(path: Path, text: str) -> Path:
    """Write `text` to a new file beside `path`, named after it and the time; give that file."""
    target = path.resolve()
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    number, backup = 0, target.with_name(f"{target.name}.before-woollama-{stamp}")
    while backup.exists():
        number += 1
        backup = target.with_name(f"{target.name}.before-woollama-{stamp}-{number}")
    _write(backup, text, target.stat().st_mode & 0o777)
    return backup


def write(path: Path, text: str) -> None:
    """Put `text` in the place of a file, whole or not at all. A link stays a link, a mode stays a mode."""
    target = path.resolve()
    target.parent.mkdir(parents=True, exist_ok=True)
    mode = target.stat().st_mode & 0o777 if target.exists() else 0o600
    _write(target, text, mode)


def _write(target: Path, text: str, mode: int) -> None:
    handle, name = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(name, mode)
        os.replace(name, target)
    except BaseException:
        os.unlink(name)
        raise
