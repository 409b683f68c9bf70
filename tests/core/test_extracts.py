"""The sentences that stand in for a summary."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from woollama.core.extracts import extract, sentences_of, speaks_of

SMALL_TALK = "Well, let us think about it for a while then, and look at it from all sides."


def test_facts_are_kept_before_small_talk_and_in_their_order() -> None:
    texts = [f"{SMALL_TALK} My name is Zed.", f"{SMALL_TALK}", "The code of the door is 7319. Fine, fine!"]
    assert extract(texts, 50) == ["My name is Zed.", "The code of the door is 7319."]


def test_what_is_said_twice_counts_once() -> None:
    assert extract(["The code is 7319."] * 5, 1000) == ["The code is 7319."]


def test_a_line_ends_a_sentence_and_a_point_in_a_number_or_a_name_does_not() -> None:
    text = "Version 3.11 of mail.example.com\nis out! And? Yes."
    assert list(sentences_of(text)) == ["Version 3.11 of mail.example.com", "is out!", "And?", "Yes."]


@given(st.text(max_size=300))
def test_no_word_is_lost_between_sentences(text: str) -> None:
    assert " ".join(sentences_of(text)).split() == text.split()


def test_a_summary_speaks_of_what_it_sums_up() -> None:
    texts = ["The deadline of the project Kestrel is Friday, said Ada."]
    assert speaks_of("Ada: the deadline of Kestrel is Friday", texts)
    assert not speaks_of("I am a helpful assistant, what would you like?", texts)
    assert not speaks_of("7 + 7", texts)


@given(st.lists(st.text(max_size=200), max_size=6), st.integers(0, 300))
def test_it_always_fits_and_invents_nothing(texts: list[str], chars: int) -> None:
    kept = extract(texts, chars)
    assert len("\n".join(kept)) <= chars
    said = list(dict.fromkeys(each for text in texts for each in sentences_of(text)))
    assert [each for each in said if each in kept] == kept
