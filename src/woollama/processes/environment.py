"""What a child process may know of our environment: where it lives and how it speaks, never a key."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping

KEPT = frozenset(
    {
        *("HOME", "LOGNAME", "USER", "SHELL", "PATH", "TERM", "TMPDIR", "TZ"),
        *("LANG", "LANGUAGE", "SSL_CERT_FILE", "SSL_CERT_DIR", "NODE_EXTRA_CA_CERTS"),
        *("XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME"),
    }
)


def private_environment(ours: Mapping[str, str]) -> dict[str, str]:
    """A minimal environment for children, out of `os.environ`. An allow-list: a key of tomorrow is not in it either."""
    return {name: value for name, value in ours.items() if name in KEPT or name.startswith("LC_")}


WITHIN = "WOOLLAMA_WITHIN"
"""The woollamas that started this process or one above it, each by its files."""


def within(ours: Mapping[str, str], place: str) -> dict[str, str]:
    """For the children of the one at `place`."""
    return {WITHIN: f"{ours.get(WITHIN, '')} {_digest(place)}".strip()}


def is_within(ours: Mapping[str, str], place: str) -> bool:
    """Whether the one at `place` stands above us: as its own tool server it would start itself without end."""
    return _digest(place) in ours.get(WITHIN, "").split()


def _digest(place: str) -> str:
    return hashlib.sha256(place.encode()).hexdigest()[:12]


MODEL_KEPT = frozenset(
    {"PYTHONPATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "HF_HOME", "HF_HUB_CACHE", "HF_HUB_OFFLINE"}
)
MODEL_PREFIXES = ("CUDA_", "NVIDIA_", "HIP_", "ROCR_", "HSA_", "VK_", "OMP_", "GGML_", "LLAMA_", "OLLAMA_", "VLLM_")
_SECRET = re.compile("KEY|TOKEN|SECRET|PASS|CREDENTIAL")


def model_environment(ours: Mapping[str, str]) -> dict[str, str]:
    """The same for a process that runs models: with what chooses its device, and where its weights and libraries lie.

    An engine's own variables may hold a key, too (`LLAMA_API_KEY`): those are not in it.
    """
    engines = {
        name: value
        for name, value in ours.items()
        if name in MODEL_KEPT or (name.startswith(MODEL_PREFIXES) and not _SECRET.search(name))
    }
    return {**private_environment(ours), **engines}


def worker_environment(ours: Mapping[str, str]) -> dict[str, str]:
    """The same for a process of our own program: with where that is found."""
    where = {"PYTHONPATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH"} & ours.keys()
    return {**private_environment(ours), **{name: ours[name] for name in where}}


def claude_environment(ours: Mapping[str, str]) -> dict[str, str]:
    """The same for the `claude` command line: with where it keeps its own login, and no key that it would prefer."""
    own = {"CLAUDE_CONFIG_DIR"} & ours.keys()
    return {**private_environment(ours), **{name: ours[name] for name in own}}
