"""`scripts/bench compression`: how much smaller tool output becomes, what stays readable, and what it costs.

Every contender runs in a process of its own, on one core, on the same inputs: ours at each level, and headroom-ai three
ways where the Python of an environment that has it is given. Tokens are counted by o200k where `rs_bpe` or tiktoken's
vocabulary is at hand, else by our estimate, and it is said which.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from bench.tool_output import Sample, samples

ROOT = Path(__file__).parents[1]
OURS = ("lossless", "auto", "aggressive")
THEIRS = ("default", "lossless", "components")
IN_LINE = ("error", "asked", "anomaly", "change")


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="bench compression", description=__doc__)
    parser.add_argument("--seed", type=int, action="append", help="of the inputs; may be repeated (1)")
    parser.add_argument("--inputs", type=Path, help="a directory with manifest.json and inputs/, instead of our own")
    parser.add_argument("--headroom", metavar="PYTHON", help="the Python of an environment with headroom-ai")
    parser.add_argument("--families", action="store_true", help="tell each family, too")
    options = parser.parse_args(arguments)
    count, counted_by = _counter()
    found = _inputs(options.inputs, options.seed or [1])
    sizes = {sample.name: count(sample.text) for sample in found}
    needles = sum(len(sample.needles) for sample in found)
    print(f"{len(found)} inputs, {sum(sizes.values())} tokens ({counted_by}), {needles} needles")
    heads = f"{'':24}{'tokens out':>12}{'saved':>8}{'in line':>12}{'had back':>10}"
    print(heads + f"{'p50 ms':>9}{'p95 ms':>9}{'MiB':>7}")
    contenders = [
        ("woollama " + level, [sys.executable, "-m", "bench.compression_run", "woollama", level]) for level in OURS
    ]
    if options.headroom:
        contenders += [
            (f"headroom {way}", [options.headroom, "-m", "bench.compression_run", "headroom", way]) for way in THEIRS
        ]
    for name, command in contenders:
        results = _run(command, found)
        _tell(name, found, sizes, results, count, families=options.families)
    return 0


def _inputs(directory: Path | None, seeds: Sequence[int]) -> list[Sample]:
    if directory is None:
        made = [(seed, sample) for seed in seeds for sample in samples(seed)]
        return [Sample(f"{s.name}-{seed}", s.family, s.text, s.query, s.needles, s.tool) for seed, s in made]
    manifest = json.loads((directory / "manifest.json").read_text())
    kinds = {
        "needle_in_query": "asked",
        "anomaly_value": "anomaly",
        "changepoint": "change",
        "error_non_english": "error",
    }
    found = []
    for name, entry in manifest.items():
        text = (directory / "inputs" / name).read_bytes().decode("utf-8", "surrogatepass")
        needles = [(kinds.get(n["c"], n["c"]), n["s"]) for n in entry["needles"] if not n.get("alt")]
        found.append(Sample(name, entry["kind"], text, entry["query"], tuple(needles), entry["tool"]))
    return found


def _run(command: Sequence[str], found: Sequence[Sample]) -> list[dict[str, Any]]:
    given = json.dumps([[s.text, s.query, s.tool, [n for _, n in s.needles]] for s in found])
    done = subprocess.run(command, input=given, capture_output=True, text=True, cwd=ROOT, check=False)
    if done.returncode:
        sys.exit(f"{' '.join(command)} failed:\n{done.stderr[-3000:]}")
    lines = done.stdout.splitlines()
    return [json.loads(line) for line in lines if line.startswith('{"text"')]


def _tell(
    name: str,
    found: Sequence[Sample],
    sizes: dict[str, int],
    results: Sequence[dict[str, Any]],
    count: Callable[[str], int],
    *,
    families: bool,
) -> None:
    out = {s.name: count(result["text"]) for s, result in zip(found, results, strict=True)}
    wanted = kept = others = had_back = 0
    for sample, result in zip(found, results, strict=True):
        for kind, needle in sample.needles:
            if _in(needle, result["text"]):
                kept += kind in IN_LINE
            elif result["back"][needle]:
                had_back += 1
            wanted += kind in IN_LINE
            others += not _in(needle, result["text"])
    took = sorted(result["ms"] for result in results)
    before, after = sum(sizes.values()), sum(out.values())
    p95 = took[int(len(took) * 0.95)]
    print(
        f"{name:24}{after:>12}{100 - 100 * after / before:>7.1f}%{kept:>6}/{wanted:<5}{had_back:>5}/{others:<4}"
        f"{statistics.median(took):>9.1f}{p95:>9.1f}{results[-1]['mib']:>7.0f}"
    )
    if families:
        for family in dict.fromkeys(sample.family for sample in found):
            names = [sample.name for sample in found if sample.family == family]
            into, of = sum(out[n] for n in names), sum(sizes[n] for n in names)
            print(f"    {family:20}{into:>12}{100 - 100 * into / max(1, of):>7.1f}%")


def _in(needle: str, text: str) -> bool:
    return needle in text or json.dumps(needle)[1:-1] in text


def _counter() -> tuple[Callable[[str], int], str]:
    try:
        from rs_bpe.bpe import openai  # type: ignore[import-not-found, unused-ignore]
    except ImportError:
        from woollama.compression.tokens import counter_for

        counter = counter_for("gpt-5")
        return counter, counter.name
    encode = openai.o200k_base().encode
    return lambda text: len(encode(text.encode("utf-8", "replace").decode())), "o200k"
