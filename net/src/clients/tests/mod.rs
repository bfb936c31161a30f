//! Clients over streams in memory, with accounts in memory and a control plane that agrees with itself at once.
//!
//! Time is tokio's and stands still while everybody waits, so a deadline is as near as the next wait.

#![allow(clippy::unwrap_used)]

mod delivery;
mod lives;
mod memory;
mod others;
mod plane;
mod resumption;
mod strangers;

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use cresset_core::ids::MemberId;
use cresset_core::jid::{DomainPart, NodePart};
use cresset_core::sasl::{Hash, Password, ScramKeys};
use cresset_core::session::{SessionSettings, TlsPolicy};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

use self::plane::Plane;
use super::listener::accept;
use super::*;
use crate::accounts::memory::MemoryAccounts;
use crate::accounts::{AccountStore, Credentials, OfflineStore};
use crate::clock::SystemClock;
use crate::router::Router;
use crate::runtime::{self, Workers};

const ADDRESS: ([u8; 4], u16) = ([127, 0, 0, 1], 40_000);
const OPEN: &str = "<stream:stream to='capulet.example' version='1.0' xmlns='jabber:client' \
                    xmlns:stream='http://etherx.jabber.org/streams'>";

/// One node without others, on which Romeo and Juliet have accounts.
struct World {
    settings: Arc<ClientSettings>,
    accounts: MemoryAccounts,
    plane: Plane,
}

impl World {
    async fn new() -> World {
        World::with(|_| {}).await
    }

    async fn with(change: impl FnOnce(&mut ClientSettings)) -> World {
        let accounts = MemoryAccounts::new();
        for name in ["romeo", "juliet"] {
            accounts.add(NodePart::new(name).unwrap(), credentials()).await.unwrap();
        }
        let domain = DomainPart::new("capulet.example").unwrap();
        let (router, requests) =
            Router::new(domain.clone(), MemberId(1), Arc::new(accounts.clone()), SystemClock::start(), Workers::here());
        let plane = Plane::start(router.clone(), requests);
        let session = SessionSettings {
            tls: TlsPolicy::Disabled,
            plain_without_tls: true,
            ..SessionSettings::new(domain, [7; 32], "test")
        };
        let mut settings = ClientSettings {
            session: Arc::new(session),
            tls: None,
            derive: Arc::new(DeriveHere),
            tries: Arc::default(),
            proxied: false,
            admission: Admission::new(1000),
            strangers: Threads::new(1),
            busy: Threads::new(1),
            randomness: runtime::generator,
            accounts: Arc::new(accounts.clone()),
            router,
        };
        change(&mut settings);
        World { settings: Arc::new(settings), accounts, plane }
    }

    /// A client that has said nothing. The system keeps so many bytes for it.
    fn connect_with(&self, bytes: usize, kind: ListenerKind) -> Client {
        self.connect_from(SocketAddr::from(ADDRESS), bytes, kind)
    }

    fn connect_from(&self, address: SocketAddr, bytes: usize, kind: ListenerKind) -> Client {
        let (ours, theirs) = tokio::io::duplex(bytes);
        accept(&self.settings, kind, Box::new(theirs), address);
        Client { stream: Box::new(ours), heard: String::new() }
    }

    fn connect(&self) -> Client {
        self.connect_with(64 * 1024, ListenerKind::StartTls)
    }

    /// A client that has logged in, bound a resource and is not available yet.
    async fn log_in(&self, name: &str, resource: &str) -> Client {
        let mut client = self.connect();
        client.log_in(name).await;
        client.bind(resource).await;
        client
    }

    async fn available(&self, name: &str, resource: &str) -> Client {
        let mut client = self.log_in(name, resource).await;
        client.say("<presence/>").await;
        client.hear("<presence").await;
        client.hear("/>").await;
        client
    }

    async fn stored_for(&self, name: &str) -> usize {
        self.accounts.offline_count(NodePart::new(name).unwrap()).await.unwrap()
    }

    /// Waits until the node has seen to what it can see to without time passing.
    async fn settle_down(&self) {
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
}

/// The other end of a client's connection.
struct Client {
    stream: ClientTransport,
    heard: String,
}

impl Client {
    async fn log_in(&mut self, name: &str) {
        self.say(OPEN).await;
        self.hear("</stream:features>").await;
        let secret = if name == "romeo" { "AHJvbWVvAHNlY3JldA==" } else { "AGp1bGlldABzZWNyZXQ=" };
        self.say(&format!("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>{secret}</auth>")).await;
        self.hear("<success").await;
        self.say(OPEN).await;
        self.hear("</stream:features>").await;
    }

    async fn bind(&mut self, resource: &str) {
        self.say(&format!(
            "<iq type='set' id='bind'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'>\
             <resource>{resource}</resource></bind></iq>"
        ))
        .await;
        self.hear("</iq>").await;
    }

    async fn say(&mut self, text: &str) {
        self.stream.write_all(text.as_bytes()).await.unwrap();
    }

    async fn chat(&mut self, to: &str, body: &str) {
        self.say(&format!("<message to='{to}' type='chat' id='{body}'><body>{body}</body></message>")).await;
    }

    /// Everything up to this text and the text itself.
    async fn hear(&mut self, text: &str) -> String {
        loop {
            if let Some(at) = self.heard.find(text) {
                let rest = self.heard.split_off(at + text.len());
                return std::mem::replace(&mut self.heard, rest);
            }
            let mut bytes = [0; 4096];
            let read = timeout(Duration::from_secs(60), self.stream.read(&mut bytes)).await;
            let count = read.unwrap_or_else(|_| panic!("{text:?} does not come after {:?}", self.heard)).unwrap_or(0);
            assert!(count > 0, "{text:?} does not come before the end of {:?}", self.heard);
            self.heard.push_str(std::str::from_utf8(&bytes[..count]).unwrap());
        }
    }

    /// The bodies of the next messages.
    async fn hear_bodies(&mut self, count: usize) -> Vec<String> {
        let mut bodies = Vec::new();
        for _ in 0..count {
            let text = self.hear("</body>").await;
            let start = text.rfind("<body>").unwrap() + "<body>".len();
            bodies.push(text[start..text.len() - "</body>".len()].to_owned());
        }
        bodies
    }

    /// Everything that comes until the connection is closed.
    async fn hear_end(&mut self) -> String {
        self.hear_end_within(Duration::from_secs(120)).await
    }

    /// The same, with so much time between two words.
    async fn hear_end_within(&mut self, time: Duration) -> String {
        let mut bytes = [0; 4096];
        while let Ok(count) = timeout(time, self.stream.read(&mut bytes)).await.unwrap() {
            if count == 0 {
                break;
            }
            self.heard.push_str(std::str::from_utf8(&bytes[..count]).unwrap());
        }
        std::mem::take(&mut self.heard)
    }

    /// Whether nothing comes for so long.
    async fn hears_nothing(&mut self, time: Duration) -> bool {
        let mut bytes = [0; 4096];
        self.heard.is_empty() && timeout(time, self.stream.read(&mut bytes)).await.is_err()
    }
}

/// Keys of few rounds, because time does not stand still for them.
fn credentials() -> Credentials {
    let password = Password::new("secret").unwrap();
    Credentials::from_iter([ScramKeys::derive(Hash::Sha256, &password, vec![1; 16], 4096)])
}

/// Runs a test with randomness from one seed.
async fn seeded(test: impl Future<Output = ()>) {
    runtime::scope(1, test).await;
}

fn numbered(range: std::ops::RangeInclusive<u32>) -> Vec<String> {
    range.map(|number| format!("m{number}")).collect()
}
