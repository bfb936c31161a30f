//! Plans that are made for one bug each, because several faults have to meet before it shows: the seed decides whom they
//! meet, and when within a second or so.
//!
//! They are short, and few users talk in them: each is run on every change.

use std::time::Duration;

use cresset_core::config::Timing;
use rand::RngExt;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;

use crate::plan::{BEGINS, Fault, Level, Plan, Target, Turns};

/// How long everything is whole before users fall silent, and then until the end. Nothing here needs more.
const WHOLE_FOR: Duration = Duration::from_secs(9);
const SETTLES_IN: Duration = Duration::from_secs(6);

fn milliseconds(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

/// The plan, made whole as soon as its last episode has ended.
fn whole(plan: Plan) -> Plan {
    let last = plan.episodes.iter().map(|episode| episode.ends()).max().unwrap_or(BEGINS);
    let heals_at = last + milliseconds(300);
    let silent_from = heals_at + WHOLE_FOR;
    Plan { heals_at, silent_from, ends_at: silent_from + SETTLES_IN, ..plan }
}

/// Two different nodes of a cluster of three.
fn two_of_three(random: &mut StdRng) -> [Target; 2] {
    let (first, behind) = (random.random_range(0..3), random.random_range(1..3));
    [Target::Node(first), Target::Node((first + behind) % 3)]
}

/// Everybody who is at one of these nodes logs in again and again, which has to be written down.
fn with_logins(mut plan: Plan, at: Duration, lasts: Duration, nodes: impl IntoIterator<Item = usize>) -> Plan {
    for node in nodes {
        plan = plan.with(at, lasts, Fault::Storm { node: Target::Node(node), times: 4 });
    }
    plan
}

/// A member with a slow disk loses power while it appends, and again when it has appended something behind the torn
/// tail.
pub(super) fn torn_appends(seed: u64, random: &mut StdRng) -> Plan {
    let slow = random.random_range(0..3);
    let node = Target::Node(slow);
    let delay = milliseconds(random.random_range(10..60));
    let mut plan = Plan::calm(seed).with_users(4, milliseconds(500));
    plan.users.iter_mut().for_each(|user| user.leaves = true);
    let mut at = BEGINS + milliseconds(1000);
    for _ in 0..3 {
        plan = with_logins(plan, at, milliseconds(1000), (0..3).filter(|number| *number != slow));
        let gone_at = at + milliseconds(random.random_range(250..900));
        let lasts = milliseconds(random.random_range(400..900));
        plan = plan.with(gone_at, lasts, Fault::PowerLoss { node });
        at = gone_at + lasts + milliseconds(random.random_range(1800..2600));
    }
    whole(plan.with(BEGINS, at - BEGINS, Fault::SlowDisk { node, delay }))
}

/// Whoever leads is cut off while its clients log in: what it appends is never agreed on, and has to be cut off its log
/// when it hears of what was. Then everybody is started anew.
pub(super) fn leader_with_a_tail_of_its_own(seed: u64, random: &mut StdRng) -> Plan {
    let at = BEGINS + milliseconds(random.random_range(500..1500));
    let plan = Plan::calm(seed).with_users(6, milliseconds(500));
    let mut plan = plan.with(at, milliseconds(5500), Fault::Isolate { node: Target::Leader });
    plan = with_logins(plan, at + milliseconds(100), milliseconds(2000), 0..3);
    let mut crash = at + milliseconds(random.random_range(7500..8500));
    for number in 0..3 {
        plan = plan.with(crash, milliseconds(400), Fault::Crash { node: Target::Node(number) });
        crash += milliseconds(2200);
    }
    whole(plan)
}

/// Connections between nodes break one after the other, and always something is under way on them.
pub(super) fn torn_links(seed: u64, random: &mut StdRng) -> Plan {
    let plan = Plan::calm(seed).with_users(4, milliseconds(40));
    let mut plan = Plan { latency: (milliseconds(5), milliseconds(30)), ..plan };
    for turn in 0..3 {
        let node = Target::Node((random.random_range(0..3usize) + turn) % 3);
        let at = BEGINS + milliseconds(500 + 1600 * turn as u64);
        plan = plan.with(at, milliseconds(1500), Fault::Reset { node, times: 8 });
    }
    whole(plan)
}

/// Users come and go, and are talked to while they are away.
pub(super) fn comings_and_goings(seed: u64, random: &mut StdRng) -> Plan {
    let mut plan = Plan::calm(seed).with_users(4, milliseconds(300));
    plan.users.iter_mut().for_each(|user| user.leaves = true);
    let node = Target::Node(random.random_range(0..3));
    plan = plan.with(BEGINS + milliseconds(1000), milliseconds(1000), Fault::Storm { node, times: 1 });
    let plan = whole(plan);
    // Nothing breaks: what takes its time is that everybody has left twice.
    Plan { silent_from: plan.silent_from + milliseconds(14_000), ends_at: plan.ends_at + milliseconds(14_000), ..plan }
}

/// Users log out and in, and what is said to them is held up between two nodes, each time for less than whoever logs out is
/// waited for: the others hear first that he is not there any more.
pub(super) fn farewells_past_a_clog(seed: u64, random: &mut StdRng) -> Plan {
    let plan = Plan::calm(seed).with_users(6, milliseconds(40));
    // Between his farewell and the end of his route something can be said.
    let mut plan = Plan { latency: (milliseconds(15), milliseconds(35)), ..plan };
    plan.users.iter_mut().for_each(|user| user.leaves = true);
    let mut at = BEGINS;
    for _ in 0..10 {
        let lasts = milliseconds(random.random_range(350..600));
        plan = plan.with(at, lasts, Fault::Clog { nodes: two_of_three(random) });
        at += lasts + milliseconds(random.random_range(100..500));
    }
    whole(plan)
}

/// A client does not read while its peer floods it.
pub(super) fn client_that_does_not_read(seed: u64, random: &mut StdRng) -> Plan {
    let plan = Plan::calm(seed).with_users(2, milliseconds(60));
    let lasts = milliseconds(random.random_range(7500..8500));
    whole(plan.with(BEGINS + milliseconds(500), lasts, Fault::SlowReader { user: random.random_range(0..2) }))
}

/// Some clients acknowledge nothing, and take messages and do not in turn, while others talk to them and to each other.
pub(super) fn clients_that_acknowledge_nothing(seed: u64, random: &mut StdRng) -> Plan {
    let mut plan = Plan::calm(seed).with_users(8, milliseconds(150));
    let count = random.random_range(1..=4);
    let users: Vec<usize> = (0..8).collect();
    for user in users.sample(random, count).copied().collect::<Vec<_>>() {
        let (at, lasts) = (BEGINS + milliseconds(random.random_range(0..1500)), milliseconds(8000));
        plan = plan.with(at, lasts, Fault::NeverAcknowledges { user });
    }
    whole(plan)
}

/// Two talk on one node, one of them acknowledges nothing and is available and unavailable in turn, and the node is cut off
/// until it is expelled: what it has for him goes back to be decided about when he has long been elsewhere.
pub(super) fn talk_on_a_node_that_is_cut_off(seed: u64, random: &mut StdRng) -> Plan {
    let mut plan = Plan::calm(seed).with_users(6, milliseconds(100));
    for pair in 0..3 {
        plan.users[2 * pair + 1].node = plan.users[2 * pair].node;
        plan = plan.with(BEGINS, milliseconds(12_000), Fault::NeverAcknowledges { user: 2 * pair + 1 });
    }
    let at = BEGINS + milliseconds(random.random_range(1500..4500));
    let node = Target::Node(random.random_range(0..3));
    whole(plan.with(at, milliseconds(7000), Fault::Isolate { node }))
}

/// Everybody logs in again and again, and what was proposed once may be proposed twice, and late (as the seed says): the
/// second time it must not take a JID from who has it by then.
pub(super) fn logins_again_and_again(seed: u64, random: &mut StdRng) -> Plan {
    let plan = Plan { level: Level::Cores, ..Plan::calm(seed) };
    let mut plan = plan.with_users(6, milliseconds(400));
    plan.users.iter_mut().for_each(|user| user.leaves = true);
    let mut at = BEGINS;
    for _ in 0..4 {
        at += milliseconds(random.random_range(300..1200));
        plan = with_logins(plan, at, milliseconds(2000), 0..3);
        at += milliseconds(2000);
    }
    whole(plan)
}

/// One node after the other is cut off until it is expelled, while users come and go everywhere: what it sent to somebody
/// who has gone comes back to it when he is elsewhere.
pub(super) fn cut_off_while_users_move(seed: u64, random: &mut StdRng) -> Plan {
    let plan = Plan { level: Level::Cores, ..Plan::calm(seed) };
    let mut plan = plan.with_users(12, milliseconds(150));
    plan.users.iter_mut().for_each(|user| user.leaves = true);
    let mut at = BEGINS;
    for node in 0..3 {
        at += milliseconds(random.random_range(500..1500));
        let lasts = milliseconds(random.random_range(5500..8000));
        plan = plan.with(at, lasts, Fault::Isolate { node: Target::Node(node) });
        at += lasts;
    }
    whole(plan)
}

/// Members die while many clients log in there: what they had proposed may reach the log when their lives are over.
pub(super) fn deaths_at_the_door(seed: u64, random: &mut StdRng) -> Plan {
    let plan = Plan { level: Level::Cores, ..Plan::calm(seed) };
    let mut plan = plan.with_users(6, milliseconds(400));
    plan.users.iter_mut().for_each(|user| user.leaves = true);
    let mut at = BEGINS;
    for _ in 0..4 {
        at += milliseconds(random.random_range(500..2000));
        plan = with_logins(plan, at, milliseconds(400), 0..3);
        let node = Target::Node(random.random_range(0..3));
        let dies_at = at + milliseconds(random.random_range(50..800));
        let lasts = milliseconds(random.random_range(500..4000));
        plan = plan.with(dies_at, lasts, Fault::Crash { node });
        at = dies_at + lasts;
    }
    whole(plan)
}

/// A node loses its connections to all others, cannot make new ones, and crashes: what its clients were told it had
/// taken charge of, and nobody else has, is gone.
pub(super) fn crash_behind_a_cut(seed: u64, random: &mut StdRng) -> Plan {
    let node = Target::Node(random.random_range(0..3));
    let at = BEGINS + milliseconds(random.random_range(1000..2500));
    let plan = Plan::calm(seed).with_users(6, milliseconds(100));
    let plan = plan.with(at, milliseconds(2500), Fault::Isolate { node });
    let plan = plan.with(at + milliseconds(50), milliseconds(1000), Fault::Reset { node, times: 2 });
    whole(plan.with(at + milliseconds(1700), milliseconds(1500), Fault::Crash { node }))
}

/// The store stalls while the leader stands still and is expelled: the last words of its sessions wait for the store
/// until it has another life, and everybody who was there is elsewhere by then.
pub(super) fn farewells_that_wait(seed: u64, random: &mut StdRng) -> Plan {
    let mut plan = Plan::calm(seed).with_users(8, milliseconds(150));
    for (number, user) in plan.users.iter_mut().enumerate() {
        user.leaves = number % 2 == 0;
        user.watches = true;
    }
    let at = BEGINS + milliseconds(random.random_range(1000..1800));
    let plan = plan.with(at, milliseconds(14_000), Fault::StoreStalls);
    let stops_at = at + milliseconds(random.random_range(300..2500));
    whole(plan.with(stops_at, milliseconds(7500), Fault::Pause { node: Target::Leader }))
}

/// Two members do not hear each other for so long that what their users say to each other would have to wait.
pub(super) fn bridge_that_lasts(seed: u64, random: &mut StdRng) -> Plan {
    let at = BEGINS + milliseconds(random.random_range(500..2000));
    let bridge = Fault::Bridge { node: Target::Node(random.random_range(0..3)) };
    whole(Plan::calm(seed).with_users(6, milliseconds(300)).with(at, milliseconds(12_000), bridge))
}

/// Two nodes refuse each other for a while, and everybody reaches the third.
pub(super) fn two_who_shun_each_other(seed: u64, random: &mut StdRng) -> Plan {
    let at = BEGINS + milliseconds(random.random_range(500..2000));
    let lasts = milliseconds(random.random_range(1000..2000));
    let shunned = Fault::Shunned { nodes: two_of_three(random) };
    whole(Plan::calm(seed).with_users(4, milliseconds(400)).with(at, lasts, shunned))
}

/// A node cannot be reached for a while: long enough for links to be given up, and not for an expulsion.
pub(super) fn short_silence(seed: u64, random: &mut StdRng) -> Plan {
    let at = BEGINS + milliseconds(random.random_range(500..2000));
    let lasts = milliseconds(random.random_range(3200..3380));
    let node = Target::Node(random.random_range(0..3));
    whole(Plan::calm(seed).with_users(4, milliseconds(400)).with(at, lasts, Fault::Isolate { node }))
}

/// Two clients of one user take his full JID from each other, on different nodes, and others watch; packets between nodes
/// overtake each other.
pub(super) fn rivals_who_are_watched(seed: u64, random: &mut StdRng) -> Plan {
    let mut plan = Plan::calm(seed).with_users(4, milliseconds(400));
    plan.users.iter_mut().for_each(|user| user.watches = true);
    let worst = milliseconds(random.random_range(30..120));
    for user in 0..2 {
        plan = plan.with(BEGINS + milliseconds(700), milliseconds(6000), Fault::Rival { user });
    }
    whole(plan.with(BEGINS + milliseconds(500), milliseconds(6000), Fault::Slow { worst }))
}

/// What is said goes to two clients of everybody, and one of the two breaks off again and again before it has acknowledged
/// it: its copy comes back and is decided about again, when the other one has had its own.
pub(super) fn copies_that_come_back(seed: u64, random: &mut StdRng) -> Plan {
    let plan = Plan::calm(seed).with_users(6, milliseconds(random.random_range(40..120)));
    let mut plan = Plan { latency: (milliseconds(2), milliseconds(30)), ..plan };
    for user in &mut plan.users {
        (user.watches, user.shares, user.leaves) = (true, true, true);
    }
    for user in 0..6 {
        let at = BEGINS + milliseconds(random.random_range(200..1500));
        plan = plan.with(at, milliseconds(6000), Fault::Flapping { user });
    }
    whole(plan)
}

/// One member is down, and an operator who has confused the names orders another one's removal.
pub(super) fn removal_of_the_wrong_one(seed: u64, random: &mut StdRng) -> Plan {
    let at = BEGINS + milliseconds(random.random_range(500..2000));
    let (down, behind) = (random.random_range(0..3), random.random_range(1..3));
    let (gone, meant) = (Target::Node(down), Target::Node((down + behind) % 3));
    let plan = Plan::calm(seed).with_users(4, milliseconds(400));
    let plan = plan.with(at, milliseconds(9000), Fault::Crash { node: gone });
    whole(plan.with(at + milliseconds(6000), milliseconds(1500), Fault::RemoveBlindly { node: meant }))
}

/// Whoever leads is drained while users come and go.
pub(super) fn drain_while_users_come(seed: u64, random: &mut StdRng) -> Plan {
    let mut plan = Plan::calm(seed).with_users(9, milliseconds(400));
    plan.users.iter_mut().for_each(|user| user.leaves = true);
    let at = BEGINS + milliseconds(random.random_range(500..2000));
    whole(plan.with(at, milliseconds(14_000), Fault::Drain { node: Target::Leader }))
}

/// The times on which fencing rests are made longer, and shorter again while a node is cut off that knows of the longer
/// lease only. Its users log in elsewhere as soon as they may.
pub(super) fn shorter_times_behind_a_cut(seed: u64, random: &mut StdRng) -> Plan {
    let usual = Timing::default();
    let (lease, expel_after) = (milliseconds(5500), milliseconds(6500));
    let at = BEGINS + milliseconds(500);
    let cut_at = at + milliseconds(random.random_range(2000..2500));
    let changed_at = cut_at + milliseconds(random.random_range(50..300));
    let cut = random.random_range(0..3);
    let mut plan = Plan::calm(seed).with_users(6, milliseconds(300));
    plan = plan.with(at, milliseconds(1500), Fault::ChangeTimes { lease, expel_after });
    plan = plan.with(cut_at, milliseconds(9000), Fault::Isolate { node: Target::Node(cut) });
    let shorter = Fault::ChangeTimes { lease: usual.lease, expel_after: usual.expel_after };
    plan = plan.with(changed_at, milliseconds(12_000), shorter);
    for user in (0..6).filter(|user| user % 3 == cut) {
        plan = plan.with(cut_at + milliseconds(300), milliseconds(8000), Fault::Rival { user });
    }
    whole(plan)
}

/// A node dies whose sessions are watched from the others.
pub(super) fn death_that_is_watched(seed: u64, random: &mut StdRng) -> Plan {
    let at = BEGINS + milliseconds(random.random_range(500..3000));
    let node = Target::Node(random.random_range(0..3));
    whole(Plan::calm(seed).with_users(6, milliseconds(400)).with(at, milliseconds(2500), Fault::Crash { node }))
}

/// Clustering is switched off and on while everybody talks. The nodes do not look at the same time whether it is, because
/// they have not started at the same time.
pub(super) fn switch_among_talkers(seed: u64, random: &mut StdRng) -> Plan {
    let mut plan = Plan::calm(seed).with_users(6, milliseconds(80));
    for node in 0..2 {
        let lasts = milliseconds(random.random_range(200..2000));
        plan = plan.with(milliseconds(1000), lasts, Fault::Crash { node: Target::Node(node) });
    }
    let at = BEGINS + milliseconds(random.random_range(1000..3000));
    let lasts = milliseconds(random.random_range(500..9000));
    whole(plan.with(at, lasts, Fault::SwitchedOff))
}

/// One of two nodes and their witness is lost for a while.
pub(super) fn loss_beside_a_witness(seed: u64, random: &mut StdRng) -> Plan {
    let plan = Plan { witnesses: 1, ..Plan::calm(seed) }.with_users(4, milliseconds(300));
    let node = Target::Node(random.random_range(0..3));
    let fault = if random.random_bool(0.5) { Fault::Crash { node } } else { Fault::Isolate { node } };
    let at = BEGINS + milliseconds(random.random_range(500..1500));
    whole(plan.with(at, milliseconds(random.random_range(7000..9000)), fault))
}

/// The leader of two nodes and their witness falls silent: the witness is as likely to be elected as the other node.
pub(super) fn silent_leader_beside_a_witness(seed: u64, random: &mut StdRng) -> Plan {
    let plan = Plan { witnesses: 1, ..Plan::calm(seed) }.with_users(4, milliseconds(300));
    let at = BEGINS + milliseconds(random.random_range(500..1500));
    whole(plan.with(at, milliseconds(random.random_range(3000..7000)), Fault::Isolate { node: Target::Leader }))
}

/// One node after the other is stopped and started with a newer program, and one of them goes back to the old one for a
/// while.
pub(super) fn rolling_upgrade(seed: u64, random: &mut StdRng) -> Plan {
    let mut plan = Plan::calm(seed).with_users(4, milliseconds(300));
    plan.snapshot_entries = random.random_range(20..200);
    let mut at = BEGINS;
    for node in 0..plan.nodes {
        at += milliseconds(random.random_range(1000..2500));
        plan = plan.with(at, milliseconds(500), Fault::Upgrade { node: Target::Node(node) });
    }
    at += milliseconds(random.random_range(2000..3000));
    let node = Target::Node(random.random_range(0..plan.nodes));
    whole(plan.with(at, milliseconds(2500), Fault::OldProgram { node }))
}

/// Whoever is to found the cluster has a slow disk and takes so long that another one does; some start a moment later
/// than the others.
pub(super) fn founder_that_is_late(seed: u64, random: &mut StdRng) -> Plan {
    let mut plan = Plan::calm(seed).with_users(4, milliseconds(500));
    let first = random.random_range(0..plan.nodes);
    let delay = milliseconds(random.random_range(300..1500));
    plan = plan.with(Duration::ZERO, milliseconds(12_000), Fault::SlowDisk { node: Target::Node(first), delay });
    for node in (0..plan.nodes).filter(|node| *node != first) {
        let lasts = milliseconds(random.random_range(5..2000));
        plan = plan.with(Duration::ZERO, lasts, Fault::Crash { node: Target::Node(node) });
    }
    whole(plan)
}

/// Whoever is to found the cluster dies while it does, and its tasks are late.
pub(super) fn founder_that_dies(seed: u64, random: &mut StdRng) -> Plan {
    let mut plan = Plan { turns: late(40), ..Plan::calm(seed).with_users(2, milliseconds(500)) };
    for node in 0..plan.nodes {
        let (at, lasts) = (milliseconds(random.random_range(8..40)), milliseconds(random.random_range(50..300)));
        plan = plan.with(at, lasts, Fault::Crash { node: Target::Node(node) });
    }
    whole(plan)
}

/// Clients whose connections break and who begin anew, while much is said to them.
pub(super) fn clients_that_come_again_and_again(seed: u64, random: &mut StdRng) -> Plan {
    let mut plan = Plan::calm(seed).with_users(6, milliseconds(random.random_range(30..60)));
    plan.latency = (milliseconds(1), milliseconds(10));
    for user in 0..3 {
        plan = plan.with(BEGINS + milliseconds(500), milliseconds(6000), Fault::Flapping { user });
    }
    whole(plan)
}

/// Two connections of a client resume its session at the same time, again and again, and tasks are late.
pub(super) fn resumptions_that_race(seed: u64, random: &mut StdRng) -> Plan {
    let mut plan = Plan::calm(seed).with_users(8, milliseconds(random.random_range(100..300)));
    (plan.nodes, plan.latency, plan.turns) = (1, (milliseconds(1), milliseconds(2)), late(40));
    plan.users.iter_mut().for_each(|user| (user.node, user.resumes) = (0, true));
    for user in 0..8 {
        plan = plan.with(BEGINS + milliseconds(500), milliseconds(10_000), Fault::ResumptionRace { user });
    }
    whole(plan)
}

/// So many of a hundred turns are late.
fn late(percent: u32) -> Turns {
    Turns { percent, worst: milliseconds(15) }
}

/// The account store is away twice while users come and go, and write to those who are gone.
pub(super) fn store_that_is_away(seed: u64, random: &mut StdRng) -> Plan {
    let mut plan = Plan::calm(seed).with_users(8, milliseconds(200));
    plan.users.iter_mut().step_by(2).for_each(|user| user.leaves = true);
    let mut at = BEGINS;
    for _ in 0..2 {
        at += milliseconds(random.random_range(2000..6000));
        let lasts = milliseconds(random.random_range(1000..6000));
        plan = plan.with(at, lasts, Fault::StoreFails);
        at += lasts;
    }
    whole(plan)
}
