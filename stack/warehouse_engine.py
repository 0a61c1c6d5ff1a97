"""The local warehouse's engine: fakesnow on DuckDB, made durable, and like Snowflake where it counts.

What is changed, each because the loader's promise depends on the real thing:
- databases and the catalogue of stages are files, attached again at start;
- MERGE is one atomic statement that locks its table (the emulator splits it into several, unlocked);
- COPY is all or nothing (the emulator keeps the files before the one that failed);
- a refused statement is answered as an error (the emulator answers 500, which the connector repeats);
- a decimal bound to a placeholder stays a decimal (the emulator takes whole numbers only);
- a sum of decimals is a decimal (the emulator adds doubles);
- an empty timestamp comes back empty (the emulator answers 1970);
- results are forgotten after a while (the emulator keeps every result for ever).
"""

from __future__ import annotations

import threading
from collections import Counter, OrderedDict, defaultdict
from importlib import import_module
from typing import TYPE_CHECKING, Any, ClassVar

import duckdb
import fakesnow.arrow
import fakesnow.conn
import fakesnow.cursor
import pyarrow as pa
import snowflake.connector.errors
import sqlglot
from fakesnow import info_schema, transforms
from fakesnow.dialect import parse_one
from fakesnow.instance import GLOBAL_DATABASE_NAME, FakeSnow
from fakesnow.transforms import show
from sqlglot import exp

from stack.warehouse_files import AWAY, S3Files

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pyarrow.fs import S3FileSystem

# The module, which the package hides behind a function of the same name.
emulator = import_module("fakesnow.server")

# Half of what the whole stack keeps for its spare; joins larger than this spill into the data folder.
MEMORY_LIMIT = "512MB"
THREADS = 2
# `result_scan` and the query page of a client look back this far at most.
RESULTS_KEPT = 64

_GLOBAL_FILE = "_global.duckdb"
_REFUSED = 100132  # what Snowflake calls an error while executing
_NO_SUCH_FILE = 91016
_STAGE_AWAY = 91003  # failure using stage area: S3 did not answer
_ABORTED = 625  # the statement lost a race for the table and may be repeated


class Results(OrderedDict[str, Any]):
    """The last results, by query id."""

    def __setitem__(self, key: str, value: Any) -> None:
        super().__setitem__(key, value)
        while len(self) > RESULTS_KEPT:
            self.pop(next(iter(self)), None)


def open_engine(folder: Path, s3: S3FileSystem | None) -> FakeSnow:
    """Attach what an earlier run left in `folder`, and return the engine that the server shares out."""
    folder.mkdir(parents=True, exist_ok=True)
    # 1  An engine in memory, as the emulator makes it.
    engine = FakeSnow(db_path=folder)
    engine.results_cache = Results()
    connection = engine.duck_conn
    # 2  Bounds first, so that recovery of a large log already keeps to them.
    spill = str(folder / "spill").replace("'", "''")
    connection.execute(f"SET GLOBAL memory_limit = '{MEMORY_LIMIT}'")
    connection.execute(f"SET GLOBAL threads = {THREADS}")
    connection.execute(f"SET GLOBAL temp_directory = '{spill}'")
    connection.execute("SET GLOBAL preserve_insertion_order = false")
    # 3  The catalogue of stages and file formats lives in a file instead.
    connection.execute(f"DETACH {GLOBAL_DATABASE_NAME}")
    _attach(connection, folder / _GLOBAL_FILE, GLOBAL_DATABASE_NAME)
    connection.execute(info_schema.fs_global_creation_sql())
    connection.execute(show.fs_global_creation_sql())
    # 4  The databases, under the names of their files.
    for file in sorted(folder.glob("*.db")):
        _attach(connection, file, file.stem)
    # 5  The stage's bucket.
    if s3 is not None:
        connection.register_filesystem(S3Files(s3))
    return engine


def _attach(connection: duckdb.DuckDBPyConnection, file: Path, name: str) -> None:
    path = str(file).replace("'", "''")
    connection.execute(f"ATTACH '{path}' AS {name}")


def close_engine(engine: FakeSnow) -> None:
    """Fold the logs into the files, so that the next start has nothing to recover."""
    for (name,) in engine.duck_conn.execute(
        "SELECT database_name FROM duckdb_databases() WHERE path IS NOT NULL AND NOT internal"
    ).fetchall():
        engine.duck_conn.execute(f'CHECKPOINT "{name}"')
    engine.duck_conn.close()


# What a statement may consist of to mean the same to Snowflake and to DuckDB.
_PLAIN = {
    *{exp.Merge, exp.Whens, exp.When, exp.Insert, exp.Update, exp.Select, exp.Subquery, exp.Values},
    *{exp.Schema, exp.Table, exp.TableAlias, exp.Alias, exp.Column, exp.Identifier, exp.Star, exp.Tuple},
    *{exp.From, exp.Where, exp.Exists, exp.Qualify, exp.Window, exp.RowNumber, exp.Order, exp.Ordered},
    *{exp.Literal, exp.Null, exp.Boolean, exp.Placeholder, exp.Paren, exp.And, exp.Or, exp.Not, exp.Is},
    *{exp.In, exp.EQ, exp.NEQ, exp.GT, exp.GTE, exp.LT, exp.LTE},
}


class Cursor(fakesnow.cursor.FakeSnowflakeCursor):
    """A cursor of the emulator that keeps Snowflake's word on MERGE, COPY and errors."""

    # Snowflake locks the table for a MERGE; without it two would both insert the same new key.
    _locks: ClassVar[defaultdict[str, threading.Lock]] = defaultdict(threading.Lock)
    _guard: ClassVar[threading.Lock] = threading.Lock()

    def execute(self, command: str, params: Any = None, *args: Any, **kwargs: Any) -> Any:
        try:
            head = command.lstrip()[:5].upper()
            if head == "MERGE":
                return self._merge(command, kwargs.get("binding_params") or params)
            if head.startswith("COPY"):
                return self._whole(lambda: super(Cursor, self).execute(command, params, *args, **kwargs))
            return super().execute(command, params, *args, **kwargs)
        except duckdb.TransactionException as error:
            raise _refusal(error, _ABORTED) from error
        except duckdb.Error as error:
            raise _refusal(error, _STAGE_AWAY if AWAY in str(error) else _REFUSED) from error
        except FileNotFoundError as error:
            raise _refusal(error, _NO_SUCH_FILE) from error
        except OSError as error:
            raise _refusal(error, _STAGE_AWAY) from error

    def _whole(self, step: Callable[[], Any]) -> Any:
        if self._conn._in_transaction or not self._conn._autocommit:
            return step()
        self._duck_conn.begin()
        try:
            result = step()
        except BaseException:
            self._duck_conn.rollback()
            raise
        # The answer is already in this cursor; committing leaves it there.
        self._duck_conn.commit()
        return result

    def _transform(self, expression: Any, params: Any) -> Any:
        # Seventy walks over the statement look for what Snowflake says in its own way. Plain changes of data
        # have none of it, and are what the loader sends all day: they only need names in upper case.
        if isinstance(expression, exp.Merge | exp.Insert | exp.Update) and all(
            type(node) in _PLAIN for node in expression.walk()
        ):
            return expression.transform(transforms.upper_case_unquoted_identifiers, copy=False).transform(
                transforms.values_columns, copy=False
            )
        return super()._transform(expression, params)

    def _merge(self, command: str, params: Any) -> Any:
        statement = parse_one(command)
        self.check_db_and_schema(statement)
        values = list(params) if params else None
        sql = self._transform(statement, values).sql(dialect="duckdb")
        target = statement.this.name.upper()
        with self._guard:
            lock = self._locks[target]
        with lock:
            done = self._duck_conn.execute(f"{sql} RETURNING merge_action", values).to_arrow_table()
        counted = Counter({str(entry["values"]): int(entry["counts"]) for entry in _tally(done)})
        self._execute(
            sqlglot.parse_one(
                f'SELECT {counted.get("INSERT", 0)} AS "number of rows inserted",'
                f' {counted.get("UPDATE", 0)} AS "number of rows updated",'
                f' {counted.get("DELETE", 0)} AS "number of rows deleted"',
                read="duckdb",
            )
        )
        vars(self)["_rowcount"] = counted.total()
        return self


def _tally(actions: Any) -> list[Any]:
    """A million rows' actions as three numbers, without a million Python objects on the way."""
    tally: list[Any] = actions.column(0).value_counts().to_pylist()
    return tally


def _refusal(error: Exception, errno: int) -> snowflake.connector.errors.ProgrammingError:
    return snowflake.connector.errors.ProgrammingError(msg=str(error).strip(), errno=errno, sqlstate="22000")


def from_binding(binding: dict[str, Any]) -> Any:
    """A bound value as DuckDB takes it; numbers with a fraction as text, which it casts exactly."""
    if binding["value"] is None:
        return None
    if binding["type"] == "FIXED" and not str(binding["value"]).lstrip("-").isdigit():
        return str(binding["value"])
    return _from_binding(binding)


_from_binding = emulator.from_binding


def timestamps(column: Any) -> Any:
    """Timestamps in the wire's shape, empty where the table is empty."""
    whole = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    filled: Any = _timestamps(whole.fill_null(pa.scalar(0, whole.type)))
    children = [filled.field(index) for index in range(filled.type.num_fields)]
    return pa.StructArray.from_arrays(children, fields=list(filled.type), mask=whole.is_null())


_timestamps = fakesnow.arrow.timestamp_to_sf_struct


def exact_sums(expression: Any) -> Any:
    """SUM over the column itself; the emulator casts it to a double first, for sums over text."""
    done = _numeric_aggregates(expression)
    total = done.this if isinstance(done, exp.Alias) else done
    if isinstance(total, exp.Sum) and isinstance(total.this, exp.TryCast):
        total.set("this", total.this.this)
    return done


_numeric_aggregates = transforms.numeric_agg_implicit_cast


def install(engine: FakeSnow) -> None:
    """Make the emulator's server hand out this engine and these cursors."""
    vars(emulator).update(shared_fs=engine, from_binding=from_binding)
    vars(fakesnow.arrow).update(timestamp_to_sf_struct=timestamps)
    vars(transforms).update(numeric_agg_implicit_cast=exact_sums)
    vars(fakesnow.conn).update(FakeSnowflakeCursor=Cursor)
