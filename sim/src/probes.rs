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
    /// What is wanted of a swarm of machines alone.
    pub cores: Need,
    /// What is wanted of a swarm of nodes.
    pub nodes: Need,
}

/// By whom a place has to be visited, if a swarm has so many seeds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Need {
    /// With fewer seeds it may be missed; absent if it always may.
    pub seeds: Option<u64>,
    /// By each of these; empty if it does not matter what the visitor is.
    pub parts: &'static [Part],
}

impl Probe {
    /// What is wanted at this level.
    pub fn need(&self, level: Level) -> Need {
        match level {
            Level::Cores => self.cores,
            Level::Nodes => self.nodes,
        }
    }
}

#[allow(dead_code, reason = "the words in which the list is written")]
mod words {
    use super::{Need, Part};

    /// Counted and printed, but too rare to be required of any swarm, or not there at this level.
    pub(super) const RARE: Need = Need { seeds: None, parts: ANYONE };

    /// Required of swarms that have so many seeds. A place that one seed visits with probability p is missed by n of
    /// them with (1-p)^n, which is to be less than one in a thousand.
    pub(super) const fn from(seeds: u64, parts: &'static [Part]) -> Need {
        Need { seeds: Some(seeds), parts }
    }

    pub(super) const ANYONE: &[Part] = &[];
    pub(super) const LEADER: &[Part] = &[Part::Leader];
    pub(super) const FOLLOWER: &[Part] = &[Part::Follower];
    pub(super) const OUTSIDE: &[Part] = &[Part::Outside];
    pub(super) const LEADER_AND_FOLLOWER: &[Part] = &[Part::Leader, Part::Follower];
    pub(super) const MEMBERS: &[Part] = &[Part::Leader, Part::Follower, Part::Learner];
}

#[allow(unused_imports, reason = "the words in which the list is written")]
use words::*;

/// Every probe: its room, its name, and what is wanted of machines alone and of nodes. One line each, in the order of
/// rooms and names.
#[rustfmt::skip]
pub const PROBES: &[Probe] = &[
    probe("core/cluster", "a_batch_is_committed_twice", from(50, LEADER_AND_FOLLOWER), from(30, LEADER_AND_FOLLOWER)),
    probe("core/cluster", "a_batch_of_an_ended_life", from(2000, LEADER_AND_FOLLOWER), RARE),
    probe("core/cluster", "a_dead_voter_is_replaced", from(200, LEADER_AND_FOLLOWER), from(100, MEMBERS)),
    probe("core/cluster", "a_drain_is_taken_back", RARE, RARE),
    probe("core/cluster", "a_jid_moves_to_another_node", from(50, LEADER_AND_FOLLOWER), from(30, LEADER_AND_FOLLOWER)),
    probe("core/cluster", "a_jid_moves_within_a_node", from(100, LEADER_AND_FOLLOWER), from(100, LEADER)),
    probe("core/cluster", "a_join_is_committed_twice", from(20, LEADER_AND_FOLLOWER), from(30, MEMBERS)),
    probe("core/cluster", "a_learner_becomes_a_voter", from(20, LEADER_AND_FOLLOWER), from(30, MEMBERS)),
    probe("core/cluster", "a_life_ends_because_it_does_not_apply", from(1000, LEADER_AND_FOLLOWER), from(1000, LEADER_AND_FOLLOWER)),
    probe("core/cluster", "a_life_ends_by_a_cut_between_two", from(500, LEADER_AND_FOLLOWER), RARE),
    probe("core/cluster", "a_life_ends_by_evidence_of_a_crash", from(50, LEADER_AND_FOLLOWER), from(30, LEADER_AND_FOLLOWER)),
    probe("core/cluster", "a_life_ends_by_itself", from(200, LEADER_AND_FOLLOWER), from(100, LEADER_AND_FOLLOWER)),
    probe("core/cluster", "a_life_ends_by_silence", from(50, LEADER_AND_FOLLOWER), from(30, LEADER_AND_FOLLOWER)),
    probe("core/cluster", "a_life_ends_by_the_next_one", from(200, LEADER_AND_FOLLOWER), from(100, LEADER_AND_FOLLOWER)),
    probe("core/cluster", "a_life_ends_with_several_sessions", from(100, LEADER_AND_FOLLOWER), from(30, LEADER_AND_FOLLOWER)),
    probe("core/cluster", "a_member_is_forgotten", RARE, RARE),
    probe("core/cluster", "an_unbind_of_what_is_not_held_any_more", from(50, LEADER_AND_FOLLOWER), from(100, LEADER_AND_FOLLOWER)),
    probe("core/liveness", "one_witness_of_a_crash", from(50, ANYONE), from(30, LEADER_AND_FOLLOWER)),
    probe("core/node", "a_batch_in_flight_is_rejected", RARE, RARE),
    probe("core/node", "a_batch_is_proposed_again", from(20, LEADER_AND_FOLLOWER), from(30, LEADER_AND_FOLLOWER)),
    probe("core/node", "a_batch_waits_for_company", RARE, RARE),
    probe("core/node", "a_bind_waits_for_a_slow_member", from(20, LEADER_AND_FOLLOWER), from(30, LEADER_AND_FOLLOWER)),
    probe("core/node", "a_drained_leader_hands_over", RARE, RARE),
    probe("core/node", "a_drained_node_sends_clients_away", RARE, RARE),
    probe("core/node", "a_join_is_proposed", from(20, ANYONE), from(30, LEADER_AND_FOLLOWER)),
    probe("core/node", "a_lane_closes_before_its_link", RARE, RARE),
    probe("core/node", "a_leader_does_not_hear_those_who_are_to_vote", RARE, RARE),
    probe("core/node", "a_leader_ends_the_change_of_an_earlier_one", RARE, RARE),
    probe("core/node", "a_leader_is_deposed", from(50, ANYONE), from(30, FOLLOWER)),
    probe("core/node", "a_lease_comes_back_in_time", from(100, ANYONE), from(100, LEADER_AND_FOLLOWER)),
    probe("core/node", "a_lease_runs_out", from(50, LEADER_AND_FOLLOWER), from(30, LEADER_AND_FOLLOWER)),
    probe("core/node", "a_leave_is_agreed_before_the_leaver_knows", from(500, ANYONE), from(400, FOLLOWER)),
    probe("core/node", "a_link_is_refused_because_the_life_is_over", from(50, ANYONE), from(100, LEADER_AND_FOLLOWER)),
    probe("core/node", "a_member_beats_and_does_not_apply", from(100, ANYONE), from(100, LEADER)),
    probe("core/node", "a_new_leader_has_not_applied_what_was_before_it", from(20, ANYONE), from(30, LEADER)),
    probe("core/node", "a_node_begins_to_lead", from(20, ANYONE), from(30, LEADER)),
    probe("core/node", "a_node_is_asked_to_leave", from(500, LEADER_AND_FOLLOWER), from(100, FOLLOWER)),
    probe("core/node", "a_node_leaves_without_agreement", RARE, RARE),
    probe("core/node", "a_node_sends_its_clients_away", from(50, ANYONE), from(30, LEADER_AND_FOLLOWER)),
    probe("core/node", "a_node_serves_again", from(20, LEADER_AND_FOLLOWER), from(30, LEADER_AND_FOLLOWER)),
    probe("core/node", "a_node_that_serves_may_be_taken_for_dead", from(200, LEADER_AND_FOLLOWER), from(30, LEADER_AND_FOLLOWER)),
    probe("core/node", "a_node_that_stood_aside_joins", RARE, RARE),
    probe("core/node", "a_node_waits_until_it_hears_everybody", from(100, ANYONE), RARE),
    probe("core/node", "a_port_refuses_after_its_link_closed", from(50, LEADER_AND_FOLLOWER), from(30, LEADER_AND_FOLLOWER)),
    probe("core/node", "a_program_is_outgrown", RARE, RARE),
    probe("core/node", "a_snapshot_hides_the_fate_of_a_batch", from(20_000, ANYONE), RARE),
    probe("core/node", "a_snapshot_is_installed", from(200, ANYONE), from(1000, FOLLOWER)),
    probe("core/node", "a_snapshot_says_that_a_life_is_over", RARE, RARE),
    probe("core/node", "a_voter_that_does_not_come_back_makes_room", RARE, RARE),
    probe("core/node", "a_witness_hands_leadership_over", RARE, RARE),
    probe("core/node", "an_answer_of_another_term_confirms_nothing", from(20, ANYONE), from(30, LEADER)),
    probe("core/node", "an_answer_waits_for_the_lease", from(200, ANYONE), from(100, FOLLOWER)),
    probe("core/node", "an_earlier_ask_is_granted", from(20, ANYONE), from(30, LEADER)),
    probe("core/node", "an_ended_life_asks_for_a_lease", RARE, RARE),
    probe("core/node", "an_order_is_refused", RARE, RARE),
    probe("core/node", "evidence_of_a_crash_is_taken_back", RARE, from(100, LEADER_AND_FOLLOWER)),
    probe("core/node", "leadership_is_handed_over_by_order", RARE, RARE),
    probe("core/node", "raft_is_between_two_sets_of_voters", from(20, ANYONE), from(30, LEADER)),
    probe("core/node", "several_requests_share_a_batch", from(100, ANYONE), from(30, LEADER_AND_FOLLOWER)),
    probe("core/node", "the_crash_of_the_leader_is_believed", from(100, ANYONE), from(30, FOLLOWER)),
    probe("core/node", "the_leader_changes_while_a_batch_is_in_flight", from(100, ANYONE), from(100, LEADER_AND_FOLLOWER)),
    probe("core/node", "the_leader_is_asked_to_leave", from(500, ANYONE), from(400, LEADER)),
    probe("core/node", "the_leader_says_that_a_life_is_over", RARE, RARE),
    probe("core/node", "the_raft_of_a_node_knows_of_an_earlier_leader_only", from(100, ANYONE), from(30, FOLLOWER)),
    probe("core/node", "the_times_are_changed_by_order", RARE, RARE),
    probe("core/node", "the_times_change_while_a_lease_is_held", RARE, RARE),
    probe("core/node", "who_is_being_expelled_asks_for_a_lease", from(200, ANYONE), from(100, LEADER)),
    probe("core/node", "who_is_set_apart_asks_for_a_lease", from(100, ANYONE), RARE),
    probe("core/node", "who_joins_has_not_found_the_leader", RARE, RARE),
    probe("core/routing", "a_home_dies_before_it_decided_again", from(5000, LEADER_AND_FOLLOWER), RARE),
    probe("core/routing", "a_home_dies_while_its_parcels_are_held", from(5000, LEADER_AND_FOLLOWER), from(100, LEADER_AND_FOLLOWER)),
    probe("core/routing", "a_life_ends_with_parcels_under_way", from(50, ANYONE), from(30, LEADER_AND_FOLLOWER)),
    probe("core/routing", "a_parcel_arrives_twice", from(50, ANYONE), RARE),
    probe("core/routing", "a_parcel_comes_back", from(50, ANYONE), from(30, LEADER_AND_FOLLOWER)),
    probe("core/routing", "a_parcel_comes_back_twice", from(10_000, ANYONE), from(1000, FOLLOWER)),
    probe("core/routing", "a_parcel_comes_before_its_route", RARE, from(400, FOLLOWER)),
    probe("core/routing", "a_parcel_had_arrived_in_an_earlier_life", from(1000, ANYONE), from(1000, LEADER_AND_FOLLOWER)),
    probe("core/routing", "a_parcel_is_sent_again_after_a_reconnect", from(50, ANYONE), from(100, LEADER_AND_FOLLOWER)),
    probe("core/routing", "a_parcel_misses_its_session", RARE, from(1000, LEADER_AND_FOLLOWER)),
    probe("core/routing", "a_parcel_of_a_dead_home_is_given_back", from(10_000, ANYONE), from(1000, LEADER)),
    probe("core/routing", "a_path_has_ended", from(20, ANYONE), from(30, LEADER_AND_FOLLOWER)),
    probe("core/routing", "a_path_is_abandoned", RARE, RARE),
    probe("core/routing", "a_sender_waits_for_an_ended_path", RARE, from(30, LEADER_AND_FOLLOWER)),
    probe("core/routing", "a_sender_waits_for_several", RARE, RARE),
    probe("core/routing", "a_sender_waits_for_what_is_under_way", from(100, ANYONE), from(400, LEADER)),
    probe("core/routing", "a_sender_waits_for_whoever_logs_out", RARE, RARE),
    probe("core/routing", "a_session_ends_before_what_it_said_is_decided", RARE, RARE),
    probe("core/routing", "a_session_goes_on_behind_what_it_said_in_another_life", RARE, RARE),
    probe("core/routing", "a_session_has_it_by_that_name_already", RARE, RARE),
    probe("core/routing", "a_stanza_comes_back_too_often", RARE, RARE),
    probe("core/routing", "a_stanza_is_sent_to_a_life_that_is_over", RARE, RARE),
    probe("core/routing", "a_stanza_waits_for_who_is_about_to_hold_his_jid_again", RARE, RARE),
    probe("core/routing", "an_account_has_more_under_way_than_its_share", RARE, RARE),
    probe("core/routing", "an_acknowledged_message_waits_for_the_store", RARE, RARE),
    probe("core/routing", "an_answer_was_lost_with_its_connection", from(500, ANYONE), from(400, FOLLOWER)),
    probe("core/routing", "an_outbox_is_full", RARE, RARE),
    probe("core/routing", "presence_of_an_ended_life_is_dropped", RARE, RARE),
    probe("core/routing", "sessions_are_told_who_is_gone", RARE, from(30, LEADER_AND_FOLLOWER)),
    probe("core/routing", "too_much_comes_before_its_route", RARE, RARE),
    probe("core/routing", "too_much_waits_for_whoever_logs_out", RARE, RARE),
    probe("core/routing", "what_came_back_waits_until_the_node_serves", RARE, RARE),
    probe("core/routing", "who_was_replaced_is_silent", RARE, RARE),
    probe("core/session", "a_client_is_told_who_is_gone", RARE, from(30, LEADER_AND_FOLLOWER)),
    probe("core/session", "a_farewell_comes_too_late", RARE, RARE),
    probe("core/session", "a_message_does_not_wait_for_presence", RARE, RARE),
    probe("core/session", "a_message_waits_for_presence_and_stored_ones", RARE, RARE),
    probe("core/session", "a_node_moves_before_a_bind_is_answered", RARE, RARE),
    probe("core/session", "a_resumed_session_is_sent_again_what_it_missed", RARE, from(100, LEADER_AND_FOLLOWER)),
    probe("core/session", "a_resumption_is_refused", RARE, from(30, LEADER_AND_FOLLOWER)),
    probe("core/session", "a_resumption_waits_for_what_was_sent_before", RARE, RARE),
    probe("core/session", "a_roster_comes_in_parts", RARE, RARE),
    probe("core/session", "a_session_ends_while_it_may_not_deliver", RARE, RARE),
    probe("core/session", "a_session_is_resumed", RARE, from(100, LEADER_AND_FOLLOWER)),
    probe("core/session", "a_session_moves_to_another_route", RARE, RARE),
    probe("core/session", "a_session_that_is_over_retreats", RARE, RARE),
    probe("core/session", "a_stanza_counts_after_its_error", RARE, RARE),
    probe("core/session", "an_acknowledgement_waits_for_the_handover", RARE, from(30, LEADER_AND_FOLLOWER)),
    probe("core/session", "stored_messages_cannot_be_claimed_yet", RARE, RARE),
    probe("core/session", "stored_messages_wait_for_acknowledgements", RARE, RARE),
    probe("core/session", "too_much_waits_for_a_client", RARE, RARE),
    probe("net/clients", "a_client_that_takes_nothing_is_given_up", RARE, RARE),
    probe("net/clients", "a_session_gives_back_before_its_route_is_gone", RARE, RARE),
    probe("net/clients", "a_session_had_something_to_write_that_it_may_not", RARE, RARE),
    probe("net/clients", "a_session_is_resumed_while_it_still_has_a_connection", RARE, from(100, LEADER_AND_FOLLOWER)),
    probe("net/clients", "a_session_lets_others_past_while_it_lives", RARE, RARE),
    probe("net/consensus", "a_damaged_record_is_found", RARE, RARE),
    probe("net/consensus", "a_damaged_snapshot_is_not_used", RARE, RARE),
    probe("net/consensus", "a_disk_reads_less_than_there_is", RARE, RARE),
    probe("net/consensus", "a_log_without_votes_is_refused", RARE, RARE),
    probe("net/consensus", "a_segment_begins", RARE, RARE),
    probe("net/consensus", "a_snapshot_is_taken", RARE, from(100, LEADER_AND_FOLLOWER)),
    probe("net/consensus", "a_snapshot_of_the_leader_is_kept", RARE, from(1000, OUTSIDE)),
    probe("net/consensus", "a_torn_tail_is_cut_off", RARE, from(1000, FOLLOWER)),
    probe("net/consensus", "entries_do_not_fit_into_one_message", RARE, RARE),
    probe("net/consensus", "several_writes_share_a_sync", RARE, from(30, OUTSIDE)),
    probe("net/consensus", "the_end_of_a_log_is_cut_off", RARE, from(100, FOLLOWER)),
    probe("net/consensus", "the_log_waits_for_room", RARE, from(100, LEADER_AND_FOLLOWER)),
    probe("net/control", "a_founder_that_does_not_found_is_replaced", RARE, RARE),
    probe("net/control", "a_process_begins_another_life", RARE, from(100, LEADER_AND_FOLLOWER)),
    probe("net/control", "an_older_copy_of_a_directory_is_forgotten", RARE, RARE),
    probe("net/links", "a_member_cannot_be_reached", RARE, from(30, LEADER_AND_FOLLOWER)),
    probe("net/router", "a_connection_sees_the_end_of_the_lease_first", RARE, from(100, LEADER_AND_FOLLOWER)),
    probe("net/router", "a_mailbox_overflows", RARE, RARE),
    probe("net/router", "a_message_is_stored", RARE, from(30, LEADER_AND_FOLLOWER)),
    probe("net/router", "nobody_waits_for_ever_for_whoever_logs_out", RARE, RARE),
    probe("net/router", "others_are_told_of_what_was_stored_alone", RARE, RARE),
    probe("net/router", "the_sessions_of_a_node_move_on", RARE, RARE),
    probe("net/run", "a_node_that_stops_waits_for_what_it_owes", RARE, RARE),
];

const fn probe(room: &'static str, name: &'static str, cores: Need, nodes: Need) -> Probe {
    Probe { room, name, cores, nodes }
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

    /// Counts one run with these visits: each place once, by each part that was there.
    pub fn add_run(&mut self, run: &Visits) {
        for (name, counts) in &run.0 {
            let sums = self.0.entry(name.clone()).or_default();
            sums.iter_mut().zip(counts).for_each(|(sum, count)| *sum += u64::from(*count > 0));
        }
    }

    /// Visits that are required of a swarm of this level with so many seeds and did not happen, each in words.
    pub fn missing(&self, probes: &[Probe], level: Level, seeds: u64) -> Vec<String> {
        let mut missing = Vec::new();
        for probe in probes.iter().filter(|probe| probe.need(level).seeds.is_some_and(|from| from <= seeds)) {
            let Probe { room, name, .. } = probe;
            if self.of(name) == 0 {
                missing.push(format!("{name} ({room})"));
                continue;
            }
            let absent = probe.need(level).parts.iter().filter(|part| self.by(name, **part) == 0);
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
        probe("core/node", "a", from(10, LEADER_AND_FOLLOWER), from(10, LEADER_AND_FOLLOWER)),
        probe("core/node", "b", RARE, from(20, ANYONE)),
        probe("core/node", "c", RARE, RARE),
    ];

    #[test]
    fn what_is_required_and_was_not_visited_is_named_with_the_part() {
        let mut visits = Visits::default();
        visits.add("a", Part::Leader, 3);

        assert_eq!(visits.missing(SOME, Level::Nodes, 20), ["a (core/node) by a follower", "b (core/node)"]);
        assert_eq!(visits.missing(SOME, Level::Nodes, 19), ["a (core/node) by a follower"]);
        assert_eq!(visits.missing(SOME, Level::Nodes, 9), [""; 0]);
        assert_eq!(visits.missing(SOME, Level::Cores, 20), ["a (core/node) by a follower"]);
        assert_eq!(visits.never(SOME).iter().map(|probe| probe.name).collect::<Vec<_>>(), ["b", "c"]);
    }

    #[test]
    fn a_run_counts_once_however_often_it_was_there() {
        let (mut runs, mut one) = (Visits::default(), Visits::default());
        one.add("a", Part::Leader, 17);

        runs.add_run(&one);
        runs.add_run(&one);

        assert_eq!((runs.of("a"), runs.by("a", Part::Follower)), (2, 0));
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
