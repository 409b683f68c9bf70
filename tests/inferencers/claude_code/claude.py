"""Stands in for the `claude` command line, which needs an account: it says what the real one said.

The lines in `recorded/` were printed by Claude Code 2.1.197 with the flags of `command.py`, asked by this project
against servers on loopback: `answer` and `tools` (two calls in one message, tools offered over the pipes) against a
small server of Messages streams, `rate_limit` against one that answers 429, `model_not_found` against woollama itself,
and `not_logged_in` without any login. Machine paths were replaced, and the answer to `initialize` was emptied of prose.

It keeps to the order of a real one: nothing is said before it was asked, a question to us is followed by what the
answer allows, and the message after a call waits for all results. What it was given (arguments, environment, lines of
stdin) is appended to $STAND_IN_LOG as JSON. $STAND_IN_ENDS says how it stops short, and after how many lines: `hang`,
`die` or `garble`. $STAND_IN_SAYS is a JSON object of words that it says instead of recorded ones (a tool's name).
"""

import json
import os
import sys
import time
from pathlib import Path

RECORDED = Path(__file__).parent / "recorded"


def note(**what):
    with open(os.environ["STAND_IN_LOG"], "a", encoding="utf-8") as log:
        log.write(json.dumps(what) + "\n")


def heard():
    line = sys.stdin.readline()
    if not line:
        sys.exit(0)
    said = json.loads(line)
    note(heard=said)
    return said


def main():
    flags = sys.argv[1:]
    system = Path(flags[flags.index("--system-prompt-file") + 1])
    note(
        flags=flags,
        env=dict(os.environ),
        system=system.read_text(encoding="utf-8"),
        mode=system.stat().st_mode & 0o777,
        cwd=os.getcwd(),
        pid=os.getpid(),
    )
    how, _, after = os.environ.get("STAND_IN_ENDS", "").partition(" ")
    recorded = (RECORDED / f"{os.environ['STAND_IN']}.ndjson").read_text(encoding="utf-8")
    for word, instead in json.loads(os.environ.get("STAND_IN_SAYS", "{}")).items():
        recorded = recorded.replace(word, instead)
    lines = recorded.splitlines()
    asked = False
    answered = set()
    waits_for = []

    def hear():
        nonlocal asked
        said = heard()
        asked = asked or said["type"] == "user"
        if said["type"] == "control_response":
            answered.add(said["response"]["request_id"])

    if "--mcp-config" in flags:
        hear()
    for number, line in enumerate(lines):
        if how and number == int(after):
            if how == "die":
                sys.stderr.write("Error: the disk is full\n")
                sys.exit(3)
            if how == "garble":
                sys.stdout.write("Segmentation fault\n")
                sys.stdout.flush()
            time.sleep(600)
        wire = json.loads(line)
        if wire["type"] not in ("control_request", "control_response"):
            while not asked:
                hear()
        if wire["type"] == "user":
            while not answered.issuperset(waits_for):
                hear()
        sys.stdout.write(line + "\n")
        sys.stdout.flush()
        if wire["type"] == "control_request":
            if wire["request"]["message"]["method"] == "tools/call":
                waits_for.append(wire["request_id"])
            else:
                while wire["request_id"] not in answered:
                    hear()
    sys.exit(1 if json.loads(lines[-1]).get("is_error") else 0)


if __name__ == "__main__":
    main()
