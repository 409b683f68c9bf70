from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from woollama.domain.messages import Image, Message, Sealed, Text

INFERENCER_NAMES = st.from_regex(r"[A-Za-z0-9_.-]{1,20}", fullmatch=True)


@given(data=st.text(), made_by=INFERENCER_NAMES)
def test_sealed_bytes_come_back_from_a_client_with_their_maker(data: str, made_by: str) -> None:
    sealed = Sealed(data, made_by)
    assert Sealed.from_wire(sealed.to_wire()) == sealed


def test_bytes_that_never_passed_through_us_have_no_known_maker_and_stay_as_they_are() -> None:
    sealed = Sealed.from_wire("EqQBCkYICRgCKkDvW2k3/+A=")
    assert sealed == Sealed("EqQBCkYICRgCKkDvW2k3/+A=", made_by="")
    assert sealed.to_wire() == "EqQBCkYICRgCKkDvW2k3/+A="


def test_what_only_looks_like_ours_is_kept_whole() -> None:
    assert Sealed.from_wire("woollama:no-second-colon") == Sealed("woollama:no-second-colon", "")


def test_the_text_of_a_message_is_that_of_its_text_parts() -> None:
    assert Message("user", (Text("Look: "), Image("https://example.com/a.png"), Text("nice?"))).text == "Look: nice?"
