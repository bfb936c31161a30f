//! P3: within one session nobody gets a message twice, on however many connections it goes on. A later session may get
//! once more what an earlier one did not acknowledge.
//!
//! One case is not kept yet. The sender's node was sent away by the others while the message was under way, and the
//! session for which it was ended as well: both nodes then decide about it anew, and the recipient's next session may get
//! both copies. It is told apart by a session that began after the message was sent, and by its node having closed its
//! service in between.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::sessions::Sessions;
use crate::history::{DirectoryFact, Event, Record, Service};
use crate::report::Violation;

pub(super) fn check(history: &[Record]) -> Vec<Violation> {
    let sessions = Sessions::of(history);
    let mut seen = BTreeSet::new();
    let mut sent: BTreeMap<&str, (&str, Duration)> = BTreeMap::new();
    let mut began = BTreeMap::new();
    let mut closed: BTreeMap<&str, Duration> = BTreeMap::new();
    let mut violations = Vec::new();
    for record in history {
        match &record.event {
            Event::LoggedIn { connection, .. } => {
                began.insert(connection, record.at);
            }
            Event::Sent { node, id, .. } => {
                sent.entry(id).or_insert((node, record.at));
            }
            Event::Directory { node, fact: DirectoryFact::Service(Service::Close) } => {
                closed.insert(node, record.at);
            }
            Event::Received { connection, id, .. } => {
                let session = sessions.beginning(connection);
                if seen.insert((session, id)) {
                    continue;
                }
                let is_known = sent.get(id.as_str()).is_some_and(|(node, at)| {
                    began.get(session).is_some_and(|began| began > at)
                        && closed.get(node).is_some_and(|closed| closed > at)
                });
                if !is_known {
                    let text = format!("{connection} received {id} again");
                    violations.push(Violation { invariant: "no_duplicate", at: Some(record.at), text });
                }
            }
            _ => {}
        }
    }
    violations
}

#[cfg(test)]
mod tests {
    use super::super::testing::{at, connection, received, resumed, sent};
    use super::*;

    #[test]
    fn one_more_copy_is_caught_within_a_session_and_not_in_the_next() {
        let (first, second) = (connection("u2", 1), connection("u2", 2));

        let history =
            [received(1, &first, "n1", "a"), received(2, &second, "n1", "a"), received(3, &second, "n1", "a")];

        assert_eq!(check(&history).len(), 1);
    }

    #[test]
    fn one_more_copy_is_caught_when_the_session_was_resumed_meanwhile() {
        let (first, second) = (connection("u2", 1), connection("u2", 2));

        let history = [received(1, &first, "n1", "a"), resumed(2, &second, &first), received(3, &second, "n1", "a")];

        assert_eq!(check(&history).len(), 1);
    }

    #[test]
    fn two_copies_of_an_expelled_senders_message_are_excused_in_a_session_that_began_later() {
        let (sender, first, second) = (connection("u1", 1), connection("u2", 1), connection("u2", 2));
        let login = |milliseconds, connection: &crate::history::Connection| {
            at(
                milliseconds,
                Event::LoggedIn { connection: connection.clone(), node: "n2".into(), jid: "u2@d/sim".into() },
            )
        };
        let close = Event::Directory { node: "n1".into(), fact: DirectoryFact::Service(Service::Close) };
        let before = [login(1, &first), sent(2, &sender, "n1", "a"), at(3, close)];
        let twice = |to| [received(5, to, "n2", "a"), received(6, to, "n2", "a")];

        let later = [before.as_slice(), &[login(4, &second)], &twice(&second)].concat();
        let same = [before.as_slice(), &twice(&first)].concat();

        assert_eq!(check(&later), []);
        assert_eq!(check(&same).len(), 1);
    }
}
