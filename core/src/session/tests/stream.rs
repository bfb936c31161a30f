//! How a stream begins and how it goes wrong.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;

use super::client::{Client, HEADER, ROUTE, SERVER_HEADER, keys, settings};
use crate::node::Answer;
use crate::session::{CredentialsAnswer, Order, TlsEstablished, TlsPolicy};

const STREAMS: &str = "http://etherx.jabber.org/streams";
const MECHANISMS: &str = "<mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>\
    <mechanism>SCRAM-SHA-256</mechanism><mechanism>SCRAM-SHA-1</mechanism>";

#[test]
fn before_tls_only_tls_is_offered_where_it_is_required() {
    let mut romeo = Client::connected(settings(TlsPolicy::Required));

    romeo.says(HEADER);

    romeo.hears(&format!(
        "{SERVER_HEADER}<stream:features><starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'><required/></starttls>\
         </stream:features>"
    ));
}

#[test]
fn passwords_are_shown_only_on_encrypted_streams() {
    let mut optional = Client::connected(settings(TlsPolicy::Optional));
    optional.says(HEADER);
    optional.hears(&format!(
        "{SERVER_HEADER}<stream:features><starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>{MECHANISMS}</mechanisms>\
         </stream:features>"
    ));

    let mut disabled = Client::connected(settings(TlsPolicy::Disabled));
    disabled.says(HEADER);
    disabled.hears(&format!("{SERVER_HEADER}<stream:features>{MECHANISMS}</mechanisms></stream:features>"));

    let mut encrypted = Client::connected(settings(TlsPolicy::Required));
    encrypted.session.handle_tls(encrypted.now, TlsEstablished);
    encrypted.says(HEADER);
    encrypted.hears(&format!(
        "{SERVER_HEADER}<stream:features>{MECHANISMS}<mechanism>PLAIN</mechanism></mechanisms></stream:features>"
    ));
}

#[test]
fn a_header_in_pieces_is_a_header() {
    let mut romeo = Client::connected(settings(TlsPolicy::Required));

    for byte in HEADER.bytes() {
        romeo.session.handle_bytes(romeo.now, &[byte]);
    }

    romeo.hears(&format!("{SERVER_HEADER}<stream:features>{{any}}</stream:features>"));
}

#[test]
fn who_names_himself_in_the_header_is_named_in_the_answer() {
    let mut romeo = Client::connected(settings(TlsPolicy::Required));

    romeo.says(&HEADER.replace("to='", "from='romeo@example.org' to='"));

    assert!(romeo.heard().contains(" to='romeo@example.org' "));
}

/// T13. Clients that are built on one library of Go write a line feed behind every element, in the same packet or in the
/// next one.
#[test]
fn white_space_behind_every_step_of_the_negotiation_is_nothing() {
    for is_late in [false, true] {
        for blanks in ["\n", "\r\n \t"] {
            let mut romeo = Client::connected(settings(TlsPolicy::Required));
            let says = |romeo: &mut Client, element: &str| match is_late {
                true => [element, blanks].iter().for_each(|said| romeo.says(said)),
                false => romeo.says(&format!("{element}{blanks}")),
            };

            says(&mut romeo, HEADER);
            says(&mut romeo, "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>");
            assert!(matches!(romeo.order(), Some(Order::StartTls)));
            romeo.session.handle_tls(romeo.now, TlsEstablished);
            romeo.says(blanks);
            says(&mut romeo, HEADER);
            let plain = BASE64_STANDARD.encode("\0romeo\0r0m30");
            let auth = "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'/>";
            let response = format!("<response xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>{plain}</response>");
            says(&mut romeo, auth);
            says(&mut romeo, &response);
            romeo.session.handle_credentials(romeo.now, CredentialsAnswer::Known(vec![keys()]));
            romeo.says(blanks);
            romeo.session.handle_derived(romeo.now, keys());
            romeo.says(blanks);
            assert!(romeo.heard().contains("<success "));
            romeo.orders();
            says(&mut romeo, HEADER);
            says(&mut romeo, "<iq type='set' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>");
            assert!(matches!(romeo.order(), Some(Order::Bind { .. })), "no bind: {}", romeo.heard());
            romeo.session.handle_answer(romeo.now, Answer::Bound { route: ROUTE });
            says(&mut romeo, "<presence/>");
            says(&mut romeo, "</stream:stream>");

            let heard = romeo.heard();
            assert!(heard.ends_with("</stream:stream>") && !heard.contains("<stream:error>"), "{heard}");
        }
    }
}

/// O2. `D(11)` of the report: eleven labels of 900 characters took 23 ms to refuse, for anybody who could connect.
#[test]
fn a_domain_that_is_too_long_is_not_served() {
    let label: String = (0x4E00..0x5184).filter_map(char::from_u32).collect();
    let long = vec![label; 11].join(".");
    let mut romeo = Client::connected(settings(TlsPolicy::Required));

    romeo.says(&HEADER.replace("to='example.org'", &format!("to='{long}' from='{long}'")));

    let heard = romeo.heard();
    assert!(heard.contains("<host-unknown ") && !heard.contains(" to="), "{heard}");
}

/// RFC 6120 section 4.7.2: a domain is compared as an address is.
#[test]
fn the_served_domain_may_be_written_otherwise() {
    for to in ["EXAMPLE.org", "example.org.", "\u{FF45}xample.org", "example\u{3002}org"] {
        let mut romeo = Client::connected(settings(TlsPolicy::Required));

        romeo.says(&HEADER.replace("to='example.org'", &format!("to='{to}'")));

        assert!(romeo.heard().contains("<stream:features>"), "{to}");
    }
}

/// Group A of the hostile input: one header, one error, one end, and the transport is closed.
#[test]
fn a_stream_that_is_wrong_is_ended_by_name() {
    let replaced = |from, to| HEADER.replace(from, to);
    let with = |what: &str| format!("{HEADER}{what}");
    let cases = [
        ("A1", "GET / HTTP/1.1\r\n\r\n".to_owned(), "not-well-formed"),
        ("A3", replaced(STREAMS, "jabber:evil"), "invalid-namespace"),
        ("A4", replaced("'jabber:client'", "'jabber:evil'"), "invalid-namespace"),
        ("A5", replaced("example.org", "nowhere.invalid"), "host-unknown"),
        ("A5 a user", replaced("example.org", "romeo@example.org"), "host-unknown"),
        ("A5 no JID", replaced("example.org", "@"), "host-unknown"),
        ("A6", replaced("to='example.org'", ""), "improper-addressing"),
        ("A6 empty", replaced("to='example.org'", "to=''"), "improper-addressing"),
        ("A8", HEADER.replace("to='example.org' version='1.0'", "to='example.org'"), "unsupported-version"),
        ("A8 zero", HEADER.replace("org' version='1.0'", "org' version='0.9'"), "unsupported-version"),
        ("A8 no number", HEADER.replace("org' version='1.0'", "org' version='x'"), "unsupported-version"),
        ("A9", "<?xml version='1.0'?><!DOCTYPE x [<!ENTITY a 'a'>]>".to_owned(), "restricted-xml"),
        ("A12", with("<!-- x -->"), "restricted-xml"),
        ("A23", with("<message></presence>"), "not-well-formed"),
        ("A27", with("hello"), "bad-format"),
        ("A28", with(&format!("<stream xmlns='{STREAMS}'/>")), "unsupported-stanza-type"),
        ("A30", with("<unknown/>"), "unsupported-stanza-type"),
        ("C24", with("<success xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"), "unsupported-stanza-type"),
        ("D1", with("<message to='romeo@example.org'/>"), "not-authorized"),
        ("D2", with("<iq type='set' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>"), "not-authorized"),
        ("D16", with("<r xmlns='urn:xmpp:sm:3'/>"), "unsupported-stanza-type"),
        ("F8", with(&format!("<a>{}", "x".repeat(70_000))), "policy-violation"),
    ];
    for (name, said, condition) in cases {
        let mut romeo = Client::connected(settings(TlsPolicy::Optional));
        romeo.says(&said);
        romeo.says("<presence/></stream:stream>");

        let heard = romeo.heard();
        assert!(heard.starts_with("<?xml"), "{name}: {heard}");
        assert_eq!(heard.matches("<stream:stream").count(), 1, "{name}: {heard}");
        assert_eq!(heard.matches("<stream:error>").count(), 1, "{name}: {heard}");
        assert!(heard.contains(&format!("<stream:error><{condition} ")), "{name}: {heard}");
        assert!(heard.ends_with("</stream:error></stream:stream>"), "{name}: {heard}");
        let orders = romeo.orders();
        assert!(matches!(orders[..], [Order::Close, Order::End]), "{name}: {orders:?}");
        assert_eq!(romeo.session.poll_timeout(), None, "{name}");
    }
}

#[test]
fn a_newer_version_is_answered_with_ours() {
    let mut romeo = Client::connected(settings(TlsPolicy::Required));

    romeo.says(&HEADER.replace("org' version='1.0'", "org' version='2.0'"));

    romeo.hears(&format!("{SERVER_HEADER}<stream:features>{{any}}</stream:features>"));
}

/// RFC 6120 section 5.4.3.3: what comes in the clear behind `<starttls/>` must not be read as if it were encrypted.
#[test]
fn what_follows_starttls_in_the_clear_is_dropped() {
    let mut romeo = Client::connected(settings(TlsPolicy::Required));
    romeo.says(HEADER);
    romeo.heard();

    romeo.says(&format!("<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>{HEADER}<unknown/>"));
    romeo.hears("<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>");
    assert!(matches!(romeo.order(), Some(Order::StartTls)));
    assert!(!romeo.session.wants_bytes());
    romeo.says("<more/>");
    romeo.session.handle_tls(romeo.now, TlsEstablished);
    romeo.hears("");

    romeo.says(HEADER);
    romeo.hears(&format!("{SERVER_HEADER}<stream:features>{MECHANISMS}{{any}}</stream:features>"));
}

#[test]
fn starttls_is_refused_where_it_is_not_offered() {
    let asks = "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>";
    let mut disabled = Client::connected(settings(TlsPolicy::Disabled));
    disabled.says(HEADER);
    disabled.heard();
    for mut romeo in [disabled, Client::encrypted(), Client::authenticated(), Client::bound()] {
        romeo.says(asks);

        romeo.hears("<failure xmlns='urn:ietf:params:xml:ns:xmpp-tls'/></stream:stream>");
        assert!(matches!(romeo.orders()[..], [Order::Close, Order::End]));
    }
}

#[test]
fn who_does_not_authenticate_in_time_is_let_go_whatever_he_sends() {
    let mut romeo = Client::connected(settings(TlsPolicy::Required));
    for _ in 0..29 {
        romeo.says(" ");
        romeo.passes(1000);
    }
    romeo.hears("");

    romeo.passes(1000);

    romeo.hears(&format!("{SERVER_HEADER}<stream:error><connection-timeout {{any}}</stream:error></stream:stream>"));
    assert!(matches!(romeo.orders()[..], [Order::Close, Order::End]));
}

/// Within a handshake there is no stream on which an error could be said.
#[test]
fn a_handshake_that_takes_too_long_is_closed_without_a_word() {
    let mut romeo = Client::connected(settings(TlsPolicy::Required));
    romeo.says(&format!("{HEADER}<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"));
    romeo.heard();
    romeo.orders();

    romeo.passes(30_000);

    romeo.hears("");
    assert!(matches!(romeo.orders()[..], [Order::Close, Order::End]));
}

#[test]
fn two_streams_have_two_ids() {
    let mut romeo = Client::connected(settings(TlsPolicy::Optional));
    let mut opens = || {
        romeo.says(&format!("{HEADER}<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"));
        romeo.session.handle_tls(romeo.now, TlsEstablished);
        let heard = romeo.heard();
        heard.split(" id='").nth(1).and_then(|rest| rest.split('\'').next()).unwrap().to_owned()
    };

    let (first, second) = (opens(), opens());

    assert_eq!((first.len(), second.len()), (24, 24));
    assert_ne!(first, second);
}

#[test]
fn the_end_twice_is_one_end() {
    let mut romeo = Client::bound();

    romeo.says("</stream:stream></stream:stream>");

    romeo.hears("</stream:stream>");
    assert!(matches!(romeo.orders()[..], [Order::Close, Order::End]));
}

#[test]
fn a_client_that_reports_an_error_has_closed_the_stream() {
    let mut romeo = Client::bound();

    romeo.says("<stream:error><reset xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error>");

    romeo.hears("</stream:stream>");
}
