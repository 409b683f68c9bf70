"""The programs that can be connected: where their settings lie and what is written there.

One entry a program. A file is given by what is before `~` and its platform; `settings` says what goes into it for an
`Offer`. What no file can say is said in `notes`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from woollama.connect.json_text import JsonText
from woollama.connect.settings import Format, Setting
from woollama.connect.toml_text import TomlText
from woollama.connect.yaml_text import YamlText

NAME = "woollama"
Part = Literal["models", "mcp"]
JSON, TOML, YAML = JsonText(), TomlText(), YamlText()


@dataclass(frozen=True, slots=True)
class Offer:
    """What is written: the daemon's `url` (without `/v1`), the `key` that clients send, the command that an MCP host
    starts, and the `model` where one is named."""

    url: str
    command: Sequence[str]
    model: str | None = None
    key: str = NAME

    @property
    def openai_url(self) -> str:
        return f"{self.url}/v1"


@dataclass(frozen=True, slots=True)
class Home:
    """Whose settings are meant. `variable` are environment variables that move a program's files; none of them counts
    where another directory than the user's own was asked for."""

    directory: Path
    platform: str
    variables: Mapping[str, str]

    def at(self, path: str, variable: str | None = None) -> Path:
        """`path` below the directory, or below what `variable` says in the place of its first part."""
        moved = self.variables.get(variable) if variable else None
        return Path(moved) / path.partition("/")[2] if moved else self.directory / path

    def config(self, path: str) -> Path:
        """Below `~/.config` (XDG's, where it is moved), on macOS below `~/Library/Application Support`."""
        if self.platform == "darwin":
            return self.directory / "Library/Application Support" / path
        return self.at(f".config/{path}", "XDG_CONFIG_HOME")


@dataclass(frozen=True, slots=True)
class SettingsFile:
    part: Part
    where: Callable[[Home], Path]
    format: Format
    settings: Callable[[Offer], Sequence[Setting]]


@dataclass(frozen=True, slots=True)
class Tool:
    """`programs` and `traces` (files, below the home) tell that it is installed."""

    name: str
    title: str
    files: tuple[SettingsFile, ...] = ()
    notes: Callable[[Offer], Sequence[str]] = lambda offer: ()
    programs: tuple[str, ...] = ()
    traces: tuple[Callable[[Home], Path], ...] = ()


def _stdio(offer: Offer, **more: Any) -> dict[str, Any]:
    return {**more, "command": offer.command[0], "args": list(offer.command[1:])}


def _host(where: Callable[[Home], Path], *path: str, **more: Any) -> SettingsFile:
    """An MCP host that has its servers in a JSON object."""
    return SettingsFile("mcp", where, JSON, lambda offer: [Setting((*path, NAME), _stdio(offer, **more))])


def _claude_env(offer: Offer) -> list[Setting]:
    values = {"ANTHROPIC_BASE_URL": offer.url, "ANTHROPIC_AUTH_TOKEN": offer.key}
    if offer.model:
        names = ("MODEL", "DEFAULT_OPUS_MODEL", "DEFAULT_SONNET_MODEL", "DEFAULT_HAIKU_MODEL")
        values |= {f"ANTHROPIC_{name}": offer.model for name in names}
    return [Setting(("env", name), value) for name, value in values.items()]


def _claude_notes(offer: Offer) -> list[str]:
    if offer.model:
        return []
    return [
        "Without --model it asks for its own models (claude-…). They are answered through the inferencer `anthropic`",
        "where the daemon has ANTHROPIC_API_KEY; anything else needs --model, or an alias for each of the names.",
    ]


def _codex_models(offer: Offer) -> list[Setting]:
    """Its web search runs at OpenAI: a model of anybody else's would refuse the whole request for it."""
    provider = {"name": NAME, "base_url": offer.openai_url, "wire_api": "responses"}
    chosen = {"web_search": "disabled", "model_provider": NAME, "model": offer.model} if offer.model else {}
    return [*(Setting((name,), value) for name, value in chosen.items()), Setting(("model_providers", NAME), provider)]


def _codex_notes(offer: Offer) -> list[str]:
    if offer.model:
        return []
    return [
        "Without --model it goes on with its own models. To ask woollama once:",
        "    codex -c model_provider=woollama -c web_search=disabled -m MODEL",
    ]


def _continue_models(offer: Offer) -> list[Setting]:
    """Without a model it lists what there is, which it does for Ollama alone."""
    if offer.model is None:
        entry: dict[str, Any] = {"name": NAME, "provider": "ollama", "model": "AUTODETECT", "apiBase": offer.url}
    else:
        entry = {"name": f"{NAME}: {offer.model}", "provider": "openai", "model": offer.model}
        entry |= {"apiBase": offer.openai_url, "apiKey": offer.key}
    entry["roles"] = ["chat", "edit", "apply"]
    return [*_continue_head(), Setting(("models",), entry, item=True)]


def _continue_head() -> list[Setting]:
    head = {"name": "My configuration", "version": "0.0.1", "schema": "v1"}
    return [Setting((name,), value, if_missing=True) for name, value in head.items()]


def _aider(offer: Offer) -> list[Setting]:
    chosen = [Setting(("model",), f"openai/{offer.model}")] if offer.model else []
    return [Setting(("openai-api-base",), offer.openai_url), Setting(("openai-api-key",), offer.key), *chosen]


def _open_webui(offer: Offer) -> list[str]:
    return [
        "Open WebUI keeps its connections in a database of its own. Start it with these variables, which count until",
        "its settings are first saved, or enter them under Admin Panel, Settings, Connections:",
        f"    OPENAI_API_BASE_URL={offer.openai_url}",
        f"    OPENAI_API_KEY={offer.key}",
        "From a container this machine is host.docker.internal, and the daemon has to listen for it: WOOLLAMA_ADDRESS,",
        "WOOLLAMA_TOKEN and --allow-host.",
    ]


TOOLS: tuple[Tool, ...] = (
    Tool(
        "claude-code",
        "Claude Code",
        (
            SettingsFile(
                "models", lambda home: home.at(".claude/settings.json", "CLAUDE_CONFIG_DIR"), JSON, _claude_env
            ),
            _host(
                lambda home: (
                    home.at(".claude/.claude.json", "CLAUDE_CONFIG_DIR")
                    if "CLAUDE_CONFIG_DIR" in home.variables
                    else home.directory / ".claude.json"
                ),
                "mcpServers",
                type="stdio",
            ),
        ),
        _claude_notes,
        ("claude",),
        (lambda home: home.at(".claude/settings.json", "CLAUDE_CONFIG_DIR").parent,),
    ),
    Tool(
        "codex",
        "Codex",
        (
            SettingsFile("models", lambda home: home.at(".codex/config.toml", "CODEX_HOME"), TOML, _codex_models),
            SettingsFile(
                "mcp",
                lambda home: home.at(".codex/config.toml", "CODEX_HOME"),
                TOML,
                lambda offer: [Setting(("mcp_servers", NAME), _stdio(offer))],
            ),
        ),
        _codex_notes,
        ("codex",),
        (lambda home: home.at(".codex/config.toml", "CODEX_HOME").parent,),
    ),
    Tool(
        "aider",
        "Aider",
        (SettingsFile("models", lambda home: home.directory / ".aider.conf.yml", YAML, _aider),),
        lambda offer: [] if offer.model else ["Without --model say which: `aider --model openai/MODEL`."],
        ("aider",),
        (lambda home: home.directory / ".aider.conf.yml",),
    ),
    Tool(
        "continue",
        "Continue",
        (
            SettingsFile(
                "models", lambda home: home.at(".continue/config.yaml", "CONTINUE_GLOBAL_DIR"), YAML, _continue_models
            ),
            SettingsFile(
                "mcp",
                lambda home: home.at(".continue/config.yaml", "CONTINUE_GLOBAL_DIR"),
                YAML,
                lambda offer: [*_continue_head(), Setting(("mcpServers",), {"name": NAME, **_stdio(offer)}, item=True)],
            ),
        ),
        programs=("cn",),
        traces=(lambda home: home.at(".continue/config.yaml", "CONTINUE_GLOBAL_DIR").parent,),
    ),
    Tool(
        "open-webui",
        "Open WebUI",
        notes=_open_webui,
        programs=("open-webui",),
    ),
    Tool(
        "vscode",
        "VS Code",
        (_host(lambda home: home.config("Code/User/mcp.json"), "servers", type="stdio"),),
        lambda offer: [
            "For chat: command palette, Chat: Manage Language Models, Add Models, Ollama, and as its URL",
            f"    {offer.url}",
            "or Custom Endpoint with each model's URL:",
            f"    {offer.openai_url}/chat/completions",
        ],
        ("code",),
        (lambda home: home.config("Code/User"),),
    ),
    Tool(
        "zed",
        "Zed",
        (
            SettingsFile(
                "models",
                lambda home: _zed(home),
                JSON,
                lambda offer: [Setting(("language_models", "ollama", "api_url"), offer.url)],
            ),
            _host(lambda home: _zed(home), "context_servers"),
        ),
        lambda offer: ["Zed asks woollama where it asked Ollama, and so lists every model of woollama there."],
        ("zed", "zeditor"),
        (lambda home: _zed(home).parent,),
    ),
    Tool(
        "cursor",
        "Cursor",
        (_host(lambda home: home.directory / ".cursor/mcp.json", "mcpServers"),),
        lambda offer: ["Cursor's models are asked by its own servers, which cannot reach this machine: tools alone."],
        ("cursor",),
        (lambda home: home.directory / ".cursor",),
    ),
    Tool(
        "claude-desktop",
        "Claude Desktop",
        (_host(lambda home: home.config("Claude/claude_desktop_config.json"), "mcpServers"),),
        programs=("claude-desktop",),
        traces=(lambda home: home.config("Claude"),),
    ),
)


def _zed(home: Home) -> Path:
    return home.at(".config/zed/settings.json", "XDG_CONFIG_HOME")
