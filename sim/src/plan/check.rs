//! Whether a plan that somebody wrote can be carried out, and if not, why, in sentences.

use std::time::Duration;

use super::{Fault, Level, Lists, Plan, Target};

/// More nodes than anybody runs.
const NODES_MAX: usize = 9;

/// More users than tell anything new.
const USERS_MAX: usize = 200;

/// More episodes than anybody can read.
const EPISODES_MAX: usize = 1000;

/// A run takes seconds for each simulated minute.
const ENDS_AT_MAX: Duration = Duration::from_secs(3600);

/// Nobody's patience is longer.
const LATENCY_MAX: Duration = Duration::from_secs(10);

impl Plan {
    /// Why this plan cannot be carried out; empty if it can.
    pub fn flaws(&self) -> Vec<String> {
        let mut flaws = Vec::new();
        let mut unless = |holds: bool, flaw: String| {
            if !holds {
                flaws.push(flaw);
            }
        };
        unless((1..=NODES_MAX).contains(&self.nodes), format!("{} nodes: from 1 to {NODES_MAX} can be", self.nodes));
        unless(
            self.witnesses == 0 || (self.level == Level::Nodes && self.witnesses < self.nodes),
            format!("{} witnesses: one node at least has clients, and at the level of cores all have", self.witnesses),
        );
        unless(self.users.len() <= USERS_MAX, format!("{} users: {USERS_MAX} at most can be", self.users.len()));
        unless(
            self.level == Level::Nodes || self.lists == Lists::All,
            "lists tell of nodes; at the level of cores everybody knows everybody".to_owned(),
        );
        let count = self.episodes.len();
        unless(count <= EPISODES_MAX, format!("{count} episodes: {EPISODES_MAX} at most can be"));
        let (least, most) = self.latency;
        unless(
            least <= most && most <= LATENCY_MAX,
            format!("packets take from {least:?} to {most:?}: the first must not be more, the second at most 10 s"),
        );
        unless(
            self.heals_at <= self.silent_from && self.silent_from <= self.ends_at,
            "heals_at_ms, silent_from_ms and ends_at_ms must be in this order".to_owned(),
        );
        unless(self.ends_at <= ENDS_AT_MAX, "ends_at_ms is more than an hour".to_owned());
        unless(
            self.turns.percent <= 100 && self.turns.worst <= LATENCY_MAX,
            "turns: percent must be 100 at most, and worst_ms 10000".to_owned(),
        );
        unless(
            self.level == Level::Nodes || self.turns.are_prompt(),
            "turns are late at the level of nodes; at the level of cores the seed decides how late they are".to_owned(),
        );
        unless(self.snapshot_entries > 0, "snapshot_entries must be one at least".to_owned());
        for (number, user) in self.users.iter().enumerate() {
            let name = format!("u{}", number + 1);
            let servers = self.nodes.saturating_sub(self.witnesses);
            unless(user.node < servers, format!("{name} begins at n{}, which has no clients", user.node + 1));
            unless(user.pace >= Duration::from_millis(1), format!("{name} has a pace of no time"));
        }
        for episode in &self.episodes {
            let name = episode.fault.name();
            for target in episode.fault.targets() {
                unless(self.has(target), format!("{name} is to meet {target}, which does not exist"));
            }
            if let Some(user) = episode.fault.user() {
                unless(user < self.users.len(), format!("{name} is to meet u{}, who does not exist", user + 1));
            }
            unless(
                self.level == Level::Nodes || !episode.fault.is_order(),
                format!("{name} is an operator's order, which only nodes take; at the level of cores there are none"),
            );
            unless(episode.at < self.heals_at, format!("{name} begins when everything is made whole, or later"));
        }
        unless(
            self.episodes.windows(2).all(|two| two[0].at <= two[1].at),
            "episodes must stand in the order in which they begin".to_owned(),
        );
        flaws
    }

    fn has(&self, target: Target) -> bool {
        match target {
            Target::Node(number) => number < self.nodes,
            Target::Leader | Target::Follower => true,
        }
    }
}

/// What a fault is about.
enum About<'a> {
    Nodes(&'a [Target]),
    User(usize),
    Everything,
}

impl Fault {
    /// Its name, as in files.
    pub fn name(&self) -> String {
        let table = toml::Value::try_from(self).ok();
        let name = table.as_ref().and_then(|table| table.get("fault")).and_then(toml::Value::as_str);
        name.expect("a fault is written as a table with its name").to_owned()
    }

    /// The nodes that it meets, where it meets some in particular.
    pub fn targets(&self) -> Vec<Target> {
        match self.about() {
            About::Nodes(nodes) => nodes.to_vec(),
            About::User(_) | About::Everything => Vec::new(),
        }
    }

    /// The user that it meets, by number from 0, where it meets one.
    pub fn user(&self) -> Option<usize> {
        match self.about() {
            About::User(user) => Some(user),
            About::Nodes(_) | About::Everything => None,
        }
    }

    /// Whether an operator wants it.
    pub fn is_order(&self) -> bool {
        matches!(
            self,
            Fault::Drain { .. }
                | Fault::TransferLeader { .. }
                | Fault::Remove { .. }
                | Fault::RemoveBlindly { .. }
                | Fault::ChangeTimes { .. }
        )
    }

    fn about(&self) -> About<'_> {
        use std::slice::from_ref;
        match self {
            Fault::Crash { node }
            | Fault::PowerLoss { node }
            | Fault::Pause { node }
            | Fault::RestartStorm { node, .. }
            | Fault::Stop { node }
            | Fault::Upgrade { node }
            | Fault::OldProgram { node }
            | Fault::LoseDisk { node }
            | Fault::OldBackup { node, .. }
            | Fault::Isolate { node }
            | Fault::OneWay { node, .. }
            | Fault::Bridge { node }
            | Fault::Reset { node, .. }
            | Fault::FalseCrash { node }
            | Fault::DiskFull { node }
            | Fault::SyncFails { node }
            | Fault::SlowDisk { node, .. }
            | Fault::FlippedBit { node, .. }
            | Fault::LostVote { node }
            | Fault::ShortReads { node }
            | Fault::WallClockStep { node, .. }
            | Fault::WallClockFreeze { node }
            | Fault::Storm { node, .. }
            | Fault::Drain { node }
            | Fault::TransferLeader { to: node }
            | Fault::Remove { node }
            | Fault::RemoveBlindly { node } => About::Nodes(from_ref(node)),
            Fault::Split { nodes } | Fault::Swizzle { nodes } => About::Nodes(nodes),
            Fault::Clog { nodes } | Fault::HalfOpen { nodes } | Fault::Shunned { nodes } => About::Nodes(nodes),
            Fault::Rival { user }
            | Fault::Flapping { user }
            | Fault::ResumptionRace { user }
            | Fault::SlowReader { user }
            | Fault::NeverAcknowledges { user } => About::User(*user),
            Fault::Ring
            | Fault::Loss { .. }
            | Fault::Slow { .. }
            | Fault::StoreStalls
            | Fault::StoreFails
            | Fault::SwitchedOff
            | Fault::ChangeTimes { .. } => About::Everything,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::BEGINS;
    use super::*;

    #[test]
    fn a_plan_of_which_nothing_is_wrong_has_no_flaws() {
        for seed in 1..50 {
            assert_eq!(Plan::draw(seed).flaws(), [""; 0], "{seed}");
        }
    }

    #[test]
    fn each_flaw_is_a_sentence() {
        let second = Duration::from_secs(1);
        let calm = || Plan::calm(1).healing_at(BEGINS + second);

        for (flawed, what) in [
            (Plan { nodes: 0, ..calm() }, "from 1 to 9"),
            (Plan { latency: (second, Duration::ZERO), ..calm() }, "packets take"),
            (Plan { ends_at: Duration::ZERO, ..calm() }, "in this order"),
            (Plan { ends_at: ENDS_AT_MAX * 2, ..calm() }, "more than an hour"),
            (calm().with(BEGINS, second, Fault::Crash { node: Target::Node(7) }), "crash is to meet n8"),
            (calm().with(BEGINS, second, Fault::Rival { user: 9 }), "rival is to meet u10"),
            (calm().with(BEGINS + second, second, Fault::Ring), "ring begins when"),
            (
                Plan { level: Level::Cores, ..calm() }.with(BEGINS, second, Fault::Drain { node: Target::Leader }),
                "drain is an operator's order",
            ),
        ] {
            let flaws = flawed.flaws().join("; ");
            assert!(flaws.contains(what), "{flaws}");
        }
    }
}
