"""Stands in for the `claude` command line, which needs an account: it says what the real one said.

The lines in `recorded/` were printed by Claude Code 2.1.197 with the flags of `command.py`, asked by this project
against servers on loopback: `answer` and `tools` (two calls in one message, tools offered over the pipes) against a
small server of Messages streams, `rate_limit` against one that answers 429, `model_not_found` against woollama itself,
and `not_logged_in` without any login. Machine paths were replaced, and the answer to `initialize` was emptied of prose.

It keeps to the order of a real one: nothing is said before it was asked, a question to us is followed by what the
answer allows, and the message after a call waits for all results. What it was given (arguments, environment, lines of
stdin) is appended to $STAND_IN_LOG as JSON. $STAND_IN_ENDS says how it stops short, and after how many lines: `hang`,
`die` or `garble`. $STAND_IN_SAYS is a JSON object of words that it says instead of recorded ones (a tool's name).

Its sessions are those of the real one, as far as they can be seen from outside (the same version, asked in the same
way): a transcript is `projects/<the directory>/<the session>.jsonl` in $CLAUDE_CONFIG_DIR or ~/.claude; what it is told
is written there before it answers, and what it said when the message is whole. `--resume` of a session that was not
begun in this directory, and `--session-id` of one that was, are refused in its words. Told "@recall" in a session it
says what it was told before; told "@hang" it begins to answer and says no more.
"""

import json
import os
import re
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


class Session:
    """What the program remembers, or nothing of it: `flags` say which."""

    def __init__(self, flags):
        self.kept = "--no-session-persistence" not in flags
        if not self.kept:
            return
        resumed = "--resume" in flags
        name = flags[flags.index("--resume" if resumed else "--session-id") + 1]
        own = Path(os.environ.get("CLAUDE_CONFIG_DIR") or Path.home() / ".claude")
        self.file = own / "projects" / re.sub("[^A-Za-z0-9]", "-", os.getcwd()) / f"{name}.jsonl"
        if resumed and not self.file.exists():
            why = f"No conversation found with session ID: {name}"
            sys.stderr.write(why + "\n")
            result = {"type": "result", "subtype": "error_during_execution", "is_error": True, "errors": [why]}
            sys.stdout.write(json.dumps({**result, "session_id": name}) + "\n")
            sys.exit(1)
        if not resumed and self.file.exists():
            sys.stderr.write(f"Error: Session ID {name} is already in use.\n")
            sys.exit(1)

    def told(self):
        if not self.kept or not self.file.exists():
            return []
        rows = [json.loads(line) for line in self.file.read_text(encoding="utf-8").splitlines()]
        return [block["text"] for row in rows if row["type"] == "user" for block in row["message"]["content"]]

    def write(self, row):
        if self.kept:
            self.file.parent.mkdir(parents=True, exist_ok=True)
            with self.file.open("a", encoding="utf-8") as file:
                file.write(json.dumps(row) + "\n")


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
    session = Session(flags)
    before = session.told()
    how, _, after = os.environ.get("STAND_IN_ENDS", "").partition(" ")
    recorded = (RECORDED / f"{os.environ['STAND_IN']}.ndjson").read_text(encoding="utf-8")
    for word, instead in json.loads(os.environ.get("STAND_IN_SAYS", "{}")).items():
        recorded = recorded.replace(word, instead)
    lines = recorded.splitlines()
    asked = False
    hangs = False
    answered = set()
    waits_for = []

    def hear():
        nonlocal asked, hangs
        said = heard()
        if said["type"] == "user":
            asked = True
            session.write(said)
            text = said["message"]["content"][-1].get("text", "")
            hangs = "@hang" in text
            if session.kept and "@recall" in text:
                lines[:] = [line.replace("it is clean", " | ".join(before)) for line in lines]
        if said["type"] == "control_response":
            answered.add(said["response"]["request_id"])

    if "--mcp-config" in flags:
        hear()
    for number in range(len(lines)):
        if how and number == int(after):
            if how == "die":
                sys.stderr.write("Error: the disk is full\n")
                sys.exit(3)
            if how == "garble":
                sys.stdout.write("Segmentation fault\n")
                sys.stdout.flush()
            time.sleep(600)
        wire = json.loads(lines[number])
        if wire["type"] not in ("control_request", "control_response"):
            while not asked:
                hear()
        if hangs and wire.get("event", {}).get("type") == "content_block_stop":
            time.sleep(600)
        if wire["type"] == "user":
            while not answered.issuperset(waits_for):
                hear()
        if wire["type"] == "assistant":
            session.write(wire)
        sys.stdout.write(lines[number] + "\n")
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
