"""Groups D and E: what a client may not do once it is there; and F9 to F11, floods."""

import re
import time

import pytest
from cluster import DOMAIN
from raw import BIND, SM, Raw, conditions, logged_in


def test_d1_d2_nothing_is_processed_before_authentication(solo, witness):
    for stanza in (
        f"<message to='romeo@{DOMAIN}'><body>x</body></message>",
        f"<iq type='set' id='b'><bind xmlns='{BIND}'/></iq>",
    ):
        with Raw(solo) as raw:
            raw.open()
            raw.send(stanza)
            assert conditions(raw.rest()) == ["not-authorized"]
    witness.ping(1)


def test_d3_nothing_is_processed_before_the_bind(solo):
    with Raw(solo) as raw:
        raw.open().authenticate("romeo")
        raw.send(f"<message to='juliet@{DOMAIN}'><body>x</body></message>")
        assert conditions(raw.rest()) == ["not-authorized"]


@pytest.mark.parametrize("ask", [f"<enable xmlns='{SM}'/>", f"<resume xmlns='{SM}' previd='x' h='0'/>"])
def test_d4_no_acknowledgements_before_authentication(solo, ask):
    with Raw(solo) as raw:
        raw.open()
        raw.send(ask)
        read = raw.until("</failed>|<failed[^>]*/>|</stream:stream>")
    assert "unexpected-request" in read or conditions(read) == ["not-authorized"]


def test_d5_a_stream_binds_once(solo):
    with logged_in(solo) as raw:
        raw.send(f"<iq type='set' id='again'><bind xmlns='{BIND}'/></iq>")
        read = raw.until("id=['\"]again['\"].*?</iq>|</stream:stream>")
    assert "not-allowed" in read or conditions(read)


@pytest.mark.parametrize("resource", ["x" * 1024, "a\u0007b"])
def test_d6_t14_a_resource_that_is_none_is_replaced(solo, resource):
    with Raw(solo) as raw:
        raw.open().authenticate("romeo")
        raw.send(f"<iq type='set' id='b'><bind xmlns='{BIND}'><resource>{resource}</resource></bind></iq>")
        read = raw.until("</iq>|</stream:stream>")
    assert "<jid>" in read or (conditions(read) and resource.isascii() and not resource.isprintable())
    assert "x" * 1024 not in read


def test_d7_an_account_has_a_bounded_number_of_sessions(solo):
    open_sessions = []
    try:
        refused = None
        for number in range(40):
            raw = Raw(solo).open().authenticate("tybalt")
            open_sessions.append(raw)
            raw.send(f"<iq type='set' id='b'><bind xmlns='{BIND}'><resource>r{number}</resource></bind></iq>")
            read = raw.until("</iq>")
            if "<error" in read:
                refused = read
                break
        assert refused and "resource-constraint" in refused
    finally:
        for raw in open_sessions:
            raw.socket.close()


def test_d15_acknowledgements_are_enabled_once(solo):
    with logged_in(solo) as raw:
        raw.send(f"<enable xmlns='{SM}'/>")
        raw.until("<enabled[^>]*>")
        raw.send(f"<enable xmlns='{SM}'/>")
        assert "unexpected-request" in raw.until("</failed>")


def test_d12_d13_more_cannot_be_acknowledged_than_was_sent(solo):
    for number in ("1000", "-1", "NaN", "4294967296"):
        with logged_in(solo) as raw:
            raw.send(f"<enable xmlns='{SM}'/>")
            raw.until("<enabled[^>]*>")
            raw.send(f"<a xmlns='{SM}' h='{number}'/>")
            read = raw.rest()
            assert len(conditions(read)) == 1, read
            if number == "1000":
                assert "handled-count-too-high" in read


def test_d9_a_session_that_is_not_mine_cannot_be_told_from_none(solo):
    with logged_in(solo, "juliet", "balcony") as juliet:
        juliet.send(f"<enable xmlns='{SM}' resume='true'/>")
        stolen = re.search("id=['\"]([^'\"]+)", juliet.until("<enabled[^>]*>")).group(1)
        answers = []
        for previd in (stolen, "no-such-session"):
            with Raw(solo) as raw:
                raw.open().authenticate("mercutio")
                raw.send(f"<resume xmlns='{SM}' previd='{previd}' h='0'/>")
                answers.append(raw.until("</failed>"))
        assert answers[0] == answers[1] and "item-not-found" in answers[0]
        juliet.ping()


def test_d16_a_request_without_enable_is_refused_or_ignored(solo, witness):
    with logged_in(solo) as raw:
        raw.send(f"<r xmlns='{SM}'/>")
        raw.send(f"<iq type='get' id='after' to='{DOMAIN}'><ping xmlns='urn:xmpp:ping'/></iq>")
        read = raw.until("id=['\"]after['\"]|</stream:stream>")
    assert "after" in read or conditions(read) == ["unsupported-stanza-type"]
    witness.ping(1)


@pytest.mark.parametrize("most", ["1000000000", "-5"])
def test_d18_the_time_to_resume_is_ours_to_limit(solo, most):
    with logged_in(solo) as raw:
        raw.send(f"<enable xmlns='{SM}' resume='true' max='{most}'/>")
        read = raw.until("<enabled[^>]*>|</failed>|</stream:stream>")
    if given := re.search("max=['\"](\\d+)", read):
        assert int(given.group(1)) <= 300


def test_a_session_is_resumed_with_what_was_not_acknowledged(solo):
    with logged_in(solo, "juliet", "balcony") as juliet, logged_in(solo, "romeo") as romeo:
        juliet.send(f"<enable xmlns='{SM}' resume='true'/>")
        previd = re.search(" id=['\"]([^'\"]+)", juliet.until("<enabled[^>]*>")).group(1)
        romeo.send(f"<message to='{juliet.jid}' id='m1' type='chat'><body>one</body></message>")
        juliet.until("<body>one</body></message>")
        juliet.socket.close()
        romeo.send(f"<message to='{juliet.jid}' id='m2' type='chat'><body>two</body></message>")
        romeo.ping()
        with Raw(solo) as again:
            again.open().authenticate("juliet")
            again.send(f"<resume xmlns='{SM}' previd='{previd}' h='0'/>")
            again.until("<resumed[^>]*>")
            read = again.until("<body>two</body>")
            assert "<body>one</body>" in read
            again.ping()


def test_d17_a_client_that_acknowledges_nothing_has_a_bounded_queue(solo, witness):
    before = solo.memory_bytes()
    with logged_in(solo, "juliet", "deaf") as juliet, logged_in(solo, "romeo") as romeo:
        juliet.send(f"<enable xmlns='{SM}'/>")
        juliet.until("<enabled[^>]*>")
        for _ in range(24):
            romeo.send(f"<message to='{juliet.jid}' type='headline'><body>{'x' * 1000}</body></message>" * 1000)
            juliet.socket.setblocking(False)
            try:
                while juliet.receive():
                    juliet.text = juliet.text[-2000:]
            except BlockingIOError:
                pass
            witness.ping(2)
    assert solo.memory_bytes() - before < 64 << 20


# ---- stanzas ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("claimed", [f"tybalt@{DOMAIN}/x", f"romeo@{DOMAIN}/another"])
def test_e1_e2_nobody_speaks_for_another(solo, claimed):
    with logged_in(solo, "juliet") as juliet, logged_in(solo, "romeo", "garden") as romeo:
        romeo.send(f"<message from='{claimed}' to='{juliet.jid}' type='chat'><body>it is me</body></message>")
        romeo.send(f"<iq type='get' id='p' to='{DOMAIN}'><ping xmlns='urn:xmpp:ping'/></iq>")
        read = romeo.until("id=['\"]p['\"]|</stream:stream>")
        if not conditions(read):
            assert f"from='{romeo.jid}'" in juliet.until("it is me</body>").replace('"', "'")
        else:
            assert conditions(read) == ["invalid-from"]


ANSWERED = [
    ("E3 no JID", "<message to='@@' id='x' type='chat'><body>x</body></message>", "jid-malformed"),
    ("E4 a long JID", f"<message to='{'a' * 1024}@{DOMAIN}' id='x' type='chat'><body>x</body></message>", "jid-malformed"),
    ("E6 no such type of iq", "<iq type='perhaps' id='x'><ping xmlns='urn:xmpp:ping'/></iq>", "bad-request"),
    ("E7 a get of nothing", f"<iq type='get' id='x' to='{DOMAIN}'/>", "bad-request"),
    ("E7 a get of two things", f"<iq type='get' id='x' to='{DOMAIN}'><a xmlns='u'/><b xmlns='u'/></iq>", "bad-request"),
    ("E8 unknown namespace", f"<iq type='get' id='x' to='{DOMAIN}'><a xmlns='urn:unknown'/></iq>", "service-unavailable"),
    ("unknown account", f"<iq type='get' id='x' to='nobody@{DOMAIN}'><a xmlns='urn:unknown'/></iq>", "service-unavailable"),
    ("another domain", "<message to='a@elsewhere.invalid' id='x' type='chat'><body>x</body></message>", "remote-server-not-found"),
]


@pytest.mark.parametrize(("what", "sent", "condition"), ANSWERED, ids=[case[0] for case in ANSWERED])
def test_a_stanza_that_is_wrong_is_answered_by_name(solo, what, sent, condition):
    with logged_in(solo) as raw:
        raw.send(sent)
        read = raw.until("type=['\"]error['\"].*?</error>")
        assert f"<{condition}" in read, f"{what}: {read}"
        raw.ping()


def test_e5_an_iq_without_an_id_is_bad(solo):
    with logged_in(solo) as raw:
        raw.send(f"<iq type='get' to='{DOMAIN}'><ping xmlns='urn:xmpp:ping'/></iq>")
        read = raw.until("<bad-request[^>]*>|</stream:stream>")
        assert "bad-request" in read or conditions(read)


def test_e9_an_error_is_never_answered_by_an_error(solo):
    with logged_in(solo) as raw:
        raw.send("<message type='error' id='x' to='nobody@elsewhere.invalid'><body>x</body></message>")
        raw.send(f"<iq type='error' id='y' to='nobody@{DOMAIN}'/>")
        raw.send(f"<iq type='result' id='z' to='nobody@{DOMAIN}'/>")
        raw.send(f"<iq type='get' id='after' to='{DOMAIN}'><ping xmlns='urn:xmpp:ping'/></iq>")
        read = raw.until("<iq [^>]*id=['\"]after['\"][^>]*>")
    assert "type='error'" not in read.replace('"', "'")


def test_e17_what_only_servers_say_is_taken_out(solo):
    with logged_in(solo, "juliet") as juliet, logged_in(solo, "romeo") as romeo:
        romeo.send(
            f"<message to='{juliet.jid}' type='chat'><body>true</body>"
            f"<delay xmlns='urn:xmpp:delay' from='{DOMAIN}' stamp='2001-01-01T00:00:00Z'/>"
            f"<stanza-id xmlns='urn:xmpp:sid:0' by='juliet@{DOMAIN}' id='forged'/></message>"
        )
        read = juliet.until("<message.*?</message>")
    assert "true" in read and "2001" not in read and "forged" not in read


# ---- floods -------------------------------------------------------------------------------------------------------------


def test_f9_a_stanza_that_is_too_large_hurts_its_sender_only(solo, witness):
    with logged_in(solo) as raw:
        raw.send(f"<message to='juliet@{DOMAIN}'><body>{'x' * (300 * 1024)}</body></message>")
        assert conditions(raw.rest()) == ["policy-violation"]
    witness.ping(1)


def test_f9_a_stanza_of_ten_thousand_bytes_is_allowed(solo):
    with logged_in(solo, "juliet") as juliet, logged_in(solo, "romeo") as romeo:
        romeo.send(f"<message to='{juliet.jid}' type='chat'><body>{'x' * 10_000}</body></message>")
        juliet.until("x{10000}</body>")


def test_f10_a_reader_that_never_reads_disturbs_nobody(solo, witness):
    before = solo.memory_bytes()
    with logged_in(solo, "juliet", "wall") as wall, logged_in(solo, "romeo") as romeo:
        for _ in range(40):
            romeo.send(f"<message to='{wall.jid}' type='headline'><body>{'x' * 2000}</body></message>" * 500)
            witness.ping(2)
        romeo.ping(10)
    assert solo.memory_bytes() - before < 96 << 20


def test_f11_one_who_floods_slows_down_only_himself(solo, witness):
    with logged_in(solo, "romeo") as romeo:
        end = time.monotonic() + 2
        worst = 0.0
        while time.monotonic() < end:
            romeo.send(f"<message to='nobody-{time.monotonic_ns()}@{DOMAIN}' type='headline'><body>x</body></message>" * 500)
            started = time.monotonic()
            witness.ping(2)
            worst = max(worst, time.monotonic() - started)
    print(f"longest ping beside a flood: {worst * 1000:.0f} ms")


def test_f1_idle_connections_without_a_header_cost_little_and_are_closed(solo, witness):
    before = solo.memory_bytes()
    idle = [Raw(solo) for _ in range(1000)]
    try:
        witness.ping(2)
        assert (solo.memory_bytes() - before) / len(idle) < 32 << 10
        for raw in idle:
            raw.rest(45)
    finally:
        for raw in idle:
            raw.socket.close()


def test_f3_connecting_and_closing_leaves_nothing_behind(solo, witness):
    for _ in range(500):
        Raw(solo).socket.close()
    before = solo.memory_bytes()
    for _ in range(5000):
        Raw(solo).socket.close()
    witness.ping(2)
    assert solo.memory_bytes() - before < 16 << 20


def test_t14_a_phone_with_an_emoji_in_its_name_logs_in(solo):
    with logged_in(solo, "romeo", "Pixel \U0001f4f1") as raw:
        assert raw.jid == f"romeo@{DOMAIN}/Pixel \U0001f4f1"
        raw.send(f"<message to='{raw.jid}'><body>to myself</body></message>")
        assert f"to='{raw.jid}'" in raw.until("<body>to myself</body></message>")
    with logged_in(solo, "romeo", "\U0001f468\u200d\U0001f469") as raw:
        assert raw.jid.startswith(f"romeo@{DOMAIN}/")
