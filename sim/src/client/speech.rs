//! What a user says, and to whom: mostly something short to his peer, now and then something long, to a session that
//! is gone, to nobody, or a question.

use cresset_core::xml::{Element, ns};
use rand::RngExt;
use rand::rngs::StdRng;

use super::session::Known;
use super::{PING, RESOURCE, Role, User};
use crate::world::Trouble;

/// A resource that no client has.
const GONE: &str = "gone";

/// Somebody who has no account.
const NOBODY: &str = "nobody";

/// Bytes of a body that spans several reads of the server (4 KiB each) and of the client.
const LONG: std::ops::Range<usize> = 1024..12 * 1024;

/// Bytes of each body to somebody who does not read, so that what waits for him may reach its bounds.
const FLOOD: std::ops::Range<usize> = 64 * 1024..200 * 1024;

/// What one client says.
pub(super) struct Speech {
    random: StdRng,
    said: u64,
}

/// Something said.
pub(super) struct Saying {
    pub(super) id: Known,
    /// To whom, a JID.
    pub(super) to: String,
    pub(super) stanza: Element,
}

impl Speech {
    pub(super) fn new(user: &User, role: Role) -> Self {
        let concern = match role {
            Role::First => "speech",
            Role::Rival => "rival's speech",
            Role::Watch => "watch's speech",
        };
        Speech { random: user.seed.generator(concern, user.number as u64), said: 0 }
    }

    /// The next thing that the client of this name says.
    pub(super) fn next(&mut self, user: &User, name: &str) -> Saying {
        self.said += 1;
        let id = format!("{name}.{}", self.said);
        let (to, resource, is_request) = match self.random.random_range(0..100) {
            0..70 => (user.peer.as_str(), None, false),
            70..83 => (user.peer.as_str(), Some(RESOURCE), false),
            83..87 => (user.peer.as_str(), Some(GONE), false),
            87..89 => (NOBODY, None, false),
            89..98 => (user.peer.as_str(), Some(RESOURCE), true),
            _ => (user.peer.as_str(), Some(GONE), true),
        };
        let to = user.jid(to, resource);
        if is_request {
            Saying { stanza: ping(&to, &id), id: Known::Request(id), to }
        } else {
            Saying { stanza: self.message(user, &to, &id), id: Known::Message(id), to }
        }
    }

    /// A question to somebody else.
    pub(super) fn ask(&mut self, user: &User, name: &str, whom: &str) -> Saying {
        self.said += 1;
        let (id, to) = (format!("{name}.{}", self.said), user.jid(whom, Some(RESOURCE)));
        Saying { stanza: ping(&to, &id), id: Known::Request(id), to }
    }

    fn message(&mut self, user: &User, address: &str, id: &str) -> Element {
        let bytes = if user.weather.has(user.peer_number, Trouble::SlowReader) {
            self.random.random_range(FLOOD)
        } else if self.random.random_bool(0.08) {
            self.random.random_range(LONG)
        } else {
            5
        };
        let body: String = "hello ".chars().cycle().take(bytes).collect();
        Element::new("message", ns::CLIENT)
            .with_attribute("type", "chat")
            .with_attribute("to", address)
            .with_attribute("id", id)
            .with_child(Element::new("body", ns::CLIENT).with_text(&body))
    }
}

fn ping(address: &str, id: &str) -> Element {
    Element::new("iq", ns::CLIENT)
        .with_attribute("type", "get")
        .with_attribute("to", address)
        .with_attribute("id", id)
        .with_child(Element::new("ping", PING))
}
