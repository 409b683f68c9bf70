"""What a child process may know of our environment: where it lives and how it speaks, never a key."""

from __future__ import annotations

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
