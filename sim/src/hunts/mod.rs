//! How each planted bug is hunted: at which level, where to look, and within how many seeds it has to be found.
//!
//! A hunt draws its plans from seeds like a swarm does, but only faults that can bring its bug to light, so that it does
//! not take an hour. Where several faults have to meet, the plan is made for the bug, and the seed decides the rest.
//! What finds a bug are the same invariants as in any other run.

mod made;

use std::time::Duration;

use cresset_core::planted::Bug;
use rand::RngExt;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;

use crate::plan::{BEGINS, Fault, Level, Plan, Stored, Target, Way};
use crate::seeds::Seed;

/// How a bug is hunted.
#[derive(Clone, Copy, Debug)]
pub struct Hunt {
    /// What is simulated.
    pub level: Level,
    /// Within how many seeds the bug has to be found.
    pub seeds_max: u64,
    means: Means,
}

/// Where the plans of a hunt come from.
#[derive(Clone, Copy, Debug)]
enum Means {
    /// They are drawn.
    Drawn {
        /// What breaks.
        prey: &'static [Kind],
        /// What else is needed.
        with: &'static [Bait],
    },
    /// They are made for the bug.
    Made(fn(seed: u64, random: &mut StdRng) -> Plan),
}

/// A kind of fault that is drawn.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    Crash,
    PowerLoss,
    PowerLossOfAll,
    RestartStorm,
    Pause,
    Isolate,
    OneWay,
    Clog,
    Loss,
    Reset,
    FalseCrash,
    LostVote,
    FlippedBit,
    LoseDisk,
    Rival,
    Storm,
    Flapping,
    ResumptionRace,
}

/// What a plan needs besides faults.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Bait {
    /// Snapshots often enough for some to be taken.
    Snapshots,
    /// Users who resume their sessions.
    Resumption,
    /// Users who come and go.
    Leaving,
    /// Users who say much.
    Talkative,
    /// Five nodes.
    Five,
    /// Faults that overlap.
    Together,
    /// Clocks as different as may be.
    Drift,
}

const KILLS: &[Kind] = &[Kind::Crash, Kind::PowerLoss];
const POWER: &[Kind] = &[Kind::PowerLossOfAll, Kind::PowerLoss];
const SILENCE: &[Kind] = &[Kind::Isolate, Kind::Pause, Kind::OneWay];
const ANYTHING: &[Kind] =
    &[Kind::Crash, Kind::PowerLoss, Kind::Pause, Kind::Isolate, Kind::OneWay, Kind::Reset, Kind::Rival, Kind::Storm];

const fn hunt(seeds_max: u64, prey: &'static [Kind], with: &'static [Bait]) -> Hunt {
    Hunt { level: Level::Nodes, seeds_max, means: Means::Drawn { prey, with } }
}

const fn among_cores(seeds_max: u64, prey: &'static [Kind], with: &'static [Bait]) -> Hunt {
    Hunt { level: Level::Cores, seeds_max, means: Means::Drawn { prey, with } }
}

/// Found by the plans of any swarm of machines alone, which cost next to nothing.
const fn in_swarms_of_cores(seeds_max: u64) -> Hunt {
    Hunt { level: Level::Cores, seeds_max, means: Means::Made(|seed, _| Plan::draw_cores(seed)) }
}

const fn made_for_cores(seeds_max: u64, plan: fn(u64, &mut StdRng) -> Plan) -> Hunt {
    Hunt { level: Level::Cores, seeds_max, means: Means::Made(plan) }
}

const fn made(seeds_max: u64, plan: fn(u64, &mut StdRng) -> Plan) -> Hunt {
    Hunt { level: Level::Nodes, seeds_max, means: Means::Made(plan) }
}

/// Every hunt. A bug that is not here is hunted like [`ANYWHERE`].
#[rustfmt::skip]
const HUNTS: &[(Bug, Hunt)] = &[
    (Bug::VoteNotPersisted, hunt(10, &[Kind::RestartStorm, Kind::PowerLoss, Kind::Isolate], &[Bait::Together])),
    (Bug::AcknowledgedBeforeSync, hunt(10, POWER, &[Bait::Talkative, Bait::Leaving])),
    (Bug::LeaderRestored, hunt(10, &[Kind::PowerLoss, Kind::RestartStorm], &[Bait::Leaving, Bait::Together])),
    (Bug::CommittedWithoutQuorum, hunt(10, SILENCE, &[Bait::Leaving, Bait::Together])),
    (Bug::SnapshotDropsLast, hunt(10, &[Kind::Crash, Kind::LoseDisk], &[Bait::Snapshots, Bait::Leaving])),
    (Bug::TruncationForgotten, made(10, made::leader_with_a_tail_of_its_own)),
    (Bug::TornTailKept, made(30, made::torn_appends)),
    (Bug::ChecksumIgnored, hunt(20, &[Kind::FlippedBit], &[Bait::Snapshots, Bait::Leaving])),
    (Bug::PurgedWithoutSnapshot, hunt(10, &[Kind::Crash, Kind::PowerLoss], &[Bait::Snapshots, Bait::Leaving])),
    (Bug::MissingVoteAccepted, hunt(10, &[Kind::LostVote], &[Bait::Leaving])),
    (Bug::AppliedDifferently, hunt(10, KILLS, &[Bait::Leaving])),

    (Bug::EndedLifeAccepted, made_for_cores(40, made::deaths_at_the_door)),
    (Bug::ExpelKeepsRoutes, hunt(10, KILLS, &[])),
    (Bug::ExpelByJid, hunt(20, &[Kind::Pause, Kind::Isolate, Kind::Crash], &[Bait::Leaving])),
    (Bug::ReplacedSessionStays, hunt(10, &[Kind::Rival], &[])),
    (Bug::LeaseIgnored, hunt(10, &[Kind::Isolate, Kind::OneWay], &[])),
    (Bug::LeaseFromArrival, hunt(20, &[Kind::OneWay, Kind::Clog, Kind::Pause], &[Bait::Drift, Bait::Together])),
    (Bug::LeaseForTheExpelled, in_swarms_of_cores(6000)),
    (Bug::ExpelledTooEarly, in_swarms_of_cores(200)),
    (Bug::StaleVerdict, made_for_cores(1000, made::cut_off_while_users_move)),
    (Bug::FormerLeaderForgotten, among_cores(4000, SILENCE, &[Bait::Together, Bait::Leaving])),
    (Bug::TimesInForceTooEarly, made(10, made::shorter_times_behind_a_cut)),
    (Bug::SeparationIgnored, made(20, made::bridge_that_lasts)),
    (Bug::TakenForDeadServesOn, hunt(20, &[Kind::FalseCrash], &[Bait::Leaving])),
    (Bug::OneWitnessIsEnough, made(20, made::two_who_shun_each_other)),
    (Bug::BindAnsweredEarly, hunt(10, &[Kind::Storm, Kind::Rival, Kind::Loss], &[Bait::Leaving])),
    (Bug::BatchAppliedTwice, made_for_cores(400, made::logins_again_and_again)),
    (Bug::ProposalNotRepeated, in_swarms_of_cores(50)),
    (Bug::LifeOverIgnored, hunt(10, SILENCE, &[])),
    (Bug::ParcelTakenTwice, in_swarms_of_cores(50)),
    (Bug::EarlierLifeForgotten, in_swarms_of_cores(2000)),
    (Bug::NameForgotten, made(40, made::copies_that_come_back)),
    (Bug::UnsettledForgotten, hunt(10, KILLS, &[Bait::Talkative])),
    (Bug::TakenCountsAsSettled, in_swarms_of_cores(50)),
    (Bug::PathForgotten, in_swarms_of_cores(50)),
    (Bug::AbandonedWayForgotten, made(20, made::farewells_past_a_clog)),
    (Bug::OneWaitHoldsAll, made(10, made::clients_that_acknowledge_nothing)),
    (Bug::TurnIgnored, in_swarms_of_cores(2000)),
    (Bug::UnavailableTwice, made(20, made::death_that_is_watched)),
    (Bug::UnavailableNever, hunt(10, &[Kind::Crash], &[Bait::Leaving])),
    (Bug::StaleFarewellBelieved, made(30, made::rivals_who_are_watched)),
    (Bug::DeadVoterStays, hunt(10, &[Kind::LoseDisk], &[])),
    (Bug::RemovalLosesQuorum, made(10, made::removal_of_the_wrong_one)),
    (Bug::MemberCountedTwice, hunt(10, &[Kind::LoseDisk], &[])),
    (Bug::DrainSendsEverybodyAway, made(10, made::drain_while_users_come)),
    (Bug::DrainedMemberLeads, made(10, made::drain_while_users_come)),
    (Bug::DrainEndsWithTheFirst, made(10, made::drain_while_users_come)),

    (Bug::SyncSkipped, hunt(10, POWER, &[Bait::Leaving, Bait::Talkative])),
    (Bug::ViewFollowsLater, hunt(10, &[Kind::Storm, Kind::Rival, Kind::Crash], &[Bait::Leaving])),
    (Bug::QueueDroppedAtReconnect, made(30, made::torn_links)),
    (Bug::AcknowledgedBeforeHandover, made(30, made::crash_behind_a_cut)),
    (Bug::ResumptionSendsNothingAgain, hunt(10, &[Kind::Storm, Kind::Flapping, Kind::ResumptionRace], &[Bait::Resumption, Bait::Talkative])),
    (Bug::ResumptionAnsweredEarly, hunt(20, &[Kind::Isolate, Kind::Clog, Kind::Storm, Kind::Flapping], &[Bait::Resumption, Bait::Talkative, Bait::Together])),
    (Bug::FarewellOfTheExpelled, made(30, made::farewells_that_wait)),
    (Bug::ResumptionCountsWrong, hunt(10, &[Kind::Storm, Kind::Flapping, Kind::ResumptionRace], &[Bait::Resumption])),
    (Bug::GateIgnoresTheClock, hunt(10, &[Kind::Pause], &[Bait::Talkative])),
    (Bug::DecidedByAnOldView, made(60, made::talk_on_a_node_that_is_cut_off)),
    (Bug::OfflineNotStored, hunt(10, &[Kind::Storm, Kind::Crash], &[Bait::Leaving, Bait::Talkative])),
    (Bug::OfflineHandedOutTwice, made(10, made::comings_and_goings)),
    (Bug::SilenceCountsAsCrash, made(20, made::short_silence)),
    (Bug::MailboxUnbounded, made(10, made::client_that_does_not_read)),
    (Bug::LastWordsUnchecked, among_cores(4000, &[Kind::Rival], &[Bait::Talkative])),
    (Bug::AnswersWaitForEver, hunt(10, &[Kind::Pause], &[Bait::Talkative])),
    (Bug::WitnessDoesNotVote, made(5, made::loss_beside_a_witness)),
    (Bug::WitnessLeadsOn, made(20, made::silent_leader_beside_a_witness)),
    (Bug::VersionRaisedEarly, made(5, made::rolling_upgrade)),
    (Bug::VersionNeverRises, made(5, made::rolling_upgrade)),
    (Bug::FoundsUnclaimed, made(20, made::founder_that_is_late)),
    (Bug::FoundingForgottenEarly, made(60, made::founder_that_dies)),
    (Bug::DeliveredBeforeEnabled, made(30, made::clients_that_come_again_and_again)),
    (Bug::SupersededGoesOn, made(30, made::resumptions_that_race)),
    (Bug::StoreLossEndsSessions, made(10, made::store_that_is_away)),
    (Bug::StoredAloneForgotten, made(20, made::switch_among_talkers)),
    (Bug::SwitchDropsSessions, made(5, made::switch_among_talkers)),
    (Bug::SwitchedOnIgnored, made(5, made::switch_among_talkers)),
];

/// Where to look for a bug of which nothing is known.
const ANYWHERE: Hunt = hunt(100, ANYTHING, &[Bait::Resumption, Bait::Leaving, Bait::Talkative]);

impl Hunt {
    /// How this bug is hunted.
    pub fn of(bug: Bug) -> Hunt {
        HUNTS.iter().find(|(known, _)| *known == bug).map_or(ANYWHERE, |(_, hunt)| *hunt)
    }

    /// The plan of a seed.
    pub fn plan(&self, seed: u64) -> Plan {
        let mut random = Seed(seed).generator("hunt", 0);
        match self.means {
            Means::Made(plan) => plan(seed, &mut random),
            Means::Drawn { prey, with } => Drawing { level: self.level, prey, with }.plan(seed, &mut random),
        }
    }
}

/// A plan that is being drawn.
struct Drawing {
    level: Level,
    prey: &'static [Kind],
    with: &'static [Bait],
}

impl Drawing {
    fn plan(&self, seed: u64, random: &mut StdRng) -> Plan {
        let mut plan = self.ground(seed, random);
        let mut at = BEGINS;
        for _ in 0..random.random_range(2..=4) {
            at += Duration::from_millis(random.random_range(500..4000));
            let kind = *self.prey.choose(random).expect("every hunt has a prey");
            let most = if kind == Kind::PowerLossOfAll { 800 } else { 7000 };
            let lasts = Duration::from_millis(random.random_range(200..most));
            for fault in kind.draw(&plan, random) {
                plan = plan.with(at, lasts, fault);
            }
            let overlaps = self.has(Bait::Together) && random.random_bool(0.6);
            at += if overlaps { Duration::ZERO } else { lasts + Duration::from_secs(1) };
        }
        let last = plan.episodes.iter().map(|episode| episode.ends()).max().unwrap_or(at);
        plan.healing_at(last + Duration::from_millis(500))
    }

    fn has(&self, bait: Bait) -> bool {
        self.with.contains(&bait)
    }

    /// Nodes and users, between whom nothing breaks yet.
    fn ground(&self, seed: u64, random: &mut StdRng) -> Plan {
        let nodes = if self.has(Bait::Five) { 5 } else { 3 };
        let slowest = Duration::from_millis(random.random_range(1..=12));
        let pace = if self.has(Bait::Talkative) { 40..200 } else { 200..600 };
        let users = 2 * random.random_range(2..=3);
        let pace = Duration::from_millis(random.random_range(pace));
        let mut plan =
            Plan { nodes, level: self.level, latency: (Duration::from_millis(1), slowest), ..Plan::calm(seed) };
        plan = plan.with_users(users, pace);
        if self.has(Bait::Snapshots) {
            plan.snapshot_entries = random.random_range(10..60);
        }
        if self.has(Bait::Drift) {
            plan.drifts_ppm = (0..nodes).map(|_| crate::parts::Drift(random.random_range(-24_000..=24_000))).collect();
        }
        for user in &mut plan.users {
            user.resumes = self.has(Bait::Resumption);
            user.leaves = self.has(Bait::Leaving) && random.random_bool(0.5);
        }
        plan
    }
}

impl Kind {
    /// One fault of this kind; several if it is only together that they are one.
    fn draw(self, plan: &Plan, random: &mut StdRng) -> Vec<Fault> {
        let node = match random.random_range(0..4) {
            0 | 1 => Target::Leader,
            2 => Target::Follower,
            _ => Target::Node(random.random_range(0..plan.nodes)),
        };
        let pair = [node, Target::Node(random.random_range(0..plan.nodes))];
        let way = if random.random_bool(0.5) { Way::In } else { Way::Out };
        let user = random.random_range(0..plan.users.len());
        let times = random.random_range(1..8);
        let every = Duration::from_millis(random.random_range(150..1500));
        let file = if random.random_bool(0.6) { Stored::Log } else { Stored::Snapshot };
        let one = match self {
            Kind::Crash => Fault::Crash { node },
            Kind::PowerLoss => Fault::PowerLoss { node },
            Kind::PowerLossOfAll => {
                return (0..plan.nodes).map(|node| Fault::PowerLoss { node: Target::Node(node) }).collect();
            }
            Kind::RestartStorm => Fault::RestartStorm { node, every },
            Kind::Pause => Fault::Pause { node },
            Kind::Isolate => Fault::Isolate { node },
            Kind::OneWay => Fault::OneWay { node, way },
            Kind::Clog => Fault::Clog { nodes: pair },
            Kind::Loss => Fault::Loss { percent: random.random_range(5..=30) },
            Kind::Reset => Fault::Reset { node, times },
            Kind::FalseCrash => Fault::FalseCrash { node },
            Kind::LostVote => Fault::LostVote { node },
            Kind::FlippedBit => Fault::FlippedBit { node, file },
            Kind::LoseDisk => Fault::LoseDisk { node },
            Kind::Rival => Fault::Rival { user },
            Kind::Storm => Fault::Storm { node, times },
            Kind::Flapping => Fault::Flapping { user },
            Kind::ResumptionRace => Fault::ResumptionRace { user },
        };
        vec![one]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_hunt_draws_plans_that_can_be_carried_out() {
        for bug in Bug::ALL {
            for seed in 1..=20 {
                let plan = Hunt::of(*bug).plan(seed);
                assert_eq!(plan.flaws(), [""; 0], "{bug:?} {plan}");
                assert_eq!(plan, Hunt::of(*bug).plan(seed));
            }
        }
    }

    #[test]
    fn every_bug_has_a_hunt_of_its_own() {
        let strangers: Vec<_> = Bug::ALL.iter().filter(|bug| !HUNTS.iter().any(|(known, _)| known == *bug)).collect();

        assert!(strangers.is_empty(), "{strangers:?}");
    }
}
