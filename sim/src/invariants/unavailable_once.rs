//! Who watches a session is told exactly once that it is gone: never twice without hearing in between that it is there,
//! and always when its member's life has ended (architecture, section 3: "exactly one `unavailable`"; RFC 6121, section
//! 4.5).

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::found;
use super::nodes::Nodes;
use super::sessions::Sessions;
use crate::history::{Connection, DirectoryFact, Event, LifeStage, Record};
use crate::plan::{Fault, Plan};
use crate::report::Violation;

/// After its node has seen the life end.
const TOLD_WITHIN: Duration = Duration::from_secs(2);

struct Watching<'a> {
    sessions: Sessions<'a>,
    /// At which node each connection is that is up.
    at: BTreeMap<&'a Connection, &'a str>,
    /// What each session was last told of a JID.
    told: BTreeMap<(&'a Connection, &'a str), bool>,
    /// What each connection is to be told, and until when.
    owed: BTreeMap<(&'a Connection, &'a str), Duration>,
    /// On each node, who held the JIDs that were taken away since anything else happened there, and by which entry.
    taken: BTreeMap<&'a str, Vec<(&'a str, u64, u64)>>,
}

/// Whether a client does not read at that time, or has not long since.
fn is_deaf(plan: &Plan, connection: &Connection, at: Duration) -> bool {
    let number = plan.user_names().iter().position(|name| name == connection.account());
    plan.episodes.iter().any(|episode| match episode.fault {
        Fault::SlowReader { user } => Some(user) == number && episode.at <= at && at <= episode.ends() + TOLD_WITHIN,
        _ => false,
    })
}

pub(super) fn check(plan: &Plan, history: &[Record]) -> Vec<Violation> {
    let mut nodes = Nodes::of(plan);
    let mut watching = Watching {
        sessions: Sessions::of(history),
        at: BTreeMap::new(),
        told: BTreeMap::new(),
        owed: BTreeMap::new(),
        taken: BTreeMap::new(),
    };
    let mut violations = Vec::new();
    for record in history {
        let late: Vec<_> = watching.owed.iter().filter(|(_, due)| **due < record.at).map(|(key, _)| *key).collect();
        for (connection, jid) in late {
            watching.owed.remove(&(connection, jid));
            if is_deaf(plan, connection, record.at) {
                continue;
            }
            let text = format!("{connection} was not told that {jid} is gone with its node");
            violations.push(found("unavailable_once", record, text));
        }
        let twice = watching.follow(&nodes, record);
        violations.extend(twice.map(|text| found("unavailable_once", record, text)));
        nodes.follow(record);
    }
    violations
}

impl<'a> Watching<'a> {
    fn follow(&mut self, nodes: &Nodes<'a>, record: &'a Record) -> Option<String> {
        match &record.event {
            Event::LoggedIn { connection, node, jid } => {
                // What is said of presence at a node by itself reaches nobody elsewhere, nor does anything from elsewhere reach
                // it; and in the cluster everybody says farewell to all.
                let is_alone = |node: &str| nodes.get(node).is_some_and(|node| node.is_alone);
                let cannot_hear: BTreeSet<&Connection> = (self.at.iter())
                    .filter(|(_, at)| **at != node && is_alone(at))
                    .map(|(other, _)| self.sessions.beginning(other))
                    .collect();
                self.told.retain(|(session, of), _| of != jid || !is_alone(node) && !cannot_hear.contains(session));
                self.at.insert(connection, node);
            }
            Event::Resumed { connection, node, .. } => {
                self.at.insert(connection, node);
            }
            Event::Disconnected { connection, .. } | Event::LoggedOut { connection, .. } => {
                self.at.remove(connection);
                self.owed.retain(|(of, _), _| *of != connection);
            }
            Event::Presence { connection, of, available } => return self.hears(connection, of, *available),
            Event::Directory { node, fact } => self.changes(nodes, node, fact, record.at),
            // Whoever is not served is told later, or sent away.
            Event::Paused { node } | Event::Crashed { node } | Event::Failed { node, .. } | Event::Stopped { node } => {
                self.forgive(node);
            }
            _ => {}
        }
        None
    }

    fn hears(&mut self, connection: &'a Connection, of: &'a str, is_available: bool) -> Option<String> {
        let before = self.told.insert((self.sessions.beginning(connection), of), is_available);
        if !is_available {
            self.owed.remove(&(connection, of));
        }
        (before == Some(false) && !is_available)
            .then(|| format!("{connection} was told twice that {of} is unavailable"))
    }

    fn changes(&mut self, nodes: &Nodes<'a>, node: &'a str, fact: &'a DirectoryFact, at: Duration) {
        match fact {
            DirectoryFact::Removed { jid, index, .. } => {
                let holder =
                    nodes.get(node).and_then(|state| state.routes.get(jid.as_str())).map(|(_, member)| *member);
                self.taken.entry(node).or_default().extend(holder.map(|member| (jid.as_str(), member, *index)));
            }
            DirectoryFact::Life { member, stage: LifeStage::Ended, index, .. } => {
                let taken = self.taken.remove(node).unwrap_or_default();
                let is_other = nodes.get(node).is_some_and(|state| state.serves() && state.member != Some(*member));
                let is_gone = |(_, of, by): &&(&str, u64, u64)| of == member && by == index;
                let gone: BTreeSet<&str> = taken.iter().filter(is_gone).map(|(jid, ..)| *jid).collect();
                for connection in self.at.iter().filter(|(_, at)| is_other && **at == node).map(|(it, _)| *it) {
                    let session = self.sessions.beginning(connection);
                    for jid in gone.iter().filter(|jid| self.told.get(&(session, **jid)) == Some(&true)) {
                        self.owed.insert((connection, jid), at + TOLD_WITHIN);
                    }
                }
            }
            DirectoryFact::Service(service) => {
                if *service != crate::history::Service::Serve {
                    self.forgive(node);
                }
                self.taken.remove(node);
            }
            DirectoryFact::LookedUp { .. } | DirectoryFact::Lease { .. } => {}
            _ => {
                self.taken.remove(node);
            }
        }
    }

    fn forgive(&mut self, node: &str) {
        self.owed.retain(|(connection, _), _| self.at.get(connection) != Some(&node));
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{added, at, connection, directory, route, serves};
    use super::*;

    fn told(milliseconds: u64, available: bool) -> Record {
        at(milliseconds, Event::Presence { connection: connection("u1", 1), of: "a".to_owned(), available })
    }

    fn before() -> Vec<Record> {
        let logged_in =
            Event::LoggedIn { connection: connection("u1", 1), node: "n2".to_owned(), jid: "u1@d/sim".to_owned() };
        let mut history = serves("n2").to_vec();
        history.extend([at(0, logged_in), added("n2", "a", 5, 1), told(1, true)]);
        let ended = DirectoryFact::Life { member: 1, incarnation: 2, stage: LifeStage::Ended, index: 9 };
        let removed = DirectoryFact::Removed { jid: "a".to_owned(), route: route(5), index: 9 };
        history.extend([directory("n2", removed), directory("n2", ended)]);
        history
    }

    fn end() -> Record {
        at(60_000, Event::Healed)
    }

    #[test]
    fn once_for_each_session_that_dies_is_right() {
        let history = [before(), vec![told(3, false), told(4, true), told(5, false), end()]].concat();

        assert_eq!(check(&Plan::calm(1), &history), []);
    }

    #[test]
    fn the_farewell_of_who_came_while_one_of_the_nodes_was_by_itself_may_be_the_first_that_is_heard_of_him() {
        let logged_in =
            |connection, node: &str| Event::LoggedIn { connection, node: node.to_owned(), jid: "a".to_owned() };
        let again = |node, is_alone| {
            let alone = directory(node, DirectoryFact::Alone { is_alone });
            [before(), vec![told(3, false), alone, at(4, logged_in(connection("u2", 2), "n3")), told(5, false)]]
                .concat()
        };

        assert_eq!(check(&Plan::calm(1), &again("n3", true)), []);
        assert_eq!(check(&Plan::calm(1), &again("n2", true)), []);
        assert_eq!(check(&Plan::calm(1), &again("n3", false)).len(), 1);
    }

    #[test]
    fn twice_and_never_are_caught() {
        let twice = [before(), vec![told(3, false), told(4, false)]].concat();
        let never = [before(), vec![end()]].concat();

        assert_eq!(check(&Plan::calm(1), &twice).len(), 1);
        assert_eq!(check(&Plan::calm(1), &never).len(), 1);
    }
}
