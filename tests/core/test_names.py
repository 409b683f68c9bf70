"""What a client may write as `model`, and who answers then."""

from __future__ import annotations

import pytest

from woollama.core.catalog import Catalog, Source
from woollama.core.names import Names, Route
from woollama.core.recipes import Recipe
from woollama.domain.errors import BadRequest, Forbidden, UnknownModel
from woollama.domain.turns import EVERYTHING, Params, Scope, Target


def names(
    *recipes: Recipe, aliases: dict[str, str] | None = None, models: dict[str, tuple[str, ...]] | None = None
) -> Names:
    models = models or {"ollama": ("qwen3:14b", "shared"), "openai": ("gpt-4o", "shared"), "local": ("smollm2",)}
    return Names(
        inferencers=models,
        recipes={recipe.name: recipe for recipe in recipes},
        aliases=aliases or {},
        catalog=Catalog({name: Source(listed) for name, listed in models.items()}),
        local=("local", "ollama"),
    )


ASSISTANT = Recipe("assistant", "ollama/qwen3:14b", system="Be brief.")


def test_an_inferencer_and_its_model_are_split_at_the_first_slash() -> None:
    assert names().resolve("openai/org/model", EVERYTHING) == Route(
        "openai/org/model", (Target("openai", "org/model"),)
    )


def test_a_model_need_not_be_known_when_its_inferencer_is() -> None:
    assert names().resolve("ollama/just-pulled", EVERYTHING).targets == (Target("ollama", "just-pulled"),)


def test_a_recipe_is_found_by_its_full_and_by_its_bare_name() -> None:
    for name in ("woollama/assistant", "assistant"):
        assert names(ASSISTANT).resolve(name, EVERYTHING) == Route(name, (Target("ollama", "qwen3:14b"),), ASSISTANT)


def test_a_bare_model_is_found_when_exactly_one_inferencer_has_it() -> None:
    assert names().resolve("gpt-4o", EVERYTHING).targets == (Target("openai", "gpt-4o"),)


def test_a_bare_model_of_two_inferencers_is_not_guessed() -> None:
    with pytest.raises(UnknownModel, match=r"several inferencers .* 'shared'.*: ollama/shared, openai/shared"):
        names().resolve("shared", EVERYTHING)


@pytest.mark.parametrize(
    ("name", "target"),
    [
        ("woollama/assistant:latest", "ollama/qwen3:14b"),
        ("assistant:latest", "ollama/qwen3:14b"),
        ("alias:latest", "openai/gpt-4o"),
        ("gpt-4o:latest", "openai/gpt-4o"),
        ("openai/gpt-4o:latest", "openai/gpt-4o"),
        ("tagged", "ollama/tagged:latest"),
        ("tagged:latest", "ollama/tagged:latest"),
        ("ollama/tagged:latest", "ollama/tagged:latest"),
        ("ollama/tagged", "ollama/tagged"),
        ("ollama/just-pulled:latest", "ollama/just-pulled:latest"),
    ],
)
def test_the_tag_of_ollamas_clients_stands_for_none(name: str, target: str) -> None:
    models = {"ollama": ("qwen3:14b", "tagged:latest"), "openai": ("gpt-4o",)}
    resolver = names(ASSISTANT, aliases={"alias": "openai/gpt-4o"}, models=models)
    assert [str(each) for each in resolver.resolve(name, EVERYTHING).targets] == [target]


def test_a_tag_makes_no_model_of_nothing() -> None:
    with pytest.raises(UnknownModel, match="nothing:latest"):
        names().resolve("nothing:latest", EVERYTHING)


def test_an_alias_comes_first_even_if_it_looks_like_an_address() -> None:
    resolver = names(
        ASSISTANT, aliases={"gpt-4o": "default", "default": "woollama/assistant", "openai/x": "local/smollm2"}
    )
    assert resolver.resolve("gpt-4o", EVERYTHING) == Route("gpt-4o", (Target("ollama", "qwen3:14b"),), ASSISTANT)
    assert resolver.resolve("openai/x", EVERYTHING).targets == (Target("local", "smollm2"),)


def test_an_alias_may_wrap_the_name_that_it_shadows() -> None:
    resolver = names(aliases={"openai/gpt-4o": "openai/gpt-4o"})
    assert resolver.resolve("openai/gpt-4o", EVERYTHING).targets == (Target("openai", "gpt-4o"),)


@pytest.mark.parametrize("model", [None, "", "  ", 7, True, ["ollama/x"], {"id": "x"}, "ollama/a\0", "a\r\nb"])
def test_what_is_no_name_is_a_bad_request_that_names_the_parameter(model: object) -> None:
    with pytest.raises(BadRequest) as caught:
        names().resolve(model, EVERYTHING)
    assert caught.value.param == "model"


@pytest.mark.parametrize(
    ("typed", "nearest"),
    [
        ("gpt-4", "gpt-4o"),
        ("woollama/asistant", "woollama/assistant"),
        ("olama/qwen3:14b", "ollama/qwen3:14b"),
        ("qwen3", "qwen3:14b"),
    ],
)
def test_an_unknown_name_is_a_404_with_the_nearest_names(typed: str, nearest: str) -> None:
    with pytest.raises(UnknownModel) as caught:
        names(ASSISTANT).resolve(typed, EVERYTHING)
    assert caught.value.code == "model_not_found"
    assert f"there is no model {typed!r}" in caught.value.message
    assert nearest in caught.value.message.partition("; the nearest are ")[2].split(", ")


def test_a_name_that_a_recipe_and_a_model_have_is_told_once() -> None:
    with pytest.raises(UnknownModel) as caught:
        names(Recipe("qwen3:14b", "openai/x")).resolve("/qwen3:14b", EVERYTHING)
    nearest = caught.value.message.partition("; the nearest are ")[2].split(", ")
    assert nearest.count("qwen3:14b") == 1


@pytest.mark.parametrize("model", ["ollama/", "/x", "woollama/", "woollama", "nobody"])
def test_half_an_address_is_an_unknown_model(model: str) -> None:
    with pytest.raises(UnknownModel):
        names(ASSISTANT).resolve(model, EVERYTHING)


def test_an_endless_name_is_not_repeated_whole() -> None:
    with pytest.raises(UnknownModel) as caught:
        names().resolve("x" * 1_000_000, EVERYTHING)
    assert len(caught.value.message) < 1000


def test_fallbacks_follow_the_recipes_own_target_without_doubles() -> None:
    recipe = Recipe("r", "ollama/a", fallbacks=("openai/b", "ollama/a", "local/smollm2"))
    assert names(recipe).resolve("r", EVERYTHING).targets == (
        Target("ollama", "a"),
        Target("openai", "b"),
        Target("local", "smollm2"),
    )


def test_a_fallback_that_leads_nowhere_does_not_take_the_recipe_along() -> None:
    recipe = Recipe("r", "ollama/a", fallbacks=("gone/b",))
    resolver = names(recipe)
    assert resolver.resolve("r", EVERYTHING).targets == (Target("ollama", "a"),)


def test_a_recipe_over_a_recipe_is_one_recipe() -> None:
    outer = Recipe("poet", "woollama/assistant", system="Rhyme.", params=Params(temperature=1.0))
    route = names(ASSISTANT, outer).resolve("poet", EVERYTHING)
    assert route.targets == (Target("ollama", "qwen3:14b"),)
    assert route.recipe is not None
    assert (route.recipe.name, route.recipe.system) == ("poet", "Be brief.\n\nRhyme.")


def test_recipes_in_a_circle_are_told_and_never_loop() -> None:
    resolver = names(Recipe("a", "woollama/b"), Recipe("b", "again"), aliases={"again": "a"})
    with pytest.raises(UnknownModel, match="circle: recipe a -> recipe b -> alias again -> recipe a"):
        resolver.resolve("a", EVERYTHING)
    assert resolver.recipe_of("b", EVERYTHING) is None


def test_aliases_in_a_circle_are_told_and_never_loop() -> None:
    with pytest.raises(UnknownModel, match="circle: alias a -> alias b -> alias a"):
        names(aliases={"a": "b", "b": "a"}).resolve("a", EVERYTHING)


def test_what_led_to_an_unknown_model_is_told() -> None:
    with pytest.raises(UnknownModel, match="alias fast -> recipe r: there is no model 'gone/x'"):
        names(Recipe("r", "gone/x"), aliases={"fast": "r"}).resolve("fast", EVERYTHING)


def test_a_private_recipe_is_answered_on_this_machine_only() -> None:
    recipe = Recipe("diary", "openai/gpt-4o", fallbacks=("ollama/qwen3:14b",), private=True)
    assert names(recipe).resolve("diary", EVERYTHING).targets == (Target("ollama", "qwen3:14b"),)


def test_a_private_recipe_without_a_local_inferencer_is_refused() -> None:
    with pytest.raises(Forbidden, match=r"'diary' is private and none of its inferencers is local: openai/gpt-4o"):
        names(Recipe("diary", "openai/gpt-4o", private=True)).resolve("diary", EVERYTHING)


def test_listing_recipes_that_lead_nowhere_looks_for_no_names_that_are_near(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hundreds of patterns may wait for one model: each search takes longer than the whole listing."""
    recipes = [Recipe(f"pattern{number}", "not-there-yet") for number in range(3)]
    private = Recipe("diary", "openai/gpt-4o", private=True)
    resolver = names(ASSISTANT, *recipes, private, Recipe("over", "assistant", fallbacks=("nowhere",)))
    monkeypatch.setattr(resolver, "_nearest", lambda name: pytest.fail("searched"))
    known = {name: resolver.recipe_of(name, EVERYTHING) for name in resolver.recipes}
    assert {name for name, recipe in known.items() if recipe is not None} == {"assistant", "over"}
    scope = Scope(models=("woollama/assistant",), token="aider")
    assert [name for name in resolver.recipes if resolver.recipe_of(name, scope)] == ["assistant"]
    assert [name for name in resolver.recipes if resolver.allows(f"woollama/{name}", scope)] == ["assistant"]


# --- what a scope allows ---


def named(*models: str) -> Scope:
    return Scope(models=models, token="aider")


@pytest.mark.parametrize(
    ("models", "name", "allowed"),
    [
        (["ollama/*"], "ollama/qwen3:14b", True),
        (["ollama/*"], "qwen3:14b", True),
        (["ollama/*"], "fast", True),  # an alias is what it stands for
        (["ollama/*"], "openai/gpt-4o", False),
        (["ollama/*"], "assistant", False),  # a recipe is more than its model
        (["woollama/assistant"], "assistant", True),
        (["assistant"], "woollama/assistant", True),
        (["woollama/*"], "ollama/qwen3:14b", False),
        (["fast"], "fast", True),  # an alias is given with what it stands for
        (["fast"], "ollama/qwen3:14b", False),
        (["qwen3:14b"], "ollama/qwen3:14b", False),  # which inferencer's?
        ([], "ollama/qwen3:14b", False),
        (["*"], "openai/gpt-4o", True),
    ],
)
def test_a_scope_allows_a_model_by_its_own_names_and_its_aliases(models: list[str], name: str, allowed: bool) -> None:
    resolver = names(ASSISTANT, aliases={"fast": "ollama/qwen3:14b"})
    scope = named(*models)
    assert resolver.allows(name, scope) is allowed
    if allowed:
        assert resolver.resolve(name, scope) == resolver.resolve(name, EVERYTHING)
    else:
        with pytest.raises(Forbidden) as refused:
            resolver.resolve(name, scope)
        assert refused.value.message == f"the token 'aider' may not use the model {name!r}"


def test_a_recipe_on_another_model_needs_both() -> None:
    resolver = names(ASSISTANT)
    for models in (["woollama/assistant"], ["openai/*"]):
        with pytest.raises(Forbidden):
            resolver.resolve("openai/gpt-4o", named(*models), "assistant")
    route = resolver.resolve("openai/gpt-4o", named("assistant", "openai/gpt*"), "assistant")
    assert route.targets == (Target("openai", "gpt-4o"),)


def test_hints_name_nothing_that_is_not_allowed() -> None:
    resolver = names(ASSISTANT, aliases={"gpt-4": "gone/x"})
    with pytest.raises(UnknownModel) as unknown:
        resolver.resolve("gpt-4p", named("ollama/*"))
    assert "gpt-4o" not in unknown.value.message
    with pytest.raises(UnknownModel, match="there is no model 'shared'"):
        resolver.resolve("shared", named("local/*"))
    with pytest.raises(UnknownModel, match="there is no model 'gone/x'"):
        resolver.resolve("gpt-4", named("ollama/*"))
