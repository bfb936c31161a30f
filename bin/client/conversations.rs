//! Conversations with servers that are written down: what they say is sent as it stands, piece by piece.

use super::*;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

const HEADER: &str = "<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' id='1'>";
const PLAIN: &str = "<stream:features><mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>\
    <mechanism>PLAIN</mechanism></mechanisms></stream:features>";
const SUCCESS: &str = "<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>";
const FEATURES: &str = "<stream:features><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/>\
    <sm xmlns='urn:xmpp:sm:3'/></stream:features>";
const BOUND: &str = "<iq type='result' id='bind'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'>\
    <jid>user@localhost/load</jid></bind></iq>";
const ENABLED: &str = "<enabled xmlns='urn:xmpp:sm:3' id='some-id'/>";

#[tokio::test]
async fn a_message_is_acknowledged_and_another_one_received() {
    let server = Scripted::new(&[
        ("</bind></iq>", BOUND),
        ("resume='true'/>", ENABLED),
        ("<r xmlns='urn:xmpp:sm:3'/>", "<message from='a@localhost/b' id='7'><body>a &lt; b</body></message>"),
        ("", "<r xmlns='urn:xmpp:sm:3'/><a xmlns='urn:xmpp:sm:3' h='2'/>"),
        ("h='1'/>", "<iq type='get' id='ping' from='localhost'><ping xmlns='urn:xmpp:ping'/></iq>"),
        ("<service-unavailable xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>", "</stream:stream>"),
    ])
    .await;
    let mut client = server.login(StreamManagement::On).await.expect("the script lets the client in");

    client.send_presence();
    client.send_message("a@localhost", "1", "hello");
    client.settle().await.expect("both are acknowledged");
    let message = client.receive_message().await.expect("one came meanwhile");
    let ending = client.receive_message().await;

    assert_eq!((message.id.as_str(), message.body.as_str(), message.delayed), ("7", "a < b", false));
    assert_eq!(client.jid(), "user@localhost/load");
    assert!(matches!(ending, Err(ClientError::Closed(Step::Session))), "{ending:?}");
}

#[tokio::test]
async fn refusals_tell_their_condition() {
    let conflict = "<iq type='error' id='bind'><error type='cancel'>\
        <conflict xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>";
    let overload = "<stream:error><system-shutdown xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error>";
    for (answer, label) in [(conflict, "bind: conflict"), (overload, "stream: system-shutdown")] {
        let server = Scripted::new(&[("</bind></iq>", answer)]).await;

        let refused = server.login(StreamManagement::Off).await.expect_err("the bind is refused");

        assert_eq!(refused.label(), label);
    }
}

#[tokio::test]
async fn a_lost_session_is_resumed_and_what_is_missing_sent_again() {
    let first = Scripted::new(&[("</bind></iq>", BOUND), ("resume='true'/>", ENABLED), ("two", "")]).await;
    let mut client = first.login(StreamManagement::On).await.expect("the script lets the client in");
    client.keep_unacknowledged();
    client.send_message("a@localhost", "1", "one");
    client.send_message("a@localhost", "2", "two");
    client.flush().await.expect("the socket takes it");
    let lost = client.into_lost().expect("the session can be resumed");

    let resumed = "<resumed xmlns='urn:xmpp:sm:3' previd='some-id' h='1'/>";
    let second = Scripted::new(&[
        ("<resume xmlns='urn:xmpp:sm:3' h='0' previd='some-id'/>", resumed),
        ("<message type='chat' to='a@localhost' id='2'><body>two</body></message>", ""),
        ("<r xmlns='urn:xmpp:sm:3'/>", "<a xmlns='urn:xmpp:sm:3' h='2'/>"),
    ])
    .await;
    let again = Client::resume(&second.server(), &second.address, &account(), lost).await;
    let (mut client, newly) = again.expect("the server knows the session");

    assert_eq!((newly, client.outstanding()), (1, 1));
    client.settle().await.expect("the second one is acknowledged");
}

#[tokio::test]
async fn a_session_that_is_not_known_any_more_is_bound_anew() {
    let first = Scripted::new(&[("</bind></iq>", BOUND), ("resume='true'/>", ENABLED)]).await;
    let client = first.login(StreamManagement::On).await.expect("the script lets the client in");
    let lost = client.into_lost().expect("the session can be resumed");
    let failed = "<failed xmlns='urn:xmpp:sm:3'><item-not-found xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></failed>";
    let second = Scripted::new(&[("previd='some-id'/>", failed)]).await;
    let third = Scripted::new(&[("</bind></iq>", BOUND), ("resume='true'/>", ENABLED)]).await;
    let addresses = ["127.0.0.1:1".to_owned(), second.address.clone(), third.address.clone()];

    let way = Reconnect {
        server: &second.server(),
        addresses: &addresses,
        account: &account(),
        management: StreamManagement::On,
        until: std::time::Instant::now() + Duration::from_secs(60),
    };
    let back = way.run(0, Some(lost)).await.expect("the third one lets the client in");

    assert_eq!((back.address, back.resumed), (2, None));
    assert_eq!(back.refusals, ["connect: connection refused", "stream-management: item-not-found"]);
}

#[tokio::test]
async fn a_server_that_says_nothing_or_nonsense_ends_the_log_in() {
    for (says, label) in [
        (String::new(), "time-out: sasl"),
        ("HTTP/1.1 400 Bad Request".to_owned(), "framing: not an XMPP stream"),
        (format!("{HEADER}<a>{}", "<b>".repeat(1000)), "framing: stanza nested deeper than 128"),
        (format!("{HEADER}<a>{}", "x".repeat(2 << 20)), "framing: stanza larger than 1048576 bytes"),
        (format!("{HEADER}<a>\u{1}</b></a>"), "unexpected: stream"),
        (format!("{HEADER}</stream:stream>"), "closed: stream"),
    ] {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("it is bound").to_string();
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.expect("the client comes");
            // The client leaves in the middle of what is too much for it.
            let _ = stream.write_all(says.as_bytes()).await;
            let mut sink = vec![0; 4096];
            while stream.read(&mut sink).await.is_ok_and(|count| count > 0) {}
        });
        let mut server = Server::new("localhost", TlsMode::Off, &CertificatePolicy::Any).expect("no file is needed");
        server.patience = Duration::from_millis(if label == "time-out: sasl" { 50 } else { 20_000 });

        let refused = login(&server, &address, &account(), StreamManagement::Off).await;

        assert_eq!(refused.expect_err("nobody is there").label(), label);
    }
}

/// A server that plays its part: waits for the end of what it expects, then answers.
struct Scripted {
    address: String,
}

impl Scripted {
    /// The log-in up to the features behind SASL is played before `script`.
    async fn new(script: &[(&str, &str)]) -> Scripted {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("it is bound").to_string();
        let opening = [("version='1.0' to='localhost'>", format!("{HEADER}{PLAIN}")), ("</auth>", SUCCESS.to_owned())];
        let again = [("version='1.0' to='localhost'>", format!("{HEADER}{FEATURES}"))];
        let lines = opening.into_iter().chain(again).chain(script.iter().map(|(wait, say)| (*wait, (*say).to_owned())));
        let lines: Vec<(String, String)> = lines.map(|(wait, say)| (wait.to_owned(), say)).collect();
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.expect("the client comes");
            let mut heard = String::new();
            for (wait, say) in lines {
                while !heard.contains(&wait) {
                    let mut bytes = [0; 4096];
                    let count = stream.read(&mut bytes).await.expect("the client is there");
                    assert!(count > 0, "the client left before it said {wait}");
                    heard.push_str(std::str::from_utf8(&bytes[..count]).expect("ASCII"));
                }
                let end = heard.find(&wait).expect("it was heard") + wait.len();
                heard.drain(..end);
                stream.write_all(say.as_bytes()).await.expect("the client is there");
            }
            let mut sink = vec![0; 4096];
            while stream.read(&mut sink).await.is_ok_and(|count| count > 0) {}
        });
        Scripted { address }
    }

    fn server(&self) -> Server {
        let mut server = Server::new("localhost", TlsMode::Off, &CertificatePolicy::Any).expect("no file is needed");
        server.mechanism = Some(Mechanism::Plain);
        server
    }

    async fn login(&self, management: StreamManagement) -> Result<Client, ClientError> {
        login(&self.server(), &self.address, &account(), management).await
    }
}

fn account() -> Account {
    Account { user: "user".to_owned(), password: "secret".to_owned(), resource: Some("load".to_owned()) }
}
