"""Topics and schemas as data: what topics.yaml and schemas/avro say."""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from bus.errors import SchemaMissingError, TopicsFileError, UnknownTopicError

TOPICS_FILE = Path(__file__).parent / "topics.yaml"
SCHEMAS_DIR = Path(__file__).parent.parent / "schemas" / "avro"

# Not one of our files: Debezium registers keys and values of its topics by itself.
DEBEZIUM = "debezium"

_DAY_MS = 24 * 60 * 60 * 1000


class Topic(BaseModel):
    """One topic as it should be."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    schema_name: str = Field(alias="schema")
    key: str
    partitions: int = Field(ge=1, le=1000)
    retention_days: int = Field(ge=1, le=3650)
    cleanup: Literal["delete", "compact"]

    @property
    def ours(self) -> bool:
        """True where the value's schema is one of schemas/avro."""
        return self.schema_name != DEBEZIUM

    @property
    def subject(self) -> str:
        """The value's subject in the registry."""
        return f"{self.name}-value"

    def config(self, min_insync_replicas: int) -> dict[str, str]:
        """The topic's settings in the broker's own words."""
        config = {
            "cleanup.policy": self.cleanup,
            "min.insync.replicas": str(min_insync_replicas),
        }
        if self.cleanup == "delete":
            config["retention.ms"] = str(self.retention_days * _DAY_MS)
        return config


def load_topics(path: Path = TOPICS_FILE) -> dict[str, Topic]:
    """Read the topics file; the error names the file, the topic and the key."""
    try:
        text = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError) as error:
        raise TopicsFileError(f"{path}: {error}") from error
    if not isinstance(text, dict) or not isinstance(text.get("topics"), dict):
        raise TopicsFileError(f"{path}: expected a mapping with 'defaults' and 'topics'")
    topics: dict[str, Topic] = {}
    for name, given in text["topics"].items():
        try:
            topics[name] = Topic.model_validate({**text.get("defaults", {}), **(given or {}), "name": name})
        except (ValidationError, TypeError) as error:
            said = (
                "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors())
                if isinstance(error, ValidationError)
                else str(error)
            )
            raise TopicsFileError(f"{path}: topic {name}: {said}") from error
    return topics


@lru_cache(maxsize=1)
def topics() -> dict[str, Topic]:
    """The project's topics by name, read once."""
    return load_topics()


def schema_name_of(topic: str) -> str:
    """Which of schemas/avro the topic's values are written with."""
    found = topics().get(topic)
    if found is None or not found.ours:
        raise UnknownTopicError(f"{topic}: bus/topics.yaml names no schema of ours for it")
    return found.schema_name


@lru_cache(maxsize=64)
def load_schema(name: str) -> dict[str, Any]:
    """One of schemas/avro by its name, as written."""
    path = SCHEMAS_DIR / f"{name}.avsc"
    try:
        schema = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SchemaMissingError(f"there is no schema file {path}") from error
    except ValueError as error:
        raise SchemaMissingError(f"{path} is not JSON: {error}") from error
    if not isinstance(schema, dict):
        raise SchemaMissingError(f"{path} does not hold a record")
    return schema
