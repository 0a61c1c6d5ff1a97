"""The jobs as data: jobs.yaml and the SQL files it names, put together for one place to run in."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from bus.settings import bus_settings
from bus.topics import load_schema
from flink_jobs import rules, sql
from flink_jobs.errors import JobFileError, UnknownJobError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from flink_jobs.settings import JobsSettings

ROOM = Path(__file__).parent
JOBS_FILE = ROOM / "jobs.yaml"


class Job(BaseModel):
    """One job: what it reads, the views between, what it writes."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    about: str
    tables: tuple[str, ...]
    views: tuple[str, ...]
    inserts: tuple[str, ...] = Field(min_length=1)
    options: dict[str, str] = {}

    def files(self) -> dict[str, Path]:
        """The SQL files by name, in the order in which they must run."""
        return {
            **{name: ROOM / "tables" / f"{name}.sql" for name in self.tables},
            **{name: ROOM / "views" / f"{name}.sql" for name in self.views},
            **{f"insert {name}": ROOM / "jobs" / f"{name}.sql" for name in self.inserts},
        }


@dataclass(frozen=True)
class Script:
    """A job's SQL, filled for one place: what to create, then what to insert in one statement set."""

    job: Job
    creates: tuple[tuple[str, str], ...]
    inserts: tuple[str, ...]


@lru_cache(maxsize=4)
def load_jobs(path: Path = JOBS_FILE) -> dict[str, Job]:
    """The jobs by name; the error names the file, the job and the key."""
    try:
        given = yaml.safe_load(path.read_text(encoding="utf-8"))
        return {name: Job.model_validate({"name": name, **body}) for name, body in given.items()}
    except (OSError, yaml.YAMLError, TypeError, AttributeError) as error:
        raise JobFileError(f"{path}: {error}") from error
    except ValidationError as error:
        said = "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors())
        raise JobFileError(f"{path}: job {error.title}: {said}") from error


def job(name: str) -> Job:
    """The job of that name."""
    found = load_jobs().get(name)
    if found is None:
        raise UnknownJobError(f"there is no job {name!r}; there are {', '.join(load_jobs())}")
    return found


def script(one: Job, values: Mapping[str, str]) -> Script:
    """The job's SQL with every placeholder filled."""
    texts = {name: sql.read(path) for name, path in one.files().items()}
    filled = {name: sql.fill(text, values, name) for name, text in texts.items()}
    inserts = tuple(filled[f"insert {name}"] for name in one.inserts)
    creates = tuple((name, filled[name]) for name in (*one.tables, *one.views))
    return Script(one, creates, inserts)


def constants() -> dict[str, str]:
    """What the views need wherever they run: the rules, and texts that would be noise if written out."""
    return {
        **rules.placeholders(rules.load_rules()),
        # Between packed fields: a control character that no id, name or status contains.
        "separator": "U&'\\001F'",
        # A literal: a cast would be compiled to Java code wherever it stands, before anything is planned.
        "zero": "0.00",
        "no_amount": "CAST(NULL AS DECIMAL(18, 2))",
    }


def placeholders(one: Job, settings: JobsSettings) -> dict[str, str]:
    """Every placeholder's value for this job in this place."""
    bus = bus_settings()
    kafka = {
        "connector": "kafka",
        "properties.bootstrap.servers": bus.bootstrap_servers,
        "properties.security.protocol": bus.security_protocol,
        **{f"properties.{name}": value for name, value in settings.kafka_extra().items()},
        "properties.group.id": f"settle-{one.name}",
        # Bank files and results are written in transactions: what was aborted must not be seen.
        "properties.isolation.level": "read_committed",
        "scan.startup.mode": "earliest-offset",
        "value.format": "avro-confluent",
        "value.avro-confluent.url": bus.registry_url,
    }
    if bus.registry_username:
        # It would stand in the plan for everybody to read, so it is refused.
        raise JobFileError(
            "a registry with a password is not supported by the jobs; use network rules or mTLS"
        )
    log = {
        **kafka,
        "sink.delivery-guarantee": "exactly-once",
        "properties.transaction.timeout.ms": str(settings.transaction_timeout_seconds * 1000),
        # Without it a broker that was gone for a while is met with the whole backlog one record at a time.
        "properties.linger.ms": "20",
        "properties.batch.size": "262144",
        "properties.compression.type": "lz4",
    }
    files = {
        "connector": "filesystem",
        "format": "parquet",
        "parquet.compression": "ZSTD",
        # Moments are UTC whatever zone the machine is in, and int64, which every reader understands.
        "parquet.utc-timezone": "true",
        "parquet.write.int64.timestamp": "true",
        "parquet.timestamp.time.unit": "micros",
        # One file per writer and checkpoint: these two only say that nothing else closes a file.
        "sink.rolling-policy.file-size": "1GB",
        "sink.rolling-policy.rollover-interval": "1 d",
        "sink.parallelism": str(settings.stage_writers),
    }
    return {
        **constants(),
        "kafka_source": sql.options(kafka),
        "kafka_log": sql.options(log),
        "schema_of_enriched_log": _schema("enriched.transactions"),
        "schema_of_result_log": _schema("recon.results"),
        "transactional_prefix": f"settle-{one.name}-",
        "stage_files": sql.options(files),
        "stage_uri": settings.stage_uri,
    }


def _schema(name: str) -> str:
    """A schema as the inside of an SQL text."""
    return json.dumps(load_schema(name)).replace("'", "''")
