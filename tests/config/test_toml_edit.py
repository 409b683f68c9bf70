"""One entry more or less, and every other character as it was."""

from __future__ import annotations

import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from woollama.config.toml_edit import CannotEdit, with_entry, without_entry

FAST = ("aliases", "fast")
NEW = ("recipes", "new")
RECIPE = {"inferencer": "a/b", "system": 'Be "brief".\nAlways.', "tools": ["x.*"]}


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("", '[aliases]\nfast = "a/b"\n'),
        ("# mine\n", '# mine\n\n[aliases]\nfast = "a/b"\n'),
        ("# mine", '# mine\n\n[aliases]\nfast = "a/b"\n'),
        ("[aliases]", '[aliases]\nfast = "a/b"\n'),
        (
            '[aliases]\nx = "y"  # why\n\n# about r\n[recipes.r]\ninferencer = "y"\n',
            '[aliases]\nx = "y"  # why\nfast = "a/b"\n\n# about r\n[recipes.r]\ninferencer = "y"\n',
        ),
        ("[ aliases ] # names\r\n", '[ aliases ] # names\r\nfast = "a/b"\r\n'),
        ('aliases.x = "y" # one\n[recipes.r]\n', 'aliases.x = "y" # one\naliases.fast = "a/b"\n[recipes.r]\n'),
        (
            '[aliases]\nx = """\n[recipes.no]\n# no"""\n#end\n',
            '[aliases]\nx = """\n[recipes.no]\n# no"""\nfast = "a/b"\n#end\n',
        ),
        ('aliases = { x = "y" }\n', '[aliases]\nx = "y"\nfast = "a/b"\n'),  # no comments: it may be written anew
    ],
)
def test_an_alias_is_put_where_it_can_stand(before: str, after: str) -> None:
    assert with_entry(before, FAST, "a/b") == after


@pytest.mark.parametrize(
    "before",
    [
        "",
        "# only a comment",
        '[recipes.old]\ninferencer = "x"\n\n[aliases]\nx = "y" # z',
        'recipes.old.inferencer = "x"  # dotted\n',
        '[recipes]\nold = { inferencer = "x" } # inline\n',
        '[recipes.old.variables.v]\ndefault = "d" # deep\n',
        '[recipes.old]\r\ninferencer = "x" # CRLF\r\n',
    ],
)
def test_a_recipe_is_appended_and_all_else_stays(before: str) -> None:
    after = with_entry(before, NEW, RECIPE)
    assert after.startswith(before)
    wanted = tomllib.loads(before)
    wanted.setdefault("recipes", {})["new"] = RECIPE
    assert tomllib.loads(after) == wanted
    assert ("\r\n" in before) == ("\r\n" in after)
    assert without_entry(after, NEW).strip() == before.strip()


@pytest.mark.parametrize(
    ("before", "path", "value", "by_hand"),
    [
        ('aliases = { x = "y" } # closed\n', FAST, "a/b", '[aliases]; fast = "a/b"'),
        ('recipes = { x = { inferencer = "y" } } # closed\n', NEW, {"inferencer": "y"}, "[recipes.new]; inferencer"),
    ],
)
def test_what_cannot_be_appended_is_said_word_for_word(
    before: str, path: tuple[str, str], value: object, by_hand: str
) -> None:
    with pytest.raises(CannotEdit) as raised:
        with_entry(before, path, value)
    assert by_hand in str(raised.value)


OLD = ("recipes", "old")


@pytest.mark.parametrize(
    ("path", "before", "after"),
    [
        (FAST, '[aliases]\n# quick\nfast = "a" # f\nx = "y" # x\n', '[aliases]\n# quick\nx = "y" # x\n'),
        (FAST, '[aliases]\n"fast" = """\na\nb""" # f\nx = "y"\n', '[aliases]\nx = "y"\n'),
        (FAST, '# top\naliases.fast = "a"\naliases.x = "y"\n', '# top\naliases.x = "y"\n'),
        (
            OLD,
            '# 1\n[recipes.old] # o\ninferencer = "x"\n# in it\ntools = [\n  "a.*", # t\n]\n\n# two\n[recipes.b]\n',
            "# 1\n\n# two\n[recipes.b]\n",
        ),
        (
            OLD,
            '[recipes.b]\n\n[recipes.old]\ninferencer="x"\n\n[recipes.old.variables.v]\n# v\na="d"\n\n[aliases]\n',
            "[recipes.b]\n\n[aliases]\n",
        ),
        (
            OLD,
            '[recipes.old]\nsystem = """\n[recipes.b]\n# no comment"""\n# after\n[recipes.b]\n',
            "# after\n[recipes.b]\n",
        ),
        (
            OLD,
            '[recipes]\nold = { inferencer = "x" } # o\nb = { inferencer = "y" }\n',
            '[recipes]\nb = { inferencer = "y" }\n',
        ),
        (OLD, 'recipes.old.inferencer = "x" # 1\nrecipes.b.inferencer = "y" # 2\n', 'recipes.b.inferencer = "y" # 2\n'),
    ],
)
def test_exactly_its_lines_are_cut(path: tuple[str, str], before: str, after: str) -> None:
    assert without_entry(before, path) == after


def test_what_cannot_be_cut_is_said_with_its_line() -> None:
    with pytest.raises(CannotEdit, match="by hand: line 2"):
        without_entry('# c\naliases = { fast = "a", x = "y" }\n', FAST)


def test_what_is_not_there_cannot_be_taken_out() -> None:
    with pytest.raises(KeyError):
        without_entry("[aliases]\n", FAST)


names = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), min_size=1, max_size=8)


@given(name=names, target=names, others=st.dictionaries(names, names, max_size=3))
def test_any_name_goes_in_and_out_again(name: str, target: str, others: dict[str, str]) -> None:
    others.pop(name, None)
    text = "# mine\n[aliases]\n"
    for each, value in others.items():
        text = with_entry(text, ("aliases", each), value)
    more = with_entry(text, ("aliases", name), target)
    assert tomllib.loads(more) == {"aliases": {**others, name: target}}
    assert without_entry(more, ("aliases", name)) == text
