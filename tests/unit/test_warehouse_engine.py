"""The local warehouse where it must be like Snowflake, because the loader's promise leans on it."""

from __future__ import annotations

import itertools
import threading
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import requests
import uvicorn
from fakesnow.arrow import to_sf
from pyarrow.fs import S3FileSystem
from snowflake.connector.errors import ProgrammingError

from stack.warehouse import application
from stack.warehouse_engine import RESULTS_KEPT, close_engine, from_binding, install, open_engine, timestamps
from stack.warehouse_files import AWAY, Memory, SharedReader

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MERGE = """
merge into t using (select * from s) as s on t.id = s.id
when matched and s.v > t.v then update set v = s.v
when not matched then insert (id, v) values (s.id, s.v)
"""
COPY = """
copy into landing from @st/ files = ({})
file_format = (type = parquet) match_by_column_name = case_insensitive
"""


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Any]:
    engine = open_engine(tmp_path / "data", None)
    install(engine)
    yield engine
    engine.duck_conn.close()


@pytest.fixture
def session(engine: Any) -> Any:
    return engine.connect("SETTLE", "PUBLIC")


def ask(session: Any, sql: str, values: list[Any] | None = None) -> list[Any]:
    cursor = session.cursor()
    cursor.execute(sql, binding_params=values, server=True)
    rows: list[Any] = cursor.fetchall()
    return rows


def test_merge_tells_what_it_did(session: Any) -> None:
    ask(session, "create table t (id bigint, v bigint)")
    ask(session, "create table s as select 1 as id, 1 as v union all select 2, 1")
    assert ask(session, MERGE) == [(2, 0, 0)]
    ask(session, "update s set v = 2 where id = 1")
    assert ask(session, MERGE) == [(0, 1, 0)]
    assert ask(session, MERGE) == [(0, 0, 0)]


def test_merges_of_the_same_new_keys_take_turns(engine: Any, session: Any) -> None:
    ask(session, "create table t (id bigint, v bigint)")
    ask(session, "create table s as select 1 as id, 1 as v union all select 2, 1 union all select 3, 1")
    sessions = [engine.connect("SETTLE", "PUBLIC") for _ in range(4)]
    together = threading.Barrier(len(sessions))

    def merge(one: Any) -> int:
        together.wait(30)
        inserted: int = ask(one, MERGE)[0][0]
        return inserted

    with ThreadPoolExecutor(len(sessions)) as pool:
        assert sum(pool.map(merge, sessions)) == 3
    assert ask(session, "select count(*), count(distinct id) from t") == [(3, 3)]


def test_merge_binds_values(session: Any) -> None:
    ask(session, "create table t (id text, v bigint, w text)")
    sql = (
        "merge into t using (select ? as w, column1 as id, column2 as v from values (?, ?), (?, ?)) as s"
        " on t.id = s.id when not matched then insert (id, v, w) values (s.id, s.v, s.w)"
    )
    ask(session, sql, [None, "a", 1, "b", 2])
    assert ask(session, "select * from t order by id") == [("a", 1, None), ("b", 2, None)]


def test_copy_is_all_or_nothing(session: Any, tmp_path: Path) -> None:
    pq.write_table(pa.table({"id": [1, 2]}), tmp_path / "good")
    (tmp_path / "bad").write_bytes(b"PAR1 nonsense PAR1")
    ask(session, "create table landing (id bigint)")
    ask(session, f"create stage st url = 'file://{tmp_path}/'")
    with pytest.raises(ProgrammingError):
        ask(session, COPY.format("'good', 'bad'"))
    assert ask(session, "select count(*) from landing") == [(0,)]
    ask(session, COPY.format("'good'"))
    assert ask(session, "select count(*) from landing") == [(2,)], "the failed one left no memory of it"


def test_stage_that_is_away_is_told_apart_from_a_bad_file(tmp_path: Path) -> None:
    nobody = S3FileSystem(
        endpoint_override="127.0.0.1:9", scheme="http", access_key="a", secret_key="b", connect_timeout=1
    )
    engine = open_engine(tmp_path / "data", nobody)
    install(engine)
    session = engine.connect("SETTLE", "PUBLIC")
    ask(session, "create table landing (id bigint)")
    ask(session, "create stage st url = 's3://bucket/'")
    with pytest.raises(ProgrammingError, match=AWAY) as raised:
        ask(session, COPY.format("'f'"))
    assert raised.value.errno == 91003
    engine.duck_conn.close()


def test_sum_of_money_is_exact(session: Any) -> None:
    ask(session, "create table t (amount number(18, 2))")
    ask(session, "insert into t select 9999999999999999.99 from table(generator(rowcount => 3))")
    ask(session, "insert into t values (0.01)")
    assert ask(session, "select sum(amount) as total from t") == [(Decimal("29999999999999999.98"),)]
    assert ask(session, "select sum(amount) from t where amount < 0") == [(None,)]


def test_empty_timestamp_stays_empty() -> None:
    column = pa.chunked_array([pa.array([None, 1_500_000], pa.timestamp("us"))])
    assert timestamps(column).to_pylist() == [None, {"epoch": 1, "fraction": 500_000_000}]
    info = [
        {"nullable": True, "name": "AT", "type": "timestamp_ntz", "length": 0, "precision": 0, "scale": 9}
    ]
    assert to_sf(pa.table({"AT": column}), info).column(0).null_count == 1  # type: ignore[arg-type]


def test_bound_numbers_keep_their_fraction(session: Any) -> None:
    assert from_binding({"type": "FIXED", "value": "9999999999999999.99"}) == "9999999999999999.99"
    assert from_binding({"type": "FIXED", "value": "-7"}) == -7
    assert from_binding({"type": "FIXED", "value": None}) is None
    ask(session, "create table t (amount number(18, 2))")
    ask(session, "insert into t select ?", ["9999999999999999.99"])
    assert ask(session, "select amount from t") == [(Decimal("9999999999999999.99"),)]


def test_data_and_stages_outlive_the_engine(tmp_path: Path) -> None:
    for start in range(2):
        engine = open_engine(tmp_path / "data", None)
        install(engine)
        session = engine.connect("SETTLE", "PUBLIC")
        ask(session, "create table if not exists t (id bigint)")
        ask(session, "insert into t values (1)")
        ask(session, f"create stage if not exists st url = 'file://{tmp_path}/'")
        assert ask(session, "select count(*) from t") == [(start + 1,)]
        assert len(ask(session, "show stages")) == 1
        close_engine(engine)


def test_results_are_forgotten(engine: Any, session: Any) -> None:
    for number in range(RESULTS_KEPT + 5):
        ask(session, f"select {number}")
    assert len(engine.results_cache) == RESULTS_KEPT


def test_answers_are_remembered_for_a_moment_only() -> None:
    asked = itertools.count(1)
    memory: Memory[int] = Memory(2)
    answers = [memory.get(key, lambda: next(asked)) for key in "aabca"]
    assert answers == [1, 1, 2, 3, 4], "the third key pushed the first one out"


def test_shared_reader_keeps_each_thread_its_place(tmp_path: Path) -> None:
    content = bytes(range(256)) * 400
    (tmp_path / "f").write_bytes(content)
    reader = SharedReader(pa.memory_map(str(tmp_path / "f")))

    def read(start: int) -> bool:
        reader.seek(start)
        return all(reader.read(7) == content[at : at + 7] for at in range(start, start + 700, 7))

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(read, range(0, 80_000, 1000)))
    assert reader.seek(-3, 2) == len(content) - 3
    assert reader.read() == content[-3:]


@pytest.fixture
def address(engine: Any) -> Iterator[str]:
    server = uvicorn.Server(
        uvicorn.Config(application(engine, "settle", "secret"), port=0, lifespan="off", log_level="warning")
    )
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        thread.join(0.01)
        assert thread.is_alive()
    port = server.servers[0].sockets[0].getsockname()[1]
    yield f"http://127.0.0.1:{port}"
    server.should_exit = True
    thread.join(30)


def test_request_that_is_sent_again_is_not_run_again(engine: Any, address: str) -> None:
    def send(token: str, number: int) -> dict[str, Any]:
        body = {"sqlText": "insert into t values (1)"}
        headers = {"Authorization": f'Snowflake Token="{token}"'}
        url = f"/queries/v1/query-request?requestId=r-{number}"
        answer: dict[str, Any] = requests.post(address + url, json=body, headers=headers, timeout=30).json()
        return answer

    login = {"data": {"LOGIN_NAME": "settle", "PASSWORD": "secret", "SESSION_PARAMETERS": {}}}
    path = "/session/v1/login-request?databaseName=settle&schemaName=public"
    token = requests.post(address + path, json=login, timeout=30).json()["data"]["token"]
    session = engine.connect("SETTLE", "PUBLIC")
    ask(session, "create table t (id bigint)")
    first = send(token, 1)
    assert first["success"]
    assert send(token, 1) == first
    assert ask(session, "select count(*) from t") == [(1,)]
    send(token, 2)
    assert ask(session, "select count(*) from t") == [(2,)]


@pytest.mark.parametrize(
    "data",
    [
        {"LOGIN_NAME": "settle", "PASSWORD": "guess"},
        {"LOGIN_NAME": "nobody", "PASSWORD": "secret"},
        {},
        {"LOGIN_NAME": "settle", "PASSWORD": "secret", "SESSION_PARAMETERS": {"FAKESNOW_DB_PATH": "/etc"}},
    ],
)
def test_nobody_else_is_let_in(address: str, data: dict[str, Any]) -> None:
    login = {"data": {"SESSION_PARAMETERS": {}} | data}
    answer = requests.post(f"{address}/session/v1/login-request", json=login, timeout=30).json()
    assert answer["success"] is False
    assert answer["code"] == "390100"
