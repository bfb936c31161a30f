//! What must hold in every run, a file for each, checked against the history when the run is over.
//!
//! A checker compares what was seen with what was promised; it does not compute what the product should have done.

#![allow(clippy::wildcard_enum_match_arm, reason = "a checker picks the few events that concern it")]

mod acknowledgement_counters;
mod bound_is_visible;
mod convergence;
mod counted_once;
mod crashes_are_seen;
mod drain_is_local;
mod equal_digests;
mod every_operation_is_answered;
mod fencing;
mod full_restart;
mod holdings_end_for_a_reason;
mod linearizable;
mod losses;
mod majority_goes_on;
mod minority;
mod no_delivery_without_lease;
mod no_duplicate;
mod no_ghosts;
mod no_silent_loss;
mod nodes;
mod one_cluster;
mod one_holder;
mod order;
mod queues_bounded;
mod quorum_kept;
mod raft;
mod sessions;
mod sound_nodes;
mod store_loss_spares_sessions;
mod strangers_do_not_wait;
mod switch_is_followed;
mod switch_keeps_sessions;
mod unavailable_once;
mod versions_are_followed;
mod windows;
mod witness_leads_last;

use crate::history::Record;
use crate::plan::Plan;
use crate::report::Violation;

pub use linearizable::search::{Tally, tally};

/// Violations of one invariant that are reported in words. One cause mostly has many.
const REPORTED_MAX: usize = 8;

macro_rules! invariants {
    ($($name:literal by $source:literal: |$plan:pat_param, $history:pat_param| $check:expr;)+) => {
        /// Every invariant with where it comes from.
        pub const ALL: &[(&str, &str)] = &[$(($name, $source),)+];

        type Check = fn(&Plan, &[Record]) -> Vec<Violation>;

        const CHECKS: &[Check] = &[$(|$plan, $history| $check,)+];
    };
}

invariants! {
    "sound_nodes" by "promise P12; architecture, section 7": |plan, history| sound_nodes::check(plan, history);
    "election_safety" by "Raft, figure 3": |_, history| raft::election_safety::check(history);
    "elected_by_quorum" by "Raft, section 5.2": |_, history| raft::elected_by_quorum::check(history);
    "log_matching" by "Raft, figure 3": |_, history| raft::log_matching::check(history);
    "log_order" by "Raft, section 5.3": |_, history| raft::log_order::check(history);
    "leader_completeness" by "Raft, figure 3": |_, history| raft::leader_completeness::check(history);
    "state_machine_safety" by "Raft, figure 3": |_, history| raft::state_machine_safety::check(history);
    "committed_on_quorum" by "Raft, section 5.3": |_, history| raft::committed_on_quorum::check(history);
    "committed_immutable" by "Raft, section 5.4": |_, history| raft::committed_immutable::check(history);
    "applied_in_order" by "Raft, figure 2": |_, history| raft::applied_in_order::check(history);
    "monotonic_term" by "Raft, section 5.1": |_, history| raft::monotonic_term::check(history);
    "monotonic_vote" by "Raft, figure 2": |_, history| raft::monotonic_vote::check(history);
    "monotonic_commit" by "Raft, section 5.3": |_, history| raft::monotonic_commit::check(history);
    "no_restored_leader" by "determinism, section on safety": |_, history| raft::no_restored_leader::check(history);
    "purged_is_kept" by "Raft, section 7": |_, history| raft::purged_is_kept::check(history);
    "snapshot_matches" by "Raft, section 7": |_, history| raft::snapshot_matches::check(history);
    "linearizable" by "promise P5": |plan, history| linearizable::index::check(plan, history);
    "linearizable_by_search" by "promise P5": |_, history| linearizable::search::check(history);
    "bound_is_visible" by "promise P5": |plan, history| bound_is_visible::check(plan, history);
    "equal_digests" by "architecture, section 3": |_, history| equal_digests::check(history);
    "holdings_end_for_a_reason" by "architecture, section 3": |_, history| holdings_end_for_a_reason::check(history);
    "crashes_are_seen" by "architecture, section 3": |plan, history| crashes_are_seen::check(plan, history);
    "no_ghosts" by "promise P6": |plan, history| no_ghosts::check(plan, history);
    "one_holder" by "promise P1": |_, history| one_holder::check(history);
    "fencing" by "promises P1 and P7": |plan, history| fencing::check(plan, history);
    "no_delivery_without_lease" by "promises P1 and P7": |plan, history| no_delivery_without_lease::check(plan, history);
    "minority" by "promise P7": |plan, history| minority::check(plan, history);
    "no_silent_loss" by "promise P2": |_, history| no_silent_loss::check(history);
    "no_duplicate" by "promise P3": |plan, history| no_duplicate::check(plan, history);
    "order" by "promise P4": |plan, history| order::check(plan, history);
    "acknowledgement_counters" by "XEP-0198, section 5": |_, history| acknowledgement_counters::check(history);
    "unavailable_once" by "architecture, section 3": |plan, history| unavailable_once::check(plan, history);
    "every_operation_is_answered" by "promise P11": |plan, history| every_operation_is_answered::check(plan, history);
    "quorum_kept" by "architecture, section 6": |_, history| quorum_kept::check(history);
    "counted_once" by "architecture, section 6": |plan, history| counted_once::check(plan, history);
    "drain_is_local" by "architecture, section 6": |plan, history| drain_is_local::check(plan, history);
    "queues_bounded" by "promise P10": |plan, history| queues_bounded::check(plan, history);
    "strangers_do_not_wait" by "promise P10": |plan, history| strangers_do_not_wait::check(plan, history);
    "full_restart" by "promise P8": |plan, history| full_restart::check(plan, history);
    "one_cluster" by "architecture, section 6": |_, history| one_cluster::check(history);
    "majority_goes_on" by "promise P6": |plan, history| majority_goes_on::check(plan, history);
    "store_loss_spares_sessions" by "architecture, section 6": |plan, history| store_loss_spares_sessions::check(plan, history);
    "versions_are_followed" by "architecture, section 6": |plan, history| versions_are_followed::check(plan, history);
    "witness_leads_last" by "architecture, section 3": |plan, history| witness_leads_last::check(plan, history);
    "switch_is_followed" by "promise P6": |plan, history| switch_is_followed::check(plan, history);
    "switch_keeps_sessions" by "promise P2": |plan, history| switch_keeps_sessions::check(plan, history);
    "convergence" by "promise P6": |plan, history| convergence::check(plan, history);
}

/// Everything that did not hold.
pub fn check(plan: &Plan, history: &[Record]) -> Vec<Violation> {
    let mut violations = Vec::new();
    for check in CHECKS {
        let mut found = check(plan, history);
        let rest = found.len().saturating_sub(REPORTED_MAX);
        found.truncate(REPORTED_MAX);
        if rest > 0
            && let Some(last) = found.last_mut()
        {
            last.text.push_str(&format!(" (and {rest} more)"));
        }
        violations.extend(found);
    }
    violations
}

/// A violation that a record shows.
fn found(invariant: &'static str, record: &Record, text: String) -> Violation {
    Violation { invariant, at: Some(record.at), text }
}

#[cfg(test)]
mod testing {
    //! Histories written by hand.

    use std::net::SocketAddr;
    use std::time::Duration;

    use cresset_core::ids::{LogIndex, RouteId};

    use crate::history::{Connection, Counters, DirectoryFact, Event, RaftFact, Record, Service};

    pub(super) fn at(milliseconds: u64, event: Event) -> Record {
        Record { at: Duration::from_millis(milliseconds), event }
    }

    /// A fact at no time in particular: the order of the records is what counts.
    pub(super) fn directory(node: &str, fact: DirectoryFact) -> Record {
        at(0, Event::Directory { node: node.to_owned(), fact })
    }

    pub(super) fn route(index: u64) -> RouteId {
        RouteId { index: LogIndex(index), position: 0 }
    }

    pub(super) fn asked(node: &str, session: u64, jid: &str) -> Record {
        directory(node, DirectoryFact::BindAsked { session, jid: jid.to_owned() })
    }

    pub(super) fn answered(node: &str, session: u64, index: Option<u64>) -> Record {
        directory(node, DirectoryFact::BindAnswered { session, route: index.map(route) })
    }

    pub(super) fn looked_up(node: &str, jid: &str, found: Option<u64>, index: u64) -> Record {
        directory(node, DirectoryFact::LookedUp { jid: jid.to_owned(), route: found.map(route), index })
    }

    pub(super) fn added(node: &str, jid: &str, index: u64, member: u64) -> Record {
        directory(node, DirectoryFact::Added { jid: jid.to_owned(), route: route(index), member, index })
    }

    pub(super) fn removed(node: &str, jid: &str, index: u64) -> Record {
        directory(node, DirectoryFact::Removed { jid: jid.to_owned(), route: route(index), index })
    }

    pub(super) fn is(node: &str, member: u64) -> Record {
        at(0, Event::Raft { node: node.to_owned(), fact: RaftFact::Is { member } })
    }

    /// The node starts and serves.
    pub(super) fn serves(node: &str) -> [Record; 2] {
        let started = at(0, Event::Started { node: node.to_owned() });
        [started, directory(node, DirectoryFact::Service(Service::Serve))]
    }

    pub(super) fn delivers(milliseconds: u64, node: &str) -> Record {
        let client = SocketAddr::from(([10, 0, 0, 9], 1));
        let (jid, id) = ("u1@d/sim".to_owned(), "x".to_owned());
        at(milliseconds, Event::Delivers { node: node.to_owned(), client, jid, id })
    }

    pub(super) fn resumed(milliseconds: u64, on: &Connection, before: &Connection) -> Record {
        let (connection, before, counters) = (on.clone(), before.clone(), Counters::default());
        at(milliseconds, Event::Resumed { connection, node: "n1".to_owned(), before, counters })
    }

    /// The node has applied the log up to there.
    pub(super) fn shows(node: &str, index: u64) -> Record {
        at(0, Event::Raft { node: node.to_owned(), fact: RaftFact::State { index, digest: index } })
    }

    pub(super) fn connection(user: &str, number: u32) -> Connection {
        Connection { user: user.to_owned(), number }
    }

    pub(super) fn sent(milliseconds: u64, by: &Connection, node: &str, id: &str) -> Record {
        let event =
            Event::Sent { connection: by.clone(), node: node.to_owned(), to: "u2".to_owned(), id: id.to_owned() };
        at(milliseconds, event)
    }

    pub(super) fn acknowledged(milliseconds: u64, by: &Connection, id: &str) -> Record {
        at(milliseconds, Event::Acknowledged { connection: by.clone(), id: id.to_owned() })
    }

    pub(super) fn received(milliseconds: u64, by: &Connection, node: &str, id: &str) -> Record {
        at(milliseconds, Event::Received { connection: by.clone(), node: node.to_owned(), id: id.to_owned() })
    }
}
