"""Nodes that are stopped as a service manager stops them (O17)."""

import time

from client import Client
from cluster import until

STOPS_WITHIN = 2


def complaints(node):
    """Lines of the log that somebody would have to look at."""
    return [line for line in node.log_text().splitlines() if " WARN " in line or "ERROR" in line]


async def stop_all(cluster):
    """Stops all at once, and answers how long each took."""
    begun = time.monotonic()
    for node in cluster.nodes.values():
        node.terminate()
    took = {}

    def ended():
        for node in cluster.nodes.values():
            if not node.is_running:
                took.setdefault(node.name, time.monotonic() - begun)
        return len(took) == len(cluster.nodes)

    await until("all end", ended, 10)
    return took


async def test_a_lone_node_stops_without_a_warning(new_cluster):
    cluster = new_cluster(names=("a",))
    cluster.import_users(["romeo"])
    await cluster.start()
    await Client("romeo").log_in(cluster["a"])
    before = complaints(cluster["a"])

    took = await stop_all(cluster)

    assert cluster["a"].process.returncode == 0
    assert complaints(cluster["a"]) == before
    assert took["a"] <= STOPS_WITHIN, took


async def test_three_nodes_that_are_stopped_at_once_are_silent_and_quick(trio):
    clients = [await Client(name).log_in(node) for name, node in zip(("romeo", "juliet", "nurse"), trio.nodes.values())]
    before = {node.name: complaints(node) for node in trio.nodes.values()}

    took = await stop_all(trio)

    print("stopped after", took)
    assert all(node.process.returncode == 0 for node in trio.nodes.values())
    assert {node.name: complaints(node) for node in trio.nodes.values()} == before
    assert max(took.values()) <= STOPS_WITHIN, took
    assert all(client.ended.is_set() for client in clients)


async def test_the_last_two_of_three_stop_at_once_without_waiting_for_a_quorum(trio):
    trio["a"].kill()
    trio["b"].kill()
    await until("nobody is served", lambda: not trio["c"].status()["serving"], 10)
    before = complaints(trio["c"])
    begun = time.monotonic()

    trio["c"].terminate()

    await until("it ends", lambda: not trio["c"].is_running, 10)
    assert time.monotonic() - begun <= STOPS_WITHIN
    assert complaints(trio["c"]) == before
