//! P2: a message that was acknowledged to its sender (XEP-0198) reaches its recipient or comes back as an error. At the
//! end of a run everybody is there, so what is stored has been fetched.
//!
//! The promise is the loss of one member at a time, and two members hold a message until it is settled. So two losses
//! excuse it: of both, one soon after the other, while it may have been under way. One loss excuses it if there was only
//! one member to lose: sender and recipient on the same node, for which the README says so. A life that is ended is lost
//! as well, although its process may go on: the member on the other side decides for it, if that one is there. A loss is
//! excused by nothing that happened before the message was sent, nor by what happened long after. A node that is stopped
//! in good order is none, unless there was no quorum to leave: then it takes with it what it could not decide.
//!
//! Of what is said to nobody only the error is owed, and an error is for one session: it is not stored, and goes with it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::history::{DirectoryFact, Event, LifeStage, RaftFact, Record, WATCH};
use crate::report::Violation;

/// How long after it was sent a message may be under way: as long as a recipient's session waits for being resumed, and
/// the expulsion of its member.
const UNDER_WAY_MAX: Duration = Duration::from_secs(60);

/// How long after the loss of one member its messages are held by one only: until its expulsion, and a moment.
const ALONE_MAX: Duration = Duration::from_secs(8);

struct Message<'a> {
    sender: &'a str,
    sender_at: &'a str,
    /// The nodes at which clients of the recipient were from the sending on.
    recipient_at: BTreeSet<&'a str>,
    to: &'a str,
    sent: Duration,
    acknowledged: Option<Duration>,
}

#[derive(Default)]
struct Seen<'a> {
    messages: BTreeMap<&'a str, Message<'a>>,
    arrived: BTreeSet<&'a str>,
    /// At which nodes the clients of each user are, or were last.
    places: BTreeMap<&'a str, BTreeMap<&'a str, &'a str>>,
    /// When each client last began a session.
    began: BTreeMap<&'a str, Duration>,
    /// When which node lost its memory.
    losses: Vec<(Duration, &'a str)>,
    /// When which node's life was known to be ended, and which member each node is.
    ends: Vec<(Duration, &'a str)>,
    members: BTreeMap<u64, &'a str>,
    /// The nodes that have a life, as far as anybody knows.
    alive: BTreeSet<&'a str>,
}

pub(super) fn check(history: &[Record]) -> Vec<Violation> {
    let mut seen = Seen::default();
    for record in history {
        seen.take(record);
    }
    let lost = seen.messages.iter().filter(|(id, message)| {
        message.acknowledged.is_some() && !seen.arrived.contains(*id) && !seen.is_excused(message)
    });
    let violation = |(id, message): (&&str, &Message<'_>)| Violation {
        invariant: "no_silent_loss",
        at: message.acknowledged,
        text: format!("{id} was acknowledged by {} and has disappeared", message.sender_at),
    };
    lost.map(violation).collect()
}

/// The name of the user to whom a JID belongs.
fn localpart(jid: &str) -> &str {
    jid.split_once('@').map_or(jid, |(name, _)| name)
}

impl<'a> Seen<'a> {
    fn take(&mut self, record: &'a Record) {
        if let Event::LoggedIn { connection, .. } = &record.event {
            self.began.insert(&connection.user, record.at);
        }
        match &record.event {
            Event::LoggedIn { connection, node, .. } | Event::Resumed { connection, node, .. } => {
                // A watch takes no messages.
                if connection.user.ends_with(WATCH) {
                    return;
                }
                let user = connection.account();
                self.places.entry(user).or_default().insert(&connection.user, node);
                let under_way = self.messages.values_mut().filter(|message| message.to == user);
                for message in under_way.filter(|message| record.at < message.sent + UNDER_WAY_MAX) {
                    message.recipient_at.insert(node);
                }
            }
            Event::Sent { connection, node, to, id } => {
                let to = localpart(to);
                let recipient_at = self.places.get(to).into_iter().flat_map(|places| places.values().copied());
                let message = Message {
                    sender: &connection.user,
                    sender_at: node,
                    recipient_at: recipient_at.collect(),
                    to,
                    sent: record.at,
                    acknowledged: None,
                };
                self.messages.insert(id, message);
            }
            Event::Acknowledged { id, .. } => {
                if let Some(message) = self.messages.get_mut(id.as_str()) {
                    message.acknowledged = Some(record.at);
                }
            }
            Event::Received { id, .. } | Event::Bounced { id, .. } => {
                self.arrived.insert(id);
            }
            Event::Crashed { node } | Event::Failed { node, .. } => self.losses.push((record.at, node)),
            Event::Stopped { node } if self.alive.remove(node.as_str()) => self.losses.push((record.at, node)),
            Event::Raft { node, fact: RaftFact::Is { member } } => drop(self.members.insert(*member, node)),
            Event::Directory { fact: DirectoryFact::Life { member, stage, .. }, .. } => {
                let Some(node) = self.members.get(member).copied() else { return };
                match stage {
                    LifeStage::Joined | LifeStage::Activated => {
                        self.alive.insert(node);
                    }
                    LifeStage::Ended => {
                        self.alive.remove(node);
                        self.ends.push((record.at, node));
                    }
                }
            }
            _ => {}
        }
    }

    fn is_excused(&self, message: &Message<'_>) -> bool {
        let is_to_nobody = !self.places.contains_key(message.to);
        if is_to_nobody && self.began.get(message.sender).is_some_and(|began| *began > message.sent) {
            return true;
        }
        let is_in_time = |at: Duration| at >= message.sent && at < message.sent + UNDER_WAY_MAX;
        let losses = self.losses.iter().filter(|(at, _)| is_in_time(*at));
        let ends = self.ends.iter().filter(|(at, _)| is_in_time(*at));
        losses.clone().any(|(at, node)| {
            let is_only_copy = *node == message.sender_at && message.recipient_at.contains(node);
            let is_close = |(other_at, other): &(Duration, &str)| other != node && other_at.abs_diff(*at) < ALONE_MAX;
            is_only_copy || losses.clone().chain(ends.clone()).any(is_close)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{acknowledged, at, connection, received, sent};
    use super::*;

    fn logged_in(milliseconds: u64, user: &str, node: &str) -> Record {
        let (connection, jid) = (connection(user, 1), format!("{user}@sim.example/sim"));
        at(milliseconds, Event::LoggedIn { connection, node: node.to_owned(), jid })
    }

    fn crashed(milliseconds: u64, node: &str) -> Record {
        at(milliseconds, Event::Crashed { node: node.to_owned() })
    }

    /// A message from one node to a user on another one, or the same.
    fn message(to: &str) -> [Record; 3] {
        let u1 = connection("u1", 1);
        [logged_in(0, "u2", to), sent(1000, &u1, "n1", "u1.1"), acknowledged(1100, &u1, "u1.1")]
    }

    #[test]
    fn what_arrives_came_back_or_was_not_acknowledged_is_not_lost() {
        let (u1, u2) = (connection("u1", 1), connection("u2", 1));
        let bounced = at(9, Event::Bounced { connection: u1.clone(), id: "u1.2".to_owned() });

        let history = [
            sent(1, &u1, "n1", "u1.1"),
            sent(2, &u1, "n1", "u1.2"),
            sent(3, &u1, "n1", "u1.3"),
            acknowledged(4, &u1, "u1.1"),
            acknowledged(5, &u1, "u1.2"),
            received(6, &u2, "n2", "u1.1"),
            bounced,
        ];

        assert_eq!(check(&history), []);
    }

    #[test]
    fn what_was_acknowledged_and_never_arrives_is_caught_even_if_one_member_was_lost() {
        assert_eq!(check(&message("n2")).len(), 1);
        assert_eq!(check(&[message("n2").as_slice(), &[crashed(1200, "n2")]].concat()).len(), 1);
        assert_eq!(check(&[message("n2").as_slice(), &[crashed(1200, "n1"), crashed(20_000, "n2")]].concat()).len(), 1);
    }

    #[test]
    fn an_error_goes_with_the_session_for_which_it_is() {
        let u1 = connection("u1", 1);
        let to_nobody = |milliseconds| {
            let (connection, node, to) = (u1.clone(), "n1".to_owned(), "nobody@sim.example".to_owned());
            at(milliseconds, Event::Sent { connection, node, to, id: "u1.1".to_owned() })
        };
        let said = [logged_in(0, "u1", "n1"), to_nobody(1000), acknowledged(1100, &u1, "u1.1")];

        assert_eq!(check(&said).len(), 1);
        assert_eq!(check(&[said.as_slice(), &[logged_in(1200, "u1", "n2")]].concat()), []);
    }

    #[test]
    fn two_members_at_once_and_the_only_one_are_excused() {
        assert_eq!(check(&[message("n2").as_slice(), &[crashed(1200, "n1"), crashed(4000, "n2")]].concat()), []);
        assert_eq!(check(&[message("n1").as_slice(), &[crashed(1200, "n1")]].concat()), []);
    }

    #[test]
    fn a_crash_before_or_long_after_the_message_excuses_nothing() {
        assert_eq!(check(&[&[crashed(500, "n1")], message("n1").as_slice()].concat()).len(), 1);
        assert_eq!(check(&[message("n1").as_slice(), &[crashed(70_000, "n1")]].concat()).len(), 1);
    }
}
