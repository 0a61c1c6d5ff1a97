"""Every port of the stack, from one place; `--port-offset N` moves all of them."""

from __future__ import annotations

from dataclasses import dataclass

BASE_PORTS = {
    "postgres": 5442,
    "kafka": 9192,
    "kafka_controller": 9193,
    "registry": 8281,
    "connect": 8083,
    "zookeeper": 2181,
    "flink": 8081,
    "flink_rpc": 6123,
    "s3": 8334,
    # One per bank, as its description's local_port_offset counts them from the first.
    "sftp_axis": 2222,
    "sftp_hdfc": 2223,
    "sftp_icici": 2224,
    "warehouse": 8900,
    "bridge": 5106,
    "console": 5107,
    "webhooks": 5111,
    "gateways": 5120,
    "loader": 5112,
}
LOOPBACK = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class Ports:
    offset: int = 0

    def __getitem__(self, name: str) -> int:
        return BASE_PORTS[name] + self.offset

    def address(self, name: str) -> str:
        return f"{LOOPBACK}:{self[name]}"

    def url(self, name: str) -> str:
        return f"http://{self.address(name)}"
