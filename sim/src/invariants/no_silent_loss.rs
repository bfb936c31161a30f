//! P2: a message that was acknowledged to its sender (XEP-0198) reaches its recipient or comes back as an error. At the
//! end of a run everybody is there, so what is stored has been fetched.
//!
//! One case is not promised: sender and recipient on one node, and that node crashes before the message is settled.
//! A message that was lost like this is told apart by the crash of the node through which it was sent, after it was
//! sent, if the recipient was there as well.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::history::{Event, Record, WATCH};
use crate::report::Violation;

struct Message<'a> {
    node: &'a str,
    /// The recipient was on the same node.
    is_local: bool,
    acknowledged: Option<Duration>,
    /// The node through which it was sent crashed after that.
    crashed: bool,
}

/// The name of the user to whom a JID belongs.
fn localpart(jid: &str) -> &str {
    jid.split_once('@').map_or(jid, |(name, _)| name)
}

pub(super) fn check(history: &[Record]) -> Vec<Violation> {
    let mut messages: BTreeMap<&str, Message<'_>> = BTreeMap::new();
    let mut arrived: BTreeSet<&str> = BTreeSet::new();
    let mut places: BTreeMap<&str, &str> = BTreeMap::new();
    for record in history {
        match &record.event {
            Event::LoggedIn { connection, node, .. } | Event::Resumed { connection, node, .. } => {
                // A watch takes no messages.
                if !connection.user.ends_with(WATCH) {
                    places.insert(connection.account(), node);
                }
            }
            Event::Sent { node, to, id, .. } => {
                let is_local = places.get(localpart(to)) == Some(&node.as_str());
                messages.insert(id, Message { node, is_local, acknowledged: None, crashed: false });
            }
            Event::Acknowledged { id, .. } => {
                if let Some(message) = messages.get_mut(id.as_str()) {
                    message.acknowledged = Some(record.at);
                }
            }
            Event::Received { id, .. } | Event::Bounced { id, .. } => {
                arrived.insert(id);
            }
            Event::Crashed { node } => {
                for message in messages.values_mut().filter(|message| message.node == node) {
                    message.crashed = true;
                }
            }
            _ => {}
        }
    }
    let lost = messages.iter().filter(|(id, message)| {
        let is_excused = message.is_local && message.crashed;
        message.acknowledged.is_some() && !arrived.contains(*id) && !is_excused
    });
    let violation = |(id, message): (&&str, &Message<'_>)| Violation {
        invariant: "no_silent_loss",
        at: message.acknowledged,
        text: format!("{id} was acknowledged by {} and has disappeared", message.node),
    };
    lost.map(violation).collect()
}

#[cfg(test)]
mod tests {
    use super::super::testing::{acknowledged, at, connection, received, sent};
    use super::*;

    #[test]
    fn what_was_acknowledged_and_never_arrives_is_caught() {
        let u1 = connection("u1", 1);

        let found = check(&[sent(1, &u1, "n1", "u1.1"), acknowledged(2, &u1, "u1.1")]);

        assert_eq!(found.len(), 1);
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
    fn two_users_of_one_node_that_crashes_are_excused() {
        let (u1, u2) = (connection("u1", 1), connection("u2", 1));
        let history = [
            at(0, Event::LoggedIn { connection: u2, node: "n1".to_owned(), jid: "u2@d/sim".to_owned() }),
            sent(1, &u1, "n1", "u1.1"),
            acknowledged(2, &u1, "u1.1"),
            at(3, Event::Crashed { node: "n1".to_owned() }),
        ];

        assert_eq!(check(&history), []);
    }
}
