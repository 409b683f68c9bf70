"""The laws of compression, held against every kind of tool output that we have and whatever hypothesis thinks of."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bench.tool_output import Sample
from tests.compression.texts import IDS, SAMPLES, anything
from woollama.compression import Compressed, ContentRouter, Policy, SqlOriginals, restore
from woollama.compression.block import LEVELS, Level
from woollama.compression.marker import read
from woollama.compression.policy import Budget
from woollama.compression.tokens import ESTIMATE, Counter

of_all = pytest.mark.parametrize("level", LEVELS)
of_samples = pytest.mark.parametrize("sample", SAMPLES, ids=IDS)
often = settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow])

EAGER = Policy(min_tokens=1, auto=Budget(20, 0.3, 10, 400), aggressive=Budget(10, 0.1, 5, 100))
"""Compresses even what is small, so that small examples try every path."""


class Made:
    def __init__(self, policy: Policy | None = None) -> None:
        self.originals = SqlOriginals()
        self.router = ContentRouter(policy, self.originals)
        self._done: dict[tuple[Sample, Level], Compressed] = {}

    def compress(self, sample: Sample, level: Level) -> Compressed:
        if (sample, level) not in self._done:
            self._done[sample, level] = self.router.compress(
                sample.text, query=sample.query, tool=sample.tool, level=level
            )
        return self._done[sample, level]

    def original(self, result: Compressed) -> str | None:
        """What can be had back of a result."""
        return self.originals.get(result.refs[0]) if result.refs else restore(result.text)


@pytest.fixture(scope="module")
def made() -> Made:
    return Made()


def in_line(needle: str, text: str) -> bool:
    return needle in text or json.dumps(needle)[1:-1] in text


@of_all
@of_samples
def test_everything_can_be_had_back_byte_for_byte(made: Made, sample: Sample, level: Level) -> None:
    assert made.original(made.compress(sample, level)) == sample.text


@of_all
@of_samples
def test_nothing_becomes_larger(made: Made, sample: Sample, level: Level) -> None:
    result = made.compress(sample, level)
    assert len(result.text.encode("utf-8", "surrogatepass")) <= len(sample.text.encode("utf-8", "surrogatepass"))
    assert result.tokens_after <= result.tokens_before
    assert (result.tokens_before, result.tokens_after) == (ESTIMATE(sample.text), ESTIMATE(result.text))


@of_all
@of_samples
def test_what_is_compressed_is_left_alone(made: Made, sample: Sample, level: Level) -> None:
    once = made.compress(sample, level)
    again = made.compress(replace(sample, text=once.text), level)
    assert again.text == once.text
    if once.level != "off":
        assert again.reason == "compressed already"


@of_all
@of_samples
def test_errors_anomalies_and_answers_stay_in_line(made: Made, sample: Sample, level: Level) -> None:
    text = made.compress(sample, level).text
    lost = [
        needle
        for kind, needle in sample.needles
        if kind in ("error", "asked", "anomaly", "change") and not in_line(needle, text)
    ]
    assert not lost


@pytest.mark.parametrize("level", ["auto", "aggressive"])
@of_samples
def test_the_numbers_of_a_marker_add_up(made: Made, sample: Sample, level: Level) -> None:
    result = made.compress(sample, level)
    marker = read(result.text)
    if not result.refs:
        assert marker is None
        return
    assert marker is not None
    assert marker.ref == result.refs[0]
    assert 0 < marker.left_out <= marker.total
    if result.crusher == "diff_compressor":  # the ends of hunks are said by their headers
        assert missing(result.text) <= marker.left_out
    else:
        assert missing(result.text) == marker.left_out


def missing(text: str) -> int:
    """What the gaps in a selective result say together, by the sign that its first line names."""
    named = re.search(r"; (\S+)9 = 9 \D+ left out there\]", text)
    assert named is not None
    return sum(int(found) for found in re.findall(rf"^{named[1]}(\d+)", text, re.MULTILINE))


@pytest.mark.parametrize("made_up", ["…7", "…7 or so", "……7", "…………7", "… 7"])
@pytest.mark.parametrize("kind", ["logs", "JSON", "prose", "search", "tables", "diffs"])
def test_a_text_cannot_say_that_something_is_missing(kind: str, made_up: str) -> None:
    sample = next(sample for sample in SAMPLES if sample.family == kind and sample.name not in ("numbers", "page"))
    text = "\n".join([f"{line}\n{made_up} failed" for line in sample.text.split("\n")][:400]) + sample.text
    result = Made(EAGER).router.compress(text, level="aggressive")
    marker = read(result.text)
    assert marker is not None
    assert missing(result.text) in (
        [marker.left_out] if result.crusher != "diff_compressor" else range(marker.left_out + 1)
    )


@pytest.mark.parametrize(("level", "least"), [("lossless", 0.35), ("auto", 0.82), ("aggressive", 0.91)])
def test_so_much_is_saved_of_all_samples_together(made: Made, level: Level, least: float) -> None:
    results = [made.compress(sample, level) for sample in SAMPLES]
    before, after = (sum(getattr(result, name) for result in results) for name in ("tokens_before", "tokens_after"))
    assert 1 - after / before >= least


@pytest.mark.parametrize(("level", "least"), [("lossless", 0.18), ("auto", 0.7)])
def test_so_much_is_saved_of_what_a_shell_prints(made: Made, level: Level, least: float) -> None:
    results = [made.compress(sample, level) for sample in SAMPLES if sample.family == "shell"]
    before, after = (sum(getattr(result, name) for result in results) for name in ("tokens_before", "tokens_after"))
    assert 1 - after / before >= least


@of_samples
def test_reads_of_files_and_skills_are_exact(made: Made, sample: Sample) -> None:
    for tool in ("Read", "fs__read_file", "skills.load_skill"):
        result = made.router.compress(sample.text, tool=tool, level="aggressive")
        assert (result.text, result.reason) == (sample.text, "excluded tool")


def test_source_and_rules_are_left_alone(made: Made) -> None:
    for sample in SAMPLES:
        if sample.family == "left alone":
            assert made.compress(sample, "aggressive").level == "off"


def test_every_changed_line_of_a_diff_stays(made: Made) -> None:
    for sample in SAMPLES:
        if sample.name == "changes":
            kept = made.compress(sample, "aggressive").text.split("\n")
            assert [line for line in kept if line[:1] in "+-"] == [
                line for line in sample.text.split("\n") if line and line[0] in "+-"
            ]


@often
@given(
    text=anything, level=st.sampled_from(LEVELS), query=st.sampled_from(["", "what failed?", "alpha 17", "17 beta?"])
)
def test_the_laws_hold_for_any_text(text: str, level: Level, query: str) -> None:
    made = Made(EAGER)
    sample = Sample("any", "any", text, query)
    result = made.compress(sample, level)
    assert len(result.text.encode("utf-8", "surrogatepass")) <= len(text.encode("utf-8", "surrogatepass"))
    assert result.tokens_after <= result.tokens_before
    if result.reason != "compressed already":
        assert made.original(result) == text
    assert made.compress(replace(sample, text=result.text), level).text == result.text
    assert Made(EAGER).compress(sample, level).text == result.text


@often
@given(
    text=st.text(max_size=200),
    lead=st.sampled_from(
        ["[woollama lossless 00000000] x\n", "[woollama: 1 of 2 rows left out, ref " + "0" * 32 + "]\n"]
    ),
)
def test_what_only_looks_like_ours_is_left_as_it_is(text: str, lead: str) -> None:
    result = Made(EAGER).compress(Sample("lookalike", "any", lead + text * 3), "aggressive")
    assert (result.text, result.refs) == (lead + text * 3, ())


def test_any_counter_can_be_in_force_and_is_named() -> None:
    letters = Counter("letters", len)
    result = Made().router.compress(SAMPLES[0].text, level="auto", counter=letters)
    assert result.counter == "letters"
    assert (result.tokens_before, result.tokens_after) == (len(SAMPLES[0].text), len(result.text))


def test_results_do_not_depend_on_the_process() -> None:
    program = (
        "import hashlib, sys; sys.path.insert(0, '.')\n"
        "from bench.tool_output import samples\n"
        "from woollama.compression import ContentRouter, SqlOriginals\n"
        "router = ContentRouter(originals=SqlOriginals())\n"
        "for level in ('lossless', 'auto'):\n"
        "    for s in list(samples(3))[::3]:\n"
        "        made = router.compress(s.text, query=s.query, tool=s.tool, level=level)\n"
        "        print(level, s.name, hashlib.sha256(made.text.encode('utf-8', 'surrogatepass')).hexdigest())\n"
    )
    outputs = {
        subprocess.run(
            [sys.executable, "-c", program], env={"PYTHONHASHSEED": seed}, capture_output=True, text=True, check=True
        ).stdout
        for seed in ("1", "77")
    }
    assert len(outputs) == 1
    assert len(outputs.pop().splitlines()) > 20


def test_without_a_store_nothing_is_left_out() -> None:
    router = ContentRouter()
    for sample in SAMPLES:
        result = router.compress(sample.text, query=sample.query, tool=sample.tool, level="aggressive")
        assert result.level in ("off", "lossless")
        assert restore(result.text) == sample.text


def test_a_full_store_means_that_nothing_is_left_out() -> None:
    router = ContentRouter(originals=SqlOriginals(max_bytes=0))
    sample = next(sample for sample in SAMPLES if sample.name == "build")
    result = router.compress(sample.text, query=sample.query, level="auto")
    assert (result.level, result.refs) == ("lossless", ())
    assert result.reason == "lossless, the original could not be stored"
    assert restore(result.text) == sample.text


@pytest.mark.parametrize(
    ("own", "asked", "level"),
    [
        *[("aggressive", asked, level) for asked, level in (("off", "off"), ("lossless", "lossless"))],
        *[("lossless", asked, level) for asked, level in (("off", "off"), ("aggressive", "lossless"))],
        *[("off", asked, "off") for asked in ("lossless", "auto", "aggressive")],
        *[("aggressive", "auto", "aggressive"), ("auto", "aggressive", "auto")],
    ],
)
def test_a_tool_has_its_own_level_but_never_more_than_who_asks_can_have_back(
    own: Level, asked: Level, level: Level
) -> None:
    router = ContentRouter(Policy(tools={"*": own}), SqlOriginals())
    sample = next(sample for sample in SAMPLES if sample.name == "build")
    result = router.compress(sample.text, query=sample.query, level=asked)
    assert result.level == level
    assert bool(result.refs) is (level in ("auto", "aggressive"))


def test_switched_off_nothing_is_touched() -> None:
    router = ContentRouter(Policy(enabled=False), SqlOriginals())
    for sample in SAMPLES:
        assert router.compress(sample.text, level="aggressive").reason == "disabled"


def test_without_markers_nothing_is_left_out() -> None:
    router = ContentRouter(Policy(inject_retrieval_marker=False), SqlOriginals())
    sample = next(sample for sample in SAMPLES if sample.name == "documents")
    result = router.compress(sample.text, level="aggressive")
    assert result.level == "lossless"
    assert result.reason == "lossless, nothing may be left out"
