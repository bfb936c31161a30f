"""What every test here starts from: a built program and a directory of its own."""

import os
from pathlib import Path

import pytest
import pytest_asyncio
from cluster import Cluster

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


@pytest_asyncio.fixture
async def trio(new_cluster):
    """Three nodes that serve, and some accounts."""
    cluster = new_cluster()
    cluster.import_users(NAMES + [f"{kind}{n}" for kind in ("sender", "receiver") for n in range(PAIRS)])
    await cluster.start()
    return cluster
