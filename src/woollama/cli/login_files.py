"""Where the login at a tool server is, as the configuration names it."""

from __future__ import annotations

import os

from woollama.config import load
from woollama.config.model import ToolServer
from woollama.config.problems import did_you_mean
from woollama.platform import config_dir, state_dir
from woollama.toolservers.logins import LoginFile, Logins


def server_of(name: str) -> tuple[ToolServer, LoginFile] | str:
    """A tool server of the configuration that can have a login, or why there is none."""
    servers = load(config_dir(os.environ), os.environ).config.servers
    server = servers.get(name)
    if server is None:
        hint = did_you_mean(name, servers)
        return f"there is no tool server {name!r}" + (f" ({hint})" if hint else "")
    if not server.url:
        why = "is switched off" if server.disabled else "is a program that is started here, and has no login"
        return f"{name} {why}"
    return server, Logins(state_dir(os.environ) / "logins").of(server.name, server.url)
