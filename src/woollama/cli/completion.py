"""`woollama completion SHELL`: a script with which the shell asks us what fits.

What can be completed is read from the parsers of the commands, so it is never behind them; names of models, recipes and
tools are asked of the running daemon, briefly, and where none runs there are none.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress

from woollama.cli.arguments import Parser, SubParsers
from woollama.cli.screen import one_line

ASK_TIMEOUT_S = 1.0
ASK = "words"
"""What the scripts call; nobody else has a use for it."""
Candidate = tuple[str, str]
"""A word and what it is."""

# Words reach us one a line, the one at the cursor last; answers come back one a line, with what each is behind a tab.
SCRIPTS = {
    "bash": r"""_woollama() {
    local line="${COMP_LINE:0:COMP_POINT}" words current kept candidate
    read -ra words <<< "$line"
    [[ $line == *[[:space:]] ]] && words+=("")
    current="${words[${#words[@]} - 1]}"
    # Bash has cut the word at its colons and equals signs, and puts only the last piece back.
    kept="${current%"${current##*[:=]}"}"
    COMPREPLY=()
    while IFS=$'\t' read -r candidate _; do
        COMPREPLY+=("${candidate#"$kept"}")
    done < <(printf '%s\n' "${words[@]:1}" | woollama completion words 2>/dev/null)
    [[ ${COMPREPLY[0]} == *= ]] && compopt -o nospace 2>/dev/null
}
complete -o default -F _woollama woollama
""",
    "zsh": r"""#compdef woollama
_woollama() {
    local -a candidates
    local line
    for line in ${(f)"$(print -rl -- "${(@)words[2,CURRENT]}" | woollama completion words 2>/dev/null)"}; do
        candidates+=("${${line%%$'\t'*}//:/\\:}:${line#*$'\t'}")
    done
    if (( $#candidates )); then
        _describe woollama candidates
    else
        _files
    fi
}
if [[ $funcstack[1] == _woollama ]]; then
    _woollama "$@"
else
    compdef _woollama woollama
fi
""",
    "fish": r"""function __woollama_complete
    set -l words (commandline -opc)[2..-1]
    set -l current (commandline -ct)
    set -l candidates (printf '%s\n' $words "$current" | woollama completion words 2>/dev/null)
    if test (count $candidates) -gt 0
        printf '%s\n' $candidates
    else
        __fish_complete_path (commandline -ct)
    end
end
complete -c woollama -f -a '(__woollama_complete)'
""",
}


def add_parser(subparsers: SubParsers) -> None:
    parser = subparsers.add_parser(
        "completion",
        help="print a script that completes woollama's commands in your shell",
        description="Print a script for a shell, in which TAB then completes commands, options, and the names of"
        " models, recipes and tools that the running daemon has.",
        epilog='examples: bash: eval "$(woollama completion bash)" in ~/.bashrc; zsh: woollama completion zsh >'
        " ~/.zfunc/_woollama; fish: woollama completion fish > ~/.config/fish/completions/woollama.fish",
    )
    parser.add_argument("shell", metavar="SHELL", choices=[*SCRIPTS, ASK], help=", ".join(SCRIPTS))


def run(args: argparse.Namespace) -> int:
    if args.shell != ASK:
        print(SCRIPTS[args.shell], end="")
        return 0
    for word, what in candidates(sys.stdin.read().splitlines() or [""]):
        print(f"{word}\t{one_line(what, 80)}")
    return 0


def candidates(words: Sequence[str]) -> Iterator[Candidate]:
    """What the last of `words` (without the program's name) can become."""
    from woollama.cli import COMMANDS, parser

    *before, current = words
    command = before[0] if before and before[0] in COMMANDS else None
    at = parser(command)
    if command is None and before:
        return
    values: list[str] = []
    pending: argparse.Action | None = None
    for word in before:
        if pending is not None:
            pending = None
        elif at.commands is not None and word in at.commands.choices:
            at, values = at.commands.choices[word], []
        elif word.startswith("-"):
            pending = _taking_value(at, word)
        else:
            values.append(word)
    name, equals, part = current.partition("=")
    if pending is not None:
        yield from _fitting(current, _values(at, pending))
    elif equals and (option := _taking_value(at, name)) is not None:
        yield from ((f"{name}={word}", what) for word, what in _fitting(part, _values(at, option)))
    elif current.startswith("-"):
        yield from _fitting(current, _options(at))
    elif at.commands is not None:
        yield from _fitting(current, _commands(at))
    elif (positional := _positional(at, len(values))) is not None:
        yield from _fitting(current, _values(at, positional))


def _fitting(part: str, offered: Iterator[Candidate]) -> Iterator[Candidate]:
    return ((word, what) for word, what in offered if word.startswith(part))


def _commands(at: Parser) -> Iterator[Candidate]:
    for action in at.commands._choices_actions:
        yield action.dest, action.help or ""


def _options(at: Parser) -> Iterator[Candidate]:
    for action in at.arguments:
        for name in action.option_strings:
            if name.startswith("--"):
                yield name, action.help or ""


def _taking_value(at: Parser, word: str) -> argparse.Action | None:
    return next((each for each in at.arguments if word in each.option_strings and each.nargs != 0), None)


def _positional(at: Parser, number: int) -> argparse.Action | None:
    """The argument that takes the value `number`, counted from 0; one that takes many takes all that follow."""
    positionals = [each for each in at.arguments if not each.option_strings]
    if number < len(positionals):
        return positionals[number]
    return positionals[-1] if positionals and positionals[-1].nargs in ("*", "+") else None


def _values(at: Parser, action: argparse.Action) -> Iterator[Candidate]:
    if action.choices is not None:
        yield from ((str(choice), "") for choice in action.choices if choice != ASK)
    elif kind := at.completed.get(action.dest):
        with suppress(Exception):  # nothing may disturb somebody who types
            yield from _names(kind)


def _names(kind: str) -> Iterator[Candidate]:
    from woollama.cli.daemon import Daemon
    from woollama.cli.models import kind_of

    daemon = Daemon(os.environ)
    if kind in ("tools", "servers"):
        listing = daemon.get("/v1/tools", timeout_s=ASK_TIMEOUT_S)
        if kind == "servers":
            yield from ((server["name"], server["health"]) for server in listing["servers"])
        else:
            yield from ((tool["name"], tool["description"]) for tool in listing["data"])
        return
    for model in daemon.get("/v1/models", timeout_s=ASK_TIMEOUT_S)["data"]:
        sort = kind_of(model)
        if kind == "models":
            yield model["id"], sort
        elif kind == {"recipe": "recipes", "alias": "aliases"}.get(sort):
            yield model["id"].removeprefix("woollama/"), sort
