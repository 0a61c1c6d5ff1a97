"""What exists is written down: every command, topic, setting, bench, and every link leads somewhere."""

from __future__ import annotations

import importlib
import pkgutil
import re
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import click
import pytest
from pydantic import AliasChoices, SecretStr
from pydantic_settings import BaseSettings

from bench.cli import BENCHES
from bus.topics import topics
from settle.__main__ import settle

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pydantic.fields import FieldInfo

ROOT = Path(__file__).parents[2]
ROOMS = sorted(path.parent.name for path in ROOT.glob("*/__init__.py") if path.parent.name != "tests")
# A README is a screen; a screen with a map in it may be a tall one.
SCREEN = 90


@cache
def documents() -> dict[Path, str]:
    patterns = ("*.md", "*/README.md", "*/*/README.md", "docs/**/*.md")
    return {
        path: path.read_text(encoding="utf-8")
        for pattern in patterns
        for path in sorted(ROOT.glob(pattern))
        if ".settle" not in path.parts
    }


def commands(group: click.Command, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    if not isinstance(group, click.Group):
        yield path
        return
    context = click.Context(group, info_name=" ".join(path) or "settle")
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None, name
        if not command.hidden:
            yield from commands(command, (*path, name))


def is_documented(path: tuple[str, ...]) -> bool:
    """`settle topics apply` in so many words, or in a list such as `settle topics plan | apply`."""
    *groups, name = (re.escape(part) for part in path)
    if groups:
        said = re.compile(rf"\b{' '.join(groups)} (?:[^\s`|,]+\s*(?:[|,/]|or|and)\s*)*{name}\b")
    else:
        said = re.compile(rf"(?:settle|\./run) (?:[^\s`|,]+\s*(?:[|,/]|or|and)\s*)*{name}\b")
    return any(said.search(text) for text in documents().values())


def settings() -> Iterator[type[BaseSettings]]:
    for room in ROOMS:
        package = importlib.import_module(room)
        for module in pkgutil.iter_modules(package.__path__, f"{room}."):
            if module.name.rpartition(".")[2] not in ("settings", "config"):
                continue
            for thing in vars(importlib.import_module(module.name)).values():
                own = getattr(thing, "__module__", "") == module.name
                if isinstance(thing, type) and issubclass(thing, BaseSettings) and own:
                    yield thing


def variables() -> dict[str, str | None]:
    """Every variable that a settings class reads, under its own first name, with its default as text."""
    found: dict[str, str | None] = {}
    for kind in settings():
        prefix = str(kind.model_config.get("env_prefix", ""))
        for name, field in kind.model_fields.items():
            alias = field.validation_alias
            if isinstance(alias, AliasChoices):
                alias = alias.choices[0]
            found[str(alias or prefix + name).upper()] = default_of(field)
    return found


def shared_names() -> set[str]:
    """Names that a room reads where its own is not set; a sentence may stand for all of them."""
    fields = (field for kind in settings() for field in kind.model_fields.values())
    aliases = (field.validation_alias for field in fields)
    return {str(name) for alias in aliases if isinstance(alias, AliasChoices) for name in alias.choices[1:]}


def default_of(field: FieldInfo) -> str | None:
    """The default as docs/settings.md writes it; None where it depends on the machine."""
    if field.default_factory is not None or isinstance(field.default, Path):
        return None
    secret = isinstance(field.default, SecretStr)
    value = field.default.get_secret_value() if secret else field.default
    return f"`{value}`" if value not in (None, "") else "–"


def plain_variables() -> set[str]:
    """What code reads from the environment past the settings classes."""
    reads = re.compile(r"""environ(?:\.get\(|\.pop\(|\[)\s*["'](SETTLE_[A-Z0-9_]+)["']""")
    return {
        name
        for room in ROOMS
        for path in (ROOT / room).rglob("*.py")
        for name in reads.findall(path.read_text(encoding="utf-8"))
    }


def test_every_command_is_documented() -> None:
    missing = [" ".join(path) for path in commands(settle) if not is_documented(path)]
    assert not missing, f"in no README and no page of docs: {missing}"


def test_every_topic_is_documented() -> None:
    text = "\n".join(documents().values())
    assert [name for name in topics() if f"`{name}`" not in text] == []


def test_every_setting_is_documented_with_its_default() -> None:
    row = re.compile(r"^\| `(\w+)` \| (.+?) \|", re.MULTILINE)
    written = dict(row.findall(documents()[ROOT / "docs" / "settings.md"]))
    read = variables()
    everything = {*read, *plain_variables()}
    assert len(everything) > 80
    missing = sorted(everything - set(written))
    assert not missing, f"not in docs/settings.md: {missing}"
    wrong = [name for name, default in read.items() if default is not None and written[name] != default]
    assert not wrong, f"another default in docs/settings.md: {wrong}"
    gone = sorted(set(written) - everything - shared_names())
    assert not gone, f"in docs/settings.md, read by nothing: {gone}"


def test_every_bench_is_documented() -> None:
    text = "\n".join(documents().values())
    assert [one.name for one in BENCHES if f"bench {one.name}" not in text] == []


@pytest.mark.parametrize("room", [*ROOMS, "schemas/avro"])
def test_every_room_has_a_page_of_a_screen(room: str) -> None:
    path = ROOT / room / "README.md"
    assert path.exists()
    assert len(documents()[path].splitlines()) <= SCREEN


def test_every_link_leads_somewhere() -> None:
    link = re.compile(r"\]\((?!https?:|mailto:|#)([^)#\s]+)")
    dead = [
        f"{path.relative_to(ROOT)}: {target}"
        for path, text in documents().items()
        for target in link.findall(text)
        if not (path.parent / target).exists()
    ]
    assert not dead, f"lead nowhere: {dead}"


def test_every_file_that_a_page_names_exists() -> None:
    """`docs/adr/0003-versions.md` in backticks, from the root or from the page's own folder."""
    named = re.compile(r"`((?:[\w.-]+/)+[\w.-]+\.(?:md|py|sql|yaml|json|avsc))`")
    dead = [
        f"{path.relative_to(ROOT)}: {target}"
        for path, text in documents().items()
        for target in named.findall(text)
        if (ROOT / target.partition("/")[0]).is_dir()
        and not (ROOT / target).exists()
        and not (path.parent / target).exists()
    ]
    assert not dead, f"lead nowhere: {dead}"


def test_decisions_are_numbered_without_gaps_or_twins() -> None:
    numbers = [path.name[:4] for path in sorted((ROOT / "docs" / "adr").glob("[0-9]*.md"))]
    assert numbers == [f"{number:04d}" for number in range(1, len(numbers) + 1)]
