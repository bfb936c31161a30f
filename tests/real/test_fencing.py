"""One owner (promise P1): whoever cannot prove that a quorum counts it in serves nobody."""

import asyncio

from client import Client, come_back
from cluster import until
from test_failover import others

LEASE_SECONDS = 3
DRIFT = 0.05


async def test_an_owner_that_was_stopped_for_longer_than_its_lease_delivers_nothing_when_it_goes_on(trio):
    victim = trio.followers()[0]
    survivor, other = others(trio, victim)
    romeo = await Client("romeo", acknowledge=True).log_in(survivor)
    old = await Client("juliet", "balcony").log_in(victim)

    victim.freeze()
    new, _ = await come_back("juliet", [other], seconds=12, resource="balcony")
    romeo.say(new.boundjid, "only once")
    await new.hears("only once", 10)
    await asyncio.to_thread(lambda: None)
    victim.thaw()

    await until("the old session is closed", old.ended.is_set, 10)
    assert old.received == []
    assert new.bodies == ["only once"]
    await trio.formed()


async def test_a_minority_of_one_binds_nobody_and_closes_its_clients_within_the_lease(trio):
    alone, *rest = trio.nodes.values()
    juliet = await Client("juliet", "balcony").log_in(alone)

    for node in rest:
        node.freeze()
    await until("its client is closed", juliet.ended.is_set, LEASE_SECONDS * (1 + DRIFT) + 1)
    status = await alone.status_later()
    assert not status["serving"]
    late = Client("nurse")
    late.ca_certs = str(alone.certificate)
    late.connect("127.0.0.1", alone.client_port)
    await asyncio.sleep(0)
    await until(
        "a new client is turned away",
        lambda: late.ended.is_set() or late.stream_errors or not late.online.is_set(),
        5,
    )
    assert not late.online.is_set()
    late.abort()

    for node in rest:
        node.thaw()
    await trio.formed()
    back = await Client("juliet", "balcony").log_in(alone)
    await back.ping()
