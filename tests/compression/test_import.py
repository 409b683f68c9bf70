"""What an import of the library costs: nothing that it does not need."""

from __future__ import annotations

import subprocess
import sys

HEAVY = (
    "anthropic", "fastapi", "fastembed", "httpx", "httpx2", "mcp", "numpy", "opentelemetry", "pydantic", "requests",
    "sqlalchemy", "sqlite3", "starlette", "tiktoken", "tokenizers", "uvicorn", "asyncio",
    "woollama.app", "woollama.core",
)  # fmt: skip


def test_importing_the_library_loads_no_web_database_telemetry_or_tokenizer_package() -> None:
    source = f"import sys, woollama.compression; print(*sorted(set(sys.modules) & set({HEAVY!r})))"
    finished = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True, check=True)
    assert finished.stdout.split() == []
