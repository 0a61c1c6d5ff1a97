"""SQL files with `{{ name }}` placeholders: read, filled, and refused when anything is left over."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from flink_jobs.errors import JobFileError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_PLACEHOLDER: Final = re.compile(r"\{\{ ([a-z0-9_]+) \}\}")
_ANY_BRACES: Final = re.compile(r"\{\{|\}\}")


def placeholders(text: str) -> set[str]:
    """The names that stand in a text."""
    return set(_PLACEHOLDER.findall(text))


def fill(text: str, values: Mapping[str, str], name: str) -> str:
    """Put every value where its name stands; an unknown name, or braces of another form, is an error."""
    missing = sorted(placeholders(text) - set(values))
    if missing:
        raise JobFileError(f"{name}: nothing is known for {', '.join(missing)}")
    filled = _PLACEHOLDER.sub(lambda found: values[found.group(1)], text)
    if _ANY_BRACES.search(_PLACEHOLDER.sub("", text)):
        raise JobFileError(f"{name}: placeholders are written {{{{ name }}}}, in small letters")
    return filled


def refuse_unused(texts: Mapping[str, str], values: Mapping[str, str]) -> None:
    """Every value must stand somewhere: one that does not is a setting that silently does nothing."""
    used = set().union(*(placeholders(text) for text in texts.values()))
    unused = sorted(set(values) - used)
    if unused:
        raise JobFileError(f"no SQL file uses {', '.join(unused)}")


def read(path: Path) -> str:
    """One SQL file; it must say who owns it and what one row is."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise JobFileError(f"{path}: {error}") from error
    head = "\n".join(line for line in text.splitlines() if line.startswith("--"))
    if "Owner:" not in head or "Grain:" not in head:
        raise JobFileError(f"{path}: begins with a comment that names Owner and Grain")
    return text.strip().removesuffix(";")


def literal(text: str) -> str:
    """A text as SQL writes it."""
    return "'" + text.replace("'", "''") + "'"


def options(pairs: Mapping[str, str]) -> str:
    """The inside of a WITH clause."""
    return ",\n    ".join(f"{literal(name)} = {literal(value)}" for name, value in pairs.items())
