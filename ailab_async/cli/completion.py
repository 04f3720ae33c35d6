"""``ailab completion``: a script that completes commands, options and their values in a shell.

It is made of the parser itself, so it knows what the command knows, and asks for nothing when it
runs: completing costs the shell a few lines of its own.
"""

from __future__ import annotations

import argparse
import shlex
import sys
from typing import TYPE_CHECKING, Final

from attrs import field, frozen

from ..operations.catalogue import catalogue
from .exits import Exit
from .jobs import style_names
from .other_commands import SHELLS
from .streams import write_line

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["completion"]

_TAKES_FOLDERS: Final = frozenset({"FOLDER"})
_TAKES_FILES: Final = frozenset({"FILE", "PHOTO", "PICTURE"})


@frozen(kw_only=True)
class _Option:
    """An option: its spellings, what it is for, and what it takes.

    ``takes`` is empty for a switch, "file", "folder" or "other"; ``values`` are all it may be.
    """

    names: tuple[str, ...]
    text: str
    takes: str
    values: tuple[str, ...] = ()


@frozen(kw_only=True)
class _Command:
    """A command: the words that lead to it, what may follow, and its options."""

    words: tuple[str, ...]
    text: str
    options: tuple[_Option, ...]
    follows: dict[str, str] = field(factory=dict)
    files: bool = False

    @property
    def place(self) -> str:
        return " ".join(self.words)


def completion(parser: argparse.ArgumentParser, shell: str) -> int:
    """Print the script."""
    commands = list(_commands(parser, ()))
    make = (_bash, _zsh, _fish)[SHELLS.index(shell)]
    lost = write_line(sys.stdout, make(commands))
    return Exit.CANNOT_WRITE if lost else Exit.DONE


# --- what the parser knows ------------------------------------------------------------------------


def _commands(
    parser: argparse.ArgumentParser, words: tuple[str, ...], text: str = ""
) -> Iterator[_Command]:
    """Yield the command and those below it."""
    follows: dict[str, str] = {}
    below: dict[str, argparse.ArgumentParser] = {}
    options: list[_Option] = []
    files = False
    for action in parser._actions:  # noqa: SLF001 - argparse has no other way to ask
        if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001 - as above
            below = dict(action.choices)
            briefs = {pseudo.dest: pseudo.help or "" for pseudo in action._choices_actions}  # noqa: SLF001 - as above
            follows |= {name: briefs.get(name, "") for name in below}
        elif action.option_strings:
            options.append(_option(action))
        elif action.choices:
            follows |= dict.fromkeys(map(str, action.choices), "")
        elif action.metavar == "ENDPOINT":
            specs = (spec for spec in catalogue() if spec.mode != "query")
            follows |= {spec.name: spec.title for spec in specs}
        files = files or action.metavar in _TAKES_FILES
    yield _Command(words=words, text=text, options=tuple(options), follows=follows, files=files)
    for name, inner in below.items():
        yield from _commands(inner, (*words, name), follows[name])


def _option(action: argparse.Action) -> _Option:
    takes = ""
    if action.nargs != 0:
        folder, file = action.metavar in _TAKES_FOLDERS, action.metavar in _TAKES_FILES
        takes = "folder" if folder else "file" if file else "other"
    values = tuple(map(str, action.choices or ()))
    if "--style" in action.option_strings:
        values = tuple(style_names())
    return _Option(
        names=tuple(action.option_strings),
        text=action.help or "",
        takes=takes,
        values=values,
    )


# --- bash, and zsh with its help for scripts of bash ----------------------------------------------


def _bash(commands: list[_Command]) -> str:
    places = "|".join(shlex.quote(command.place) for command in commands if command.words)
    return f"""\
# completion of ailab for bash
_ailab() {{
    local current=${{COMP_WORDS[COMP_CWORD]}} before=${{COMP_WORDS[COMP_CWORD-1]}}
    local IFS=$' \\t\\n' place="" word next files=""
    for word in "${{COMP_WORDS[@]:1:$((COMP_CWORD-1))}}"; do
        next="${{place:+$place }}$word"
        case "$next" in
            {places}) place="$next" ;;
        esac
    done
    local words=""
    COMPREPLY=()
    case "$place:$before" in
{_bash_values(commands)}
    esac
    case "$place" in
{_bash_words(commands)}
    esac
    COMPREPLY=($(compgen -W "$words" -- "$current"))
    if [[ -n $files && $current != -* ]]; then
        compopt -o filenames 2>/dev/null
        IFS=$'\\n'
        COMPREPLY+=($(compgen -f -- "$current"))
    fi
}}
complete -F _ailab ailab"""


def _bash_values(commands: list[_Command]) -> str:
    """Return a line for each option that takes something, behind which nothing else is asked."""
    lines = []
    for command in commands:
        for option in command.options:
            if not option.takes:
                continue
            wanted = "|".join(shlex.quote(f"{command.place}:{name}") for name in option.names)
            flag = {"file": "-f", "folder": "-d"}.get(option.takes, "")
            if option.values:
                flag = f"-W {shlex.quote(' '.join(option.values))}"
            found = f'COMPREPLY=($(compgen {flag} -- "$current")); ' if flag else ""
            names = (
                "compopt -o filenames 2>/dev/null; IFS=$'\\n'; " if option.takes != "other" else ""
            )
            lines.append(f"        {wanted}) {names}{found}return ;;")
    return "\n".join(lines)


def _bash_words(commands: list[_Command]) -> str:
    lines = []
    for command in commands:
        words = [*command.follows, *(name for option in command.options for name in option.names)]
        files = " files=yes" if command.files else ""
        lines.append(
            f"        {shlex.quote(command.place)}) words={shlex.quote(' '.join(words))}{files} ;;"
        )
    return "\n".join(lines)


def _zsh(commands: list[_Command]) -> str:
    script = _bash(commands).replace("for bash", "for zsh", 1)
    return f"autoload -U +X bashcompinit && bashcompinit\n{script}"


# --- fish -----------------------------------------------------------------------------------------


def _fish(commands: list[_Command]) -> str:
    lines = ["# completion of ailab for fish", "complete -c ailab -f"]
    for command in commands:
        when = _fish_condition(command)
        for name, text in command.follows.items():
            lines.append(f"complete -c ailab {when} -a {_fish_text(name)} -d {_fish_text(text)}")
        if command.files:
            lines.append(f"complete -c ailab {when} -F")
        for option in command.options:
            parts = ["complete -c ailab", when]
            parts += [
                f"-l {name[2:]}" if name.startswith("--") else f"-s {name[1:]}"
                for name in option.names
            ]
            if option.takes in {"file", "folder"}:
                parts.append("-r -F")
            elif option.takes:
                parts.append("-x")  # no files, also where the command itself takes some
            if option.values:
                parts.append(f"-a {_fish_text(' '.join(option.values))}")
            lines.append(" ".join([*parts, f"-d {_fish_text(option.text)}"]))
    return "\n".join(lines)


def _fish_condition(command: _Command) -> str:
    if not command.words:
        return "-n __fish_use_subcommand"
    seen = "; and ".join(f"__fish_seen_subcommand_from {word}" for word in command.words)
    # below a command that has commands, only where none of these was given yet
    below = " ".join(command.follows) if len(command.words) == 1 and not command.files else ""
    if below:
        seen += f"; and not __fish_seen_subcommand_from {below}"
    return f"-n {_fish_text(seen)}"


def _fish_text(text: str) -> str:
    escaped = text.replace("%%", "%").replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"
