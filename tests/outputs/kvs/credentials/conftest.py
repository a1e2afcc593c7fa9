from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from tests.kvs_server.server import KVSServer
from tests.outputs.kvs.credentials.stand_ins import Clock, Container

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(autouse=True)
def nothing_of_this_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Hide whatever credentials this machine has, and its metadata service."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "shared"))
    monkeypatch.setenv("no_proxy", "127.0.0.1")


@pytest.fixture
def clock() -> Clock:
    """Let time stand still."""
    return Clock()


@pytest.fixture
def container(monkeypatch: pytest.MonkeyPatch) -> Iterator[Container]:
    """Be in a container that has a role."""
    with Container() as made:
        monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", f"{made.url}/role")
        yield made


@pytest.fixture
def server(clock: Clock) -> Iterator[KVSServer]:
    """Run the service, by the same clock."""
    with KVSServer(clock=clock.wall) as made:
        yield made
