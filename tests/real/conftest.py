"""What every test here starts from: a built program and a directory of its own."""

import asyncio
import os
from pathlib import Path

import pytest
import pytest_asyncio
from cluster import Cluster, free_ports
from network import Network, missing
from raw import logged_in

ROOT = Path(__file__).resolve().parents[2]
NAMES = ["romeo", "juliet", "nurse", "mercutio", "benvolio", "tybalt"]
PAIRS = 32


@pytest.fixture(scope="session")
def program():
    path = Path(os.environ.get("CRESSET", ROOT / "target" / "release" / "cresset"))
    assert path.exists(), f"{path} is not there: build it with `cargo build --release`, or run tests/run"
    return path


@pytest.fixture
def new_cluster(program, tmp_path):
    """Makes clusters and ends what is left of them."""
    clusters = []

    def make(**settings):
        clusters.append(Cluster(program, tmp_path / f"cluster{len(clusters)}", **settings))
        return clusters[-1]

    yield make
    for cluster in clusters:
        cluster.stop()
    panics = [line for cluster in clusters for line in cluster.panics()]
    assert not panics, panics


@pytest.fixture
def network():
    """Machines with networks of their own. They go when the processes on them have gone."""
    reason = missing()
    if reason:
        pytest.skip(reason)
    network = Network()
    yield network
    network.remove()


@pytest_asyncio.fixture
async def trio(new_cluster):
    """Three nodes that serve, and some accounts."""
    cluster = new_cluster()
    cluster.import_users(NAMES + [f"{kind}{n}" for kind in ("sender", "receiver") for n in range(PAIRS)])
    await cluster.start()
    return cluster


@pytest.fixture(scope="module")
def solo(program, tmp_path_factory):
    """One node for raw bytes: in the clear on `client_port`, STARTTLS on `tls_port`, TLS at once on `direct_port`."""
    tls_port, direct_port = free_ports(2)
    listeners = "".join(
        f'<listener address="127.0.0.1:{port}" tls="{tls}"/>' for port, tls in ((tls_port, "required"), (direct_port, "direct"))
    )
    cluster = Cluster(program, tmp_path_factory.mktemp("solo"), names=("a",), tls="disabled", client_settings=listeners)
    cluster.import_users(NAMES)
    node = cluster["a"]
    node.tls_port, node.direct_port = tls_port, direct_port
    asyncio.run(cluster.start())
    yield node
    is_alive, panics = node.is_running, cluster.panics()
    cluster.stop()
    assert is_alive, "the process did not survive"
    assert not panics, panics


@pytest.fixture
def witness(solo):
    """Somebody who is logged in all the time and must not be disturbed."""
    with logged_in(solo, "benvolio") as raw:
        yield raw
        raw.ping(2)
