//! P4: from one session to one recipient messages arrive in the order in which they were sent. A copy that arrives
//! again after a failover does not count; the first arrival does.
//!
//! A recipient is an address: what was sent to an account and what was sent to one of its sessions may overtake each
//! other (RFC 6120 section 10.1 speaks of pairs of entities).

//!
//! What is stored and cannot be fetched, because the account store is away, is overtaken by what is said meanwhile: nobody
//! is kept from talking until a database is back. So is what is under way while a node goes by itself or into the cluster:
//! its sessions go on, and what they had not delivered is decided about anew, without those who wait for it elsewhere.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::sessions::Sessions;
use super::windows::windows;
use crate::history::{Connection, DirectoryFact, Event, Record};
use crate::plan::{Fault, Plan};
use crate::report::Violation;

pub(super) fn check(plan: &Plan, history: &[Record]) -> Vec<Violation> {
    let sessions = Sessions::of(history);
    let windows = windows(plan, history);
    let outages: Vec<_> = windows.iter().filter(|window| *window.fault == Fault::StoreFails).collect();
    let switches = switches(history);
    let mut sent: BTreeMap<&str, (&Connection, &str, usize, Duration)> = BTreeMap::new();
    let mut arrived = BTreeSet::new();
    let mut last: BTreeMap<(&Connection, &str, &str), (usize, &str)> = BTreeMap::new();
    let mut violations = Vec::new();
    for record in history {
        match &record.event {
            Event::Sent { connection, to, id, .. } => {
                let number = sent.len();
                sent.insert(id, (sessions.beginning(connection), to, number, record.at));
            }
            Event::Received { connection, id, .. } => {
                let Some((sender, to, number, sent_at)) = sent.get(id.as_str()).copied() else { continue };
                if !arrived.insert((connection.user.as_str(), id.as_str())) {
                    continue;
                }
                let slot = last.entry((sender, to, connection.user.as_str())).or_insert((number, id.as_str()));
                let is_excused = || {
                    outages.iter().any(|outage| outage.touches(sent_at, record.at))
                        || switches.iter().any(|at| sent_at <= *at && *at <= record.at)
                };
                if number < slot.0 {
                    if is_excused() {
                        continue;
                    }
                    let text = format!("{connection} received {id} after {}, which {sender} sent later", slot.1);
                    violations.push(Violation { invariant: "order", at: Some(record.at), text });
                } else {
                    *slot = (number, id);
                }
            }
            _ => {}
        }
    }
    violations
}

/// When nodes went by themselves, or into the cluster.
fn switches(history: &[Record]) -> Vec<Duration> {
    let is_switch =
        |record: &&Record| matches!(record.event, Event::Directory { fact: DirectoryFact::Alone { .. }, .. });
    history.iter().filter(is_switch).map(|record| record.at).collect()
}

#[cfg(test)]
mod tests {
    use super::super::testing::{at, connection, received, sent};
    use super::*;

    #[test]
    fn a_message_that_was_overtaken_is_caught_and_a_late_copy_is_not() {
        let (u1, u2, again) = (connection("u1", 1), connection("u2", 1), connection("u2", 2));
        let both = [sent(1, &u1, "n1", "a"), sent(2, &u1, "n1", "b")];

        let overtaken = [received(3, &u2, "n2", "b"), received(4, &u2, "n2", "a")];
        let copied = [received(3, &u2, "n2", "a"), received(4, &u2, "n2", "b"), received(5, &again, "n2", "a")];

        assert_eq!(check(&Plan::calm(1), &[both.as_slice(), overtaken.as_slice()].concat()).len(), 1);
        assert_eq!(check(&Plan::calm(1), &[both.as_slice(), copied.as_slice()].concat()), []);
    }

    /// Found with seeds 50003013 and 589826611 of level 1.
    #[test]
    fn what_arrived_before_a_switch_or_was_said_after_it_is_not_overtaken() {
        let (u1, u2) = (connection("u1", 1), connection("u2", 1));
        let alone = Event::Directory { node: "n1".to_owned(), fact: DirectoryFact::Alone { is_alone: true } };
        let switch = |milliseconds| at(milliseconds, alone.clone());
        let said = [sent(2, &u1, "n1", "a"), sent(4, &u1, "n1", "b")];
        let overtaken = [received(5, &u2, "n2", "b"), received(7, &u2, "n2", "a")];
        let with = |switch: Record| {
            let mut history = [&said[..], &overtaken, &[switch]].concat();
            history.sort_by_key(|record| record.at);
            check(&Plan::calm(1), &history).len()
        };

        assert_eq!([1, 3, 6, 8].map(|milliseconds| with(switch(milliseconds))), [1, 0, 0, 1]);
    }
}
