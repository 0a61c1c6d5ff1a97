"""Looking at brokers and registry, and taking a plan's steps there."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from confluent_kafka import KafkaError, KafkaException

# The package exports these at run time only; its own stubs leave them out.
from confluent_kafka.admin import (  # type: ignore[attr-defined]
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewPartitions,
    NewTopic,
    ResourceType,
)

from bus.client_log import client_log
from bus.errors import BrokerUnavailableError, from_kafka
from bus.plan import (
    ChangeConfig,
    CreateTopic,
    Plan,
    Present,
    PresentSubject,
    PresentTopic,
    RaisePartitions,
    RegisterSchema,
    SetCompatibility,
    Step,
    make_plan,
)
from bus.registry import Registry
from bus.settings import BusSettings, bus_settings
from bus.topics import Topic, load_schema

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

# Seconds one administrative answer may take: creating a dozen topics on a cold broker takes a few.
_ANSWER = 30.0
# Seconds until a broker that says nothing at all counts as away.
_GREETING = 10.0
# Seconds between two looks at whether a step shows.
_PAUSE = 0.1


class Cluster:
    """The brokers and the registry that a plan is about."""

    def __init__(self, settings: BusSettings | None = None) -> None:
        self._settings = settings or bus_settings()
        self._admin = AdminClient({**self._settings.client()}, logger=client_log)
        self._registry = Registry(self._settings)

    def plan(self, wanted: Iterable[Topic]) -> Plan:
        """What would have to change now."""
        wanted = list(wanted)
        return make_plan(
            wanted,
            self.look(wanted),
            replication=self._settings.replication,
            min_insync_replicas=self._settings.min_insync_replicas,
        )

    def look(self, wanted: Iterable[Topic]) -> Present:
        """The present state of these topics and of the subjects that are ours."""
        wanted = list(wanted)
        try:
            there = self._admin.list_topics(timeout=_GREETING).topics
        except KafkaException as error:
            raise from_kafka(error, "listing topics") from error
        names = [topic.name for topic in wanted if topic.name in there]
        configs = self._configs(names)
        present = {
            name: PresentTopic(
                partitions=len(there[name].partitions),
                replication=min(len(one.replicas) for one in there[name].partitions.values()),
                config=configs[name],
            )
            for name in names
        }
        known = set(self._registry.subjects())
        subjects = {
            topic.subject: PresentSubject(
                compatibility=self._registry.compatibility(topic.subject),
                current=self._registry.has(topic.subject, load_schema(topic.schema_name)),
            )
            for topic in wanted
            if topic.ours and topic.subject in known
        }
        return Present(present, subjects)

    def apply(self, plan: Plan, done: Callable[[Step], None] = lambda _: None) -> None:
        """Take exactly the plan's steps, in its order; the first that fails ends it by its named error.

        1. Take the step. 2. Wait until the broker shows it: it answers before it has told itself, and a
        producer or a second plan would still see the old state.
        """
        for step in plan.steps:
            # 1.
            self._take(step)
            # 2.
            give_up = time.monotonic() + _ANSWER
            while not self._shows(step):
                if time.monotonic() > give_up:
                    raise BrokerUnavailableError(f"{step}: accepted, but not to be seen after {_ANSWER:g} s")
                time.sleep(_PAUSE)
            done(step)

    def close(self) -> None:
        """Let go of the connections."""
        self._registry.close()

    def _take(self, step: Step) -> None:
        match step:
            case CreateTopic():
                new = NewTopic(
                    step.topic,
                    num_partitions=step.partitions,
                    replication_factor=step.replication,
                    config=dict(step.config),
                )
                self._settle(self._admin.create_topics([new], operation_timeout=_ANSWER), step)
            case RaisePartitions():
                more = NewPartitions(step.topic, step.wanted)
                self._settle(self._admin.create_partitions([more], operation_timeout=_ANSWER), step)
            case ChangeConfig():
                entry = ConfigEntry(step.key, step.wanted, incremental_operation=AlterConfigOpType.SET)
                resource = ConfigResource(ResourceType.TOPIC, step.topic, incremental_configs=[entry])
                self._settle(self._admin.incremental_alter_configs([resource]), step)
            case RegisterSchema():
                self._registry.register(step.subject, load_schema(step.schema))
            case SetCompatibility():
                self._registry.set_compatibility(step.subject, step.wanted)

    def _shows(self, step: Step) -> bool:
        match step:
            case CreateTopic() | RaisePartitions():
                wanted = step.partitions if isinstance(step, CreateTopic) else step.wanted
                try:
                    found = self._admin.list_topics(step.topic, timeout=_ANSWER).topics[step.topic]
                except KafkaException as error:
                    raise from_kafka(error, str(step)) from error
                leaders = [partition.leader for partition in found.partitions.values()]
                return found.error is None and len(leaders) >= wanted and min(leaders) >= 0
            case ChangeConfig():
                return self._configs([step.topic])[step.topic].get(step.key) == step.wanted
            case _:
                return True

    def _configs(self, names: list[str]) -> dict[str, dict[str, str]]:
        resources = [ConfigResource(ResourceType.TOPIC, name) for name in names]
        asked = self._admin.describe_configs(resources, request_timeout=_ANSWER) if resources else {}
        return {
            resource.name: {
                key: entry.value for key, entry in _answer(future, f"settings of {resource.name}").items()
            }
            for resource, future in asked.items()
        }

    @staticmethod
    def _settle(futures: dict[Any, Any], step: Step) -> None:
        for future in futures.values():
            try:
                future.result(_ANSWER)
            except KafkaException as error:
                # Somebody else took the same step meanwhile: the plan wanted nothing else.
                if error.args[0].code() == KafkaError.TOPIC_ALREADY_EXISTS:
                    continue
                raise from_kafka(error, str(step)) from error


def _answer(future: Any, doing: str) -> Any:
    try:
        return future.result(_ANSWER)
    except KafkaException as error:
        raise from_kafka(error, doing) from error
