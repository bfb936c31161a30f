//! Breaks things and makes them whole.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::Ordering;

use turmoil::Sim;

use crate::history::{Event, History};
use crate::parts::Ending;
use crate::plan::{Fault, Plan, Target};

use super::node::Ground;
use super::weather::{Trouble, Weather};

/// The nodes of a world, as somebody sees them who can break them.
pub(super) struct Hosts {
    names: Vec<String>,
    history: History,
    weather: Weather,
    /// What each node stands on.
    pub(super) grounds: Vec<Ground>,
    cut_off: BTreeSet<usize>,
    /// How many episodes of the plan have begun.
    begun: usize,
    /// Those that have not ended, with whom they met.
    under_way: BTreeMap<usize, Vec<usize>>,
}

impl Hosts {
    pub(super) fn new(names: Vec<String>, history: History, weather: Weather) -> Self {
        Hosts {
            names,
            history,
            weather,
            grounds: Vec::new(),
            cut_off: BTreeSet::new(),
            begun: 0,
            under_way: BTreeMap::new(),
        }
    }

    /// Begins and ends what is due.
    pub(super) fn follow(&mut self, sim: &mut Sim<'_>, plan: &Plan) {
        let now = sim.elapsed();
        self.grounds.iter().for_each(|ground| ground.disk.settle());
        let due: Vec<usize> =
            self.under_way.keys().copied().filter(|number| plan.episodes[*number].ends() <= now).collect();
        for number in due {
            self.end(sim, plan, number);
        }
        while let Some(episode) = plan.episodes.get(self.begun).filter(|episode| episode.at <= now) {
            let met = self.begin(sim, &episode.fault);
            let nodes = met.iter().map(|node| self.names[*node].clone()).collect();
            self.history.add("world", Event::Began { episode: self.begun, nodes });
            self.under_way.insert(self.begun, met);
            self.begun += 1;
        }
    }

    /// Makes everything whole.
    pub(super) fn heal(&mut self, sim: &mut Sim<'_>, plan: &Plan) {
        for number in self.under_way.keys().copied().collect::<Vec<_>>() {
            self.end(sim, plan, number);
        }
        self.history.add("world", Event::Healed);
    }

    fn begin(&mut self, sim: &mut Sim<'_>, fault: &Fault) -> Vec<usize> {
        match fault {
            Fault::Crash { node } => {
                let met = self.find(*node);
                met.inspect(|node| self.crash(sim, *node)).into_iter().collect()
            }
            Fault::Isolate { node } => {
                let met = self.find(*node);
                met.inspect(|node| self.isolate(sim, *node)).into_iter().collect()
            }
            fault => {
                if let Some((user, trouble)) = trouble(fault) {
                    self.weather.begin(user, trouble);
                }
                Vec::new()
            }
        }
    }

    fn end(&mut self, sim: &mut Sim<'_>, plan: &Plan, number: usize) {
        let met = self.under_way.remove(&number).unwrap_or_default();
        if let Some((user, trouble)) = trouble(&plan.episodes[number].fault) {
            self.weather.end(user, trouble);
        }
        for node in met {
            match &plan.episodes[number].fault {
                Fault::Crash { .. } => self.restart(sim, node),
                Fault::Isolate { .. } => self.mend(sim, node),
                _ => {}
            }
        }
        self.history.add("world", Event::Ended { episode: number });
    }

    fn find(&self, target: Target) -> Option<usize> {
        let node = match target {
            Target::Node(number) => Some(number),
            Target::Leader => self.leader(),
            Target::Follower => {
                let leader = self.leader()?;
                (0..self.names.len()).find(|node| *node != leader && self.is_whole(*node))
            }
        };
        node.filter(|node| self.is_whole(*node))
    }

    fn is_whole(&self, node: usize) -> bool {
        self.grounds[node].is_up.load(Ordering::Acquire) && !self.cut_off.contains(&node)
    }

    /// Whom a node that is whole takes for the leader.
    fn leader(&self) -> Option<usize> {
        let whole = (0..self.names.len()).filter(|node| self.is_whole(*node));
        let views = whole.filter_map(|node| self.history.view_of(&self.names[node]));
        let newest = views.max_by_key(|view| view.term)?;
        self.names.iter().position(|name| Some(name) == newest.leader.as_ref())
    }

    fn crash(&mut self, sim: &mut Sim<'_>, node: usize) {
        let name = self.names[node].clone();
        self.grounds[node].is_up.store(false, Ordering::Release);
        self.history.add("world", Event::Crashed { node: name.clone() });
        sim.crash(name.as_str());
        self.grounds[node].disk.end_process(Ending::Kill);
        // The machine lives on and refuses connections.
        sim.bounce(name.as_str());
    }

    fn restart(&mut self, sim: &mut Sim<'_>, node: usize) {
        if !self.grounds[node].is_up.swap(true, Ordering::AcqRel) {
            sim.bounce(self.names[node].as_str());
        }
    }

    fn isolate(&mut self, sim: &mut Sim<'_>, node: usize) {
        for other in (0..self.names.len()).filter(|other| *other != node) {
            sim.hold(self.names[node].as_str(), self.names[other].as_str());
        }
        self.cut_off.insert(node);
    }

    fn mend(&mut self, sim: &mut Sim<'_>, node: usize) {
        self.cut_off.remove(&node);
        for other in (0..self.names.len()).filter(|other| *other != node) {
            sim.release(self.names[node].as_str(), self.names[other].as_str());
        }
    }
}

/// The trouble that a fault brings to a user, if it is one of his.
#[allow(clippy::wildcard_enum_match_arm, reason = "all others are not his")]
fn trouble(fault: &Fault) -> Option<(usize, Trouble)> {
    match fault {
        Fault::Rival { user } => Some((*user, Trouble::Rival)),
        Fault::Flapping { user } => Some((*user, Trouble::Flapping)),
        Fault::ResumptionRace { user } => Some((*user, Trouble::ResumptionRace)),
        Fault::SlowReader { user } => Some((*user, Trouble::SlowReader)),
        _ => None,
    }
}
