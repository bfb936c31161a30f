"""A node ends in any way that there is; the others carry on, and nothing that was acknowledged is lost."""

import asyncio
import time

import pytest
from client import Client, come_back
from cluster import DOMAIN, until
from conftest import PAIRS


def others(cluster, *nodes):
    return [node for node in cluster.nodes.values() if node not in nodes]


@pytest.mark.parametrize("which", ["follower", "leader"])
async def test_the_receivers_node_is_killed(trio, which):
    victim = trio.leader() if which == "leader" else trio.followers()[0]
    survivor, other = others(trio, victim)
    romeo = await Client("romeo", acknowledge=True).log_in(survivor)
    juliet = await Client("juliet", "balcony").log_in(victim)
    romeo.say(juliet.boundjid, "before")
    await juliet.hears("before")

    victim.kill()
    romeo.say(juliet.boundjid, "meanwhile")
    juliet, refused = await come_back("juliet", [victim, other, survivor], resource="balcony")

    await juliet.hears("meanwhile")
    romeo.say(juliet.boundjid, "after")
    await juliet.hears("after")
    assert juliet.bodies == ["meanwhile", "after"]
    assert "conflict" not in refused


async def test_the_senders_node_is_killed_and_what_it_acknowledged_arrives(trio):
    victim = trio.followers()[0]
    receiver_node, _ = others(trio, victim)
    romeo = await Client("romeo", acknowledge=True).log_in(victim)
    juliet = await Client("juliet").log_in(receiver_node)

    for number in range(200):
        romeo.say(juliet.boundjid, str(number))
    await romeo.acknowledged()
    victim.kill()

    await until("all that was acknowledged is there", lambda: len(juliet.received) >= 200, 10)
    assert juliet.bodies == [str(number) for number in range(200)]


async def test_all_pairs_go_on_when_the_receivers_come_back_at_once_with_the_same_resource(trio):
    """On the original 28 to 32 of 32 receivers are cut off for good: the clean-up of the dead node takes the routes of
    those who have already come back."""
    victim = trio.followers()[0]
    survivors = others(trio, victim)
    senders = [Client(f"sender{n}", acknowledge=True) for n in range(PAIRS)]
    receivers = [Client(f"receiver{n}", "desk") for n in range(PAIRS)]
    await asyncio.gather(*(client.log_in(survivors[n % 2], 30) for n, client in enumerate(senders)))
    await asyncio.gather(*(client.log_in(victim, 30) for client in receivers))
    sent = [0] * PAIRS
    talking = True

    async def talk(n):
        while talking:
            senders[n].say(receivers[n].boundjid, str(sent[n]), f"{n}-{sent[n]}")
            sent[n] += 1
            await asyncio.sleep(0.1)

    talks = [asyncio.ensure_future(talk(n)) for n in range(PAIRS)]
    await until("all pairs talk", lambda: all(len(client.received) >= 5 for client in receivers), 20)
    killed_at = time.monotonic()
    victim.kill()
    back = await asyncio.gather(
        *(come_back(f"receiver{n}", survivors, seconds=30, resource="desk") for n in range(PAIRS))
    )
    returned = [client for client, _ in back]
    seen = [len(client.received) for client in returned]
    await until(
        "each of them goes on receiving",
        lambda: all(len(client.received) >= seen[n] + 5 for n, client in enumerate(returned)),
        20,
    )
    print(f"all {PAIRS} receive again {time.monotonic() - killed_at:.2f} s after the kill")
    talking = False
    await asyncio.gather(*talks)

    def heard(n):
        return {int(body) for body in receivers[n].bodies + returned[n].bodies}

    await until(
        "nothing is lost", lambda: all(heard(n) == set(range(sent[n])) for n in range(PAIRS)), 20
    )
    assert [condition for _, refused in back for condition in refused if condition == "conflict"] == []
    for n in range(PAIRS):
        assert not senders[n].errors
        assert [int(body) for body in returned[n].bodies] == sorted({int(body) for body in returned[n].bodies})


async def test_a_graceful_stop_sends_clients_elsewhere_and_loses_nothing(trio):
    leaving = trio.leader()
    survivor, other = others(trio, leaving)
    romeo = await Client("romeo", acknowledge=True).log_in(survivor)
    juliet = await Client("juliet", "balcony").log_in(leaving)

    stopped_at = time.monotonic()
    leaving.terminate()
    await until("juliet is told", lambda: juliet.stream_errors or juliet.ended.is_set(), 5)
    romeo.say(juliet.boundjid, "meanwhile")
    juliet_again, _ = await come_back("juliet", [other, survivor], resource="balcony")
    await juliet_again.hears("meanwhile")
    await until("the process has ended", lambda: leaving.process.poll() is not None, 5)

    assert leaving.process.returncode == 0
    assert time.monotonic() - stopped_at < 8
    assert set(juliet.stream_errors) <= {"see-other-host", "system-shutdown"}
    assert juliet.stream_errors


async def test_a_killed_node_comes_back_and_serves_again(trio):
    victim = trio.followers()[0]
    victim.kill()
    survivor = others(trio, victim)[0]
    romeo = await Client("romeo").log_in(survivor)

    victim.start()
    await trio.formed()
    juliet = await Client("juliet").log_in(victim)

    romeo.say(juliet.boundjid, "welcome back")
    await juliet.hears("welcome back")


async def test_a_full_restart_forgets_no_account_and_no_stored_message(trio):
    romeo = await Client("romeo", acknowledge=True).log_in(trio["a"])
    romeo.say(f"juliet@{DOMAIN}", "keep this")
    await romeo.acknowledged()

    for node in trio.nodes.values():
        node.kill()
    await trio.start()

    juliet = await Client("juliet").log_in(trio["b"])
    await juliet.hears("keep this")
