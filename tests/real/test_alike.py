"""Nodes whose files differ where all must say the same: the domain (T9), the name of the cluster (T9), the times (T10)."""

import asyncio
import shutil

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


def times_of(node):
    times = node.status()["times"] or {}
    return times.get("lease_ms"), times.get("expel_after_ms"), times.get("agreed"), times.get("becoming")


async def test_the_times_are_changed_for_all_while_clients_talk_and_an_old_file_does_not_matter(new_cluster):
    """T10. As README says it."""
    cluster = new_cluster()
    cluster.import_users(["romeo", "juliet"])
    await cluster.start()
    a, b, c = cluster.nodes.values()
    for node in cluster.nodes.values():
        await until(f"{node.name} knows the founder's", lambda node=node: times_of(node) == (3000, 4000, True, None), 30)

    def change(*words):
        return asyncio.to_thread(cluster.cli, "cluster", "times", *words, "--socket", b.socket)

    refused = await change("--lease", 12000)
    assert refused.returncode != 0 and "two nodes could serve one user" in refused.stderr, refused.stderr

    romeo = await Client("romeo", acknowledge=True).log_in(a)
    juliet = await Client("juliet", acknowledge=True).log_in(c)
    said = []

    async def talk():
        while True:
            said.append(f"line {len(said)}")
            romeo.say(juliet.boundjid, said[-1])
            await asyncio.sleep(0.02)

    talking = asyncio.create_task(talk())
    for lease, expel_after in ((6000, 8000), (2000, 3000), (6000, 8000)):
        done = await change("--lease", lease, "--expel-after", expel_after)
        assert done.returncode == 0, done.stderr
        assert f"lease {lease} ms, drift 5 %, expel-after {expel_after} ms" in done.stdout, done.stdout
        for node in cluster.nodes.values():
            expected = (lease, expel_after, True, None)
            await until(f"{node.name} follows", lambda node=node: times_of(node) == expected, 30)
    talking.cancel()
    await juliet.hears(said[-1], 30)
    assert juliet.bodies == said
    assert not any("the lease has ended" in node.log_text() for node in cluster.nodes.values())

    b.terminate()
    await until("b stops", lambda: not b.is_running, 10)
    b.start()
    await cluster.formed()
    assert "without effect, because the members have agreed on others" in b.log_text()
    await until("b follows what is agreed", lambda: times_of(b) == (6000, 8000, True, None), 30)
    assert b.status()["times"]["without_effect"] == "lease 3000 ms, expel-after 4000 ms"
    romeo.say(juliet.boundjid, "all is well")
    await juliet.hears("all is well")


async def test_a_node_that_joins_anew_needs_the_agreed_times_in_its_file(new_cluster):
    """T10. It has lost its directory, and its file says what was before the order."""
    cluster = new_cluster()
    cluster.import_users(["romeo"])
    await cluster.start()
    a, _, c = cluster.nodes.values()
    await until("they have agreed", lambda: times_of(a) == (3000, 4000, True, None), 30)
    done = cluster.cli("cluster", "times", "--lease", 6000, "--expel-after", 8000, "--socket", a.socket)
    assert done.returncode == 0, done.stderr
    c.kill()
    shutil.rmtree(c.data)

    c.start()
    values = "ours are lease 3000 ms, expel-after 4000 ms, theirs are lease 6000 ms, expel-after 8000 ms"
    await until("it is refused", lambda: f"{values}; the cluster has agreed on theirs" in c.log_text(), 30)
    assert not (await until("it answers", c.status_later, 10))["serving"]
    c.terminate()
    await until("c stops", lambda: not c.is_running, 10)
    c.write_config(cluster_settings='<lease milliseconds="6000"/><expel-after milliseconds="8000"/>')
    c.start()
    await cluster.formed()
    await (await Client("romeo").log_in(c)).log_out()
