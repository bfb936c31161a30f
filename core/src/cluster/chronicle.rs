//! Who came, went, led and became senior, for people: the last of it, as one node saw it.
//!
//! It begins with the life of this process. What the log says of the time before was applied again at the start, and
//! nobody knows when it happened. Times are the wall clock's at the moment in which this node applied the entry, so two
//! nodes may differ by a little. No decision depends on any of it.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;

use crate::cluster::{ClusterState, Event, ExpelReason, Life};
use crate::ids::{Incarnation, MemberId};
use crate::time::UnixMillis;

/// What is remembered: days of a cluster whose members come and go. The oldest is forgotten.
const HAPPENINGS_MAX: usize = 500;

/// Something that happened to a member.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Happening {
    /// When, by the clock of the node that remembers it.
    pub at: UnixMillis,
    /// The name of the member.
    pub member: String,
    /// What.
    pub what: What,
}

/// What happens to members.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum What {
    /// It has joined and catches up.
    Joined,
    /// It takes part.
    Active,
    /// It left by itself.
    Left,
    /// The others ended its life.
    Expelled(ExpelReason),
    /// It is the oldest member that takes part.
    Senior,
    /// It leads.
    Leads,
}

/// What happened to the members.
#[derive(Debug, Default)]
pub struct Chronicle {
    began: Option<Incarnation>,
    names: BTreeMap<MemberId, String>,
    leader: Option<MemberId>,
    happenings: VecDeque<Happening>,
}

impl Chronicle {
    /// The agreed state, which is `state` after it, has changed; `mine` is the life of this process, if it has one.
    pub fn happened(&mut self, at: UnixMillis, event: &Event, state: &ClusterState, mine: Option<Life>) {
        match event {
            Event::Joined(life) => {
                if let Some(member) = state.member(life.member) {
                    self.names.insert(life.member, member.name.clone());
                }
                if self.began.is_none() && mine == Some(*life) {
                    self.began = Some(life.incarnation);
                }
                self.of_life(at, *life, What::Joined);
            }
            Event::Activated(life) => self.of_life(at, *life, What::Active),
            Event::Ended { life, expelled } => {
                self.note(at, life.member, expelled.map_or(What::Left, What::Expelled));
            }
            Event::SeniorChanged(Some(senior)) => self.note(at, *senior, What::Senior),
            Event::SeniorChanged(None)
            | Event::VotersChanged
            | Event::RouteAdded(_)
            | Event::RouteChanged(_)
            | Event::RouteRemoved { .. } => {}
        }
        if matches!(event, Event::Ended { .. }) {
            self.names.retain(|id, _| state.member(*id).is_some());
        }
    }

    /// This member leads, as far as this node knows.
    pub fn led_by(&mut self, at: UnixMillis, leader: Option<MemberId>) {
        if let Some(leader) = leader.filter(|leader| self.began.is_some() && self.leader != Some(*leader)) {
            self.leader = Some(leader);
            self.note(at, leader, What::Leads);
        }
    }

    /// What is remembered, the oldest first.
    pub fn happenings(&self) -> impl Iterator<Item = &Happening> {
        self.happenings.iter()
    }

    /// What a snapshot tells of lives that are older than this process's own has no time.
    fn of_life(&mut self, at: UnixMillis, life: Life, what: What) {
        if self.began.is_some_and(|began| life.incarnation >= began) {
            self.note(at, life.member, what);
        }
    }

    fn note(&mut self, at: UnixMillis, member: MemberId, what: What) {
        if self.began.is_none() {
            return;
        }
        if self.happenings.len() == HAPPENINGS_MAX {
            self.happenings.pop_front();
        }
        let member = self.names.get(&member).cloned().unwrap_or_else(|| format!("member {member}"));
        self.happenings.push_back(Happening { at, member, what });
    }
}

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            What::Joined => "joined",
            What::Active => "takes part",
            What::Left => "left",
            What::Expelled(ExpelReason::Silent) => "was expelled: it was not heard",
            What::Expelled(ExpelReason::Crashed) => "was expelled: it crashed",
            What::Expelled(ExpelReason::Stuck) => "was expelled: it did not apply what was agreed",
            What::Expelled(ExpelReason::Replaced) => "was replaced by its next life",
            What::Expelled(ExpelReason::Separated) => "was expelled: another member and it did not hear each other",
            What::Senior => "became senior",
            What::Leads => "leads",
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::cluster::{Command, Join, Role, VersionRange};
    use crate::ids::{BootId, LogIndex};

    #[test]
    fn what_happens_after_this_process_joined_is_told_in_order() {
        let life = |member, index| Life { member: MemberId(member), incarnation: Incarnation(index) };
        let (a, b) = (life(1, 1), life(2, 3));
        let mut world = World { mine: Some(b), ..World::default() };

        world.apply(join(1, "a"));
        world.apply(Command::Activate(a));
        world.apply(join(2, "b"));
        world.chronicle.led_by(UnixMillis(9), Some(MemberId(1)));
        world.apply(Command::Activate(b));
        world.apply(Command::Expel { life: a, reason: ExpelReason::Crashed });
        world.chronicle.led_by(UnixMillis(9), Some(MemberId(2)));
        world.chronicle.led_by(UnixMillis(9), Some(MemberId(2)));

        assert_eq!(
            world.told(),
            ["b joined", "a leads", "b takes part", "a was expelled: it crashed", "b became senior", "b leads"]
        );
    }

    #[test]
    fn the_oldest_is_forgotten() {
        let mine = Life { member: MemberId(1), incarnation: Incarnation(1) };
        let mut world = World { mine: Some(mine), ..World::default() };
        world.apply(join(1, "a"));

        for _ in 0..HAPPENINGS_MAX {
            world.apply(join(2, "b"));
        }

        assert_eq!(world.chronicle.happenings().count(), HAPPENINGS_MAX);
        assert!(world.told().iter().all(|told| !told.starts_with("a ")));
    }

    #[derive(Default)]
    struct World {
        state: ClusterState,
        chronicle: Chronicle,
        mine: Option<Life>,
        boots: u64,
    }

    impl World {
        fn apply(&mut self, mut command: Command) {
            if let Command::Join(join) = &mut command {
                self.boots += 1;
                join.boot = BootId(self.boots);
            }
            let index = LogIndex(self.state.applied().0 + 1);
            for event in self.state.apply(index, &command).events {
                self.chronicle.happened(UnixMillis(index.0), &event, &self.state, self.mine);
            }
        }

        fn told(&self) -> Vec<String> {
            self.chronicle.happenings().map(|it| format!("{} {}", it.member, it.what)).collect()
        }
    }

    fn join(member: u64, name: &str) -> Command {
        Command::Join(Join {
            member: MemberId(member),
            boot: BootId(0),
            name: name.to_owned(),
            peer_address: "127.0.0.1:5701".parse().unwrap(),
            client_addresses: Vec::new(),
            role: Role::Server,
            versions: VersionRange { min: 1, max: 1 },
        })
    }
}
