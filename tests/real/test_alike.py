"""Nodes whose files differ where all must say the same: the domain (T9), the name of the cluster (T9), the times (T10)."""

import pytest
from client import Client
from cluster import until

LONGER = '<lease milliseconds="12000"/><expel-after milliseconds="15000"/>'


async def both_say(node, other, sentence):
    """Both logs name both values, each its own first."""
    ours, theirs = sentence
    await until(f"{node.name} says why", lambda: ours in node.log_text(), 15)
    await until(f"{other.name} says why", lambda: theirs in other.log_text(), 15)


@pytest.mark.parametrize("what", ["domain", "name", "lease"])
async def test_a_node_whose_file_differs_is_refused_and_both_say_both_values(new_cluster, what):
    cluster = new_cluster()
    cluster.import_users(["romeo"])
    stranger = cluster["c"]
    if what == "domain":
        config = stranger.config.read_text().replace("<domain>example.org", "<domain>example.com")
        stranger.config.write_text(config)
        values = ("the domains differ: ours is 'example.com', theirs is 'example.org'",
                  "the domains differ: ours is 'example.org', theirs is 'example.com'")  # fmt: skip
    elif what == "name":
        stranger.write_config(cluster_settings="<cluster-name>rook</cluster-name>")
        values = ("the names of the cluster differ: ours is 'rook', theirs is 'cresset'",
                  "the names of the cluster differ: ours is 'cresset', theirs is 'rook'")  # fmt: skip
    else:
        stranger.write_config(cluster_settings=LONGER)
        values = ("ours are lease 12000 ms, expel-after 15000 ms, theirs are lease 3000 ms, expel-after 4000 ms",
                  "ours are lease 3000 ms, expel-after 4000 ms, theirs are lease 12000 ms, expel-after 15000 ms")  # fmt: skip
    await cluster.start(["a", "b"])

    stranger.start()

    for other in (cluster["a"], cluster["b"]):
        await both_say(stranger, other, values)
    status = await until("it answers", stranger.status_later, 10)
    assert not status["serving"] and values[0] in status["advice"], status["advice"]
    assert "recover" not in status["advice"], status["advice"]
    for node in (cluster["a"], cluster["b"]):
        assert {member["name"] for member in node.status()["members"]} == {"a", "b"}
    await (await Client("romeo").log_in(cluster["a"])).log_out()


async def test_a_cluster_is_renamed_node_by_node_while_it_serves(new_cluster):
    """T9. As README says it."""
    cluster = new_cluster()
    cluster.import_users(["romeo", "juliet"])
    await cluster.start()
    config = cluster["a"].config
    done = cluster.cli("property", "set", "cluster.former-name", "cresset", "--config", config)
    assert done.returncode == 0, done.stderr

    for node in cluster.nodes.values():
        node.write_config(cluster_settings="<cluster-name>rook</cluster-name>")
        node.terminate()
        await until(f"{node.name} stops", lambda node=node: not node.is_running, 10)
        others = [other for other in cluster.nodes.values() if other is not node]
        assert all(other.status()["serving"] for other in others)
        node.start()
        await cluster.formed()

    assert cluster.cli("property", "remove", "cluster.former-name", "--config", config).returncode == 0
    romeo = await Client("romeo").log_in(cluster["a"])
    juliet = await Client("juliet").log_in(cluster["c"])
    romeo.say(juliet.boundjid, "by any other name")
    await juliet.hears("by any other name")


async def test_the_times_are_changed_node_by_node_and_nobody_is_served_twice(new_cluster):
    """T10. As README says it."""
    cluster = new_cluster()
    cluster.import_users(["romeo"])
    await cluster.start()
    first, second, last = cluster.nodes.values()

    async def change(node):
        node.terminate()
        await until(f"{node.name} stops", lambda: not node.is_running, 10)
        node.write_config(cluster_settings='<lease milliseconds="1000"/>')
        node.start()
        await until(f"{node.name} waits", lambda: "the times on which fencing rests were changed" in node.log_text(), 10)

    await change(first)
    await until("it is refused", lambda: "ours are lease 1000 ms, expel-after 1750 ms, theirs are" in first.log_text(), 15)
    outside = await until("it answers", first.status_later, 10)
    assert last.status()["serving"] and not outside["serving"]
    await change(second)
    await until("those that are left stop", lambda: not last.status()["serving"], 5)
    assert not first.status()["serving"] and second.status() is None, "a lease of the former times could still run"
    await cluster.formed([first.name, second.name])
    await change(last)
    await cluster.formed()
    await (await Client("romeo").log_in(last)).log_out()
