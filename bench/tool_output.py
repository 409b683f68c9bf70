"""Output of tools, made from a seed: what compression is tested on and measured with.

Each sample says what the output was fetched for and holds needles: literal texts that must stay readable (errors, what
is asked for, what is out of range, exact values) or, where nobody asked for them, must be had back.
"""

from __future__ import annotations

import base64
import json
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

from bench.tool_output_shell import SHELL

Kind = Literal["error", "asked", "anomaly", "exact", "change", "unasked"]
"""`unasked` needles need not stay in line; all others must."""

_WORDS = """
amber basin cedar delta ember fjord grove harbor inlet juniper kelp lagoon meadow north oasis prairie quarry ridge
summit tundra upland valley willow zephyr batch cursor digest emitter filter gateway handle index journal lease
"""
WORDS = _WORDS.split()


@dataclass(frozen=True, slots=True)
class Sample:
    name: str
    family: str
    text: str
    query: str = ""
    needles: tuple[tuple[Kind, str], ...] = ()
    tool: str = "shell"


def samples(seed: int) -> Iterator[Sample]:
    """Every family once, the same for the same seed."""
    for name, (family, make) in FAMILIES.items():
        random_ = random.Random(f"{seed} {name}")
        text, query, needles, *tool = make(random_)
        yield Sample(name, family, text, query, tuple(needles), *tool)


Made = tuple[Any, ...]
"""Text, question, needles, and the tool's name if it is not the shell."""


def words(r: random.Random, count: int) -> str:
    return " ".join(r.choice(WORDS) for _ in range(count))


def sentence(r: random.Random) -> str:
    return f"The {words(r, 3)} {r.choice(['needs', 'replaces', 'waits for', 'feeds'])} the {words(r, r.randint(4, 9))}."


def _documents(r: random.Random, count: int = 700) -> list[dict[str, Any]]:
    return [
        {
            "rank": i + 1,
            "key": f"{r.getrandbits(64):016x}",
            "title": f"{words(r, 4).title()} {i}",
            "link": f"https://wiki.example.org/{r.choice(WORDS)}/{r.choice(WORDS)}-{i}",
            "excerpt": f"{sentence(r)} {sentence(r)}",
            "score": round(0.98 - i * 0.001 + r.random() * 0.0005, 4),
            "language": r.choice(["en", "en", "de", "fr"]),
            "state": "published",
        }
        for i in range(count)
    ]


def documents(r: random.Random) -> Made:
    found = _documents(r)
    bad, asked, unasked = r.sample(range(20, 680), 3)
    found[bad] |= {"state": "failed", "excerpt": f"could not be rendered: TemplateError in line {bad}, no macro 'kiln'"}
    found[asked]["excerpt"] = f"To rotate the signing key of mistral-gate call gatectl rekey --slot {asked}."
    found[unasked]["excerpt"] = f"The spare keys are in locker {unasked}-B."
    needles = [
        ("error", "TemplateError in line"),
        ("asked", f"gatectl rekey --slot {asked}"),
        ("unasked", f"{unasked}-B"),
    ]
    return json.dumps(found), "How is the signing key of mistral-gate rotated?", needles, "search"


def wrapped_documents(r: random.Random) -> Made:
    text, query, needles, tool = documents(r)
    return json.dumps({"took_ms": 12, "hits": json.loads(text), "next": None}, indent=2), query, needles, tool


def truncated(r: random.Random) -> Made:
    text, query, _, tool = documents(r)
    return text[: r.randint(60_000, 90_000)], query, [], tool


def fenced(r: random.Random) -> Made:
    rows = [{"step": i, "name": words(r, 2), "result": "ok", "seconds": round(r.random() * 9, 2)} for i in range(300)]
    rows[r.randrange(50, 250)] |= {"result": "error: the lease was lost twice"}
    text = f"Here is what I found.\n\n```json\n{json.dumps(rows, indent=1)}\n```\n\n{sentence(r)}\n"
    return text, "which step went wrong?", [("error", "the lease was lost twice")], "agent"


def _readings(r: random.Random) -> tuple[list[dict[str, Any]], list[tuple[Kind, str]]]:
    rows = [
        {
            "at": f"2026-03-{1 + i // 480:02d}T{i // 20 % 24:02d}:{i * 3 % 60:02d}:00Z",
            "node": f"n{i % 7}",
            "level": "info",
            "wait_ms": round(30 + 4 * r.random() + (60 if i >= 800 else 0), 2),
            "depth": 200 + r.randint(-9, 9),
            "text": "tick",
        }
        for i in range(1000)
    ]
    spike, low, bad = r.sample(range(100, 700), 3)
    rows[spike]["wait_ms"] = 4321.5
    rows[low]["depth"] = 2
    rows[bad] |= {"level": "error", "text": f"segment {bad} is corrupt"}
    needles: list[tuple[Kind, str]] = [
        ("anomaly", "4321.5"),
        ("anomaly", '"depth": 2,'),
        ("error", f"segment {bad} is corrupt"),
    ]
    return rows, [*needles, ("change", rows[800]["at"])]


def readings(r: random.Random) -> Made:
    rows, needles = _readings(r)
    return json.dumps(rows), "why did it get slow?", needles, "metrics"


def readings_by_line(r: random.Random) -> Made:
    rows, needles = _readings(r)
    return "".join(json.dumps(row) + "\n" for row in rows), "why did it get slow?", needles, "metrics"


def people(r: random.Random) -> Made:
    rows = [
        {
            "id": 5000 + i,
            "mail": f"{r.choice(WORDS)}{i}@example.org",
            "plan": r.choice(["free", "team"]),
            "seats": r.randint(1, 30),
        }
        for i in range(600)
    ]
    asked, unasked = r.sample(range(600), 2)
    needles = [("asked", rows[asked]["mail"]), ("unasked", rows[unasked]["mail"])]
    return json.dumps(rows), f"Which plan has user {5000 + asked}?", needles, "sql"


def tickets(r: random.Random) -> Made:
    rows = [
        {
            "number": i + 1,
            "state": r.choice(["open", "closed"]),
            "title": f"{words(r, 5).capitalize()} {i}",
            "author": {"login": r.choice(WORDS), "bot": False},
            "labels": [{"name": r.choice(["bug", "docs"]), "color": "ededed"} for _ in range(r.randint(0, 3))],
            "milestone": None,
            "body": f"{sentence(r)} {sentence(r)}\n\n## Steps\n1. {words(r, 5)}\n2. {words(r, 6)}\n",
        }
        for i in range(120)
    ]
    lost, hidden = r.sample(range(120), 2)
    rows[lost]["title"] = "Records vanish when the courier restarts"
    rows[hidden]["body"] += "\nworkaround: export COURIER_NO_MMAP=1"
    needles = [("asked", "Records vanish when the courier"), ("unasked", "COURIER_NO_MMAP=1")]
    return json.dumps(rows), "In which issue do records vanish?", needles, "tracker"


def table(r: random.Random) -> Made:
    bad = r.randrange(100, 500)
    lines = [
        f"{i},host-{i},{r.choice(['eu', 'us'])},{r.random():.3f},{'ok' if i != bad else 'failed'}" for i in range(600)
    ]
    return "\n".join(["id,host,zone,load,state", *lines]), "which host failed?", [("error", f"host-{bad}")]


def all_errors(r: random.Random) -> Made:
    rows = [{"n": i, "level": "ERROR", "message": f"refused {i} by {words(r, 2)}"} for i in range(400)]
    return json.dumps(rows), "what was refused?", [("error", f"refused {i} by") for i in range(0, 400, 37)]


def exact_values(r: random.Random) -> Made:
    rows = ", ".join(
        f'{{"i": {2**64 + i}, "price": {i}.50, "long": 0.30000000000000004441,'
        f' "k": 1, "k": {i}, "v": {"NaN" if i % 60 == 9 else i}}}'
        for i in range(200)
    )
    needles = [("exact", str(2**64 + 133)), ("exact", "0.30000000000000004441"), ("exact", "NaN")]
    return f"[{rows}]", f"what is the price of {2**64 + 133}?", needles


def many_scripts(r: random.Random) -> Made:
    rows = [
        {"id": i, "имя": words(r, 2), "文": "測試" * (i % 4), "note": "ok", "emoji": "🧭" * (i % 3)} for i in range(250)
    ]
    rows[r.randrange(250)]["note"] = "Ошибка: диск переполнен"
    return json.dumps(rows, ensure_ascii=False), "?", [("error", "диск переполнен")]


def lone_surrogates(r: random.Random) -> Made:
    return "[" + ", ".join(f'{{"i": {i}, "s": "\\ud83d cut"}}' for i in range(150)) + "]", "?", []


def prose(r: random.Random) -> Made:
    paragraphs = [" ".join(sentence(r) for _ in range(5)) for _ in range(140)]
    at, other = r.sample(range(10, 130), 2)
    paragraphs[at] += " The ferry to Skarholm leaves at 06:25 from pier 9."
    paragraphs[other] += " Nobody may enter the west hall after ten."
    needles = [("asked", "leaves at 06:25 from pier 9"), ("unasked", "Nobody may enter the west hall")]
    return "\n\n".join(paragraphs), "When does the ferry to Skarholm leave?", needles, "fetch"


def page(r: random.Random) -> Made:
    items = "".join(f"<li class='c{i % 5}'><a href='/p/{i}'>{words(r, 6)}</a></li>\n" for i in range(400))
    asked = r.randrange(100, 300)
    items = items.replace(f"'/p/{asked}'>", f"'/p/{asked}'>Opening hours of the lighthouse ", 1)
    html = f"<!doctype html>\n<html><head><title>{words(r, 3)}</title></head><body><ul>\n{items}</ul></body></html>\n"
    return html, "What are the opening hours of the lighthouse?", [("asked", f"/p/{asked}")], "fetch"


def rules(r: random.Random) -> Made:
    lines = [f"- You must {'not ' if i % 3 else ''}{words(r, 7)} unless {words(r, 3)}." for i in range(150)]
    return "# How to work here\n" + "\n".join(lines), "?", [("exact", line) for line in lines[::40]], "load_skill"


def blob(r: random.Random) -> Made:
    return base64.b64encode(r.randbytes(60_000)).decode(), "?", []


def one_long_word(r: random.Random) -> Made:
    return "A" * 80_000 + "Z", "?", []


def nested(r: random.Random) -> Made:
    return "[" * 3000 + "1" + "]" * 3000, "?", []


def open_brackets(r: random.Random) -> Made:
    return "[" * 500 + ", ".join(str(r.randrange(1000)) for _ in range(20_000)), "?", []


def numbers(r: random.Random) -> Made:
    values = [r.randint(480, 520) for _ in range(3000)]
    values[r.randrange(3000)] = 987_654
    return json.dumps(values), "which is out of range?", [("anomaly", "987654")]


def small(r: random.Random) -> Made:
    return json.dumps([{"a": 1, "b": "x"}, {"a": 2, "b": "y"}]), "?", [("exact", '"y"')]


FAMILIES: dict[str, tuple[str, Callable[[random.Random], Made]]] = {
    "documents": ("JSON", documents),
    "wrapped_documents": ("JSON", wrapped_documents),
    "readings": ("JSON", readings),
    "readings_by_line": ("JSON", readings_by_line),
    "people": ("JSON", people),
    "tickets": ("JSON", tickets),
    "numbers": ("JSON", numbers),
    "all_errors": ("JSON", all_errors),
    "truncated": ("damaged or mixed", truncated),
    "fenced": ("damaged or mixed", fenced),
    "exact_values": ("damaged or mixed", exact_values),
    "many_scripts": ("damaged or mixed", many_scripts),
    "lone_surrogates": ("damaged or mixed", lone_surrogates),
    "table": ("tables", table),
    "prose": ("prose", prose),
    "page": ("prose", page),
    "rules": ("left alone", rules),
    "small": ("left alone", small),
    "blob": ("hostile", blob),
    "one_long_word": ("hostile", one_long_word),
    "nested": ("hostile", nested),
    "open_brackets": ("hostile", open_brackets),
    **SHELL,
}
