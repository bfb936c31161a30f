"""The account database that all nodes share: it goes away and comes back, it is not the same one, it holds properties."""

import asyncio
import time

import pytest
import network
from client import Client
from cluster import until
from database import PostgreSQL, programs

LEASE_SECONDS = 3

needs_postgresql = pytest.mark.skipif(programs() is None, reason="needs PostgreSQL; on Debian: apt-get install postgresql")


@pytest.fixture
def database():
    server = PostgreSQL()
    yield server
    server.remove()


async def refusal(name, node):
    """The condition with which a log-in fails."""
    conditions = []
    client = Client(name)
    client.add_event_handler("failed_auth", lambda failure: conditions.append(failure["condition"]))
    client.ca_certs = str(node.certificate)
    client.connect("127.0.0.1", node.client_port)
    await until(f"{name} is told why it cannot log in on {node.name}", lambda: conditions or client.online.is_set(), 30)
    client.abort()
    return conditions


@needs_postgresql
async def test_sessions_go_on_while_the_database_is_away_and_log_ins_do_when_it_is_back(new_cluster, database):
    cluster = new_cluster(database=lambda _: database.element())
    cluster.import_users(["romeo", "juliet", "nurse"])
    await cluster.start()
    romeo = await Client("romeo", acknowledge=True).log_in(cluster["a"])
    juliet = await Client("juliet").log_in(cluster["b"])
    romeo.say(juliet.boundjid, "before")
    await juliet.hears("before")

    database.stop()
    stopped_at = time.monotonic()

    romeo.say(juliet.boundjid, "meanwhile")
    await juliet.hears("meanwhile")
    await romeo.acknowledged()
    refused = await asyncio.gather(*(refusal("nurse", node) for node in cluster.nodes.values()))
    assert all(conditions and set(conditions) == {"temporary-auth-failure"} for conditions in refused), refused
    romeo.say("nurse@example.org", "who is away cannot be stored for")
    await until("the message for who is away comes back", lambda: romeo.errors, 30)
    # A node that needed the database to serve would stop when its lease ends.
    await until("a lease has ended since", lambda: time.monotonic() > stopped_at + LEASE_SECONDS, 2 * LEASE_SECONDS)
    assert all(node.status()["serving"] for node in cluster.nodes.values())
    romeo.say(juliet.boundjid, "still")
    await juliet.hears("still")

    database.start()

    nurse = await Client("nurse").log_in(cluster["c"])
    nurse.say(romeo.boundjid, "it is back")
    await romeo.hears("it is back")
    await until("all nodes serve", lambda: all(node.status()["serving"] for node in cluster.nodes.values()), 10)


@needs_postgresql
async def test_a_database_that_hangs_holds_up_nobody_who_is_logged_in(new_cluster, database):
    """Nothing is closed or refused: only time tells that it is not there."""
    short = 'connect-milliseconds="500" wait-milliseconds="500" answer-milliseconds="500"'
    cluster = new_cluster(database=lambda _: database.element(short))
    cluster.import_users(["romeo", "juliet", "nurse"])
    await cluster.start()
    romeo = await Client("romeo", acknowledge=True).log_in(cluster["a"])
    juliet = await Client("juliet").log_in(cluster["b"])

    database.freeze()

    romeo.say("nurse@example.org", "who is away cannot be stored for")
    refused = await refusal("nurse", cluster["c"])
    assert refused and set(refused) == {"temporary-auth-failure"}, refused
    romeo.say(juliet.boundjid, "meanwhile")
    await juliet.hears("meanwhile")
    await until("the message for who is away comes back", lambda: romeo.errors, 30)

    database.thaw()

    nurse = await Client("nurse").log_in(cluster["c"])
    nurse.say(romeo.boundjid, "it is back")
    await romeo.hears("it is back")


@needs_postgresql
async def test_a_node_that_starts_while_the_database_is_away_waits_for_it_and_says_so(new_cluster, database):
    cluster = new_cluster(names=("a",), database=lambda _: database.element())
    cluster.import_users(["romeo"])
    database.stop()
    node = cluster["a"]

    node.start()
    await until("the node says what it waits for", lambda: "the account database is away" in node.log_text(), 20)
    assert node.is_running
    refused = cluster.cli("user", "list", "--config", node.config)
    assert refused.returncode == 1 and refused.stderr.startswith("cresset: the account database is away: "), refused

    database.start()
    await cluster.formed()
    await Client("romeo").log_in(node)
    assert "the account database is there" in node.log_text()


async def test_nodes_with_two_databases_form_no_cluster_and_both_say_why(new_cluster):
    cluster = new_cluster(names=("a", "b"), database=lambda name: f'<sqlite path="{name}.sqlite"/>')
    nodes = cluster.nodes.values()

    for node in nodes:
        node.start()

    why = "the two have different account databases"
    await until("both say why they do not meet", lambda: all(why in node.log_text() for node in nodes), 30)
    assert all(node.is_running for node in nodes)
    status = await until("a answers its operator", cluster["a"].status_later, 10)
    assert [member["name"] for member in status["members"]] in ([], ["a"]), status


@pytest.mark.skipif(network.missing() is not None, reason=f"a machine cannot be made to look like two: {network.missing()}")
async def test_an_sqlite_file_on_two_machines_forms_no_cluster_and_both_say_what_to_do(new_cluster, tmp_path):
    cluster = new_cluster(names=("a", "b"))
    cluster.import_users(["romeo"])
    other_kernel = tmp_path / "boot_id"
    other_kernel.write_text("00000000-0000-4000-8000-000000000000\n")
    see_it = 'mount --bind "$0" /proc/sys/kernel/random/boot_id && exec "$@"'
    near, far = cluster["a"], cluster["b"]
    far.runs_in = ["unshare", "--mount", "sh", "-c", see_it, str(other_kernel)]
    await cluster.start(["a"])
    romeo = await Client("romeo").log_in(near)

    far.start()

    why = "the two run on different machines and keep their accounts in one SQLite file"
    await until("both say why they do not meet", lambda: all(why in n.log_text() for n in (near, far)), 20)
    assert all("PostgreSQL" in line for n in (near, far) for line in n.log_text().splitlines() if why in line)
    status = await until("b answers its operator", far.status_later, 10)
    assert not status["serving"], status
    assert [member["name"] for member in near.status()["members"]] == ["a"]
    await romeo.ping()


async def test_all_nodes_follow_a_property_without_a_restart(trio):
    bounded = trio.cli("property", "set", "--config", trio["a"].config, "offline.messages-max", 1)
    assert bounded.returncode == 0, bounded.stderr
    said = 'property="offline.messages-max" value="1"'
    await until("all nodes follow", lambda: all(said in node.log_text() for node in trio.nodes.values()), 5)

    romeo = await Client("romeo").log_in(trio["b"])
    for body in ("first", "second"):
        romeo.say("juliet@example.org", body)
    await until("the second message comes back", lambda: romeo.errors, 5)
    juliet = await Client("juliet").log_in(trio["c"])
    await juliet.hears("first")
    await juliet.ping()
    assert juliet.bodies == ["first"]

    listed = trio.cli("property", "history", "--config", trio["c"].config).stdout
    assert "offline.messages-max" in listed and "(default)" in listed, listed
