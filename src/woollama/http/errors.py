"""What goes wrong with an upstream before it answers, as the errors of `domain`. The only place that maps them."""

from __future__ import annotations

import errno
import os
import re
import socket
import ssl

from woollama.domain.errors import RouterError, UpstreamTimeout, UpstreamUnreachable

_HINTS = {
    errno.ECONNREFUSED: "nothing listens there; is it running?",
    errno.ECONNRESET: "it closed the connection at once",
    errno.EHOSTUNREACH: "there is no route to it",
    errno.ENETUNREACH: "there is no network to it",
    errno.EMFILE: "too many open files here; raise `ulimit -n`",
}


def unreachable(peer: str, error: OSError, connect_timeout_s: float) -> RouterError:
    """`peer` is `host:port`. The error says what to look at."""
    if isinstance(error, TimeoutError) and error.errno is None:
        return UpstreamTimeout(f"{peer} did not accept a connection within {connect_timeout_s:g} s")
    return UpstreamUnreachable(f"cannot connect to {peer}: {_why(error)}")


def _why(error: OSError) -> str:
    match error:
        case socket.gaierror():
            return "its name cannot be resolved; is it spelt right, and is there a network?"
        case ssl.SSLCertVerificationError():
            return f"its certificate is not trusted ({error.verify_message})"
        case ssl.SSLError():
            return f"TLS failed ({error.reason or error}); is it https?"
        case _:
            code = error.errno or _code_in(str(error))
            if code is None and isinstance(error, ConnectionResetError):
                code = errno.ECONNRESET  # the loop raises it without a code when a handshake is broken off
            reason = os.strerror(code).lower() if code else str(error) or type(error).__name__
            return f"{reason}; {_HINTS[code]}" if code in _HINTS else reason


def _code_in(message: str) -> int | None:
    """Where a name has several addresses the loop joins their errors into one that has no code of its own."""
    found = re.search(r"\[Errno (\d+)\]", message)
    return int(found.group(1)) if found else None
