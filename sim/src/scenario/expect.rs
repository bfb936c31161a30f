//! What a scenario expects besides the invariants: each expectation is a name in the file and a look at the history.

#![allow(clippy::wildcard_enum_match_arm, reason = "an expectation picks the few events that concern it")]

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use cresset_core::ids::RouteId;
use serde::{Deserialize, Serialize};

use crate::history::{DirectoryFact, Event, LifeStage, RaftFact, Record};
use crate::plan::BEGINS;
use crate::report::{Report, Violation};

/// How long a cluster takes to go on without somebody who has fallen silent: expelled within five seconds (P6).
const GOES_ON_WITHIN: Duration = Duration::from_secs(5);

/// The lease, and what the slowest clock adds to it.
const FENCED_WITHIN: Duration = Duration::from_millis(3300);

/// How soon users of a node that has died are served again (P6: 0.3 s until they can be), the pause of their clients and
/// a login included.
const BACK_WITHIN: Duration = Duration::from_secs(1);

/// Stanzas that a cluster at work certainly delivers in the time that is looked at.
const DELIVERIES_MIN: usize = 5;

/// Something that is expected.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Expectation {
    /// After the first episode began, somebody leads who did not lead when it began.
    LeaderChanges,
    /// Whoever leads when the users begin leads to the end.
    LeaderStays,
    /// Those whom no episode meets deliver, from five seconds after the first one began, or its middle, until everything
    /// is whole.
    MajorityServes,
    /// Those whom the first episode meets deliver nothing once their lease is over, until that episode ends.
    MinorityFences,
    /// Nobody loses a connection after the users have begun.
    NobodyDisconnected,
    /// Everybody who is thrown off by the first episode is logged in again within a second.
    UsersAreBackAtOnce,
    /// Some client goes on with a session that it had before.
    SomebodyResumes,
    /// A member's life ends: it leaves or is expelled.
    SomeLifeEnds,
    /// No member's life ends.
    NoLifeEnds,
    /// Some node ends by itself.
    SomebodyGivesUp,
    /// No node ends by itself.
    NobodyGivesUp,
    /// Some node takes a snapshot of somebody else in place of its log.
    SnapshotIsInstalled,
    /// Clients take JIDs from each other.
    SessionsAreReplaced,
}

impl Expectation {
    /// What did not come to pass, if it did not.
    pub fn check(self, report: &Report) -> Option<Violation> {
        let look = Look::at(report);
        let text = match self {
            Expectation::LeaderChanges => (!look.leader_changes()).then(|| "nobody else came to lead".to_owned()),
            Expectation::LeaderStays => look.leader_changes().then(|| "somebody else came to lead".to_owned()),
            Expectation::MajorityServes => look.majority_is_silent(),
            Expectation::MinorityFences => look.served_behind_the_fence(),
            Expectation::NobodyDisconnected => look.disconnected(),
            Expectation::UsersAreBackAtOnce => look.late(),
            Expectation::SomebodyResumes => look.none(|event| matches!(event, Event::Resumed { .. }), "nobody resumes"),
            Expectation::SomeLifeEnds => look.none(is_end_of_life, "every member lives on"),
            Expectation::NoLifeEnds => look.any(is_end_of_life),
            Expectation::SomebodyGivesUp => {
                look.none(|event| matches!(event, Event::Failed { .. }), "no node ends by itself")
            }
            Expectation::NobodyGivesUp => look.any(|event| matches!(event, Event::Failed { .. })),
            Expectation::SnapshotIsInstalled => look.none(
                |event| matches!(event, Event::Raft { fact: RaftFact::Installed { .. }, .. }),
                "no snapshot is installed",
            ),
            Expectation::SessionsAreReplaced => look.replacements(),
        };
        text.map(|text| Violation { invariant: "expectation", at: None, text: format!("{}: {text}", self.name()) })
    }

    /// Its name, as in files.
    pub fn name(self) -> String {
        let value = toml::Value::try_from(self).ok();
        value.as_ref().and_then(toml::Value::as_str).expect("an expectation is written as its name").to_owned()
    }
}

fn is_end_of_life(event: &Event) -> bool {
    matches!(event, Event::Directory { fact: DirectoryFact::Life { stage: LifeStage::Ended, .. }, .. })
}

/// A report, and what matters to more than one expectation.
struct Look<'a> {
    report: &'a Report,
    history: &'a [Record],
    begins: Duration,
    ends: Duration,
    met: BTreeSet<&'a str>,
}

impl<'a> Look<'a> {
    fn at(report: &'a Report) -> Self {
        let first = report.plan.episodes.first();
        let met = report.history.iter().find_map(|record| match &record.event {
            Event::Began { episode: 0, nodes } => Some(nodes.iter().map(String::as_str).collect()),
            _ => None,
        });
        Look {
            report,
            history: &report.history,
            begins: first.map_or(BEGINS, |episode| episode.at),
            ends: first.map_or(report.plan.heals_at, |episode| episode.ends().min(report.plan.heals_at)),
            met: met.unwrap_or_default(),
        }
    }

    fn between(&self, from: Duration, to: Duration) -> impl Iterator<Item = &'a Record> {
        self.history.iter().filter(move |record| record.at >= from && record.at < to)
    }

    fn from(&self, from: Duration) -> impl Iterator<Item = &'a Record> {
        self.between(from, Duration::MAX)
    }

    fn none(&self, kind: impl Fn(&Event) -> bool, text: &str) -> Option<String> {
        (self.report.count(kind) == 0).then(|| text.to_owned())
    }

    fn any(&self, kind: impl Fn(&Event) -> bool) -> Option<String> {
        let found = self.from(BEGINS).find(|record| kind(&record.event))?;
        Some(format!("at {:.3} s {}", found.at.as_secs_f64(), found.event))
    }

    fn leader_changes(&self) -> bool {
        let leader = |record: &Record| match &record.event {
            Event::Sees { view, .. } => view.leader.clone().map(|leader| (view.term, leader)),
            _ => None,
        };
        let before = self.between(Duration::ZERO, self.begins).filter_map(leader).max();
        // Who led at first may lead again at the end.
        self.from(Duration::ZERO).filter_map(leader).any(|after| match &before {
            Some((term, leader)) => after.0 > *term && after.1 != *leader,
            None => true,
        })
    }

    fn majority_is_silent(&self) -> Option<String> {
        let every: BTreeSet<&str> = self
            .history
            .iter()
            .filter_map(|record| match &record.event {
                Event::Began { nodes, .. } => Some(nodes.iter().map(String::as_str)),
                _ => None,
            })
            .flatten()
            .collect();
        // What lasts for less than that is looked at from its middle on, and for as long again.
        let heals_at = self.report.plan.heals_at;
        let from = self.begins + GOES_ON_WITHIN.min(heals_at.saturating_sub(self.begins) / 2);
        let delivered = self.between(from, heals_at.max(from + GOES_ON_WITHIN)).filter(|record| match &record.event {
            Event::Delivers { node, .. } => !every.contains(node.as_str()),
            _ => false,
        });
        let delivered = delivered.count();
        (delivered < DELIVERIES_MIN).then(|| format!("only {delivered} stanzas delivered by those who are whole"))
    }

    fn served_behind_the_fence(&self) -> Option<String> {
        let mut behind = self.between(self.begins + FENCED_WITHIN, self.ends);
        let found = behind.find(|record| match &record.event {
            Event::Delivers { node, .. } | Event::Holds { node, .. } => self.met.contains(node.as_str()),
            _ => false,
        })?;
        Some(format!("at {:.3} s {}", found.at.as_secs_f64(), found.event))
    }

    fn disconnected(&self) -> Option<String> {
        let mut online: BTreeSet<&crate::history::Connection> = BTreeSet::new();
        for record in self.history {
            match &record.event {
                Event::LoggedIn { connection, .. } | Event::Resumed { connection, .. } => {
                    online.insert(connection);
                }
                Event::LoggedOut { connection, .. } => {
                    online.remove(connection);
                }
                Event::Disconnected { connection, .. } if online.remove(connection) && record.at >= BEGINS => {
                    return Some(format!("at {:.3} s {}", record.at.as_secs_f64(), record.event));
                }
                _ => {}
            }
        }
        None
    }

    /// Users who were at a node that the first episode met, were thrown off, and took longer than a second.
    fn late(&self) -> Option<String> {
        let mut lost: BTreeMap<&str, Duration> = BTreeMap::new();
        for record in self.from(self.begins) {
            match &record.event {
                Event::Disconnected { connection, node, .. }
                    if record.at < self.ends && self.met.contains(node.as_str()) =>
                {
                    lost.entry(&connection.user).or_insert(record.at);
                }
                Event::LoggedIn { connection, .. } | Event::Resumed { connection, .. } => {
                    let since = lost.remove(connection.user.as_str());
                    if let Some(took) = since.map(|since| record.at - since).filter(|took| *took > BACK_WITHIN) {
                        return Some(format!("{} is back after {:.3} s", connection.user, took.as_secs_f64()));
                    }
                }
                _ => {}
            }
        }
        lost.keys().next().map(|user| format!("{user} is not back"))
    }

    /// A JID that is added twice in one run under another number, as one node sees it.
    fn replacements(&self) -> Option<String> {
        let mut routes: BTreeMap<&str, BTreeSet<RouteId>> = BTreeMap::new();
        for record in self.from(self.begins) {
            if let Event::Directory { fact: DirectoryFact::Added { jid, route, .. }, .. } = &record.event {
                routes.entry(jid).or_default().insert(*route);
            }
        }
        let most = routes.values().map(BTreeSet::len).max().unwrap_or_default();
        (most < 2).then(|| "nobody takes a JID from anybody".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::{ClusterView, Connection};
    use crate::plan::{Fault, Plan, Target};
    use crate::trace::{Detail, Trace};

    fn report(history: Vec<Record>) -> Report {
        let second = Duration::from_secs(1);
        let plan = Plan::calm(1).with(10 * second, 10 * second, Fault::Isolate { node: Target::Leader });
        let trace = Trace::new(Detail::Nothing, None);
        let plan = plan.healing_at(20 * second);
        Report { plan, history, violations: Vec::new(), trace: trace.sum(), records: 0 }
    }

    fn at(milliseconds: u64, event: Event) -> Record {
        Record { at: Duration::from_millis(milliseconds), event }
    }

    fn began() -> Record {
        at(10_000, Event::Began { episode: 0, nodes: vec!["n1".to_owned()] })
    }

    fn sees(milliseconds: u64, term: u64, leader: &str) -> Record {
        let view = ClusterView { term, leader: Some(leader.to_owned()), ..ClusterView::default() };
        at(milliseconds, Event::Sees { node: "n2".to_owned(), view })
    }

    fn delivers(milliseconds: u64, node: &str) -> Record {
        let (node, jid, id) = (node.to_owned(), "u1@d/sim".to_owned(), "x".to_owned());
        at(milliseconds, Event::Delivers { node, client: ([10, 0, 0, 9], 1).into(), jid, id })
    }

    #[test]
    fn a_leader_that_changes_is_seen() {
        let changed = report(vec![sees(1, 1, "n1"), began(), sees(12_000, 2, "n2")]);
        let stayed = report(vec![sees(1, 1, "n1"), began(), sees(12_000, 2, "n1")]);

        assert_eq!(Expectation::LeaderChanges.check(&changed), None);
        assert!(Expectation::LeaderChanges.check(&stayed).is_some());
        assert_eq!(Expectation::LeaderStays.check(&stayed), None);
        assert!(Expectation::LeaderStays.check(&changed).is_some());
    }

    #[test]
    fn deliveries_of_the_majority_count_and_those_of_the_fenced_are_caught() {
        let right: Vec<Record> = [began()].into_iter().chain((15..20).map(|s| delivers(s * 1000, "n2"))).collect();
        let wrong = vec![began(), delivers(11_000, "n1"), delivers(14_000, "n1")];

        assert_eq!(Expectation::MajorityServes.check(&report(right.clone())), None);
        assert_eq!(Expectation::MinorityFences.check(&report(right)), None);
        assert!(Expectation::MajorityServes.check(&report(wrong.clone())).is_some());
        let caught = Expectation::MinorityFences.check(&report(wrong)).expect("it delivers");
        assert!(caught.text.starts_with("minority-fences: at 14.000 s"), "{caught}");
    }

    #[test]
    fn a_user_who_is_late_or_lost_is_named() {
        let connection = |number| Connection { user: "u1".to_owned(), number };
        let off = |at_ms| {
            let (node, reason) = ("n1".to_owned(), String::new());
            at(at_ms, Event::Disconnected { connection: connection(1), node, reason })
        };
        let online = |at_ms, number| {
            let (node, jid) = ("n1".to_owned(), "u1@d/sim".to_owned());
            at(at_ms, Event::LoggedIn { connection: connection(number), node, jid })
        };

        let back = report(vec![online(7000, 1), began(), off(10_100), online(10_400, 2)]);
        let late = report(vec![online(7000, 1), began(), off(10_100), online(12_400, 2)]);
        let gone = report(vec![online(7000, 1), began(), off(10_100)]);

        assert_eq!(Expectation::UsersAreBackAtOnce.check(&back), None);
        assert!(Expectation::UsersAreBackAtOnce.check(&late).is_some());
        assert!(Expectation::UsersAreBackAtOnce.check(&gone).is_some());
        assert!(Expectation::NobodyDisconnected.check(&back).is_some());
        assert_eq!(Expectation::NobodyDisconnected.check(&report(vec![online(7000, 1)])), None);
    }
}
