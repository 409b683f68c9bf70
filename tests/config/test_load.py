"""Files laid over the shipped ones, and all that is wrong with them told at once."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.config.conftest import Files
from woollama.config import load
from woollama.config.defaults import defaults_dir
from woollama.domain.turns import Params


def test_with_no_files_at_all_the_shipped_ones_serve(files: Files) -> None:
    loaded = files.load()
    assert loaded.problems == ()
    assert not loaded.fatal
    assert set(loaded.config.recipes) == {"demo", "assistant", "streamer", "textcounter"}
    assert set(loaded.config.servers) == {"hello", "clock", "textops"}
    built_in = "ollama lmstudio llamacpp vllm openai anthropic groq together openrouter mistral deepseek xai gemini"
    assert set(loaded.config.inferencers) == {*built_in.split(), "claude-agent", "claude-code", "local", "scripted"}


def test_the_shipped_servers_can_be_started_from_anywhere(files: Files) -> None:
    for server in files.load().config.servers.values():
        assert Path(server.command).is_absolute()
        assert Path(server.args[0]).is_file()
        assert Path(server.args[0]).is_relative_to(defaults_dir())


def test_the_directory_comes_from_the_environment(files: Files) -> None:
    files.write("recipes.toml", '[aliases]\nfast = "ollama/x"\n')
    by_variable = load(None, {"WOOLLAMA_CONFIG_DIR": str(files.directory)})
    assert by_variable.config.aliases == {"fast": "ollama/x"}
    (files.directory / "woollama").mkdir()
    assert load(None, {"XDG_CONFIG_HOME": str(files.directory)}).config.aliases == {}


def test_a_directory_that_was_named_and_is_not_there_is_told(tmp_path: Path) -> None:
    (problem,) = load(None, {"WOOLLAMA_CONFIG_DIR": str(tmp_path / "none")}).problems
    assert (problem.severity, problem.message) == ("warning", "is no directory; the defaults are in force")
    assert load(None, {"HOME": str(tmp_path)}).problems == ()


# --- laid over -------------------------------------------------------------------------------------------------------


def test_inferencers_are_laid_over_key_by_key(files: Files) -> None:
    files.write(
        "inferencers.toml",
        '[inferencers.openai]\nmodels = ["gpt-5"]\n[inferencers.mine]\nbase_url = "http://h:1/v1/"\n',
    )
    inferencers = files.load().config.inferencers
    assert inferencers["openai"].models == ("gpt-5",)
    assert inferencers["openai"].api_key_env == "OPENAI_API_KEY"
    assert inferencers["mine"].base_url == "http://h:1/v1"
    assert inferencers["mine"].api == "openai"


def test_recipes_and_servers_are_laid_over_whole(files: Files) -> None:
    files.write("recipes.toml", '[recipes.assistant]\ninferencer = "openai/gpt"\n')
    files.write("mcp.json", '{"mcpServers": {"hello": {"url": "http://127.0.0.1:1/mcp"}}}')
    config = files.load().config
    assert config.recipes["assistant"].tools == ()
    assert config.recipes["demo"].tools == ("clock.now",)
    assert (config.servers["hello"].transport, config.servers["hello"].command) == ("http", "")
    assert config.servers["clock"].command


def test_an_entry_can_be_switched_off(files: Files) -> None:
    files.write("recipes.toml", "[recipes.demo]\ndisabled = true\n")
    files.write("inferencers.toml", "[inferencers.groq]\ndisabled = true\n")
    files.write("mcp.json", '{"mcpServers": {"hello": {"disabled": true, "command": "${NONE}"}}}')
    loaded = files.load()
    assert loaded.problems == ()
    assert "demo" not in loaded.config.recipes
    assert "groq" not in loaded.config.inferencers
    assert loaded.config.servers["hello"].disabled


def test_a_shipped_entry_does_not_stand_in_for_a_bad_one(files: Files) -> None:
    files.write("recipes.toml", "[recipes.demo]\ntools = 5\n")
    assert "demo" not in files.load().config.recipes


# --- what is wrong ---------------------------------------------------------------------------------------------------


def test_everything_wrong_is_told_at_once_and_takes_no_neighbour_along(files: Files) -> None:
    files.write(
        "recipes.toml",
        """
[recipes.good]
inferencer = "ollama/x"
[recipes.bad]
inferencer = "ollama/x"
tols = ["a.b"]
max_turns = "many"
params = { temprature = 1 }
[recipes.worse]
system = "No inferencer."
""",
    )
    files.write("inferencers.toml", '[inferencers.x]\napi = "opnai"\nbase_url = "nowhere"\n')
    assert files.told() == [
        'recipes.toml:6: recipes.bad.tols: is no known key (did you mean "tools"?); recipes.bad is left out',
        (
            "recipes.toml:8: recipes.bad.params.temprature: is no known setting of a model call"
            ' (did you mean "temperature"?); recipes.bad is left out'
        ),
        "recipes.toml:7: recipes.bad.max_turns: must be a whole number, at least 1; recipes.bad is left out",
        (
            'recipes.toml:9: recipes.worse: needs "inferencer": the model that answers, as inferencer/model, or another'
            " recipe; recipes.worse is left out"
        ),
        (
            "inferencers.toml:2: inferencers.x.api: must be one of openai, anthropic, ollama, claude-code,"
            ' managed-agents, local, scripted (did you mean "openai"?); inferencers.x is left out'
        ),
        (
            "inferencers.toml:3: inferencers.x.base_url: must be a URL such as http://127.0.0.1:8000/v1, without a"
            " query; inferencers.x is left out"
        ),
    ]
    config = files.load().config
    assert "good" in config.recipes
    assert not {"bad", "worse"} & set(config.recipes)
    assert "x" not in config.inferencers


def test_the_line_is_that_of_the_file_that_wrote_the_key(files: Files) -> None:
    files.write("inferencers.toml", "\n\n[inferencers.openai]\nretries = -1\n")
    assert files.told() == [
        (
            "inferencers.toml:4: inferencers.openai.retries: must be a whole number, at least 0 and at most 100;"
            " inferencers.openai is left out"
        )
    ]


@pytest.mark.parametrize(
    ("name", "text"),
    [("recipes.toml", "[recipes"), ("mcp.json", '{"mcpServers": {'), ("inferencers.toml", "x"), ("woollama.toml", "=")],
)
def test_a_file_that_does_not_parse_is_fatal_and_the_others_are_still_read(files: Files, name: str, text: str) -> None:
    files.write("recipes.toml", "[recipes.bad]\n")
    files.write(name, text)
    loaded = files.load()
    assert loaded.fatal
    assert any(str(problem).startswith(f"{files.directory}/{name}:1: is not valid") for problem in loaded.problems)
    assert len(loaded.problems) == (1 if name == "recipes.toml" else 2)


@pytest.mark.parametrize("name", ["woollama", "a/b", "", " ", "a\\nb"])
def test_names_that_could_never_be_addressed_are_refused(files: Files, name: str) -> None:
    files.write("recipes.toml", f'[recipes."{name}"]\ninferencer = "ollama/x"\n')
    files.write("inferencers.toml", f'[inferencers."{name}"]\nbase_url = "http://h"\n')
    files.write("mcp.json", f'{{"mcpServers": {{"{name}": {{"command": "x"}}}}}}')
    loaded = files.load()
    assert len(loaded.errors) == 3
    assert not loaded.fatal


def test_a_table_whose_header_lacks_its_section_is_recognised(files: Files) -> None:
    files.write("recipes.toml", '[mine]\ninferencer = "ollama/x"\n[recipe.x]\n')
    assert files.told() == [
        "recipes.toml:1: mine: is no known section (did you mean [recipes.mine]?); mine is left out",
        'recipes.toml:3: recipe: is no known section (did you mean "recipes"?); recipe is left out',
    ]


def test_a_section_or_entry_of_another_type_is_told(files: Files) -> None:
    files.write("recipes.toml", "recipes = 5\n[aliases]\nx = 1\n")
    files.write("inferencers.toml", "[inferencers]\nopenai = true\n")
    assert files.told() == [
        (
            "recipes.toml:3: aliases.x: must be the name of a model, such as ollama/qwen3 or woollama/assistant;"
            " aliases.x is left out"
        ),
        "recipes.toml:1: recipes: must be a table; recipes is left out",
        "inferencers.toml:2: inferencers.openai: must be a table; inferencers.openai is left out",
    ]


# --- what this version does not do -----------------------------------------------------------------------------------


def test_a_value_that_asks_for_nothing_is_fine(files: Files) -> None:
    files.write(
        "recipes.toml", '[recipes.r]\ninferencer = "a/b"\nconfirm = []\ncompress = "off"\ntools_budget_tokens = 0\n'
    )
    assert files.told() == []
    assert "r" in files.load().config.recipes


# --- recipes ---------------------------------------------------------------------------------------------------------


def test_a_recipe_holds_what_was_written(files: Files) -> None:
    files.write(
        "recipes.toml",
        """
[recipes.r]
inferencer = "${MODEL:-ollama/qwen3}"
fallbacks = ["anthropic/claude"]
system = "Say ${HOME} in {{language}}."
tools = ["git.*", "fs.read"]
tool_choice = "fs.read"
examples = [{ ask = "a?", call = "git.log", arguments = { n = 1 } }]
params = { temperature = 0.2 }
locked = ["temperature"]
max_turns = 3
tool_timeout_s = "2m"
private = true
[recipes.r.variables.language]
default = "English"
choices = ["English", "Deutsch"]
""",
    )
    recipe = files.load().config.recipes["r"]
    assert recipe.inferencer == "ollama/qwen3"
    assert recipe.system == "Say ${HOME} in {{language}}."
    assert (recipe.tools, recipe.tool_choice, recipe.fallbacks) == (
        ("git.*", "fs.read"),
        "fs.read",
        ("anthropic/claude",),
    )
    assert (recipe.examples[0].call, recipe.examples[0].arguments, recipe.examples[0].ask) == (
        "git.log",
        {"n": 1},
        "a?",
    )
    assert (recipe.params, recipe.locked) == (Params(temperature=0.2), ("temperature",))
    assert (recipe.max_turns, recipe.tool_timeout_s, recipe.private) == (3, 120.0, True)
    assert recipe.variables["language"].choices == ("English", "Deutsch")
    assert "private" in recipe.written
    assert "description" not in recipe.written


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('tools = ["git"]', 'recipes.r.tools[0]: must be server.tool or a glob over it (did you mean "git.*"?)'),
        (
            'tools = ["git.*"]\ntool_choice = "fs.read"',
            "recipes.r.tool_choice: must be auto, none, required, or a tool",
        ),
        ('tools = []\ntool_choice = "required"', "recipes.r.tool_choice: requires a tool, and the recipe has none"),
        (
            'tools = ["a.*"]\nexamples = [{ call = "b.c" }]',
            "recipes.r.examples[0].call: is a tool that the recipe's tools",
        ),
        ('examples = [{ cal = "b.c" }]', 'recipes.r.examples[0].cal: is no known key (did you mean "call"?)'),
        (
            "[recipes.r.variables.x]\nchoises = []",
            'recipes.r.variables.x.choises: is no known key (did you mean "choices"?)',
        ),
        ("locked = [[]]", "recipes.r.locked[0]: must be one of the params"),
        ('locked = ["temprature"]', 'recipes.r.locked[0]: must be one of the params (did you mean "temperature"?)'),
        ("disabled = 1", "recipes.r.disabled: must be true or false"),
    ],
)
def test_what_does_not_fit_together_in_a_recipe_is_told(files: Files, text: str, told: str) -> None:
    files.write("recipes.toml", f'[recipes.r]\ninferencer = "ollama/x"\n{text}\n')
    assert any(told in line for line in files.told()), files.told()
    assert "r" not in files.load().config.recipes


# --- inferencers -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "first_byte_timeout_s"),
    [
        ('base_url = "http://127.0.0.1:1/v1"', 600),
        ('base_url = "http://localhost/v1"', 600),
        ('base_url = "http://[::1]/v1"', 600),
        ('base_url = "http://192.168.1.1/v1"', 120),
        ('base_url = "http://127.0.0.1.example.org/v1"', 120),
        ('base_url = "http://127.0.0.1:1/v1"\nfirst_byte_timeout_s = "7s"', 7),
        ('api = "local"', 600),
    ],
)
def test_a_model_on_this_machine_may_be_slow_to_begin(files: Files, text: str, first_byte_timeout_s: float) -> None:
    files.write("inferencers.toml", f"[inferencers.x]\n{text}\n")
    assert files.load().config.inferencers["x"].first_byte_timeout_s == first_byte_timeout_s


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", 'inferencers.x: needs "base_url"'),
        ('api = "local"\nbase_url = "http://h"', 'inferencers.x.base_url: has no effect with api = "local"'),
        ('base_url = "http://h"\napi_key_env = "sk-abc"', "must be the name of an environment variable, never the key"),
        (
            'base_url = "http://h"\nheaders = { Authorization = "Bearer ${NONE:-}" }',
            "headers.Authorization: has no value",
        ),
        ('base_url = "${NONE}/v1"', "inferencers.x.base_url: needs the variable NONE, which is not set"),
        ('base_url = "http://h"\ndialects = ["chat", "telepathy"]', "inferencers.x.dialects[1]: must be one of chat"),
    ],
)
def test_what_does_not_fit_together_in_an_inferencer_is_told(files: Files, text: str, told: str) -> None:
    files.write("inferencers.toml", f"[inferencers.x]\n{text}\n")
    assert any(told in line for line in files.told()), files.told()
    assert "x" not in files.load().config.inferencers
    assert "sk-abc" not in "".join(files.told())


@pytest.mark.parametrize(
    ("text", "dialects"),
    [
        ("", ("chat",)),
        ('api = "anthropic"', ("anthropic",)),
        ('api = "ollama"', ("chat", "ollama")),
        ('api = "ollama"\ndialects = ["chat", "anthropic"]', ("chat", "anthropic")),
    ],
)
def test_who_is_spoken_to_in_its_own_words_speaks_them(files: Files, text: str, dialects: tuple[str, ...]) -> None:
    files.write("inferencers.toml", f'[inferencers.x]\nbase_url = "http://h"\n{text}\n')
    assert files.load().config.inferencers["x"].dialects == dialects


def test_credentials_in_the_clear_are_a_warning(files: Files) -> None:
    files.write("inferencers.toml", '[inferencers.x]\nbase_url = "http://10.0.0.1"\napi_key_env = "KEY"\n')
    (problem,) = files.load().problems
    assert problem.severity == "warning"
    assert "x" in files.load().config.inferencers


def test_secrets_are_not_in_the_repr(files: Files) -> None:
    files.write("inferencers.toml", '[inferencers.x]\nbase_url = "http://h"\nheaders = { A = "${SECRET}" }\n')
    files.write("mcp.json", '{"mcpServers": {"x": {"command": "x", "env": {"A": "${SECRET}"}}}}')
    config = files.load({"SECRET": "hush"}).config
    assert config.inferencers["x"].headers == {"A": "hush"}
    assert "hush" not in repr(config) + repr(config.inferencers) + repr(config.servers)
