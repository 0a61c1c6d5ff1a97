"""The jobs as files: everything named exists and is used, and tables say what the schemas say."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from bus.topics import load_schema, topics
from flink_jobs import catalog, rules, sql
from flink_jobs.errors import JobFileError, JobsSettingsError, UnknownJobError
from flink_jobs.settings import JobsSettings, application_properties

if TYPE_CHECKING:
    from pathlib import Path

JOBS = catalog.load_jobs()
FILES = {path for folder in ("tables", "views", "jobs") for path in (catalog.ROOM / folder).glob("*.sql")}
OURS = {
    "gateway_record_log": "pg.transactions",
    "bank_record_log": "bank.records",
    "bank_file_log": "bank.files.received",
    "cutoff_log": "bank.cutoffs",
    "tick_log": "calendar.ticks",
    "enriched_log": "enriched.transactions",
    "result_log": "recon.results",
}
TYPES = {"string": "STRING", "int": "INT", "long": "BIGINT", "boolean": "BOOLEAN"}
LOGICAL = {"date": "DATE", "timestamp-millis": "TIMESTAMP(3)", "decimal": "DECIMAL(18, 2)"}


def test_every_sql_file_belongs_to_a_job_and_every_named_file_exists() -> None:
    named = {path for job in JOBS.values() for path in job.files().values()}
    assert named == FILES


@pytest.mark.parametrize("name", sorted(JOBS))
def test_a_job_is_filled_completely(name: str) -> None:
    job = catalog.job(name)
    script = catalog.script(job, catalog.placeholders(job, JobsSettings()))
    assert len(script.inserts) == len(job.inserts)
    assert not any("{{" in text for _, text in script.creates)


def test_every_placeholder_is_used_somewhere() -> None:
    texts = {path.name: path.read_text() for path in FILES}
    sql.refuse_unused(texts, catalog.placeholders(JOBS["stage"], JobsSettings()))


@pytest.mark.parametrize(("table", "topic"), OURS.items())
def test_a_topics_table_says_what_its_schema_says(table: str, topic: str) -> None:
    text = (catalog.ROOM / "tables" / f"{table}.sql").read_text()
    columns = re.findall(r"^    `?(\w+)`? ([A-Z]+(?:\([\d, ]+\))?)( NOT NULL)?,?$", text, re.MULTILINE)
    assert columns == [expected(field) for field in load_schema(topic)["fields"]]
    assert topic in topics()
    assert f"'topic' = '{topic}'" in text


def expected(field: dict[str, Any]) -> tuple[str, str, str]:
    kind = field["type"]
    nullable = isinstance(kind, list)
    if nullable:
        kind = next(one for one in kind if one != "null")
    name = LOGICAL[kind["logicalType"]] if isinstance(kind, dict) else TYPES[kind]
    return field["name"], name, "" if nullable else " NOT NULL"


@pytest.mark.parametrize(
    "path", sorted((catalog.ROOM / "tables").glob("staged_*.sql")), ids=lambda path: path.stem
)
def test_staged_rows_carry_what_the_loader_needs(path: Path) -> None:
    text = path.read_text()
    for column in ("_op STRING", "_version BIGINT", "_position BIGINT"):
        assert column in text
    assert f"'{{{{ stage_uri }}}}/{path.stem.removeprefix('staged_')}'" in text


def test_an_unknown_placeholder_is_refused() -> None:
    with pytest.raises(JobFileError, match=r"x\.sql: nothing is known for b"):
        sql.fill("SELECT {{ a }}, {{ b }}", {"a": "1"}, "x.sql")


@pytest.mark.parametrize("text", ["{{a}}", "{{ A }}", "{% if %} {{ a }} }}"])
def test_braces_of_another_form_are_refused(text: str) -> None:
    with pytest.raises(JobFileError):
        sql.fill(text, {"a": "1"}, "x.sql")


def test_an_unused_value_is_refused() -> None:
    with pytest.raises(JobFileError, match="b"):
        sql.refuse_unused({"x": "{{ a }}"}, {"a": "1", "b": "2"})


def test_a_file_without_owner_and_grain_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.sql").write_text("-- Owner: me\nSELECT 1\n")
    with pytest.raises(JobFileError, match="Owner and Grain"):
        sql.read(tmp_path / "x.sql")


def test_texts_are_quoted() -> None:
    assert sql.options({"a": "it's"}) == "'a' = 'it''s'"


def test_an_unknown_job_is_named() -> None:
    with pytest.raises(UnknownJobError, match=r"there is no job 'x'; there are enrich"):
        catalog.job("x")


def test_rules_become_maps() -> None:
    made = rules.placeholders(
        rules.Rules(
            version=3,
            gateways={
                "default": rules.Tolerances(),
                "payu": rules.Tolerances(amount=Decimal("0.50"), percent=Decimal("0.1"), days=1),
            },
            banks={"default": rules.Tolerances(days=2)},
        )
    )
    assert made["rules_version"] == "3"
    assert "'payu', CAST('0.50' AS DECIMAL(18, 2))" in made["gateway_amounts"]
    assert "'payu', CAST('0.1000' AS DECIMAL(7, 4))" in made["gateway_percents"]
    assert made["default_bank_days"] == "2"


@pytest.mark.parametrize(
    "text",
    [
        "version: 1\ngateways: {default: {amount: 0.1}}\nbanks: {default: {}}",
        "version: 1\ngateways: {payu: {}}\nbanks: {default: {}}",
        "version: 1\ngateways: {default: {amonut: '1'}}\nbanks: {default: {}}",
    ],
)
def test_rules_that_say_something_else_are_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "rules.yaml").write_text(text)
    with pytest.raises(JobFileError, match=r"rules\.yaml: gateways"):
        rules.load_rules(tmp_path / "rules.yaml")


def test_a_managed_applications_properties_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "application_properties.json"
    monkeypatch.setenv("SETTLE_BUS_BOOTSTRAP_SERVERS", "before")
    file.write_text(
        '[{"PropertyGroupId": "settle.jobs", "PropertyMap":'
        ' {"parallelism": "8", "SETTLE_BUS_BOOTSTRAP_SERVERS": "b-1:9098"}}]'
    )
    assert application_properties(file) == {"parallelism": "8"}
    file.write_text('[{"PropertyGroupId": "settle.jobs", "PropertyMap": {"paralelism": "8"}}]')
    with pytest.raises(JobsSettingsError, match="has no paralelism"):
        application_properties(file)


@pytest.mark.parametrize("path", sorted((catalog.ROOM / "views").glob("*.sql")), ids=lambda path: path.stem)
def test_the_newest_row_is_ordered_by_one_column(path: Path) -> None:
    """With two, Flink 2.3 plans it as insert-only: an update then counts beside what it replaces."""
    for found in re.findall(r"ORDER BY ([^)]*)\)", path.read_text()):
        assert "," not in found
