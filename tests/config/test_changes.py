"""What another configuration changes, and what of it waits for the owner when only a file has changed."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from woollama.config.changes import Change, cautious, changes
from woollama.config.model import Config, Door, Inferencer, Limits, Recipe, ToolServer

GIT = ToolServer("git", command="git-server", args=("--safe",))
WEB = ToolServer("web", "http", url="https://mcp.example", headers={"authorization": "Bearer s3cret"})
OPEN = ToolServer("open", "http", url="https://open.example")
BOX = Inferencer("box", base_url="http://127.0.0.1:1/v1", api_key_env="BOX_KEY")
FREE = Inferencer("free", base_url="http://127.0.0.1:2/v1")
CLERK = Recipe("clerk", "box/m", tools=("git.log",), private=True)
NEAR = Inferencer("near", base_url="http://127.0.0.1:4/v1", local=True)
CLAUDE = Inferencer("claude", api="claude-code")
PLAIN = Recipe("plain", "box/m", system="You have no tools.")
QUIET = Recipe("quiet", "woollama/clerk", tools=(), written=frozenset({"tools"}))
BEFORE = Config(
    aliases={"fast": "box/m", "office": "woollama/clerk"},
    recipes={"clerk": CLERK, "plain": PLAIN, "quiet": QUIET},
    inferencers={"box": BOX, "free": FREE, "near": NEAR, "claude": CLAUDE},
    servers={"git": GIT, "web": WEB, "open": OPEN},
)


def with_entry(entry: Any) -> Config:
    """`BEFORE` with this entry added, or in the place of the one of its name."""
    table = {Recipe: "recipes", Inferencer: "inferencers", ToolServer: "servers"}[type(entry)]
    return replace(BEFORE, **{table: {**getattr(BEFORE, table), entry.name: entry}})


def test_changes_are_told_by_entry_in_the_order_of_the_tables() -> None:
    recipes = {**BEFORE.recipes, "clerk": replace(CLERK, system="x")}
    after = replace(BEFORE, aliases={"office": "woollama/clerk", "slow": "box/m"}, limits=Limits(1), recipes=recipes)
    assert changes(BEFORE, after) == [
        Change("alias", "fast", "removed"),
        Change("alias", "slow", "added"),
        Change("recipe", "clerk", "changed"),
        Change("section", "limits", "changed"),
    ]
    assert changes(BEFORE, BEFORE) == []


HARMLESS = [
    replace(CLERK, system="Be brief.", params=replace(CLERK.params, temperature=0.1)),
    replace(CLERK, tools=()),
    Recipe("new", "box/m", system="You are new."),
    replace(FREE, base_url="http://127.0.0.1:3/v1"),
    replace(BOX, retries=5, model_patterns=("a*",)),
    replace(CLAUDE, queue_max=5),
    Inferencer("new", api="claude-code"),
    replace(PLAIN, inferencer="quiet"),
    replace(QUIET, inferencer="box/m", private=True),
    replace(GIT, timeout_s=5.0),
    replace(GIT, disabled=True),
    replace(OPEN, url="https://elsewhere.example"),
    ToolServer("new", "http", url="https://new.example"),
]


@pytest.mark.parametrize("entry", HARMLESS, ids=repr)
def test_what_gains_nothing_takes_effect(entry: Any) -> None:
    after = with_entry(entry)
    assert cautious(BEFORE, after) == (after, ())


RISKY = [
    (replace(GIT, args=("--unsafe",)), "would start another command"),
    (replace(GIT, env={"LD_PRELOAD": "evil.so"}), "would start another command"),
    (replace(GIT, cwd="/elsewhere"), "would start another command"),
    (ToolServer("new", command="anything"), "would start another command"),
    (replace(WEB, url="https://elsewhere.example"), "would send its headers to another address"),
    (replace(WEB, headers={"authorization": "Bearer another"}), "would send its headers to another address"),
    (replace(OPEN, headers={"x-api-key": "k"}), "would send its headers to another address"),
    (replace(GIT, trusted=True), "would change what may be called without asking"),
    (ToolServer("new", "http", url="https://new.example", trusted=True), "would change what may be called"),
    (replace(BOX, base_url="https://elsewhere.example"), "would send a key to another address"),
    (replace(BOX, api_key_env="ANOTHER_KEY"), "would send a key to another address"),
    (replace(FREE, api_key_env="BOX_KEY"), "would send a key to another address"),
    (replace(FREE, local=True), "would get what private recipes say"),
    (replace(NEAR, base_url="http://127.0.0.1:5/v1"), "would get what private recipes say"),
    (replace(CLAUDE, env={"PATH": "/elsewhere"}), "would start its program with other variables"),
    (Inferencer("new", api="claude-code", env={"ANTHROPIC_BASE_URL": "https://elsewhere.example"}), "would start its"),
    (
        replace(FREE, api="claude-code", base_url="", env={"NODE_OPTIONS": "--require evil.js"}),
        "would start its program",
    ),
    (replace(CLERK, tools=("git.log", "git.push")), "would be allowed further tools"),
    (Recipe("new", "woollama/clerk"), "would be allowed further tools"),
    (replace(PLAIN, inferencer="clerk"), "would be allowed further tools"),
    (replace(PLAIN, inferencer="office"), "would be allowed further tools"),
    (replace(CLERK, confirm_by="client"), "would change what is asked before"),
    (replace(QUIET, inferencer="box/m"), "would not be private any more"),
    (Recipe("new", "box/m", tools=("*",)), "would be allowed further tools"),
    (replace(CLERK, private=False), "would not be private any more"),
]


@pytest.mark.parametrize(("entry", "why"), RISKY, ids=lambda value: repr(value)[:60])
def test_what_gains_something_waits_and_the_old_entry_stays(entry: Any, why: str) -> None:
    in_force, pending = cautious(BEFORE, with_entry(entry))
    assert in_force == BEFORE
    assert [(each.name, each.why.startswith(why)) for each in pending] == [(entry.name, True)]


def test_who_may_connect_waits_and_limits_do_not() -> None:
    after = replace(BEFORE, door=Door(any_local_user=True), limits=Limits(1))
    in_force, pending = cautious(BEFORE, after)
    assert in_force == replace(BEFORE, limits=Limits(1))
    assert [(each.what, each.name) for each in pending] == [("section", "server")]


def test_what_is_taken_out_is_gone_at_once() -> None:
    after = Config(inferencers={"box": BOX})
    assert cautious(BEFORE, after) == (after, ())


def test_what_was_taken_out_and_comes_back_is_held_against_what_the_owner_has_said() -> None:
    """Else two changes would do what one may not."""
    guarded = replace(OPEN, deny=("wipe",))
    owners = replace(BEFORE, servers={"open": guarded})
    without = replace(owners, servers={}, recipes={})
    assert cautious(owners, without, owners) == (without, ())
    back = replace(owners, servers={"open": OPEN}, recipes={"clerk": replace(CLERK, private=False)})
    in_force, pending = cautious(without, back, owners)
    assert in_force == without
    assert [str(each) for each in pending] == [
        "recipe 'clerk' would not be private any more",
        "tool server 'open' would change what may be called without asking",
    ]
    again = replace(owners, recipes={"clerk": CLERK})
    assert cautious(without, again, owners) == (again, ())
