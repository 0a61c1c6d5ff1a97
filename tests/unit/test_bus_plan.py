"""A plan is data, says what it will not do, and is empty once it was taken."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from bus.errors import TopicsFileError, UnknownTopicError
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
    make_plan,
)
from bus.topics import Topic, load_topics, schema_name_of, topics

if TYPE_CHECKING:
    from pathlib import Path

OURS = Topic(
    name="bank.records",
    schema="bank.records",
    key="record_id",
    partitions=4,
    retention_days=7,
    cleanup="delete",
)
THEIRS = OURS.model_copy(update={"name": "sabpaisa.public.x", "schema_name": "debezium"})
WEEK = str(7 * 24 * 3600 * 1000)
CONFIG = {"cleanup.policy": "delete", "min.insync.replicas": "1", "retention.ms": WEEK}
THERE = PresentTopic(partitions=4, replication=1, config={**CONFIG, "segment.bytes": "1073741824"})
KNOWN = PresentSubject("BACKWARD_TRANSITIVE", current=True)
NOTHING = Present({}, {})
EVERYTHING = Present(
    {"bank.records": THERE, "sabpaisa.public.x": THERE, "somebody.elses": THERE},
    {"bank.records-value": KNOWN},
)


def planned(present: Present, *wanted: Topic, replication: int = 1, min_insync: int = 1) -> Plan:
    return make_plan(
        wanted or (OURS, THEIRS), present, replication=replication, min_insync_replicas=min_insync
    )


def test_from_nothing_topics_come_first_and_a_new_subject_before_its_rule() -> None:
    assert planned(NOTHING).steps == (
        CreateTopic("bank.records", 4, 1, CONFIG),
        CreateTopic("sabpaisa.public.x", 4, 1, CONFIG),
        RegisterSchema("bank.records-value", "bank.records"),
        SetCompatibility("bank.records-value", None, "BACKWARD_TRANSITIVE"),
    )


def test_when_all_is_as_it_should_be_there_is_nothing_to_do() -> None:
    assert planned(EVERYTHING) == Plan()


def test_a_known_subject_gets_its_rule_before_the_new_schema() -> None:
    present = replace(EVERYTHING, subjects={"bank.records-value": PresentSubject("BACKWARD", current=False)})
    assert planned(present).steps == (
        SetCompatibility("bank.records-value", "BACKWARD", "BACKWARD_TRANSITIVE"),
        RegisterSchema("bank.records-value", "bank.records"),
    )


def test_partitions_are_raised_and_settings_changed() -> None:
    small = replace(THERE, partitions=1, config={**CONFIG, "retention.ms": "1000"})
    present = replace(EVERYTHING, topics={**EVERYTHING.topics, "bank.records": small})
    assert planned(present).steps == (
        RaisePartitions("bank.records", 1, 4),
        ChangeConfig("bank.records", "retention.ms", "1000", WEEK),
    )


def test_it_never_lowers_moves_or_deletes_but_says_so() -> None:
    large = replace(THERE, partitions=8, replication=2)
    made = planned(replace(EVERYTHING, topics={**EVERYTHING.topics, "bank.records": large}))
    assert made.steps == ()
    assert ["8 partitions" in made.refused[0], "replication 2" in made.refused[1]] == [True, True]
    assert not any("somebody.elses" in sentence for sentence in made.refused)


def test_production_has_three_copies_and_two_in_sync() -> None:
    step = planned(NOTHING, replication=3, min_insync=2).steps[0]
    assert isinstance(step, CreateTopic)
    assert (step.replication, step.config["min.insync.replicas"]) == (3, "2")


def test_a_compacted_topic_has_no_retention() -> None:
    assert OURS.model_copy(update={"cleanup": "compact"}).config(1) == {
        "cleanup.policy": "compact",
        "min.insync.replicas": "1",
    }


def test_a_plan_is_plain_data_and_readable() -> None:
    made = planned(NOTHING)
    steps = json.loads(json.dumps(made.as_data()))["steps"]
    assert [step["do"] for step in steps] == [
        "CreateTopic",
        "CreateTopic",
        "RegisterSchema",
        "SetCompatibility",
    ]
    assert str(made.steps[0]).startswith("create topic bank.records: 4 partitions × 1")


def test_the_project_s_own_file_is_read() -> None:
    assert topics()["bank.cutoffs"].partitions == 1
    assert topics()["pg.transactions"].retention_days == 7
    assert schema_name_of("bank.dead") == "dead.letters"
    for name in ("sabpaisa.public.merchant_data", "nobody.knows"):
        with pytest.raises(UnknownTopicError, match=name):
            schema_name_of(name)


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("topics: [", "topics.yaml"),
        ("defaults: {}", "topics"),
        ("topics:\n  a.b: {schema: x}", "a.b"),
        (
            "topics:\n  a.b: {schema: x, key: k, partitions: 0, retention_days: 7, cleanup: delete}",
            "partitions",
        ),
        ("topics:\n  a.b: {schema: x, key: k, partitions: 1, retention_days: 7, cleanup: burn}", "cleanup"),
        ("topics:\n  a.b: {schema: x, key: k, partitions: 1, retention_days: 7, cleanup: delete, x: 1}", "x"),
        ("topics:\n  a.b: 7", "a.b"),
    ],
)
def test_a_faulty_file_is_named_with_its_topic_and_key(tmp_path: Path, text: str, names: str) -> None:
    path = tmp_path / "topics.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(TopicsFileError, match=names) as raised:
        load_topics(path)
    assert str(path) in str(raised.value)
