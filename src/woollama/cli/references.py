"""What only shows when the parts of a configuration are held against each other: names that lead nowhere, missing keys.

Nobody is asked: a model that an inferencer would have to tell of is a warning, not an error.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from fnmatch import fnmatchcase

from woollama.config import Config, Loaded, Problem
from woollama.config.defaults import defaults_dir
from woollama.config.documents import KeyPath
from woollama.config.mcp_json import SECTIONS
from woollama.config.model import Recipe as RecipeEntry
from woollama.config.problems import Finding, Severity, did_you_mean
from woollama.config.tokens import values_of
from woollama.core.catalog import Catalog, Source
from woollama.core.names import OWN_PREFIX, Names
from woollama.core.recipes import Recipe, variables_in
from woollama.domain.errors import RouterError
from woollama.domain.turns import EVERYTHING
from woollama.inferencers.claude_code.command import program_of
from woollama.platform import is_loopback, secret_of
from woollama.server.listening import parse_address

_PROXIES = ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy")


def references(loaded: Loaded, environ: Mapping[str, str]) -> Iterator[Problem]:
    config = loaded.config
    yield from _names(loaded, names_of(config), environ)
    yield from _tools(loaded)
    yield from _models(loaded)
    yield from _variables(loaded)
    yield from _commands(loaded, environ)
    yield from _door(loaded, environ)
    for inferencer in config.inferencers.values():
        if not has_key(inferencer.api_key_env, environ):
            message = f"{inferencer.name} needs {inferencer.api_key_env}, which is not set"
            yield loaded.problem(("inferencers", inferencer.name), Finding(message, severity="note"))
    if (proxy := next(filter(environ.get, _PROXIES), None)) is not None:
        message = f"{proxy} is set, and does not count here: inferencers are connected to directly"
        yield Problem(None, None, "", message, severity="note")


def names_of(config: Config) -> Names:
    """The names as they are before any inferencer was asked."""
    sources = {name: Source(entry.models) for name, entry in config.inferencers.items()}
    recipes = {
        name: Recipe(name, entry.inferencer, fallbacks=entry.fallbacks, private=entry.private)
        for name, entry in config.recipes.items()
    }
    return Names(
        inferencers=config.inferencers,
        recipes=recipes,
        aliases=config.aliases,
        catalog=Catalog(sources),
        local=[name for name, entry in config.inferencers.items() if entry.local],
    )


def has_key(variable: str | None, environ: Mapping[str, str]) -> bool:
    """Whether a key is there, or none is needed. Keys also come as credentials of the service manager."""
    return variable is None or secret_of(environ, variable) is not None


def _names(loaded: Loaded, names: Names, environ: Mapping[str, str]) -> Iterator[Problem]:
    config = loaded.config
    if (sampling := config.mcp.sampling_recipe) and sampling not in config.recipes:
        hint = did_you_mean(sampling, config.recipes)
        yield loaded.problem(("mcp", "sampling_recipe"), Finding(f"there is no recipe {sampling!r}", (), hint))
    leads: list[tuple[tuple[str | int, ...], str]] = [(("aliases", alias), alias) for alias in config.aliases]
    for recipe in _each_written(config):
        leads.append((("recipes", recipe.name, "inferencer"), f"woollama/{recipe.name}"))
        leads += [(("recipes", recipe.name, "fallbacks", index), name) for index, name in enumerate(recipe.fallbacks)]
    for path, name in leads:
        try:
            target = names.resolve(name, EVERYTHING).targets[0]
        except RouterError as error:
            written = config.aliases[name] if path[0] == "aliases" else _written(config, path)
            if written in config.inferencers:
                finding = Finding("is an inferencer, and no model of it", (), f"write {written}/ and the model's name")
                yield loaded.problem(path, finding)
                continue
            bare = "/" not in written and written not in config.aliases and written not in config.recipes
            hint = "inferencers are not asked here, and one may have it" if bare else ""
            problem = loaded.problem(path, Finding(error.message, (), hint, "warning" if bare else "error"))
            # Somebody who switches off what a shipped recipe stands on has made no mistake.
            shipped = problem.file is not None and problem.file.parent == defaults_dir()
            yield replace(problem, severity="warning") if shipped else problem
            continue
        key = config.inferencers[target.inferencer].api_key_env
        if not has_key(key, environ):
            yield loaded.problem(path, Finding(f"needs {key}, which is not set", severity="warning"))


def _each_written(config: Config) -> Iterator[RecipeEntry]:
    """All recipes; of those that were found in a directory the first stands for all, which have one model."""
    found = [recipe for recipe in config.recipes.values() if recipe.source == "fabric"]
    yield from (recipe for recipe in config.recipes.values() if recipe.source != "fabric")
    yield from found[:1]


def _written(config: Config, path: tuple[str | int, ...]) -> str:
    recipe = config.recipes[str(path[1])]
    return recipe.inferencer if path[2] == "inferencer" else recipe.fallbacks[int(path[3])]


def _tools(loaded: Loaded) -> Iterator[Problem]:
    servers = loaded.config.servers
    for path, globs in _lists_of_tools(loaded.config):
        # A rule that names what is not there prevents nothing, and may be for a server that comes and goes.
        severity: Severity = "error" if path[0] == "recipes" else "warning"
        for index, glob in enumerate(globs):
            named = glob.partition(".")[0]
            matching = [name for name in servers if fnmatchcase(name, named) or glob.startswith(f"{name}.")]
            if not matching:
                finding = Finding(f'there is no tool server "{named}"', (), did_you_mean(named, servers), severity)
                yield loaded.problem((*path, index), finding)
            elif path[0] == "recipes" and all(servers[name].disabled for name in matching):
                finding = Finding(f'the tool server "{named}" is switched off', severity="warning")
                yield loaded.problem((*path, index), finding)


def _lists_of_tools(config: Config) -> Iterator[tuple[tuple[str, ...], Sequence[str]]]:
    """Where globs over `server.tool` are written."""
    for recipe in config.recipes.values():
        yield ("recipes", recipe.name, "tools"), recipe.tools
        yield ("recipes", recipe.name, "confirm"), recipe.confirm
    yield ("approvals", "confirm"), config.approvals.confirm
    yield ("approvals", "deny"), config.approvals.deny
    for token in config.tokens.values():
        if "*" not in token.tools:
            yield ("tokens", token.name, "tools"), token.tools


def _models(loaded: Loaded) -> Iterator[Problem]:
    """Globs over models that fit nothing that is known: of an inferencer any model may be meant."""
    config = loaded.config
    recipes = [each for name in config.recipes for each in (f"{OWN_PREFIX}/{name}", name)]
    names = [*config.aliases, *recipes]
    globs: list[tuple[KeyPath, str, bool]] = [(("prices", glob), glob, False) for glob in config.prices]
    for token in config.tokens.values():
        globs += [(("tokens", token.name, "models", index), glob, True) for index, glob in enumerate(token.models)]
    for path, glob, of_names_too in globs:
        inferencer, slash, _ = glob.partition("/")
        of_inferencer = bool(slash) and any(fnmatchcase(name, inferencer) for name in config.inferencers)
        of_name = of_names_too and any(fnmatchcase(name, glob) for name in names)
        if not (glob == "*" or of_inferencer or of_name):
            known = [*config.inferencers, OWN_PREFIX] if slash else names
            hint = did_you_mean(inferencer, known)
            yield loaded.problem(path, Finding("fits no model and no name that there is", (), hint, "warning"))


def _variables(loaded: Loaded) -> Iterator[Problem]:
    """A variable that its recipe does not use is misspelt, here or there. Over a recipe the text may be that one's."""
    recipes = loaded.config.recipes
    for recipe in recipes.values():
        if recipe.inferencer.removeprefix(OWN_PREFIX + "/") in recipes:
            continue
        used = variables_in(recipe.system)
        for name in recipe.variables:
            if name not in used:
                finding = Finding(f"the system text has no {{{{{name}}}}}", (), did_you_mean(name, used), "warning")
                yield loaded.problem(("recipes", recipe.name, "variables", name), finding)


def _commands(loaded: Loaded, environ: Mapping[str, str]) -> Iterator[Problem]:
    for server in loaded.config.servers.values():
        if server.command and not shutil.which(server.command, path=server.env.get("PATH") or environ.get("PATH")):
            words = " " in server.command
            hint = 'the command is the program alone, its arguments stand in "args"' if words else ""
            finding = Finding("names a program that is not there", (), hint, "warning")
            section = next(section for section in SECTIONS if _in(loaded, section, server.name))
            yield loaded.problem((section, server.name, "command"), finding)
    for inferencer in loaded.config.inferencers.values():
        path = inferencer.env.get("PATH") or environ.get("PATH")
        program = program_of(environ)
        if inferencer.api == "claude-code" and not shutil.which(program, path=path):
            message = f"{inferencer.name} needs the claude command line, and there is no {program}"
            yield loaded.problem(("inferencers", inferencer.name), Finding(message, severity="note"))
        if inferencer.command and not shutil.which(inferencer.command[0], path=path):
            finding = Finding(f"names a program that is not there: {inferencer.command[0]}", severity="warning")
            yield loaded.problem(("inferencers", inferencer.name, "command"), finding)


def _door(loaded: Loaded, environ: Mapping[str, str]) -> Iterator[Problem]:
    address = loaded.config.door.address
    if address is None or environ.get("WOOLLAMA_TOKEN") or any(values_of(loaded.config.tokens, environ)):
        return
    host, _ = parse_address(address)
    if not is_loopback(host) and host != "localhost":
        message = "other machines could connect, so serving is refused without WOOLLAMA_TOKEN, which is not set"
        yield loaded.problem(("server", "address"), Finding(message, severity="warning"))


def _in(loaded: Loaded, section: str, name: str) -> bool:
    return any(name in document.data.get(section, {}) for document in loaded.documents)
