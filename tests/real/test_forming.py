"""Clusters that form by themselves on a real network, from the files that operators have, and what they can lose."""

import asyncio
import itertools
import random
import socket
import time

import pytest
from cluster import DOMAIN, until
from raw import logged_in_with_tls

FORMED_WITHIN = 10
SERVES_AGAIN_WITHIN = 10
# As an operator of the original has them: one is given, and imports the other one.
CACHE_CONFIG = """<?xml version="1.0" encoding="UTF-8"?>
<hazelcast xmlns="http://www.hazelcast.com/schema/config">
    <import resource="${openfireHome}/conf/hazelcast-local-config.xml"/>
    <cluster-name>openfire-cluster-by-hazelcast</cluster-name>
    <management-center scripting-enabled="false"/>
    <properties>
        <property name="hazelcast.operation.call.timeout.millis">30000</property>
    </properties>
    <map name="default"><backup-count>1</backup-count><read-backup-data>true</read-backup-data></map>
    <map name="opt-$cacheStats"><time-to-live-seconds>0</time-to-live-seconds></map>
</hazelcast>
"""
LOCAL_CONFIG = """<?xml version="1.0" encoding="UTF-8"?>
<hazelcast xmlns="http://www.hazelcast.com/schema/config">
    <network>
        <port auto-increment="true" port-count="100">5701</port>
        <join>
            <multicast enabled="true">
                <multicast-group>224.2.2.3</multicast-group>
                <multicast-port>54327</multicast-port>
            </multicast>
            <tcp-ip enabled="false">
                <interface>127.0.0.1</interface>
            </tcp-ip>
            <aws enabled="false"/>
        </join>
        <interfaces enabled="false">
            <interface>10.10.1.*</interface>
        </interfaces>
        <ssl enabled="false"/>
    </network>
</hazelcast>
"""
MULTICAST = "<multicast enabled='true'/>"


@pytest.fixture
def five(network, new_cluster):
    """Five machines with a copy of the original's folder, and nothing else to go by."""
    cluster = new_cluster(names=tuple("abcde"))
    cluster.import_users(["romeo", "juliet"])
    home = cluster.directory / "openfire"
    (home / "conf").mkdir(parents=True)
    (home / "conf" / "hazelcast-cache-config.xml").write_text(CACHE_CONFIG)
    (home / "conf" / "hazelcast-local-config.xml").write_text(LOCAL_CONFIG)
    for node in cluster.nodes.values():
        node.moves_to(network.machine(node.name))
        node.arguments = [
            "-D", f"openfireHome={home}", "--hazelcast-config", home / "conf" / "hazelcast-cache-config.xml",
            "--domain", DOMAIN, "--name", node.name, "--data", node.data, "--accounts", cluster.accounts,
        ]  # fmt: skip
    return cluster


@pytest.fixture
def two_and_a_witness(network, new_cluster):
    cluster = new_cluster(names=("a", "b", "w"))
    cluster.import_users(["romeo", "juliet"])
    for node in cluster.nodes.values():
        node.moves_to(network.machine(node.name))
        node.write_config(join=MULTICAST)
    cluster["w"].write_config(join=MULTICAST, role="witness")
    return cluster


async def start_at_once(cluster):
    """Starts every node, in any order, and answers how long it took them to form after the last start."""
    names = list(cluster.nodes)
    random.shuffle(names)
    for name in names:
        cluster[name].start()
    last_start = time.monotonic()
    await cluster.formed()
    return time.monotonic() - last_start


def talk(one, other):
    """Somebody logs in at each of two nodes, and the first is heard by the second."""
    with logged_in_with_tls(one, "romeo") as romeo, logged_in_with_tls(other, "juliet") as juliet:
        romeo.send(f"<message to='{juliet.jid}' type='chat' id='m'><body>from {one.name} to {other.name}</body></message>")
        juliet.until(f"<body>from {one.name} to {other.name}</body>")


async def go_on(cluster, names):
    """The named nodes serve under a leader of their own; answers how long that took."""
    begin = time.monotonic()

    async def serve():
        statuses = await asyncio.gather(*(cluster[name].status_later() for name in names))
        return all(status["serving"] and status["leader"] in names for status in statuses)

    await until(f"{names} go on", serve, SERVES_AGAIN_WITHIN)
    return time.monotonic() - begin


async def test_five_nodes_with_an_unchanged_file_of_the_original_form_one_cluster(five):
    took = await start_at_once(five)

    print(f"formed {took:.2f} s after the last start")
    assert took < FORMED_WITHIN
    statuses = [node.status() for node in five.nodes.values()]
    assert len({status["cluster_id"] for status in statuses}) == 1
    assert all({member["name"] for member in status["members"]} == set("abcde") for status in statuses)
    assert {status["can_lose"] for status in statuses} == {2}
    talk(five["a"], five["e"])


async def test_of_five_nodes_any_two_may_be_killed_at_once(five):
    await start_at_once(five)

    for victims in itertools.combinations("abcde", 2):
        survivors = [name for name in five.nodes if name not in victims]
        led = five.leader().name
        for name in victims:
            five[name].process.kill()
        took = await go_on(five, survivors)
        print(f"without {victims}, led by {led} before: {took:.2f} s")
        talk(five[survivors[0]], five[survivors[-1]])
        for name in victims:
            five[name].process.wait()
            five[name].start()
        await five.formed()


async def test_a_node_that_starts_much_later_joins_the_cluster_that_there_is(five):
    await five.start(["c"])
    cluster_id = five["c"].status()["cluster_id"]

    await five.start(["a", "b", "d", "e"])

    assert {node.status()["cluster_id"] for node in five.nodes.values()} == {cluster_id}
    assert five["a"].status()["senior"] == "c"


async def test_two_nodes_and_a_witness_survive_the_loss_of_either(two_and_a_witness):
    trio = two_and_a_witness
    took = await start_at_once(trio)
    print(f"formed {took:.2f} s after the last start")
    assert {member["name"]: member["role"] for member in trio["a"].status()["members"]}["w"] == "witness"
    talk(trio["a"], trio["b"])

    for victim, survivor in (("a", "b"), ("b", "a")):
        trio[victim].kill()
        took = await go_on(trio, [survivor, "w"])
        print(f"without {victim}: {took:.2f} s")
        talk(trio[survivor], trio[survivor])
        trio[victim].start()
        await trio.formed()

    trio["w"].kill()
    await go_on(trio, ["a", "b"])
    talk(trio["a"], trio["b"])


async def test_nodes_that_are_told_of_one_other_each_form_one_cluster(new_cluster):
    """The last ones find nobody but followers, who have never heard of them."""
    cluster = new_cluster(names=tuple("abcde"))
    known = None
    for node in cluster.nodes.values():
        node.write_config(join=f"<tcp-ip>{f'<member>127.0.0.1:{known.peer_port}</member>' if known else ''}</tcp-ip>")
        known = node

    await start_at_once(cluster)


async def test_a_first_node_that_cannot_start_does_not_keep_the_others_from_founding(new_cluster):
    """It has written that it founds the cluster, and then fails at its own port."""
    cluster = new_cluster()
    first = cluster["a"]
    with socket.socket() as taken:
        taken.bind((first.host, first.client_port))
        taken.listen()
        first.start()
        await until("it ends", lambda: not first.is_running, 10)
    assert first.process.returncode == 2 and "cannot listen on" in first.log_text()

    begin = time.monotonic()
    await cluster.start(["b", "c"])
    print(f"formed without the first after {time.monotonic() - begin:.2f} s")
    founded_by = [node.name for node in cluster.nodes.values() if "this node founds the cluster" in node.log_text()]
    first.start()
    await cluster.formed()

    assert len(founded_by) == 1 and first.name not in founded_by
    assert len({node.status()["cluster_id"] for node in cluster.nodes.values()}) == 1
