"""A small world through every real server: what comes out equals what was planned, to the paisa."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from rich.console import Console

from stack import secrets
from world.generate import generate
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
