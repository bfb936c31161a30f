//! P3: within one session nobody gets a message twice, on however many connections it goes on. A later session may get
//! once more what an earlier one did not acknowledge; not what one had acknowledged that took its leave in good order,
//! unless its node has failed since.
//!
//! One case is not kept yet. The sender's node was sent away by the others while the message was under way, and the
//! session for which it was ended as well: both nodes then decide about it anew, and the recipient's next session may get
//! both copies. It is told apart by a session that began after the message was sent, and by its node having closed its
//! service in between. Nor is it kept for what is under way while clustering is switched, of which the README says so.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::sessions::Sessions;
use super::switch_is_followed::FOLLOWED_WITHIN;
use super::windows::windows;
use crate::history::{Connection, DirectoryFact, Event, Record, Service};
use crate::plan::{Fault, Plan};
use crate::report::Violation;

#[derive(Default)]
struct Seen<'a> {
    /// Which session has got what.
    received: BTreeSet<(&'a Connection, &'a str)>,
    /// Which sessions of one client have got a message, and when.
    receipts: BTreeMap<(&'a str, &'a str), Vec<(&'a Connection, Duration)>>,
    /// Through which node each was sent, and when.
    sent: BTreeMap<&'a str, (&'a str, Duration)>,
    began: BTreeMap<&'a Connection, Duration>,
    logged_out: BTreeMap<&'a Connection, Duration>,
    /// Sessions whose node has answered their farewell.
    let_go: BTreeMap<&'a Connection, &'a str>,
    /// When each node last sent its clients away.
    closed: BTreeMap<&'a str, Duration>,
    /// When each node last did that, stood still or was lost.
    failed: BTreeMap<&'a str, Duration>,
    /// From when to when clustering was off.
    switched: Vec<(Duration, Duration)>,
}

pub(super) fn check(plan: &Plan, history: &[Record]) -> Vec<Violation> {
    let sessions = Sessions::of(history);
    let windows = windows(plan, history);
    let switches = windows.iter().filter(|window| *window.fault == Fault::SwitchedOff);
    let mut seen = Seen { switched: switches.map(|off| (off.from, off.to)).collect(), ..Seen::default() };
    let mut violations = Vec::new();
    for record in history {
        if let Event::Received { connection, id, .. } = &record.event {
            let session = sessions.beginning(connection);
            if let Some(text) = seen.receive(record.at, connection, session, id) {
                violations.push(Violation { invariant: "no_duplicate", at: Some(record.at), text });
            }
        } else {
            seen.take(record, &sessions);
        }
    }
    violations
}

impl<'a> Seen<'a> {
    fn take(&mut self, record: &'a Record, sessions: &Sessions<'a>) {
        match &record.event {
            Event::LoggedIn { connection, .. } => {
                self.began.insert(connection, record.at);
            }
            Event::LoggedOut { connection, .. } => {
                self.logged_out.insert(sessions.beginning(connection), record.at);
            }
            Event::Farewell { connection, node } => {
                self.let_go.insert(sessions.beginning(connection), node);
            }
            Event::Sent { node, id, .. } => {
                self.sent.entry(id).or_insert((node, record.at));
            }
            Event::Directory { node, fact: DirectoryFact::Service(Service::Close) } => {
                self.closed.insert(node, record.at);
                self.failed.insert(node, record.at);
            }
            Event::Crashed { node } | Event::Failed { node, .. } | Event::Stopped { node } | Event::Paused { node } => {
                self.failed.insert(node, record.at);
            }
            _ => {}
        }
    }

    /// A session gets a message; what is wrong with that.
    fn receive(
        &mut self,
        at: Duration,
        connection: &'a Connection,
        session: &'a Connection,
        id: &'a str,
    ) -> Option<String> {
        let is_first = self.received.insert((session, id));
        let earlier = self.receipts.get(&(connection.user.as_str(), id)).into_iter().flatten();
        let mut done = earlier.filter(|(other, got)| *other != session && self.is_done_with(other, *got));
        let text = match done.next() {
            _ if self.is_known(session, id) || self.is_switched(at, id) => None,
            _ if !is_first => Some(format!("{connection} received {id} again")),
            Some((other, _)) => Some(format!("{connection} received {id}, which {other} had acknowledged and left")),
            None => None,
        };
        self.receipts.entry((&connection.user, id)).or_default().push((session, at));
        text
    }

    /// Whether what a session got then was acknowledged for good.
    fn is_done_with(&self, session: &Connection, got: Duration) -> bool {
        let (Some(left), Some(node)) = (self.logged_out.get(session), self.let_go.get(session)) else { return false };
        got <= *left && self.failed.get(node).is_none_or(|failed| failed < left)
    }

    /// Whether clustering was switched while a message was under way.
    fn is_switched(&self, at: Duration, id: &str) -> bool {
        let sent = self.sent.get(id).map_or(at, |(_, sent)| *sent);
        self.switched.iter().any(|(from, to)| *from <= at && sent <= *to + FOLLOWED_WITHIN)
    }

    fn is_known(&self, session: &Connection, id: &str) -> bool {
        self.sent.get(id).is_some_and(|(node, at)| {
            self.began.get(session).is_some_and(|began| began > at)
                && self.closed.get(node).is_some_and(|closed| closed > at)
        })
    }
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

        assert_eq!(check(&Plan::calm(1), &history).len(), 1);
    }

    #[test]
    fn one_more_copy_is_caught_when_the_session_was_resumed_meanwhile() {
        let (first, second) = (connection("u2", 1), connection("u2", 2));

        let history = [received(1, &first, "n1", "a"), resumed(2, &second, &first), received(3, &second, "n1", "a")];

        assert_eq!(check(&Plan::calm(1), &history).len(), 1);
    }

    #[test]
    fn what_was_acknowledged_by_somebody_who_left_is_not_received_again() {
        let (first, second) = (connection("u2", 1), connection("u2", 2));
        let node = || "n2".to_owned();
        let left = [
            received(1, &first, "n2", "a"),
            at(2, Event::LoggedOut { connection: first.clone(), node: node() }),
            at(3, Event::Farewell { connection: first.clone(), node: node() }),
        ];
        let again = received(9, &second, "n1", "a");
        let crash = at(4, Event::Crashed { node: node() });

        assert_eq!(check(&Plan::calm(1), &[left.as_slice(), std::slice::from_ref(&again)].concat()).len(), 1);
        assert_eq!(check(&Plan::calm(1), &[left.as_slice(), &[crash, again.clone()]].concat()), []);
        assert_eq!(check(&Plan::calm(1), &[&left[..2], &[again]].concat()), []);
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

        assert_eq!(check(&Plan::calm(1), &later), []);
        assert_eq!(check(&Plan::calm(1), &same).len(), 1);
    }
}
