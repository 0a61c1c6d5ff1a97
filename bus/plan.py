"""What has to change so that brokers and registry are as topics.yaml and schemas/avro say, as data.

A plan creates topics, raises partitions, changes settings, registers schemas and sets their compatibility.
It never deletes a topic or a schema and never lowers partitions or replication: what it will not do stands
in `refused`, for a person to decide.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from bus.topics import Topic

# A new schema version must be able to read everything ever written under the subject, since any consumer
# may replay from the start.
COMPATIBILITY: Final = "BACKWARD_TRANSITIVE"


@dataclass(frozen=True)
class CreateTopic:
    """A topic that does not exist yet."""

    topic: str
    partitions: int
    replication: int
    config: Mapping[str, str]

    def __str__(self) -> str:
        settings = ", ".join(f"{key}={value}" for key, value in sorted(self.config.items()))
        return f"create topic {self.topic}: {self.partitions} partitions × {self.replication}, {settings}"


@dataclass(frozen=True)
class RaisePartitions:
    """More partitions; keys move between partitions, which versions make harmless."""

    topic: str
    present: int
    wanted: int

    def __str__(self) -> str:
        return f"raise {self.topic} from {self.present} to {self.wanted} partitions"


@dataclass(frozen=True)
class ChangeConfig:
    """A topic's setting that differs."""

    topic: str
    key: str
    present: str | None
    wanted: str

    def __str__(self) -> str:
        return f"set {self.key} of {self.topic} from {self.present} to {self.wanted}"


@dataclass(frozen=True)
class SetCompatibility:
    """A subject's rule for new versions."""

    subject: str
    present: str | None
    wanted: str

    def __str__(self) -> str:
        return f"set compatibility of {self.subject} from {self.present or 'none'} to {self.wanted}"


@dataclass(frozen=True)
class RegisterSchema:
    """A schema the registry does not have under the subject."""

    subject: str
    schema: str

    def __str__(self) -> str:
        return f"register schemas/avro/{self.schema}.avsc as {self.subject}"


Step = CreateTopic | RaisePartitions | ChangeConfig | SetCompatibility | RegisterSchema


@dataclass(frozen=True)
class PresentTopic:
    """A topic as the broker has it."""

    partitions: int
    replication: int
    config: Mapping[str, str]


@dataclass(frozen=True)
class PresentSubject:
    """A subject as the registry has it; `current` is true where our schema is one of its versions."""

    compatibility: str | None
    current: bool


@dataclass(frozen=True)
class Present:
    """Everything a plan has to know of the running system."""

    topics: Mapping[str, PresentTopic]
    subjects: Mapping[str, PresentSubject]


@dataclass(frozen=True)
class Plan:
    """Steps in the order they must be taken, and what stays different on purpose."""

    steps: tuple[Step, ...] = ()
    refused: tuple[str, ...] = field(default=())

    def as_data(self) -> dict[str, Any]:
        """For --json."""
        return {
            "steps": [{"do": type(step).__name__, **asdict(step)} for step in self.steps],
            "refused": list(self.refused),
        }


def make_plan(
    wanted: Iterable[Topic], present: Present, *, replication: int, min_insync_replicas: int
) -> Plan:
    """Compare and list. Pure: the same input gives the same plan.

    1. Topics first: a producer that registers a schema may send at once.
    2. A known subject gets its rule before the new schema, so that the schema is held to it;
       a new subject has to exist before it can have a rule.
    """
    steps: list[Step] = []
    refused: list[str] = []
    wanted = list(wanted)
    # 1.
    for topic in wanted:
        config = topic.config(min_insync_replicas)
        there = present.topics.get(topic.name)
        if there is None:
            steps.append(CreateTopic(topic.name, topic.partitions, replication, config))
            continue
        if topic.partitions > there.partitions:
            steps.append(RaisePartitions(topic.name, there.partitions, topic.partitions))
        elif topic.partitions < there.partitions:
            refused.append(
                f"{topic.name} has {there.partitions} partitions instead of {topic.partitions}: "
                "partitions cannot be taken away"
            )
        if there.replication != replication:
            refused.append(
                f"{topic.name} has replication {there.replication} instead of {replication}: "
                "moving replicas is a reassignment, not a setting"
            )
        steps.extend(
            ChangeConfig(topic.name, key, there.config.get(key), value)
            for key, value in sorted(config.items())
            if there.config.get(key) != value
        )
    # 2.
    for topic in wanted:
        if not topic.ours:
            continue
        known = present.subjects.get(topic.subject)
        rule = SetCompatibility(topic.subject, known.compatibility if known else None, COMPATIBILITY)
        if known is None:
            steps += [RegisterSchema(topic.subject, topic.schema_name), rule]
            continue
        if known.compatibility != COMPATIBILITY:
            steps.append(rule)
        if not known.current:
            steps.append(RegisterSchema(topic.subject, topic.schema_name))
    return Plan(tuple(steps), tuple(refused))
