"""The desired connectors: one JSON file each, the file's name is the connector's."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from connectors.errors import ConfigError
from connectors.plan import secrets_in_clear

if TYPE_CHECKING:
    from connectors.rest import Config

FOLDER = Path(__file__).parent


def desired(folder: Path = FOLDER) -> dict[str, Config]:
    """Every config in the folder, by connector name."""
    found = {path.stem: read(path) for path in sorted(folder.glob("*.json"))}
    if not found:
        raise ConfigError(f"no connector configs (*.json) in {folder}")
    return found


def read(path: Path) -> Config:
    """One file, exactly what `curl --data @file` would send."""
    try:
        config = json.loads(path.read_text(encoding="utf-8"), object_pairs_hook=_no_twins)
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from error
    except ValueError as error:
        raise ConfigError(f"{path}: {error}") from error
    if not isinstance(config, dict) or "connector.class" not in config:
        raise ConfigError(f"{path}: not a connector config: no connector.class")
    for name, value in config.items():
        if not isinstance(value, str):
            raise ConfigError(f'{path}: {name}: Connect keeps text, write "{json.dumps(value)}"')
    if "name" in config and config["name"] != path.stem:
        raise ConfigError(f"{path}: name is {config['name']}, the file says {path.stem}")
    if clear := secrets_in_clear(config):
        raise ConfigError(f"{path}: a secret in clear in {', '.join(clear)}; write ${{env:NAME}} instead")
    return config


def _no_twins(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """JSON lets a later twin win silently; here it is a mistake."""
    config = dict(pairs)
    if len(config) != len(pairs):
        names = [name for name, _ in pairs]
        twins = sorted({name for name in names if names.count(name) > 1})
        raise ValueError(f"written twice: {', '.join(twins)}")
    return config
