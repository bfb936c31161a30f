"""Groups B and C: TLS and authentication."""

import asyncio
import base64
import contextlib
import os
import re
import socket
import ssl
import statistics
import time
from pathlib import Path

import pytest
from cluster import DOMAIN, PASSWORD, Cluster, until
from raw import HEADER, SASL, Raw, auth, conditions, decode, logged_in, response

README = Path(__file__).parents[2] / "README.md"
FAIL2BAN = re.search(r"^failregex = (.*)$", README.read_text(), re.M)[1]
STARTTLS = "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"


def failure(read):
    return read.split(f"<failure xmlns='{SASL}'>")[-1] if f"<failure xmlns='{SASL}'>" in read else read


# ---- TLS ---------------------------------------------------------------------------------------------------------------


def test_b1_what_follows_starttls_in_the_clear_is_never_read_as_xmpp(solo):
    with Raw(solo, solo.tls_port) as raw:
        raw.open()
        raw.send(STARTTLS + auth("PLAIN", f"\0romeo\0{PASSWORD}"))
        raw.until("<proceed[^>]*>")
        context = ssl.create_default_context(cafile=str(solo.certificate))
        try:
            raw.socket = context.wrap_socket(raw.socket, server_hostname=DOMAIN)
            raw.send(HEADER)
            read = raw.until("</stream:features>")
        except (ssl.SSLError, OSError, AssertionError):
            return  # the bytes broke the handshake: equally safe
        assert "<success" not in read


def test_b2_b8_a_handshake_that_is_none_ends(solo):
    with Raw(solo, solo.tls_port) as raw:
        raw.open()
        raw.send(STARTTLS)
        raw.until("<proceed[^>]*>")
        raw.send("<message/>" * 10)
        assert "<message" not in raw.rest(15)


def test_b8_a_handshake_that_stops_half_way_is_given_up(solo):
    started = time.monotonic()
    with Raw(solo, solo.tls_port) as raw:
        raw.open()
        raw.send(STARTTLS)
        raw.until("<proceed[^>]*>")
        raw.rest(20)

    assert time.monotonic() - started < 15


def test_b3_b4_starttls_is_not_offered_within_tls(solo):
    with Raw(solo, solo.tls_port) as raw:
        raw.open().start_tls(solo)
        raw.send(HEADER)
        assert "starttls" not in raw.until("</stream:features>")
        raw.send(STARTTLS)
        assert "<proceed" not in raw.rest()


def test_b5_nobody_authenticates_in_the_clear_where_tls_is_required(solo):
    with Raw(solo, solo.tls_port) as raw:
        raw.open()
        raw.send(auth("PLAIN", f"\0romeo\0{PASSWORD}"))
        assert "<encryption-required" in raw.until("<encryption-required[^>]*>|<success[^>]*>")


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1])
def test_b6_old_versions_of_tls_are_refused(solo, version):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.minimum_version = context.maximum_version = version
    with Raw(solo, solo.tls_port) as raw:
        raw.open()
        raw.send(STARTTLS)
        raw.until("<proceed[^>]*>")
        with pytest.raises((ssl.SSLError, OSError)):
            context.wrap_socket(raw.socket, server_hostname=DOMAIN)


def test_b9_features_of_before_tls_are_forgotten(solo):
    with Raw(solo, solo.tls_port) as raw:
        raw.open().start_tls(solo)
        raw.send(auth("PLAIN", f"\0romeo\0{PASSWORD}"))  # no new stream header
        assert "<success" not in raw.rest()


def test_b13_tls_records_of_one_byte_work(solo):
    with Raw(solo, solo.tls_port) as raw:
        raw.open().start_tls(solo)
        for byte in HEADER.encode():
            raw.socket.sendall(bytes([byte]))
        assert "SCRAM-SHA-256" in raw.until("</stream:features>")


def test_xep_0368_tls_from_the_first_byte(solo):
    context = ssl.create_default_context(cafile=str(solo.certificate))
    context.set_alpn_protocols(["xmpp-client"])
    with socket.create_connection(("127.0.0.1", solo.direct_port), timeout=10) as plain:
        with context.wrap_socket(plain, server_hostname=DOMAIN) as stream:
            assert stream.selected_alpn_protocol() == "xmpp-client"
            stream.sendall(HEADER.encode())
            assert b"stream:stream" in stream.recv(65536)


def test_b12_another_protocol_is_not_spoken(solo):
    context = ssl.create_default_context(cafile=str(solo.certificate))
    context.set_alpn_protocols(["http/1.1"])
    with socket.create_connection(("127.0.0.1", solo.direct_port), timeout=10) as plain:
        with pytest.raises((ssl.SSLError, OSError)):
            with context.wrap_socket(plain, server_hostname=DOMAIN) as stream:
                stream.sendall(HEADER.encode())
                assert stream.recv(65536) == b""
                raise OSError("closed")


# ---- authentication -----------------------------------------------------------------------------------------------------

REFUSED = [
    ("C1 unknown mechanism", auth("X-UNKNOWN", "x"), "invalid-mechanism"),
    ("C2 bad base64", f"<auth xmlns='{SASL}' mechanism='PLAIN'>!!!</auth>", "incorrect-encoding"),
    ("C3 wrong password", auth("PLAIN", "\0romeo\0wrong"), "not-authorized"),
    ("C4 unknown user", auth("PLAIN", "\0nobody-at-all\0wrong"), "not-authorized"),
    ("C5 another's authzid", auth("PLAIN", f"juliet@{DOMAIN}\0romeo\0{PASSWORD}"), "invalid-authzid"),
    ("C7 one NUL too many", auth("PLAIN", f"\0romeo\0{PASSWORD}\0more"), "malformed-request"),
    ("C8 empty password", auth("PLAIN", "\0romeo\0"), "malformed-request|not-authorized"),
    ("C9 response without auth", response("x"), "malformed-request|not-authorized"),
    ("C10 abort", f"<abort xmlns='{SASL}'/>", "aborted|malformed-request"),
    ("C13 empty nonce", auth("SCRAM-SHA-256", "n,,n=romeo,r="), "malformed-request"),
    ("C14 mandatory extension", auth("SCRAM-SHA-256", "n,,m=x,n=romeo,r=abc"), "malformed-request|not-authorized"),
    ("O5 mandatory extension behind the nonce", auth("SCRAM-SHA-256", "n,,n=romeo,r=abc,m=x"), "malformed-request|not-authorized"),
    ("T18 a JID of another domain", auth("PLAIN", f"\0romeo@example.net\0{PASSWORD}"), "not-authorized"),
    ("C15 binding that is not offered", auth("SCRAM-SHA-256", "p=tls-exporter,,n=romeo,r=abc"), "not-authorized|malformed-request"),
    ("C19 bad escape", auth("SCRAM-SHA-256", "n,,n=ro=meo,r=abcdefgh"), "malformed-request|not-authorized"),
    ("C20 forbidden characters", auth("PLAIN", "\0ro@meo\0x"), "not-authorized|malformed-request"),
    ("C20 a very long name", auth("PLAIN", "\0" + "a" * 1024 + "\0x"), "not-authorized|malformed-request"),
    ("no UTF-8", auth("PLAIN", b"\0\xff\xfe\0x"), "malformed-request|not-authorized"),
]


@pytest.mark.parametrize(("what", "sent", "names"), REFUSED, ids=[case[0] for case in REFUSED])
def test_a_login_that_is_wrong_is_refused_by_name(solo, witness, what, sent, names):
    with Raw(solo) as raw:
        raw.open()
        raw.send(sent)
        read = raw.until("</failure>")
        assert any(f"<{name}" in read for name in names.split("|")), f"{what}: {read}"
        raw.authenticate("romeo")  # the stream goes on
    witness.ping(1)


def test_c6_the_own_jid_as_authzid_is_right(solo):
    with Raw(solo) as raw:
        raw.open()
        raw.send(auth("PLAIN", f"romeo@{DOMAIN}\0romeo\0{PASSWORD}"))
        raw.until("<success[^>]*>")


def test_c4_an_unknown_name_is_answered_like_a_wrong_password(solo):
    def challenge(name):
        with Raw(solo) as raw:
            raw.open()
            started = time.perf_counter()
            raw.send(auth("SCRAM-SHA-256", f"n,,n={name},r=abcdefgh"))
            text = decode(raw.until("<challenge[^>]*>[^<]*</challenge>"))
            return dict(part.split("=", 1) for part in text.split(",")), time.perf_counter() - started

    known, unknown = [challenge("romeo") for _ in range(50)], [challenge("nobody-here") for _ in range(50)]

    assert len({values["s"] for values, _ in unknown}) == 1, "the salt of a name stays the same"
    assert {values["i"] for values, _ in known} == {values["i"] for values, _ in unknown}
    assert len(base64.b64decode(known[0][0]["s"])) == len(base64.b64decode(unknown[0][0]["s"]))
    median = [statistics.median(seconds for _, seconds in group) for group in (known, unknown)]
    print(f"median of a challenge: known {median[0] * 1e6:.0f} µs, unknown {median[1] * 1e6:.0f} µs")


def test_o4_imported_accounts_do_not_stand_out(program, tmp_path):
    """One account in two has other rounds and another salt: so have the names that do not exist."""
    cluster = Cluster(program, tmp_path, names=("a",), tls="disabled")
    keys = ":".join(base64.b64encode(b"k" * 32).decode() for _ in "12")
    salts = [base64.b64encode(os.urandom(24)).decode() for _ in range(20)]
    cluster.import_users([f"here{n}" for n in range(20)])
    imported = "".join(f"there{n},SCRAM-SHA-256$4096:{salt}${keys}\n" for n, salt in enumerate(salts))
    run = cluster.cli("user", "import", "--config", cluster["a"].config, "-", input=imported)
    assert run.returncode == 0, run.stderr
    node = cluster["a"]
    try:
        asyncio.run(cluster.start())

        def shown(name):
            with Raw(node) as raw:
                raw.open()
                raw.send(auth("SCRAM-SHA-256", f"n,,n={name},r=abcdefgh"))
                text = decode(raw.until("<challenge[^>]*>[^<]*</challenge>"))
                values = dict(part.split("=", 1) for part in text.split(","))
                return values["i"], len(base64.b64decode(values["s"])), values["s"]

        unknown = [shown(f"nobody{n}") for n in range(60)]
        imported = [kind for kind in unknown if kind[:2] == ("4096", 24)]
        assert 6 <= len(imported) <= 54, unknown
        assert {kind[:2] for kind in unknown} == {("4096", 24), ("10000", 16)}
        assert len({salt for _, _, salt in unknown}) == 60
        assert [shown(f"nobody{n}") for n in range(10)] == unknown[:10]
        assert shown("there1")[:2] == ("4096", 24)
    finally:
        cluster.stop()


def test_o3_t19_guessing_is_slow_and_logged_and_the_owner_gets_in(new_cluster):
    """600 wrong passwords for one account from one address took 1.5 s and left no trace."""
    cluster = new_cluster(names=("a",), tls="disabled")
    cluster.import_users(["romeo", "juliet"])
    asyncio.run(cluster.start())
    node = cluster["a"]
    checked = refused = 0
    began = time.monotonic()
    while time.monotonic() - began < 10:
        with contextlib.ExitStack() as stack:
            raws = [stack.enter_context(Raw(node)) for _ in range(20)]
            for raw in raws:
                raw.open()
                raw.send(auth("PLAIN", "\0romeo\0wrong"))
            time.sleep(0.2)
            for raw in raws:
                raw.socket.settimeout(0.05)
                with contextlib.suppress(TimeoutError):
                    raw.receive()
                checked += raw.text.count(b"<not-authorized")
                refused += raw.text.count(b"<temporary-auth-failure")
    seconds = time.monotonic() - began
    print(f"{checked} checked, {refused} refused in {seconds:.1f} s")
    assert checked <= 10 + seconds / 5 + 3
    assert refused > 100

    # The owner, from another address, at once.
    began = time.monotonic()
    raw = Raw(node, source="127.0.0.2")
    with raw:
        raw.open().authenticate("romeo").bind().available()
        assert time.monotonic() - began < 2
    # And another account from the attacker's address.
    with Raw(node) as raw:
        raw.open().authenticate("juliet")

    filter_of_the_readme = FAIL2BAN.replace("<HOST>", r"(?P<host>\S+)")
    lines = [line for line in node.log_text().splitlines() if "cresset::login" in line]
    found = [re.search(filter_of_the_readme, line.split("Z", 1)[1]) for line in lines if "log-in failed" in line]
    # Of some that were checked the client had gone.
    assert checked <= len(found) <= 10 + seconds / 5 + 4 and all(found), lines
    assert {match["host"] for match in found} == {"127.0.0.1"}
    assert all(line.endswith("mechanism=PLAIN reason=wrong-password account=romeo@example.org") for line in lines if "log-in failed" in line)

    asyncio.run(until("the burst is told", lambda: "log-ins slowed down" in node.log_text(), 30))
    bursts = [line for line in node.log_text().splitlines() if "log-ins slowed down" in line]
    assert len(bursts) == 1 and "account=romeo@example.org" in bursts[0], bursts
    assert int(re.search(r" count=(\d+)", bursts[0])[1]) >= refused


def test_t19_nobody_writes_lines_of_his_own(new_cluster):
    cluster = new_cluster(names=("a",), tls="disabled")
    asyncio.run(cluster.start())
    node = cluster["a"]
    forged = "2026-01-01T00:00:00.000000Z  INFO cresset::login: log-in failed address=192.0.2.66 mechanism=PLAIN reason=wrong-password account=x"
    with Raw(node) as raw:
        raw.open()
        for name in (f"x\n{forged}", f"x\r{forged}", f"x\u2028{forged}", f"\x1b[2J{forged}", forged[:60]):
            raw.send(auth("PLAIN", f"\0{name}\0wrong"))
            raw.until("</failure>")
    filter_of_the_readme = FAIL2BAN.replace("<HOST>", r"(?P<host>\S+)")
    # However lines are cut, and with or without the time that fail2ban takes off them.
    for line in re.split(r"[\n\r\x0b\x0c\x1c-\x1e\x85\u2028\u2029]", node.log_text()):
        for text in (line, line.split("Z", 1)[-1]):
            match = re.search(filter_of_the_readme, text)
            assert not match or match["host"] != "192.0.2.66", line
    assert node.log_text().count("reason=not-authorized account=") == 5
    assert "\x1b" not in node.log_text()


def test_t18_a_whole_jid_is_a_user_name(solo):
    for name in (f"romeo@{DOMAIN}", f"Romeo@{DOMAIN.upper()}"):
        with Raw(solo) as raw:
            raw.open().authenticate(name).bind()
            assert raw.jid.startswith(f"romeo@{DOMAIN}/")
        with Raw(solo) as raw:
            raw.open()
            raw.send(auth("PLAIN", f"\0{name}\0{PASSWORD}"))
            raw.until("<success[^>]*>")


def test_c12_a_stream_has_a_bounded_number_of_attempts(solo):
    with Raw(solo) as raw:
        raw.open()
        for _ in range(20):
            raw.send(auth("PLAIN", "\0romeo\0wrong"))
        assert conditions(raw.rest(20)) == ["policy-violation"]


def test_c17_a_wrong_nonce_is_refused(solo):
    with Raw(solo) as raw:
        raw.open()
        raw.send(auth("SCRAM-SHA-256", "n,,n=romeo,r=abcdefgh"))
        raw.until("</challenge>")
        raw.send(response("c=biws,r=abcdefghANOTHER,p=AAAA"))
        assert "<not-authorized" in raw.until("</failure>")


def test_c22_a_stream_does_not_change_its_host_after_authentication(solo):
    with Raw(solo) as raw:
        raw.open().authenticate("romeo")
    with Raw(solo) as raw:
        raw.open()
        raw.send(auth("PLAIN", f"\0romeo\0{PASSWORD}"))
        raw.until("<success[^>]*>")
        raw.send(HEADER.replace(DOMAIN, "other.invalid"))
        assert conditions(raw.rest())[0] in {"host-unknown", "not-authorized"}


def test_c23_a_giant_auth_is_a_violation(solo):
    with Raw(solo) as raw:
        raw.open()
        raw.send(auth("PLAIN", "x" * 1_000_000))
        assert conditions(raw.rest()) == ["policy-violation"]


def test_c24_nobody_authenticates_twice(solo):
    with Raw(solo) as raw:
        raw.open().authenticate("romeo")
        raw.send(auth("PLAIN", f"\0juliet\0{PASSWORD}"))
        assert conditions(raw.rest())


def test_c28_all_nodes_offer_the_same(solo):
    with Raw(solo) as one, Raw(solo) as other:
        one.send(HEADER)
        other.send(HEADER)
        features = [raw.until("</stream:features>").split("<stream:features")[1] for raw in (one, other)]
    assert features[0] == features[1]


def test_twins_of_a_name_are_one_account(solo):
    """C19: what SASLprep makes equal is the same account."""
    with Raw(solo) as raw:
        raw.open()
        raw.send(auth("PLAIN", f"\0ROMEO\0{PASSWORD}"))
        read = raw.until("<success[^>]*>|</failure>")
        if "<success" in read:
            raw.open().bind("garden")
            assert raw.jid == f"romeo@{DOMAIN}/garden"


def test_a_login_works_over_tls_and_without(solo):
    logged_in(solo, "romeo").__exit__()
    with Raw(solo, solo.tls_port) as raw:
        raw.open().start_tls(solo).open().authenticate("romeo").bind().available()


def test_t13_a_client_that_ends_every_element_with_a_line_feed_logs_in(solo):
    """As all clients on the library of go-sendxmpp do: `</auth>` and a line feed."""
    with Raw(solo) as raw:
        send = raw.send
        raw.send = lambda what: (send(what), send("\n"))
        raw.open().authenticate("romeo").bind().available()


@pytest.mark.parametrize("blanks", ["\n", " \r\n\t"])
def test_t13_a_line_feed_between_starttls_and_the_handshake_is_passed_over(solo, blanks):
    """RFC 6120 section 5.3.3 forbids it, and clients that end every element with it do it all the same."""
    with Raw(solo, solo.tls_port) as raw:
        raw.open()
        raw.send(STARTTLS)
        raw.until("<proceed[^>]*>")
        raw.send(blanks)
        raw.encrypt(solo).open().authenticate("romeo").bind().available()
