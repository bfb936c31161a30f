"""People on different nodes talk as if there were one server."""

from client import Client
from cluster import DOMAIN, until


async def test_two_people_on_two_nodes_talk(trio):
    romeo = await Client("romeo", "garden").log_in(trio["a"])
    juliet = await Client("juliet", "balcony").log_in(trio["b"])

    romeo.say(juliet.boundjid, "But, soft! what light through yonder window breaks?")
    juliet.say(f"romeo@{DOMAIN}", "Ay me!")

    await juliet.hears("But, soft! what light through yonder window breaks?")
    await romeo.hears("Ay me!")
    assert juliet.received[0]["from"] == romeo.boundjid


async def test_a_thousand_messages_arrive_in_order(trio):
    romeo = await Client("romeo").log_in(trio["a"])
    juliet = await Client("juliet").log_in(trio["c"])

    for number in range(1000):
        romeo.say(juliet.boundjid, str(number))

    await until("all of them are there", lambda: len(juliet.received) == 1000, 20)
    assert juliet.bodies == [str(number) for number in range(1000)]


async def test_a_message_to_somebody_away_is_kept_and_delivered_once_by_any_node(trio):
    romeo = await Client("romeo", acknowledge=True).log_in(trio["a"])
    romeo.say(f"juliet@{DOMAIN}", "O, wilt thou leave me so unsatisfied?")
    await romeo.ping()

    juliet = await Client("juliet").log_in(trio["c"])
    await juliet.hears("O, wilt thou leave me so unsatisfied?")
    assert juliet.received[0]["delay"]["stamp"] is not None
    await juliet.log_out()

    again = await Client("juliet").log_in(trio["b"])
    await again.ping()
    assert again.received == []


async def test_the_contact_list_is_the_same_everywhere_and_changes_are_told(trio):
    garden = await Client("romeo", "garden").log_in(trio["a"], presence=False)
    street = await Client("romeo", "street").log_in(trio["b"], presence=False)
    await garden.get_roster()
    await street.get_roster()
    garden.send_presence()
    street.send_presence()
    await street.ping()

    await garden.update_roster(f"juliet@{DOMAIN}", name="Juliet", groups=["Capulet"])

    await until(
        "the other resource is told", lambda: street.client_roster[f"juliet@{DOMAIN}"]["name"] == "Juliet", 5
    )
    third = await Client("romeo", "hall").log_in(trio["c"], presence=False)
    await third.get_roster()
    assert third.client_roster[f"juliet@{DOMAIN}"]["groups"] == ["Capulet"]


async def test_resources_of_one_person_see_each_other_come_and_go(trio):
    garden = await Client("romeo", "garden").log_in(trio["a"])
    street = await Client("romeo", "street").log_in(trio["b"])

    def told(kind):
        return lambda: any(p["from"] == street.boundjid and p["type"] == kind for p in garden.presences)

    await until("the garden sees the street come", told("available"), 5)
    await street.log_out()
    await until("the garden sees the street go", told("unavailable"), 5)


async def test_a_newer_session_takes_the_resource_over(trio):
    old = await Client("romeo", "garden").log_in(trio["a"])
    new = await Client("romeo", "garden").log_in(trio["b"])
    juliet = await Client("juliet").log_in(trio["c"])

    await until("the old one is told", lambda: "conflict" in old.stream_errors, 5)
    juliet.say(new.boundjid, "Who is it?")
    await new.hears("Who is it?")
    assert old.received == []
