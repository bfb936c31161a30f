//! Every `sometimes!("…")` of the workspace, and which of them a swarm has to visit.
//!
//! A fault that never met the code it was meant for proves nothing. So a swarm counts visits to the places that matter,
//! by what the visiting node was at that moment, and fails if one of these was never reached. `tests/architecture`
//! compares this list with the code, both ways; a name stands there once.

use std::collections::BTreeMap;

use cresset_core::probe::Part;
use serde::{Deserialize, Serialize};

use crate::plan::Level;

/// A place in the code that simulations should visit.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Probe {
    /// The room in which it is, like `core/routing` or `net/links`.
    pub room: &'static str,
    /// Its name.
    pub name: &'static str,
    /// At which levels a swarm has to visit it.
    pub required: &'static [Level],
    /// By each of whom; empty if it does not matter what the visitor is.
    pub parts: &'static [Part],
}

#[allow(dead_code, reason = "the words in which the list is written")]
mod words {
    use super::{Level, Part};

    pub(super) const BOTH: &[Level] = &[Level::Cores, Level::Nodes];
    pub(super) const CORES: &[Level] = &[Level::Cores];
    pub(super) const NODES: &[Level] = &[Level::Nodes];
    /// Counted and printed, but too rare to be required of every swarm.
    pub(super) const RARE: &[Level] = &[];

    pub(super) const ANYONE: &[Part] = &[];
    pub(super) const LEADER: &[Part] = &[Part::Leader];
    pub(super) const FOLLOWER: &[Part] = &[Part::Follower];
    pub(super) const OUTSIDE: &[Part] = &[Part::Outside];
    pub(super) const LEADER_AND_FOLLOWER: &[Part] = &[Part::Leader, Part::Follower];
    pub(super) const MEMBERS: &[Part] = &[Part::Leader, Part::Follower, Part::Learner];
}

#[allow(unused_imports, reason = "the words in which the list is written")]
use words::*;

/// Every probe: its room, its name, where it is required and of whom. One line each, in the order of rooms and names.
#[rustfmt::skip]
pub const PROBES: &[Probe] = &[
    probe("core/cluster", "a_batch_is_committed_twice", RARE, ANYONE),
    probe("core/cluster", "a_batch_of_an_ended_life", RARE, ANYONE),
    probe("core/cluster", "a_dead_voter_is_replaced", RARE, ANYONE),
    probe("core/cluster", "a_jid_moves_to_another_node", RARE, ANYONE),
    probe("core/cluster", "a_jid_moves_within_a_node", RARE, ANYONE),
    probe("core/cluster", "a_join_is_committed_twice", RARE, ANYONE),
    probe("core/cluster", "a_learner_becomes_a_voter", RARE, ANYONE),
    probe("core/cluster", "a_life_ends_because_it_does_not_apply", RARE, ANYONE),
    probe("core/cluster", "a_life_ends_by_evidence_of_a_crash", RARE, ANYONE),
    probe("core/cluster", "a_life_ends_by_itself", RARE, ANYONE),
    probe("core/cluster", "a_life_ends_by_silence", RARE, ANYONE),
    probe("core/cluster", "a_life_ends_by_the_next_one", RARE, ANYONE),
    probe("core/cluster", "a_life_ends_with_several_sessions", RARE, ANYONE),
    probe("core/cluster", "an_unbind_of_what_is_not_held_any_more", RARE, ANYONE),
    probe("core/liveness", "one_witness_of_a_crash", RARE, ANYONE),
    probe("core/node", "a_batch_in_flight_is_rejected", RARE, ANYONE),
    probe("core/node", "a_batch_is_proposed_again", RARE, ANYONE),
    probe("core/node", "a_bind_waits_for_a_slow_member", RARE, ANYONE),
    probe("core/node", "a_join_is_proposed", RARE, ANYONE),
    probe("core/node", "a_leader_is_deposed", RARE, ANYONE),
    probe("core/node", "a_lease_comes_back_in_time", RARE, ANYONE),
    probe("core/node", "a_lease_runs_out", RARE, ANYONE),
    probe("core/node", "a_leave_is_agreed_before_the_leaver_knows", RARE, ANYONE),
    probe("core/node", "a_link_is_refused_because_the_life_is_over", RARE, ANYONE),
    probe("core/node", "a_member_beats_and_does_not_apply", RARE, ANYONE),
    probe("core/node", "a_new_leader_has_not_applied_what_was_before_it", RARE, ANYONE),
    probe("core/node", "a_node_begins_to_lead", RARE, ANYONE),
    probe("core/node", "a_node_is_asked_to_leave", RARE, ANYONE),
    probe("core/node", "a_node_sends_its_clients_away", RARE, ANYONE),
    probe("core/node", "a_node_serves_again", RARE, ANYONE),
    probe("core/node", "a_node_that_serves_may_be_taken_for_dead", RARE, ANYONE),
    probe("core/node", "a_port_refuses_after_its_link_closed", RARE, ANYONE),
    probe("core/node", "a_snapshot_hides_the_fate_of_a_batch", RARE, ANYONE),
    probe("core/node", "a_snapshot_is_installed", RARE, ANYONE),
    probe("core/node", "a_snapshot_says_that_a_life_is_over", RARE, ANYONE),
    probe("core/node", "an_answer_of_another_term_confirms_nothing", RARE, ANYONE),
    probe("core/node", "an_answer_waits_for_the_lease", RARE, ANYONE),
    probe("core/node", "an_earlier_ask_is_granted", RARE, ANYONE),
    probe("core/node", "an_ended_life_asks_for_a_lease", RARE, ANYONE),
    probe("core/node", "evidence_of_a_crash_is_taken_back", RARE, ANYONE),
    probe("core/node", "raft_is_between_two_sets_of_voters", RARE, ANYONE),
    probe("core/node", "several_requests_share_a_batch", RARE, ANYONE),
    probe("core/node", "the_crash_of_the_leader_is_believed", RARE, ANYONE),
    probe("core/node", "the_leader_changes_while_a_batch_is_in_flight", RARE, ANYONE),
    probe("core/node", "the_leader_is_asked_to_leave", RARE, ANYONE),
    probe("core/node", "the_leader_says_that_a_life_is_over", RARE, ANYONE),
    probe("core/node", "the_raft_of_a_node_knows_of_an_earlier_leader_only", RARE, ANYONE),
    probe("core/node", "who_is_being_expelled_asks_for_a_lease", RARE, ANYONE),
    probe("core/routing", "a_home_dies_before_it_decided_again", RARE, ANYONE),
    probe("core/routing", "a_home_dies_while_its_parcels_are_held", RARE, ANYONE),
    probe("core/routing", "a_life_ends_with_parcels_under_way", RARE, ANYONE),
    probe("core/routing", "a_parcel_arrives_twice", RARE, ANYONE),
    probe("core/routing", "a_parcel_comes_back", RARE, ANYONE),
    probe("core/routing", "a_parcel_comes_back_twice", RARE, ANYONE),
    probe("core/routing", "a_parcel_had_arrived_in_an_earlier_life", RARE, ANYONE),
    probe("core/routing", "a_parcel_is_sent_again_after_a_reconnect", RARE, ANYONE),
    probe("core/routing", "a_parcel_of_a_dead_home_is_given_back", RARE, ANYONE),
    probe("core/routing", "a_path_has_ended", RARE, ANYONE),
    probe("core/routing", "a_sender_waits_for_what_is_under_way", RARE, ANYONE),
    probe("core/routing", "a_stanza_is_sent_to_a_life_that_is_over", RARE, ANYONE),
    probe("core/routing", "an_answer_was_lost_with_its_connection", RARE, ANYONE),
    probe("core/routing", "an_outbox_is_full", RARE, ANYONE),
    probe("core/session", "a_client_is_told_who_is_gone", RARE, ANYONE),
    probe("core/session", "a_resumed_session_is_sent_again_what_it_missed", RARE, ANYONE),
    probe("core/session", "a_resumption_is_refused", RARE, ANYONE),
    probe("core/session", "a_resumption_waits_for_what_was_sent_before", RARE, ANYONE),
    probe("core/session", "a_session_is_resumed", RARE, ANYONE),
    probe("core/session", "an_acknowledgement_waits_for_the_handover", RARE, ANYONE),
    probe("core/session", "stored_messages_wait_for_acknowledgements", RARE, ANYONE),
    probe("core/session", "too_much_waits_for_a_client", RARE, ANYONE),
    probe("net/clients", "a_client_that_takes_nothing_is_given_up", RARE, ANYONE),
    probe("net/clients", "a_replaced_session_had_something_to_write", RARE, ANYONE),
    probe("net/clients", "a_session_is_resumed_while_it_still_has_a_connection", RARE, ANYONE),
    probe("net/consensus", "a_damaged_record_is_found", RARE, ANYONE),
    probe("net/consensus", "a_damaged_snapshot_is_not_used", RARE, ANYONE),
    probe("net/consensus", "a_disk_reads_less_than_there_is", RARE, ANYONE),
    probe("net/consensus", "a_log_without_votes_is_refused", RARE, ANYONE),
    probe("net/consensus", "a_segment_begins", RARE, ANYONE),
    probe("net/consensus", "a_snapshot_is_taken", RARE, ANYONE),
    probe("net/consensus", "a_snapshot_of_the_leader_is_kept", RARE, ANYONE),
    probe("net/consensus", "a_torn_tail_is_cut_off", RARE, ANYONE),
    probe("net/consensus", "entries_do_not_fit_into_one_message", RARE, ANYONE),
    probe("net/consensus", "several_writes_share_a_sync", RARE, ANYONE),
    probe("net/consensus", "the_end_of_a_log_is_cut_off", RARE, ANYONE),
    probe("net/consensus", "the_log_waits_for_room", RARE, ANYONE),
    probe("net/control", "a_process_begins_another_life", RARE, ANYONE),
    probe("net/links", "a_member_cannot_be_reached", RARE, ANYONE),
    probe("net/router", "a_connection_sees_the_end_of_the_lease_first", RARE, ANYONE),
    probe("net/router", "a_mailbox_overflows", RARE, ANYONE),
    probe("net/router", "a_message_is_stored", RARE, ANYONE),
    probe("net/router", "a_parcel_comes_before_its_route", RARE, ANYONE),
    probe("net/router", "a_parcel_misses_its_session", RARE, ANYONE),
    probe("net/router", "a_parcel_of_a_dead_home_is_inherited", RARE, ANYONE),
    probe("net/router", "a_sender_waits_for_an_ended_path", RARE, ANYONE),
    probe("net/router", "a_stanza_comes_back_too_often", RARE, ANYONE),
    probe("net/router", "sessions_are_told_who_is_gone", RARE, ANYONE),
];

const fn probe(room: &'static str, name: &'static str, required: &'static [Level], parts: &'static [Part]) -> Probe {
    Probe { room, name, required, parts }
}

/// The parts of a node, in the order in which visits are counted.
pub const PARTS: [Part; 4] = [Part::Outside, Part::Leader, Part::Follower, Part::Learner];

/// How often each place was visited, by each of [`PARTS`].
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Visits(BTreeMap<String, [u64; 4]>);

impl Visits {
    /// Counts visits.
    pub fn add(&mut self, name: &str, part: Part, times: u64) {
        let counts = self.0.entry(name.to_owned()).or_default();
        for (known, count) in PARTS.iter().zip(counts) {
            if *known == part {
                *count += times;
            }
        }
    }

    /// Counts those of another run.
    pub fn merge(&mut self, others: Visits) {
        for (name, more) in others.0 {
            let counts = self.0.entry(name).or_default();
            counts.iter_mut().zip(more).for_each(|(count, more)| *count += more);
        }
    }

    /// How often this part was there.
    pub fn by(&self, name: &str, part: Part) -> u64 {
        let counts = self.0.get(name).copied().unwrap_or_default();
        PARTS.iter().zip(counts).filter(|(known, _)| **known == part).map(|(_, count)| count).sum()
    }

    /// How often anybody was there.
    pub fn of(&self, name: &str) -> u64 {
        self.0.get(name).map_or(0, |counts| counts.iter().sum())
    }

    /// Probes that nobody visited at all.
    pub fn never<'a>(&self, probes: &'a [Probe]) -> Vec<&'a Probe> {
        probes.iter().filter(|probe| self.of(probe.name) == 0).collect()
    }

    /// Visits that are required at this level and did not happen, each in words.
    pub fn missing(&self, probes: &[Probe], level: Level) -> Vec<String> {
        let mut missing = Vec::new();
        for probe in probes.iter().filter(|probe| probe.required.contains(&level)) {
            let Probe { room, name, parts, .. } = probe;
            if self.of(name) == 0 {
                missing.push(format!("{name} ({room})"));
                continue;
            }
            let absent = parts.iter().filter(|part| self.by(name, **part) == 0);
            missing.extend(absent.map(|part| format!("{name} ({room}) by a {}", word(*part))));
        }
        missing
    }
}

/// What a node is, in a word.
pub fn word(part: Part) -> &'static str {
    match part {
        Part::Outside => "node outside",
        Part::Leader => "leader",
        Part::Follower => "follower",
        Part::Learner => "learner",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOME: &[Probe] = &[
        probe("core/node", "a", BOTH, LEADER_AND_FOLLOWER),
        probe("core/node", "b", NODES, ANYONE),
        probe("core/node", "c", RARE, ANYONE),
    ];

    #[test]
    fn what_is_required_and_was_not_visited_is_named_with_the_part() {
        let mut visits = Visits::default();
        visits.add("a", Part::Leader, 3);

        assert_eq!(visits.missing(SOME, Level::Nodes), ["a (core/node) by a follower", "b (core/node)"]);
        assert_eq!(visits.missing(SOME, Level::Cores), ["a (core/node) by a follower"]);
        assert_eq!(visits.never(SOME).iter().map(|probe| probe.name).collect::<Vec<_>>(), ["b", "c"]);
    }

    #[test]
    fn visits_of_several_runs_add_up() {
        let (mut sum, mut one) = (Visits::default(), Visits::default());
        one.add("a", Part::Leader, 1);
        one.add("a", Part::Learner, 1);

        sum.merge(one.clone());
        sum.merge(one);

        assert_eq!((sum.of("a"), sum.by("a", Part::Learner), sum.by("a", Part::Follower)), (4, 2, 0));
    }

    #[test]
    fn the_list_is_in_the_order_of_rooms_and_names() {
        let keys: Vec<_> = PROBES.iter().map(|probe| (probe.room, probe.name)).collect();

        assert!(keys.is_sorted(), "{keys:?}");
    }
}
