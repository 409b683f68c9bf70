"""The program that runs one embedded model: llama.cpp's HTTP server, on a loopback port and behind a key.

Run as a file, with the standard library and xllamacpp alone. Its parent writes one line to stdin,
`{"path", "alias", "key", "context_tokens"}`, and reads one line from stdout, `{"url"}` when the model is loaded or
`{"failed", "installed"}`. It ends when its stdin does, so it never outlives its parent. The key comes by stdin because
arguments and environments can be read by others.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
from typing import Any

SLOTS = 4


def main() -> None:
    answer_fd = os.dup(1)
    os.dup2(2, 1)  # whatever a library prints goes to the log, not into the answer
    wanted = json.loads(sys.stdin.buffer.readline())
    try:
        server = serve(**wanted)
        answer = {"url": server.listening_address}
    except ImportError as error:
        answer = {"failed": str(error), "installed": False}
    except RuntimeError as error:
        answer = {"failed": str(error), "installed": True}
    os.write(answer_fd, json.dumps(answer).encode() + b"\n")
    os.close(answer_fd)
    if "url" in answer:
        while sys.stdin.buffer.read(4096):
            pass
    os._exit(0)  # a generation under way would be waited for


def serve(path: str, alias: str, key: str, context_tokens: int) -> Any:
    xllamacpp = importlib.import_module("xllamacpp")
    params = xllamacpp.CommonParams()
    params.model.path = path
    params.model_alias = {alias}
    params.n_ctx = context_tokens
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = threads()
    params.n_parallel = SLOTS
    params.kv_unified = True
    params.hostnames = ["127.0.0.1"]
    params.port = 0
    params.api_keys = [key]
    params.ui = False
    params.endpoint_slots = False
    params.verbosity = 2
    return xllamacpp.Server(params)


def threads() -> int:
    """Half of the processors that we may use.

    llama.cpp's threads wait for each other by spinning. Where another process takes one of the processors, as many
    threads as processors are more than ten times slower than one.
    """
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, usable // 2)


if __name__ == "__main__":
    main()
