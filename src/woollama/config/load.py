"""From files to a configuration, and to everything that is wrong with them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from woollama.config.defaults import defaults_dir
from woollama.config.documents import Document, KeyPath, Unparsable, parse_document, read_document
from woollama.config.entries import place
from woollama.config.expand import Variables
from woollama.config.inferencers_toml import read_inferencers
from woollama.config.mcp_json import read_conversation_store, read_servers
from woollama.config.model import Config
from woollama.config.patterns import patterns_dir, read_patterns
from woollama.config.problems import Finding, Problem, did_you_mean, dotted
from woollama.config.recipes_toml import read_aliases, read_recipes
from woollama.config.tokens import read_tokens
from woollama.config.woollama_toml import read_daemon, read_prices
from woollama.platform import config_dir

SHIPPED = ("recipes.toml", "mcp.json", "inferencers.toml")
FILES = (*SHIPPED, "woollama.toml")


@dataclass(frozen=True, slots=True)
class Loaded:
    """`fatal`: a file cannot be parsed or a variable of the environment cannot be read, so nothing may start on it.

    `documents` are the files that were read, the user's after the shipped ones. `watched` are the files of the user
    that it depends on, and directories of patterns; they need not exist.
    """

    config: Config
    problems: tuple[Problem, ...]
    fatal: bool
    documents: tuple[Document, ...] = ()
    watched: tuple[Path, ...] = ()

    @property
    def errors(self) -> tuple[Problem, ...]:
        return tuple(problem for problem in self.problems if problem.severity == "error")

    def problem(self, path: KeyPath, finding: Finding) -> Problem:
        """A problem that was found after loading, at the place where `path` (`("recipes", "demo", …)`) was written."""
        for document in reversed(self.documents):
            section = document.data.get(str(path[0]))
            if isinstance(section, dict) and path[1] in section:
                return place(document, path, finding)
        return Problem(None, None, dotted(path), finding.message, finding.suggestion, finding.severity)


def load(directory: Path | None, environ: Mapping[str, str], drafts: Mapping[str, str] | None = None) -> Loaded:
    """The user's files in `directory` (`None`: where `environ` says) laid over the shipped ones.

    `drafts` are texts by the names of files that are read as if they stood there already.
    Never raises for what a user wrote: that is in `problems`, and what it concerns is not in `config`.
    """
    problems: list[Problem] = []
    named = directory is not None or bool(environ.get("WOOLLAMA_CONFIG_DIR"))
    directory = config_dir(environ) if directory is None else directory
    if named and not directory.is_dir():
        problems.append(Problem(directory, None, "", "is no directory; the defaults are in force", severity="warning"))
    problems += _unread(directory)
    defaults = defaults_dir()
    documents: dict[str, list[Document]] = {name: [] for name in FILES}
    unparsable: list[Problem] = []
    for name in FILES:
        for file in [defaults / name] * (name in SHIPPED) + [directory / name]:
            try:
                draft = (drafts or {}).get(name) if file.parent == directory else None
                document = read_document(file) if draft is None else parse_document(file, draft)
            except Unparsable as error:
                unparsable.append(Problem(file, error.line, "", error.message))
                continue
            if document is not None:
                documents[name].append(document)
    variables = Variables(environ, defaults, directory / "secrets")
    known = {"recipes.toml": ("aliases", "patterns", "recipes"), "inferencers.toml": ("inferencers",)}
    for name, sections in known.items():
        for document in documents[name]:
            problems += _strays(document, sections)
    door, limits, approvals, state, compression, mcp, unusable = read_daemon(
        documents["woollama.toml"], variables, problems
    )
    aliases = read_aliases(documents["recipes.toml"], variables, problems)
    recipes = read_recipes(documents["recipes.toml"], variables, problems)
    servers = read_servers(documents["mcp.json"], variables, problems)
    config = Config(
        aliases=aliases,
        recipes={**read_patterns(documents["recipes.toml"], variables, problems), **recipes},
        inferencers=read_inferencers(documents["inferencers.toml"], variables, problems),
        servers=servers,
        door=door,
        limits=limits,
        approvals=approvals,
        state=state,
        compression=compression,
        mcp=mcp,
        conversation_store=read_conversation_store(documents["mcp.json"], servers, variables, problems),
        prices=read_prices(documents["woollama.toml"], variables, problems),
        tokens=read_tokens(documents["woollama.toml"], variables, problems),
    )
    read = tuple(document for name in FILES for document in documents[name])
    patterns = patterns_dir(documents["recipes.toml"], variables)
    env_files = [Path(server.env_file) for server in config.servers.values() if server.env_file]
    watched = (*(directory / name for name in FILES), *([patterns] if patterns else []), *env_files)
    return Loaded(config, (*unparsable, *problems), bool(unparsable) or unusable, read, watched)


def _unread(directory: Path) -> Iterator[Problem]:
    """Files whose names are nearly those that are read."""
    try:
        names = sorted(file.name for file in directory.iterdir() if file.suffix in (".toml", ".json"))
    except OSError:
        return
    for name in names:
        if name not in FILES and (hint := did_you_mean(name, FILES)):
            yield Problem(directory / name, None, "", "is not read", hint, "warning")


def _strays(document: Document, sections: tuple[str, ...]) -> list[Problem]:
    """Top-level keys that belong nowhere; often a table whose header lacks the section's name."""
    found = []
    for key, value in document.data.items():
        if key in sections:
            continue
        if hint := did_you_mean(key, sections):
            finding = Finding("is no known section", suggestion=hint)
        else:
            wanted = f"[{sections[-1]}.{key}]" if isinstance(value, dict) else ""
            finding = Finding("is no known section", suggestion=f"did you mean {wanted}?" if wanted else "")
        found.append(place(document, (key,), finding, key))
    return found
