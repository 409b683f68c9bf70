"""The two systemd units of a user's daemon: the sockets, which are there from login on, and what answers at them."""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

HEAD = "# Written by `woollama service install`; `woollama service remove` removes it. Changes of yours belong into a\n"
HEAD += "# drop-in (systemctl --user edit woollama), which stays.\n"
SOCKET, SERVICE = "woollama.socket", "woollama.service"
_CARRIED = ("WOOLLAMA_CONFIG_DIR", "WOOLLAMA_STATE_DIR", "XDG_CONFIG_HOME", "XDG_STATE_HOME", "XDG_DATA_HOME")
"""Where the files are, if this shell says so: a daemon that is started at login would look elsewhere."""

_SOCKET = """
[Unit]
Description=woollama's door: a unix socket and a loopback address

[Socket]
ListenStream=%t/woollama.sock
ListenStream={address}
SocketMode=0600
DirectoryMode=0700
RemoveOnStop=yes

[Install]
WantedBy=sockets.target
"""

_SERVICE = """
[Unit]
Description=woollama: one local door for every model and every tool
Requires=woollama.socket
After=woollama.socket

[Service]
Type=exec
ExecStart={command}
ExecReload=kill -HUP $MAINPID
{environment}
# Keys, a line each: OPENAI_API_KEY=… It is yours alone if you chmod it 600.
EnvironmentFile=-%E/woollama/env
SyslogIdentifier=woollama

# 2, 3 and 4 say that another start would end the same way.
Restart=on-failure
RestartSec=2
RestartPreventExitStatus=2 3 4

# It ends its turns and its tool servers itself; whatever is left then is killed.
KillMode=mixed
TimeoutStopSec=30

# Tool servers are programs of yours and do as you may, but neither they nor the daemon can become more than you.
NoNewPrivileges=yes
LimitCORE=0

[Install]
Also=woollama.socket
"""


def units(environ: Mapping[str, str], address: str) -> dict[str, str]:
    """Each unit's name and text. `address` is `host:port`."""
    path = environ.get("PATH") or os.defpath
    carried = {name: value for name in ("PATH", *_CARRIED) if (value := path if name == "PATH" else environ.get(name))}
    environment = "\n".join(f"Environment={_quoted(f'{name}={value}')}" for name, value in carried.items())
    words = " ".join(_quoted(word.replace("$", "$$")) for word in command())
    return {
        SOCKET: HEAD + _SOCKET.format(address=address),
        SERVICE: HEAD + _SERVICE.format(command=words, environment=environment),
    }


def command() -> Sequence[str]:
    """This very installation, by its absolute path."""
    beside = Path(sys.executable).with_name("woollama")
    return [str(beside), "serve"] if beside.exists() else [sys.executable, "-m", "woollama", "serve"]


def units_dir(environ: Mapping[str, str]) -> Path:
    """Where a user's units belong."""
    config = environ.get("XDG_CONFIG_HOME") or ""
    base = Path(config) if config.startswith("/") else Path(environ.get("HOME") or Path.home()) / ".config"
    return base / "systemd" / "user"


def systemctl() -> str | None:
    return shutil.which("systemctl")


def _quoted(word: str) -> str:
    """A word as systemd reads it: specifiers, quotes and backslashes stand for themselves."""
    word = word.replace("%", "%%")
    if re.fullmatch(r"[\w./:=@%+,$-]+", word):
        return word
    return '"' + word.replace("\\", "\\\\").replace('"', '\\"') + '"'
