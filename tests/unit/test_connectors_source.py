"""The connector, the publication and the topics name the same tables."""

from __future__ import annotations

import re
from pathlib import Path

import yaml

from connectors.desired import FOLDER, read

ROOT = Path(__file__).parents[2]
SOURCE = (ROOT / "world" / "source.sql").read_text(encoding="utf-8")
CONFIG = read(FOLDER / "sabpaisa.json")
INCLUDED = set(CONFIG["table.include.list"].split(","))


def test_the_publication_is_for_exactly_the_included_tables() -> None:
    published = re.search(r"SET TABLE\s+(.*?);", SOURCE, re.S)
    assert published is not None
    assert set(re.findall(r"public\.\w+", published[1])) == INCLUDED


def test_every_included_table_has_its_ddl_and_its_topic() -> None:
    created = set(re.findall(r"CREATE TABLE IF NOT EXISTS (public\.\w+)", SOURCE))
    assert created == INCLUDED
    topics = yaml.safe_load((ROOT / "bus" / "topics.yaml").read_text(encoding="utf-8"))["topics"]
    assert {f"{CONFIG['topic.prefix']}.{table}" for table in INCLUDED} <= topics.keys()


def test_every_business_table_sends_its_old_row() -> None:
    full = set(re.findall(r"ALTER TABLE (public\.\w+)\s+REPLICA IDENTITY FULL", SOURCE))
    assert full == INCLUDED - {"public.debezium_heartbeat"}


def test_the_account_number_is_masked() -> None:
    assert CONFIG["column.mask.with.12.chars"] == "public.merchant_data.account_number"
