"""What tells which units matter: words of failure, closeness to a question, numbers that stand out, rare values."""

from __future__ import annotations

import random
from collections.abc import Sequence

import pytest

from woollama.compression import Bm25Scorer, ContentRouter, EmbeddingScorer, HybridScorer, SqlOriginals
from woollama.compression.columns import columns_of, odd_ones, summary_of
from woollama.compression.outliers import standing_out
from woollama.compression.relevance import answers, terms_of
from woollama.compression.severity import errors_and_warnings, tells_of_error
from woollama.compression.tokens import ESTIMATE, counter_for, estimate


@pytest.mark.parametrize(
    "text",
    [
        "AssertionError: x", "panic_error_handler.py", "job FAILED", "2 failed, 3 passed", "failures=2",
        '{"error": "x"}',
        "java.lang.OutOfMemoryError: Metaspace", "connection refused", "CrashLoopBackOff", "error TS2339: Property",
        "Verbindungsfehler beim Lesen", "Ошибка: нет доступа", "严重: 数据库", "échec de la connexion", "エラーが発生",
    ],
)  # fmt: skip
def test_it_tells_of_an_error(text: str) -> None:
    assert tells_of_error(text)


@pytest.mark.parametrize(
    "text",
    ["0 errors", "no errors found", '"error": null', "error_count: 0", "failures=0", "err=nil", "ErrorHandler ready",
     "terror", "mirror", "failover ready", "all tests passed"],
)  # fmt: skip
def test_it_tells_of_none(text: str) -> None:
    assert not tells_of_error(text)


def test_a_warning_is_not_an_error() -> None:
    assert errors_and_warnings(["WARN slow", "deprecated option", "fine", "ERROR"]) == ([3], [0, 1])


def test_a_letter_that_becomes_two_in_lower_case_shifts_nothing() -> None:
    assert errors_and_warnings(["İİİİİİİİ ok", "ok", "error"]) == ([2], [])


def test_questions_look_for_their_rare_words() -> None:
    texts = [f"The gate {i} is open" for i in range(50)] + ["The sluice gate 7 is shut"]
    assert answers(Bm25Scorer(), "Why is the sluice gate shut?", texts) == [50]
    assert answers(Bm25Scorer(), "the and of", texts) == []
    assert answers(Bm25Scorer(), "", texts) == []
    assert "数据" in terms_of("数据库在哪里？")


def test_of_a_long_question_the_beginning_and_the_end_are_looked_for() -> None:
    brought = " ".join(f"w{number}" for number in range(100_000))
    terms = terms_of(f"Why is the sluice shut? {brought} Is it the gate?")
    assert {"sluice", "gate"} <= set(terms)
    assert len(terms) < 1000


def test_a_scorer_of_ones_own_decides() -> None:
    class Last:
        def score(self, query: str, texts: Sequence[str]) -> Sequence[float]:
            return [float(index == len(texts) - 8) for index in range(len(texts))]

    lines = [f"{i} INFO stored object {i * 7919 % 9973}" for i in range(4000)]
    with_it = ContentRouter(originals=SqlOriginals(), scorer=Last()).compress(
        "\n".join(lines), query="x", level="aggressive"
    )
    without = ContentRouter(originals=SqlOriginals()).compress("\n".join(lines), query="x", level="aggressive")
    assert lines[-8] in with_it.text
    assert lines[-8] not in without.text


def test_a_scorer_that_miscounts_is_told() -> None:
    class Short:
        def score(self, query: str, texts: Sequence[str]) -> Sequence[float]:
            return [1.0]

    with pytest.raises(ValueError, match="gave 1 scores for 2 texts"):
        answers(Short(), "x", ["a", "b"])


def test_meaning_and_words_are_weighed_together() -> None:
    def embed(texts: Sequence[str]) -> list[list[float]]:
        return [[float("cat" in text or "feline" in text), float("dog" in text), 0.1] for text in texts]

    meaning = EmbeddingScorer(embed)
    texts = ["a feline sleeps", "a dog barks", "nothing"]
    assert answers(meaning, "where is the cat", texts) == [0]
    assert answers(HybridScorer(meaning), "where is the cat that barks", texts)[:2] == [1, 0]


def test_without_a_model_of_meaning_it_is_said_what_to_install() -> None:
    try:
        import fastembed  # noqa: F401
    except ImportError:
        with pytest.raises(ValueError, match="pip install fastembed"):
            EmbeddingScorer()


def test_outliers_are_looked_for_within_a_level() -> None:
    r = random.Random(1)
    values = [40 + r.gauss(0, 2) for _ in range(500)] + [130 + r.gauss(0, 2) for _ in range(300)]
    values[77] = 90.0
    values[700] = 90.0
    outliers, changes = standing_out(values)
    assert {77, 700} <= set(outliers)
    assert len(outliers) <= 8
    assert changes == [499, 500]


def test_numbers_without_order_have_no_outliers() -> None:
    r = random.Random(2)
    assert standing_out([r.random() for _ in range(500)]) == ([], [])
    assert standing_out([float(i) for i in range(500)])[0] == []
    assert standing_out([1.0] * 500) == ([], [])


def test_rare_shapes_and_values_are_found() -> None:
    rows = [{"id": i, "state": "ok"} for i in range(300)]
    rows[40]["state"] = "lost"
    rows[90]["note"] = "x"
    _, _, rare = odd_ones(rows, columns_of(rows))
    assert sorted(rare) == [40, 90]
    assert summary_of(columns_of(rows), [40, 90]) == "id 0 to 299; state always ok"


def test_a_long_text_is_estimated_by_pieces() -> None:
    text = "The quick brown fox jumps over the lazy dog. " * 4000
    assert abs(estimate(text) - 40_000) < 4000
    assert estimate("") == 0
    assert counter_for("ollama/qwen3") is ESTIMATE
