"""Group A: what a stream may not be. One stream error of the right name, one end, and nobody else notices."""

import time

import pytest
from cluster import DOMAIN
from raw import HEADER, Raw, conditions, logged_in

STREAMS = "http://etherx.jabber.org/streams"


def header(to=f" to='{DOMAIN}'", version=" version='1.0'", content="jabber:client", stream=STREAMS, start="<?xml version='1.0'?>"):
    return f"{start}<stream:stream{to}{version} xmlns='{content}' xmlns:stream='{stream}'>"


NOT_WELL_FORMED = {"not-well-formed"}
RESTRICTED = {"restricted-xml"}
TOO_MUCH = {"policy-violation"}

BEFORE_AUTHENTICATION = [
    ("A1 HTTP", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", NOT_WELL_FORMED | {"bad-format", "invalid-xml"}),
    ("A2 TLS where STARTTLS is expected", bytes.fromhex("16030100c8010000c40303") + bytes(190), NOT_WELL_FORMED),
    ("A3 wrong stream namespace", header(stream="jabber:evil"), {"invalid-namespace"}),
    ("A4 wrong content namespace", header(content="jabber:evil"), {"invalid-namespace"}),
    ("A5 unknown host", header(to=" to='nowhere.invalid'"), {"host-unknown"}),
    ("A6 no host", header(to=""), {"improper-addressing", "host-unknown"}),
    ("A9 billion laughs", "<?xml version='1.0'?><!DOCTYPE x [<!ENTITY a 'aaaa'>]>" + header(start=""), RESTRICTED),
    ("A10 external entity", "<!DOCTYPE x [<!ENTITY a SYSTEM 'file:///etc/passwd'>]>" + header(start=""), RESTRICTED),
    ("A11 undefined entity", HEADER + "<message><body>&undefined;</body></message>", RESTRICTED | NOT_WELL_FORMED),
    ("A12 comment", HEADER + "<!-- nothing -->", RESTRICTED),
    ("A13 processing instruction", HEADER + "<?php echo 1 ?>", RESTRICTED),
    ("A14 second declaration", HEADER + "<?xml version='1.0'?>", RESTRICTED | NOT_WELL_FORMED),
    ("A15 ISO-8859-1", header(start="<?xml version='1.0' encoding='ISO-8859-1'?>"), {"unsupported-encoding"}),
    ("A16 UTF-16", b"\xff\xfe" + HEADER.encode("utf-16-le"), {"unsupported-encoding"} | NOT_WELL_FORMED),
    ("A17 invalid UTF-8", HEADER.encode() + b"<message><body>\xff\xfe</body></message>", NOT_WELL_FORMED),
    ("A18 overlong", HEADER.encode() + b"<message><body>\xc0\xbc</body></message>", NOT_WELL_FORMED),
    ("A19 surrogate", HEADER.encode() + b"<message><body>\xed\xa0\x80</body></message>", NOT_WELL_FORMED),
    ("A20 NUL", HEADER.encode() + b"<message>\0</message>", NOT_WELL_FORMED),
    ("A21 reference to NUL", HEADER + "<message>&#0;</message>", NOT_WELL_FORMED),
    ("A21 reference to a control", HEADER + "<message>&#8;</message>", NOT_WELL_FORMED),
    ("A21 reference to U+FFFE", HEADER + "<message>&#xFFFE;</message>", NOT_WELL_FORMED),
    ("A22 unbound prefix", HEADER + "<x:message/>", NOT_WELL_FORMED),
    ("A23 tags that do not match", HEADER + "<message></presence>", NOT_WELL_FORMED),
    ("A24 attribute twice", HEADER + "<message to='a' to='b'/>", NOT_WELL_FORMED),
    ("A25 attribute twice by two prefixes", HEADER + "<message xmlns:a='u' xmlns:b='u' a:x='1' b:x='2'/>", NOT_WELL_FORMED),
    ("A26 xml bound anew", HEADER + "<message xmlns:xml='u'/>", NOT_WELL_FORMED | {"bad-namespace-prefix"}),
    ("A26 xmlns bound", HEADER + "<message xmlns:xmlns='u'/>", NOT_WELL_FORMED | {"bad-namespace-prefix"}),
    ("A27 text between stanzas", HEADER + "hello", NOT_WELL_FORMED | {"bad-format"}),
    ("A30 unknown element", HEADER + "<unknown/>", {"unsupported-stanza-type", "not-authorized"}),
    ("F4 deep", HEADER + "<a>" * 100_000, TOO_MUCH),
    ("F5 attributes", HEADER + "<a " + " ".join(f"a{n}='1'" for n in range(50_000)) + "/>", TOO_MUCH),
    ("F6 namespaces", HEADER + "<a " + " ".join(f"xmlns:a{n}='u{n}'" for n in range(50_000)) + "/>", TOO_MUCH),
    ("F7 element name", HEADER + "<" + "a" * 1_000_000 + "/>", TOO_MUCH),
    ("F7 attribute name", HEADER + "<a " + "b" * 1_000_000 + "='1'/>", TOO_MUCH),
    ("F8 text of 1 MB", HEADER + "<a>" + "x" * 1_000_000, TOO_MUCH),
    ("F8 text of 12 MB", HEADER + "<a>" + "x" * 12_000_000, TOO_MUCH),
]


@pytest.mark.parametrize(("what", "sent", "allowed"), BEFORE_AUTHENTICATION, ids=[case[0] for case in BEFORE_AUTHENTICATION])
def test_a_stream_that_is_wrong_is_ended_by_name(solo, witness, what, sent, allowed):
    with Raw(solo) as raw:
        raw.send(sent)
        read = raw.rest()

    found = conditions(read)
    assert len(found) == 1 and found[0] in allowed, f"{what}: {read}"
    assert read.count("</stream:stream>") == 1
    witness.ping(1)


def test_a7_another_version_is_answered_by_ours_or_refused(solo):
    with Raw(solo) as raw:
        raw.send(header(version=" version='2.0'"))
        read = raw.until("</stream:features>|</stream:stream>")

    assert "version='1.0'" in read.replace('"', "'") or conditions(read) == ["unsupported-version"]


def test_a8_without_a_version_no_features_are_sent(solo):
    with Raw(solo) as raw:
        raw.send(header(version=""))
        read = raw.rest()

    assert conditions(read) == ["unsupported-version"]


def test_a28_a_stream_within_a_stream_is_never_forwarded(solo, witness):
    with logged_in(solo, "juliet") as juliet, logged_in(solo, "mercutio") as raw:
        raw.send(f"<message to='{juliet.jid}'><stream:stream xmlns:stream='{STREAMS}'/><body>x</body></message>")
        raw.send("<stream:stream/>")
        assert conditions(raw.rest())
        juliet.ping()
        assert b"<stream:stream" not in juliet.text
    witness.ping(1)


def test_a29_the_end_twice_is_one_end(solo):
    with Raw(solo) as raw:
        raw.open()
        raw.send("</stream:stream></stream:stream>")
        assert raw.rest().count("</stream:stream>") == 1


def test_a31_prefixes_are_resolved_and_never_passed_on(solo):
    with logged_in(solo, "juliet") as juliet, logged_in(solo, "mercutio") as raw:
        raw.send(f"<x:message xmlns:x='jabber:client' to='{juliet.jid}' type='chat'><x:body>a bite</x:body></x:message>")
        found = juliet.until("<message[^>]*>.*?</message>")

    assert "<body>a bite</body>" in found and "x:" not in found


def test_a35_white_space_keeps_a_connection_and_costs_nothing(solo):
    before = solo.memory_bytes()
    with logged_in(solo, "juliet") as juliet:
        juliet.send(" " * 1_000_000)
        juliet.ping()

    assert solo.memory_bytes() - before < 2 << 20


def test_f2_a_header_that_never_ends_does_not_last(solo):
    """The deadline before authentication is absolute: bytes that trickle in do not move it."""
    started = time.monotonic()
    with Raw(solo) as raw:
        raw.send("<?xml version='1.0'?><stream:stream ")
        while not raw.closed and time.monotonic() - started < 60:
            raw.send(" ")
            raw.socket.settimeout(1)
            try:
                raw.receive()
            except TimeoutError:
                continue

    assert raw.closed
    assert time.monotonic() - started < 45
