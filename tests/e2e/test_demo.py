"""A small world through every real server: what comes out equals what was planned, to the paisa."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from rich.console import Console

from settlement.banks import file_id
from snowflake_loader import warehouse
from stack import secrets
from tests.conftest import wait_for
from world.generate import generate
from world.model import COMES_TWICE, IS_CORRECTED, NEVER_ARRIVES, NOT_DUE_YET
from world.ready import Ready, make_ready
from world.screen import Screen
from world.story import Outcome, Story, as_data
from world.truth import truth

if TYPE_CHECKING:
    from tests.conftest import Stack

pytestmark = pytest.mark.stack

SCALE = 0.01
# A guard against hanging, not a claim about speed.
PATIENCE = 500.0


def ready(stack: Stack) -> Ready:
    return make_ready(7, SCALE, secrets.load(stack.home))


@pytest.fixture(scope="module")
def played(stack: Stack) -> Outcome:
    os.environ.update(stack.environment)
    with Screen(Console(stderr=True)) as screen:
        return Story(ready(stack), stack.home, stack.ports, screen, PATIENCE).play()


@pytest.mark.timeout(600)
def test_every_row_is_as_planned(played: Outcome) -> None:
    comparison = played.comparison
    assert comparison is not None
    assert comparison.wrong == []
    assert {(line.level, line.outcome) for line in comparison.lines} == set(truth(generate(7, SCALE)))
    assert comparison.equal


def test_source_and_warehouse_are_equal_in_every_column(played: Outcome) -> None:
    assert [mirror.table for mirror in played.mirrors if not mirror.equal] == []
    assert all(mirror.source_rows > 0 for mirror in played.mirrors)


def test_finance_reads_what_became_of_every_cutoff(played: Outcome) -> None:
    assert played.equal
    wanted = dict.fromkeys((file_id(*key) for key in generate(7, SCALE).files), ("RECEIVED", 1, False))
    wanted[file_id(*COMES_TWICE)] = ("DUPLICATE", 1, False)
    wanted[file_id(*IS_CORRECTED)] = ("SUPERSEDED", 1, False)
    wanted[file_id(*NEVER_ARRIVES)] = ("LATE", 0, True)
    wanted |= dict.fromkeys((file_id(*key) for key in NOT_DUE_YET), ("DUE", 0, False))
    query = "select cutoff_id, status, files_received, late from v_bank_file_expectations"

    with warehouse.connect(query_tag="settlestream:test") as session:

        def told() -> dict[str, tuple[str, int, bool]]:
            rows = warehouse.run(session, query).rows
            return {row["cutoff_id"]: (row["status"], row["files_received"], row["late"]) for row in rows}

        wait_for(lambda: told() == wanted, "every word to be loaded")


def test_forged_notices_were_refused(played: Outcome) -> None:
    assert played.forged_refused > 0


def test_the_result_as_data_keeps_every_paisa(played: Outcome) -> None:
    data = as_data(played)
    assert data["equal"] is True
    assert all(isinstance(line["found"]["difference"], str) for line in data["lines"])


@pytest.mark.timeout(600)
def test_playing_it_again_changes_nothing(stack: Stack, played: Outcome) -> None:
    assert played.equal
    with Screen(Console(stderr=True)) as screen:
        again = Story(ready(stack), stack.home, stack.ports, screen, PATIENCE).play()
    assert again.equal
