"""A witness is a small machine by intent: it leads only while no server can, and is senior if nobody else is left (T22)."""

from client import Client
from cluster import until


def members(node):
    return {member["name"]: member for member in node.status()["members"]}


async def led_by_a_server(cluster, names):
    """Every one of these nodes is led by a server and has one as its senior."""

    def is_so():
        statuses = [cluster[name].status() for name in names]
        return all(status["leader"] in ("a", "b") and status["senior"] in ("a", "b") for status in statuses)

    await until("a server leads", is_so, 10)


async def test_a_witness_that_was_there_first_hands_over_and_takes_over_again_only_without_servers(new_cluster):
    cluster = new_cluster(names=("a", "b", "w"))
    cluster["w"].write_config(role="witness")
    cluster.import_users(["romeo"])
    await cluster.start(["w"])
    assert cluster["w"].status()["leader"] == "w" and cluster["w"].status()["senior"] == "w"

    await cluster.start(["a", "b"])

    await led_by_a_server(cluster, ("a", "b", "w"))
    refused = cluster.cli("cluster", "transfer-leader", "w", "--socket", cluster["a"].socket)
    assert refused.returncode == 1 and "leads only while no server can" in refused.stderr, refused.stderr
    for _ in range(3):
        leader = cluster.leader()
        other = cluster["b" if leader.name == "a" else "a"]
        leader.kill()
        await until("the other server leads", lambda node=other: node.status()["leader"] == node.name, 10)
        leader.start()
        await cluster.formed()
        await led_by_a_server(cluster, ("a", "b", "w"))
    await (await Client("romeo").log_in(cluster["a"])).log_out()
