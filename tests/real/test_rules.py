"""What RFC 6121 and the XEPs say of single stanzas, by clients made of bytes. The numbers are those of outside trials."""

import time

import pytest
from cluster import DOMAIN
from raw import SM, Raw, logged_in

CHAT_STATES = "http://jabber.org/protocol/chatstates"
DISCO_ITEMS = "http://jabber.org/protocol/disco#items"


def test_o19_each_directed_farewell_reaches_each_available_resource(solo):
    juliets = logged_in(solo, "juliet", "a"), logged_in(solo, "juliet", "b")
    with juliets[0] as one, juliets[1] as other, logged_in(solo, "romeo", "x") as romeo:
        for number in range(3):
            romeo.send(f"<presence to='juliet@{DOMAIN}' type='unavailable' id='bye{number}'/>")
            for juliet in (one, other):
                juliet.until(f"<presence [^>]*id='bye{number}'")


def test_o20_a_normal_message_to_a_resource_that_is_gone_comes_back(solo):
    with logged_in(solo, "juliet", "here") as juliet, logged_in(solo, "romeo", "x") as romeo:
        romeo.send(f"<message to='juliet@{DOMAIN}/gone' id='n'><body>normal</body></message>")
        assert "<service-unavailable " in romeo.until("<message [^>]*id='n'.*?</message>")
        romeo.send(f"<message to='juliet@{DOMAIN}/gone' id='c' type='chat'><body>chat</body></message>")
        assert "normal" not in juliet.until("<body>chat</body>")


def test_o21_the_items_of_another_account_are_none(solo):
    with logged_in(solo, "romeo") as romeo:
        answers = []
        for user in ("juliet", "nobody"):
            romeo.send(f"<iq type='get' id='i' to='{user}@{DOMAIN}'><query xmlns='{DISCO_ITEMS}'/></iq>")
            answers.append(romeo.take_out("<iq [^>]*id='i'.*?</iq>").replace(user, "X"))
        assert answers[0] == answers[1] and "type='result'" in answers[0]


def test_o22_the_push_comes_before_the_result(solo):
    with logged_in(solo, "romeo") as romeo:
        romeo.send("<iq type='get' id='get'><query xmlns='jabber:iq:roster'/></iq>")
        romeo.until("id='get'.*?(/>|</iq>)")
        for item in ("<item jid='o22@b.example'/>", "<item jid='o22@b.example' subscription='remove'/>"):
            romeo.send(f"<iq type='set' id='set'><query xmlns='jabber:iq:roster'>{item}</query></iq>")
            assert romeo.until("<iq [^>]*id='set' type='result'/>").count("o22@b.example") == 1


def test_o23_a_request_for_a_subscription_has_no_answer_whoever_it_is_to(solo):
    with logged_in(solo, "romeo", "x") as romeo:
        for user in ("juliet", "nobody"):
            romeo.send(f"<presence to='{user}@{DOMAIN}' type='subscribe' id='s'/>")
        romeo.send(f"<iq type='get' id='p' to='{DOMAIN}'><ping xmlns='urn:xmpp:ping'/></iq>")
        assert "error" not in romeo.until("id='p'")


@pytest.mark.parametrize(
    "payload",
    [
        "<received xmlns='urn:xmpp:receipts' id='{id}'/>",
        "<displayed xmlns='urn:xmpp:chat-markers:0' id='{id}'/>",
        "<subject>{id}</subject>",
        "<x xmlns='jabber:x:data' type='form'><title>{id}</title></x>",
        "<body>{id}</body><no-permanent-store xmlns='urn:xmpp:hints'/>",
    ],
)
def test_t15_what_is_worth_something_waits_for_its_recipient(solo, payload):
    identity = f"t15-{time.monotonic_ns()}"
    with logged_in(solo, "romeo") as romeo:
        romeo.send(f"<enable xmlns='{SM}'/>")
        romeo.until("<enabled[^>]*>")
        romeo.send(f"<message to='juliet@{DOMAIN}' type='chat'><composing xmlns='{CHAT_STATES}'/></message>")
        romeo.send(f"<message to='juliet@{DOMAIN}' type='chat'>{payload.format(id=identity)}</message><r xmlns='{SM}'/>")
        romeo.until("<a [^>]*h='2'")
    with logged_in(solo, "juliet", "late") as juliet:
        assert "composing" not in juliet.until(f"{identity}.*?</message>")


def test_t16_a_message_does_not_wait_for_presence(solo):
    with logged_in(solo, "romeo", "x") as romeo, Raw(solo) as juliet:
        juliet.open().authenticate("juliet").bind("silent")
        romeo.send(f"<message to='{juliet.jid}' type='chat'><body>at once</body></message>")
        juliet.until("<body>at once</body>", 1.5)


def test_t20_whoever_stays_hears_of_each_resource_that_goes(solo):
    one, two = logged_in(solo, "romeo", "one"), logged_in(solo, "romeo", "two")
    with logged_in(solo, "romeo", "three") as three:
        one.until("romeo@[^/]*/three")
        for client, resource in ((two, "two"), (one, "one")):
            client.send("</stream:stream>")
            client.rest()
            three.until(f"<presence from='[^']*/{resource}' [^>]*type='unavailable'", 5)
