"""`woollama chat`: a conversation at the terminal. Its history is kept here and sent each time; nothing is stored."""

from __future__ import annotations

import argparse
import os
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

from woollama.cli.answers import Answer, Item, call_line
from woollama.cli.arguments import SubParsers, nearest, pair
from woollama.cli.daemon import Daemon, NotRunning, Refused
from woollama.cli.lines import piped_lines, typed_lines
from woollama.cli.questions import Questions
from woollama.cli.screen import complain, shown, styled
from woollama.platform import config_dir, state_dir

_COMMAND = re.compile(r"/(\w*)(?:\s+(.*))?", re.DOTALL)
COMMANDS: Mapping[str, str] = {
    "help": "these commands",
    "model": "which model answers; /model NAME: another one from now on",
    "clear": "forget the conversation so far",
    "save": "/save FILE: write the conversation so far to a new file",
    "quit": "leave, as Ctrl-D does",
}
_HELP = """\
A question that begins with / is written with a space before it. A line that ends with \\ goes on in the next.
Ctrl-C ends an answer; at the prompt Ctrl-C twice, or Ctrl-D, leaves."""


def add_parser(subparsers: SubParsers) -> None:
    parser = subparsers.add_parser(
        "chat",
        help="talk with a recipe or a model",
        description="Talk with a recipe or a model: answers come as they are made, and tool calls are shown. Without a"
        " MODEL the alias `default` answers, else the only recipe that you have written. Questions that come through"
        " a pipe are answered line by line.",
        epilog="examples: woollama chat ollama/qwen3:14b; woollama chat --recipe assistant --var language=Deutsch."
        " Inside, /help says more.",
    )
    who = parser.add_mutually_exclusive_group()
    who.add_argument("model", nargs="?", metavar="MODEL", help="any name that `woollama models` shows")
    who.add_argument("--recipe", metavar="NAME", help="a recipe: the same as woollama/NAME")
    parser.completed |= {"model": "models", "recipe": "recipes"}
    parser.add_argument(
        "--var",
        action="append",
        default=[],
        type=pair,
        metavar="NAME=VALUE",
        help="the value of one of the recipe's variables; may be repeated",
    )
    parser.add_argument("--system", metavar="TEXT", help="what the model is told beside the recipe's own words")


def run(args: argparse.Namespace) -> int:
    daemon = Daemon(os.environ)
    try:
        model = f"woollama/{args.recipe}" if args.recipe else args.model or default_model(daemon, os.environ)
        if model is None:
            complain(
                "say which model: `woollama models` lists them, `woollama alias add default NAME` keeps your choice"
            )
            return 2
        if args.model or args.recipe:
            daemon.get("/healthz")
    except (NotRunning, Refused) as error:
        complain(error)
        return 1
    settings: dict[str, Any] = {"variables": dict(args.var)} if args.var else {}
    if args.system:
        settings["instructions"] = args.system
    return Chat(daemon, model, settings).run()


def default_model(daemon: Daemon, environ: Mapping[str, str]) -> str | None:
    """The alias `default`, else the only recipe in the user's own file; `None` where there is nothing to choose."""
    from woollama.config.documents import Unparsable, read_document

    listed = {model["id"] for model in daemon.get("/v1/models")["data"]}
    if "default" in listed:
        return "default"
    try:
        document = read_document(config_dir(environ) / "recipes.toml")
    except Unparsable:
        return None
    written = document.data.get("recipes", {}) if document is not None else {}
    own = [name for name in map("woollama/{}".format, written) if name in listed]
    return own[0] if len(own) == 1 else None


class Chat:
    """`settings` go with every request: variables and instructions."""

    def __init__(self, daemon: Daemon, model: str, settings: Mapping[str, Any]) -> None:
        self._daemon = daemon
        self._model = model
        self._settings = settings
        self._history: list[Item] = []
        self._failed = False
        self._questions = Questions(daemon)

    def run(self) -> int:
        """Until the lines end; 1 if an answer failed that nobody was there to see."""
        if not sys.stdin.isatty():
            self._converse(piped_lines(sys.stdin))
            return int(self._failed)
        self._say(f"{self._model} answers. /help for help, Ctrl-D to leave.")
        self._converse(typed_lines("> ", state_dir(os.environ) / "chat_history"))
        return 0

    def _converse(self, lines: Iterator[str]) -> None:
        for line in lines:
            command = _COMMAND.fullmatch(line.rstrip())
            if command is None:
                self._ask(line.strip())
            elif not self._obey(command[1], command[2] or ""):
                return

    def _ask(self, text: str) -> None:
        question: Item = {"type": "message", "role": "user", "content": text}
        asked = {"model": self._model, "input": [*self._history, question], "stream": True, "store": False}
        answer = Answer(self._questions)
        try:
            with closing(self._daemon.post("/v1/responses", {**asked, **self._settings})) as events:
                well = answer.show(events)
        except KeyboardInterrupt:
            answer.end_line()
            self._say("cancelled")
            well = False
        except (NotRunning, Refused) as error:
            answer.end_line()
            complain(error)
            well = False
        self._failed = self._failed or not well
        # A question of which nothing has come is taken back: asked again, it must not stand there twice.
        if well or any(item["type"] == "message" for item in answer.said()):
            self._history += [question, *answer.said()]

    def _obey(self, name: str, argument: str) -> bool:
        """Carry out a command; false if the conversation is to end."""
        match name:
            case "quit" | "exit":
                return False
            case "help":
                width = max(map(len, COMMANDS)) + 1
                self._say("\n".join([*(f"/{each:<{width}} {what}" for each, what in COMMANDS.items()), _HELP]))
            case "model":
                self._model = argument or self._model
                self._say(f"{self._model} answers")
            case "clear":
                self._history.clear()
                self._say("forgotten")
            case "save" if argument:
                self._save(Path(argument).expanduser())
            case "save":
                complain("say where: /save FILE")
            case _:
                complain(f"there is no command /{name}{nearest(name, [*COMMANDS])}; /help lists them")
        return True

    def _save(self, file: Path) -> None:
        """Never over a file that is there: it could be somebody's only copy."""
        try:
            with open(file, "x", encoding="utf-8", opener=_private) as saved:
                saved.write(transcript(self._history))
        except OSError as error:
            complain(f"{file} was not written: {error.strerror}")
            return
        self._say(f"saved to {file}")

    def _say(self, text: str) -> None:
        print(styled(shown(text), "dim", sys.stderr), file=sys.stderr, flush=True)


def transcript(history: list[Item]) -> str:
    """A conversation as Markdown."""
    told: list[str] = []
    show: Mapping[str, Callable[[Item], str]] = {
        "mcp_call": lambda item: f"    {call_line(item)}",
        "message": lambda item: f"## {item['role']}\n\n{_text_of(item)}",
    }
    for item in history:
        if item["type"] in show:
            told.append(show[item["type"]](item))
    return "".join(f"{part}\n\n" for part in told)


def _text_of(message: Item) -> str:
    content = message["content"]
    if isinstance(content, str):
        return content
    return "".join(str(part.get("text") or part.get("refusal") or "") for part in content)


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
