"""Members that find each other on a real network of namespaces: by packets to a group, by a real name
server, and by a server that answers as AWS EC2 does."""

import asyncio
import re
import shutil
import sys

import boto3
import pytest
from cluster import until
from moto.server import ThreadedMotoServer
from network import NameServer

MULTICAST = "<multicast enabled='true'><multicast-time-to-live>1</multicast-time-to-live></multicast>"
# As Hazelcast 5 begins its own: not ours, whatever it means.
HAZELCAST_PACKET = bytes([0, 0, 0, 0, 5]) + b"dev" + b"\xff" * 60
SAY = """
import socket, sys
speaker = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
speaker.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton(sys.argv[1]))
speaker.sendto(bytes.fromhex(sys.argv[2]), ("224.2.2.3", 54327))
"""


@pytest.fixture
def cluster(network, new_cluster):
    """Three nodes, each on a machine of its own, that join in the way of `join`."""

    def make(join, **settings):
        cluster = new_cluster()
        for node in cluster.nodes.values():
            node.moves_to(network.machine(node.name))
            node.write_config(join=join, **settings)
        return cluster

    return make


@pytest.fixture
def name_server(network, tmp_path):
    if shutil.which("dnsmasq") is None:
        pytest.skip("names need 'dnsmasq'; on Debian: apt-get install dnsmasq-base")
    services = [f"_cresset._tcp.chat.test,{name}.test,5701" for name in "abc"]
    server = NameServer(network.machine("ns"), tmp_path, services)
    yield server
    server.stop()


def say(machine, packet):
    """Sends a packet to the group from this machine."""
    machine.run(sys.executable, "-c", SAY, machine.address, packet.hex())


def knows(node, names):
    return {member["name"] for member in node.status()["members"] if member["state"] == "active"} == set(names)


async def test_machines_that_know_nothing_of_each_other_find_one_cluster_by_multicast(cluster):
    trio = cluster(MULTICAST)

    await trio.start()

    assert all(knows(node, "abc") for node in trio.nodes.values())


async def test_packets_of_hazelcast_to_the_same_group_are_said_and_ignored(cluster):
    trio = cluster(MULTICAST)
    await trio.start()

    for _ in range(20):
        say(trio["c"].machine, HAZELCAST_PACKET)

    await until("it is said", lambda: "packets to the multicast group that were ignored" in trio["a"].log_text(), 10)
    assert trio["a"].log_text().count("packets to the multicast group") == 1, "once a minute"
    assert all(knows(node, "abc") for node in trio.nodes.values())


async def test_a_node_whose_cable_is_plugged_in_later_is_found_then(cluster):
    trio = cluster(MULTICAST)
    late = trio["c"]
    late.machine.unplug()
    await trio.start(["a", "b"])
    late.start()
    await until("it is said", lambda: "cannot be looked for by multicast" in late.log_text(), 20)

    late.machine.plug_in()

    await trio.formed()


async def test_only_who_is_trusted_is_listened_to(cluster, network):
    trusted = "<trusted-interfaces><interface>10.91.0.1-3</interface></trusted-interfaces>"
    trio = cluster(MULTICAST.replace("</multicast>", f"{trusted}</multicast>"))
    await trio.start()

    say(network.machine("stranger"), HAZELCAST_PACKET)

    await until("it is said", lambda: "untrusted=1" in trio["a"].log_text(), 10)
    assert "foreign=0" in trio["a"].log_text()


async def test_without_loopback_nodes_of_one_machine_do_not_hear_each_other(cluster):
    trio = cluster(MULTICAST.replace("enabled='true'", "enabled='true' loopback-mode-enabled='false'"))
    here, there = trio["a"], trio["c"]
    neighbour = trio["b"]
    neighbour.moves_to(here.machine)
    neighbour.client_port, neighbour.peer_port, neighbour.health_port = 5223, 5702, 8081
    neighbour.write_config(join=MULTICAST.replace("enabled='true'", "enabled='true' loopback-mode-enabled='false'"))

    # The first one leads: it is the one whom both find.
    await trio.start(["c"])
    here.start()
    neighbour.start()
    await trio.formed()

    found = f"found by multicast members={{{there.host}:5701}}"
    assert all(found in node.log_text() for node in (here, neighbour)), "and nothing else"
    assert here.log_text().count("found by multicast") == neighbour.log_text().count("found by multicast") == 1


@pytest.mark.parametrize("name", ["<host>chat.test:5701</host>", "<service>_cresset._tcp.chat.test</service>"])
async def test_members_are_found_by_their_names_also_those_that_get_one_later(cluster, name_server, name):
    trio = cluster(f"<dns enabled='true' every-seconds='1'>{name}</dns>")
    for node in trio.nodes.values():
        node.machine.asks(name_server.machine)
    hosts = {node.name: [(node.host, f"{node.name}.test"), (node.host, "chat.test")] for node in trio.nodes.values()}
    name_server.knows(*hosts["a"])
    await trio.start(["a"])

    trio["b"].start()
    trio["c"].start()
    name_server.knows(*hosts["a"], *hosts["b"], *hosts["c"])

    await trio.formed()


async def test_a_name_server_that_is_gone_makes_nobody_forget_the_others(cluster, name_server):
    trio = cluster("<dns enabled='true' every-seconds='1' timeout-seconds='1'><host>chat.test:5701</host></dns>")
    for node in trio.nodes.values():
        node.machine.asks(name_server.machine)
    name_server.knows(*((node.host, "chat.test") for node in trio.nodes.values()))
    await trio.start()

    name_server.stop()
    said = "members cannot be looked up: what was known is kept"
    await until("it is said", lambda: all(said in node.log_text() for node in trio.nodes.values()), 30)
    await asyncio.to_thread(lambda: [node.status() for node in trio.nodes.values()])

    assert all(knows(node, "abc") for node in trio.nodes.values())


@pytest.fixture
def ec2(monkeypatch):
    """A server that answers as AWS EC2 does, with nobody in it."""
    server = ThreadedMotoServer(port=0)
    server.start()
    host, port = server.get_host_and_port()
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    client = boto3.client("ec2", region_name="eu-central-1", endpoint_url=f"http://127.0.0.1:{port}")
    client.host = f"127.0.0.1:{port}"
    yield client
    server.stop()


def instances(client, count, tags=()):
    """The private addresses of so many new instances."""
    image = client.describe_images()["Images"][0]["ImageId"]
    tagged = [{"ResourceType": "instance", "Tags": [{"Key": key, "Value": value} for key, value in tags]}] if tags else []
    made = client.run_instances(ImageId=image, MinCount=count, MaxCount=count, TagSpecifications=tagged)
    return {instance["PrivateIpAddress"] for instance in made["Instances"]}


async def test_instances_of_ec2_with_the_tag_are_found_and_no_others(ec2, new_cluster):
    members = instances(ec2, 3, [("cluster", "chat"), ("stage", "test")])
    instances(ec2, 2, [("cluster", "another")])
    instances(ec2, 2)
    cluster = new_cluster(
        names=("a",),
        join=f"""<aws enabled="true"><region>eu-central-1</region><host-header>{ec2.host}</host-header>
                 <tag-key>cluster,stage</tag-key><tag-value>chat,test</tag-value><hz-port>5701</hz-port></aws>""",
    )

    cluster["a"].start()

    await until("they are found", lambda: "found by looking them up" in cluster["a"].log_text(), 20)
    said = re.search(r"found by looking them up.*members=\{(.*?)\}", cluster["a"].log_text()).group(1)
    assert set(said.split(", ")) == {f"{address}:5701" for address in members}


async def test_an_ec2_that_is_not_there_is_said_and_the_node_goes_on(new_cluster, monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hunter2")
    cluster = new_cluster(
        names=("a",),
        join="""<aws enabled="true"><region>eu-central-1</region><host-header>127.0.0.1:1</host-header>
                <connection-retries>0</connection-retries></aws>""",
    )

    cluster["a"].start()

    said = "members cannot be looked up"
    await until("it is said", lambda: said in cluster["a"].log_text() and cluster["a"].status(), 20)
    assert "hunter2" not in cluster["a"].log_text()
