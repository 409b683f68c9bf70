"""Forms are only read for where their small fields lie, whatever pieces they arrive in."""

from __future__ import annotations

import pytest

from woollama.domain.errors import BadRequest
from woollama.surfaces.form import VALUE_LIMIT_BYTES, FormScanner

TYPE = "multipart/form-data; boundary=xyz"


def part(name: str, value: bytes, *, filename: str | None = None) -> bytes:
    file = f'; filename="{filename}"\r\nContent-Type: audio/wav' if filename else ""
    return f'--xyz\r\nContent-Disposition: form-data; name="{name}"{file}\r\n\r\n'.encode() + value + b"\r\n"


END = b"--xyz--\r\n"
FILE_FIRST = part("file", b"RIFF\r\n--xy\r\n\0\xff" * 50, filename="a.wav") + part("model", b"mock/whisper") + END


def scanned(body: bytes, *, step: int = 0, content_type: str = TYPE) -> FormScanner:
    scanner = FormScanner(content_type, ("model", "stream"))
    for begin in range(0, len(body), step or len(body) or 1):
        scanner.feed(body[begin : begin + (step or len(body))])
    scanner.close()
    return scanner


@pytest.mark.parametrize("step", [1, 2, 7, 64, 0])
def test_the_model_is_found_after_the_file_in_whatever_pieces_the_body_comes(step: int):
    field = scanned(FILE_FIRST, step=step).fields["model"]
    assert field.text == "mock/whisper"
    assert FILE_FIRST[field.begin : field.end] == b"mock/whisper"


@pytest.mark.parametrize("step", [1, 0])
def test_the_model_may_be_the_first_or_empty(step: int):
    assert scanned(part("model", b"m") + part("file", b"x", filename="f") + END, step=step).fields["model"].begin == (
        len(part("model", b"")) - 2
    )
    assert scanned(part("model", b"") + END, step=step).fields["model"].text == ""


def test_a_form_without_the_field_is_a_form():
    assert scanned(part("prompt", b"model") + END).fields == {}
    assert scanned(END).fields == {}


def test_a_file_name_cannot_pose_as_a_field():
    body = part("file", b"x", filename='a\\"; name=\\"model') + END
    assert scanned(body).fields == {}


@pytest.mark.parametrize("name", ['name="model"', "name=model", 'filename="m"; name="model"', 'NAME="model"'])
def test_field_names_are_read_as_clients_spell_them(name: str):
    body = f"--xyz \r\nX: y\r\ncontent-disposition: form-data; {name}\r\n\r\nm\r\n".encode() + END
    assert scanned(body).fields["model"].text == "m"


def test_a_boundary_may_be_quoted():
    assert scanned(FILE_FIRST, content_type='multipart/form-data; charset=utf-8; boundary="xyz"').fields["model"]


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (part("model", b"a") + part("model", b"b") + END, "twice"),
        (part("model", b"\xff") + END, "UTF-8"),
        (part("model", b"a" * (VALUE_LIMIT_BYTES + 1)) + END, "longer than"),
        (part("model", b"a"), "cut short"),
        (b"", "cut short"),
        (b'{"model": "m"}', "cut short"),
        (FILE_FIRST.replace(b"\r\n", b"\n"), "cut short"),
        (b"--xyz tail\r\n\r\nvalue\r\n" + END, "inside a line"),
        (b"--xyz\r\n" + b"x" * 20_000, "no end of its head"),
    ],
)
def test_what_is_no_sound_form_is_refused_by_name(body: bytes, said: str):
    for step in (1, 0):
        with pytest.raises(BadRequest, match=said):
            scanned(body, step=step)


def test_a_form_must_name_its_boundary():
    with pytest.raises(BadRequest, match="boundary"):
        FormScanner("multipart/form-data", ())
