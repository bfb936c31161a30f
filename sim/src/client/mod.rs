//! Users with their clients: they log in somewhere, talk, and come back when they are cut off, as clients in the field
//! do it.
//!
//! ```text
//! user ─┬─ first client   talks, greets, pings; leaves and comes back; meets the weather
//!       ├─ rival (u1')    has the same full JID elsewhere, while the weather wants it
//!       └─ watch (u1+)    has a resource of its own, takes no messages, sees who is there
//!
//! life: dial ─▶ login ─▶ resume or bind ─▶ talk ─▶ … broken, left, thrown off ─▶ pause ─▶ dial
//!                            ▲                        │
//!                            └──── Session (XEP-0198) ┘
//! ```
//!
//! A client acknowledges what it gets and asks for acknowledgement of what it sends (XEP-0198). It sends nothing twice,
//! except what a node says at resumption that it does not have. Whatever a node does unexpectedly ends the connection
//! and is told to the history; no client ever gives up, and none judges: that is for the invariants.

mod drawn;
mod goodbye;
mod hearing;
mod life;
mod login;
mod race;
mod session;
mod speech;
mod stream;
mod talk;

use std::net::SocketAddr;
use std::time::Duration;

use tokio::join;

use crate::history::{History, RIVAL, WATCH};
use crate::seeds::Seed;
use crate::trace;
use crate::world::{Trouble, Weather};

use life::Client;
pub(crate) use login::condition;

/// The namespace of SASL (RFC 6120 section 6).
pub const SASL: &str = "urn:ietf:params:xml:ns:xmpp-sasl";

/// The namespace of binding a resource (RFC 6120 section 7).
pub const BIND: &str = "urn:ietf:params:xml:ns:xmpp-bind";

/// The namespace of acknowledgement and resumption (XEP-0198).
pub const ACKNOWLEDGEMENT: &str = "urn:xmpp:sm:3";

/// The namespace of pings (XEP-0199).
const PING: &str = "urn:xmpp:ping";

/// The namespace of the conditions of errors (RFC 6120 section 8.3.3).
const ERRORS: &str = "urn:ietf:params:xml:ns:xmpp-stanzas";

/// The resource of every user's first client, and of its rival.
pub const RESOURCE: &str = "sim";

/// The resource of a watch.
const WATCH_RESOURCE: &str = "watch";

/// One node as clients know it.
#[derive(Clone, Debug)]
pub struct Door {
    /// The node's name.
    pub node: String,
    /// Where it is.
    pub address: SocketAddr,
}

/// Who a user is and what he is up to.
#[derive(Debug)]
pub struct User {
    /// Which of the plan's users he is, from 0.
    pub number: usize,
    /// What the plan does to him at the moment.
    pub weather: Weather,
    /// The localpart of his JID.
    pub name: String,
    /// The domain.
    pub domain: String,
    /// To whom he talks.
    pub peer: String,
    /// Which of the plan's users that is, if he is one.
    pub peer_number: usize,
    /// Whom he asks something now and then although he does not talk to him, if the plan looks at that.
    pub stranger: Option<String>,
    /// Where he logs in, the place he likes most first.
    pub doors: Vec<Door>,
    /// How often he says something.
    pub pace: Duration,
    /// Whether he resumes his session when a connection breaks.
    pub resumes: bool,
    /// Whether he is away now and then.
    pub leaves: bool,
    /// Whether he has a second client.
    pub watches: bool,
    /// Whether that one takes messages as well.
    pub shares: bool,
    /// When he falls silent, in time of the world.
    pub silent_from: Duration,
    /// From which everything that he draws is derived.
    pub seed: Seed,
}

/// Which of a user's clients.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Role {
    First,
    Rival,
    Watch,
}

/// Lives a user's life, which does not end.
pub async fn live(user: User, history: History) {
    let mut first = Client::new(&user, &history, Role::First);
    join!(first.live(), rivalry(&user, &history), watch(&user, &history));
}

/// Lets a rival live whenever the weather wants one.
async fn rivalry(user: &User, history: &History) {
    let mut rival = Client::new(user, history, Role::Rival);
    loop {
        let seen = user.weather.changes();
        if user.weather.has(user.number, Trouble::Rival) {
            rival.live().await;
        } else {
            user.weather.changed(seen).await;
        }
    }
}

async fn watch(user: &User, history: &History) {
    if user.watches {
        Client::new(user, history, Role::Watch).live().await;
    }
}

impl User {
    fn is_silent(&self) -> bool {
        trace::now() >= self.silent_from
    }

    fn jid(&self, name: &str, resource: Option<&str>) -> String {
        let bare = format!("{name}@{}", self.domain);
        resource.map_or(bare.clone(), |resource| format!("{bare}/{resource}"))
    }
}

impl Role {
    /// The name of the user's client in this role.
    fn name_of(self, user: &User) -> String {
        match self {
            Role::First => user.name.clone(),
            Role::Rival => format!("{}{RIVAL}", user.name),
            Role::Watch => format!("{}{WATCH}", user.name),
        }
    }

    fn resource(self) -> &'static str {
        match self {
            Role::First | Role::Rival => RESOURCE,
            Role::Watch => WATCH_RESOURCE,
        }
    }
}
