"""What programs print on a terminal: logs, tests, listings, matches, diffs and code. See `tool_output`."""

from __future__ import annotations

import difflib
import random
from typing import Any

Made = tuple[Any, ...]
_NAMES = """
anchor beacon copper dynamo ferry garnet heron island jasper kettle lantern marble nectar orchid pewter quartz raven
saddle timber umber velvet walnut yarrow zenith
"""
NAMES = _NAMES.split()


def name(r: random.Random) -> str:
    return r.choice(NAMES)


def syslog(r: random.Random) -> Made:
    lines = []
    for i in range(2500):
        at = f"Mar {1 + i // 900:2d} {i // 60 % 24:02d}:{i % 60:02d}:{r.randrange(60):02d}"
        if r.random() < 0.7:
            lines.append(
                f"{at} edge sshd[{r.randint(900, 9000)}]: Accepted publickey for {name(r)}"
                f" from 10.0.0.{r.randint(1, 250)} port {r.randint(1024, 65000)} ssh2"
            )
        else:
            lines.append(
                f"{at} edge CRON[{r.randint(900, 9000)}]: (root)"
                f" CMD (run-parts /etc/cron.{r.choice(['hourly', 'daily'])})"
            )
    at = r.randrange(500, 2000)
    lines[at] = "Mar  2 03:14:15 edge kernel: ata3.00: exception Emask 0x10 SAct 0x0, disk may be lost"
    return "\n".join(lines) + "\n", "What is wrong with the disk?", [("error", "exception Emask 0x10")]


def type_errors(r: random.Random) -> Made:
    lines = [f"[{i:5d}] built {name(r)}/{name(r)}_{i}.ts in {r.randint(1, 90)} ms" for i in range(3000)]
    wrong = sorted(r.sample(range(3000), 100))
    for i in wrong:
        lines[i] = (
            f"src/{name(r)}/{name(r)}.ts({r.randint(1, 800)},{r.randint(1, 70)}): error TS{r.randint(1000, 9999)}:"
            f" Type '{name(r)}{i}' is not assignable to type '{name(r)}'."
        )
    return "\n".join(lines) + "\n", "Fix all type errors", [("error", lines[i]) for i in wrong]


def failing_tests(r: random.Random) -> Made:
    failed = sorted(r.sample(range(2000), 25))
    tests = [f"tests/{name(r)}/test_{name(r)}.py::test_{name(r)}_{i}" for i in range(2000)]
    lines = [
        "============================= test session starts =============================",
        "collected 2000 items",
        "",
    ]
    lines += [f"{test} {'FAILED' if i in failed else 'PASSED'} [{i * 100 // 2000:3d}%]" for i, test in enumerate(tests)]
    lines += ["", "=================================== FAILURES ==================================="]
    needles = []
    for i in failed:
        got = r.randint(1000, 9999)
        lines += [
            f"_______________ {tests[i].rpartition('::')[2]} _______________",
            "",
            "    def test():",
            f"        value = fetch({i})",
        ]
        lines += [
            f">       assert value == {got + 1}",
            f"E       assert {got} == {got + 1}",
            "",
            f"{tests[i].partition('::')[0]}:{i}: AssertionError",
        ]
        needles.append(("error", f"E       assert {got} == {got + 1}"))
    lines += ["=========================== short test summary info ============================"]
    lines += [f"FAILED {tests[i]} - assert" for i in failed]
    lines += ["====================== 25 failed, 1975 passed in 93.1s ======================"]
    return "\n".join(lines), "which tests fail and why?", [*needles, ("error", "25 failed, 1975 passed")]


def build(r: random.Random) -> Made:
    lines = []
    for i in range(4000):
        if i % 40 == 0:
            lines.append(f"   Compiling {name(r)}-{name(r)} v0.{r.randint(1, 9)}.{r.randint(0, 30)} (/src/{name(r)})")
        else:
            lines.append(
                f"2026-02-01T08:{i // 60 % 60:02d}:{i % 60:02d}Z DEBUG [{name(r)}]"
                f" stored {r.randint(1, 999)} objects in {r.randint(1, 80)} ms"
            )
    at = r.randrange(500, 3500)
    lines[at : at + 5] = [
        "Traceback (most recent call last):",
        '  File "/src/flow/pump.py", line 88, in drain',
        "    self._emit(batch)",
        '  File "/src/flow/pump.py", line 131, in _emit',
        f"flow.errors.BatchLost: batch {at} has no owner",
    ]
    note = r.randrange(3600, 3900)
    lines[note] = f"note: bundle KESTREL-{note} was rebuilt from source"
    needles = [("error", f"BatchLost: batch {at}"), ("error", "line 131, in _emit"), ("unasked", f"KESTREL-{note}")]
    return "\n".join(lines) + "\n", "Why did it stop?", needles


def foreign_logs(r: random.Random, normal: list[str], bad: str) -> str:
    lines = [
        f"2026-05-0{1 + i // 700} {i // 60 % 24:02d}:{i % 60:02d} {r.choice(normal)} {r.randint(1, 5000)}"
        for i in range(2000)
    ]
    lines[r.randrange(300, 1700)] = f"2026-05-02 11:11 {bad}"
    return "\n".join(lines)


def german_log(r: random.Random) -> Made:
    normal = [
        "HINWEIS Dienst gestartet, Kennung",
        "HINWEIS Anfrage beantwortet in ms",
        "HINWEIS Sitzung beendet, Kennung",
    ]
    bad = "FEHLER Verbindung zur Datenbank abgebrochen: Zeitüberschreitung nach 30 s"
    return foreign_logs(r, normal, bad), "Was ist schiefgegangen?", [("error", "Verbindung zur Datenbank abgebrochen")]


def chinese_log(r: random.Random) -> Made:
    bad = "【严重】磁盘写入出现问题，副本丢失"
    return (
        foreign_logs(r, ["【信息】请求完成，编号", "【信息】会话开始，编号"], bad),
        "出了什么问题？",
        [("error", "副本丢失")],
    )


def carriage_returns(r: random.Random) -> Made:
    lines = [f"[{i}] INFO step {i} done in {r.randint(1, 90)} ms" for i in range(800)]
    lines[r.randrange(100, 700)] = "[--] ERROR pipe to worker broke"
    return "\r\n".join(lines), "?", [("error", "pipe to worker broke")]


def coloured(r: random.Random) -> Made:
    lines = [f"\x1b[32mok\x1b[0m {name(r)}/{name(r)} \x1b[2m{r.randint(1, 99)} ms\x1b[0m" for i in range(600)]
    lines[r.randrange(600)] = "\x1b[31mnot ok\x1b[0m marble/raven \x1b[2mexpected 3, got 4\x1b[0m"
    return "\n".join(lines), "?", [("error", "expected 3, got 4")]


def listing(r: random.Random) -> Made:
    lines = ["total 91234"]
    lines += [
        f"{r.choice(['-rw-r--r--', '-rwxr-xr-x'])} 1 {r.choice(['root', 'app']):<6} root {r.randint(1, 999999):>9}"
        f" {r.choice(['Jan', 'Feb'])} {r.randint(1, 28):>2}  202{r.randint(3, 6)} {name(r)}-{name(r)}-{i}.so"
        for i in range(700)
    ]
    return "\n".join(lines) + "\n", f"is {lines[300].split()[-1]} there?", [("asked", lines[300].split()[-1])]


def pods(r: random.Random) -> Made:
    rows = [
        (f"{name(r)}-{r.getrandbits(40):010x}-{i:05d}", "1/1", "Running", str(r.randint(0, 3)), f"{r.randint(1, 90)}d")
        for i in range(300)
    ]
    bad = r.randrange(50, 250)
    rows[bad] = (rows[bad][0], "0/1", "CrashLoopBackOff", "417", "3h")
    rows.insert(0, ("NAME", "READY", "STATUS", "RESTARTS", "AGE"))
    widths = [max(len(row[i]) for row in rows) + 3 for i in range(5)]
    text = "\n".join(
        "".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )
    return text + "\n", "which pod is unhealthy?", [("error", "CrashLoopBackOff"), ("error", rows[bad + 1][0])]


def processes(r: random.Random) -> Made:
    lines = ["USER         PID %CPU %MEM    VSZ   RSS TTY      STAT START   TIME COMMAND"]
    lines += [
        f"{r.choice(['root', 'app', 'www']):<9}{r.randint(1, 99999):>7}  0.{r.randint(0, 9)}  0.{r.randint(0, 9)}"
        f" {r.randint(1000, 999999):>6} {r.randint(100, 99999):>5} ?        Ss   06:0{r.randint(0, 9)}   0:00"
        f" /usr/bin/{name(r)} --{name(r)}{''.join(f' {name(r)}' for _ in range(r.randint(0, 4)))}"
        for _ in range(250)
    ]
    return "\n".join(lines) + "\n", "?", []


def packages(r: random.Random) -> Made:
    lines = ["Package                   Version", "------------------------- -----------"]
    lines += [
        f"{name(r) + '-' + name(r) + str(i):<25} {r.randint(0, 9)}.{r.randint(0, 40)}.{r.randint(0, 9)}"
        for i in range(220)
    ]
    return "\n".join(lines) + "\n", f"which version of {lines[90].split()[0]}?", [("asked", lines[90].split()[0])]


def history(r: random.Random) -> Made:
    out = []
    for i in range(150):
        out += [f"commit {r.getrandbits(160):040x}", f"Author: {name(r).title()} Doe <{name(r)}@example.org>"]
        out += [
            f"Date:   Mon Mar {1 + i % 28} 1{i % 10}:2{i % 6}:31 2026 +0100",
            "",
            f"    {name(r).title()} {name(r)} {name(r)} ({i})",
            "",
        ]
    return "\n".join(out), "?", []


def paths(r: random.Random) -> Made:
    found = [f"./{name(r)}/{name(r)}/{name(r)}_{i}.{r.choice(['py', 'toml', 'md'])}" for i in range(900)]
    at = r.randrange(100, 800)
    found[at] = f"./{name(r)}/payments/refund_window.py"
    found.sort()
    return "\n".join(found) + "\n", "Where is refund_window defined?", [("asked", "payments/refund_window.py")]


def matches(r: random.Random) -> Made:
    out = []
    for i in range(60):
        file = f"lib/{name(r)}/{name(r)}_{i}.py"
        out += [
            f"{file}:{line}:    def {name(r)}_{name(r)}(self, {name(r)}):"
            for line in sorted(r.sample(range(1, 900), 40))
        ]
    at = r.randrange(300, 2000)
    out[at] = out[at].rsplit(":", 2)[0] + ":class TidalLockRegistry(Base):"
    return "\n".join(out) + "\n", "Where is TidalLockRegistry defined?", [("asked", "class TidalLockRegistry(Base):")]


def source(r: random.Random) -> Made:
    return "\n".join(_code(r, 60)), "What does this do?", []


def _code(r: random.Random, functions: int) -> list[str]:
    lines = ['"""A module."""', "", "import os", ""]
    for i in range(functions):
        lines += [f"def {name(r)}_{i}({name(r)}, {name(r)}=None):", f'    """{name(r).title()} the {name(r)}."""']
        lines += [
            f"    {name(r)} = {name(r)}.{name(r)}({r.randint(0, 99)})  # {name(r)} {name(r)}"
            for _ in range(r.randint(3, 9))
        ]
        lines += [f"    return {name(r)}", ""]
    return lines


def _edited(r: random.Random, lines: list[str], share: float) -> list[str]:
    out = []
    for line in lines:
        if r.random() > share:
            out.append(line)
        elif r.random() < 0.6:
            out.append(f"{line[: len(line) - len(line.lstrip())]}{name(r)} = {r.randint(0, 999)}")
        if r.random() < share / 2:
            out.append(f"    {name(r)}.{name(r)}({r.randint(0, 999)})")
    return out


def _diff(r: random.Random, file: str, before: list[str], after: list[str], context: int) -> list[str]:
    body = list(difflib.unified_diff(before, after, f"a/{file}", f"b/{file}", lineterm="", n=context))
    ids = f"index {r.getrandbits(40):010x}..{r.getrandbits(40):010x} 100644"
    return [f"diff --git a/{file} b/{file}", ids, *body] if body else []


def changes(r: random.Random) -> Made:
    out: list[str] = []
    for i in range(12):
        before = _code(r, 25)
        out += _diff(r, f"src/{name(r)}_{i}.py", before, _edited(r, before, 0.03), 3)
    needles = [("exact", line) for line in out if line[:1] in "+-" and len(line) > 20][::15]
    return "\n".join(out) + "\n", "Review this change", needles


def locked_changes(r: random.Random) -> Made:
    before = [
        f'    "{name(r)}-{i}": {{ "version": "{r.randint(0, 9)}.{i}.0",'
        f' "integrity": "sha512-{r.getrandbits(256):064x}" }},'
        for i in range(900)
    ]
    out = _diff(
        r,
        "package-lock.json",
        before,
        [line if r.random() > 0.3 else line.replace(".0", ".1", 1) for line in before],
        3,
    )
    code = _code(r, 6)
    changed = _edited(r, code, 0.08)
    changed[8] = "    raise TideError('the gate is shut')"
    out += _diff(r, "src/gate.py", code, changed, 3)
    return "\n".join(out) + "\n", "Review this change", [("exact", "+    raise TideError('the gate is shut')")]


SHELL: dict[str, Any] = {
    "syslog": ("logs", syslog),
    "build": ("logs", build),
    "type_errors": ("logs", type_errors),
    "failing_tests": ("logs", failing_tests),
    "german_log": ("logs", german_log),
    "chinese_log": ("logs", chinese_log),
    "carriage_returns": ("logs", carriage_returns),
    "coloured": ("logs", coloured),
    "listing": ("shell", listing),
    "pods": ("tables", pods),
    "processes": ("shell", processes),
    "packages": ("shell", packages),
    "history": ("shell", history),
    "paths": ("shell", paths),
    "matches": ("search", matches),
    "source": ("left alone", source),
    "changes": ("diffs", changes),
    "locked_changes": ("diffs", locked_changes),
}
