//! Breaks things and makes them whole.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use turmoil::Sim;

use crate::history::{Event, History};
use crate::plan::{Fault, Target};

/// The nodes of a world, as somebody sees them who can break them.
pub(super) struct Hosts {
    names: Vec<String>,
    history: History,
    /// For each node, whether it has a process.
    pub(super) is_up: Vec<Arc<AtomicBool>>,
    cut_off: BTreeSet<usize>,
}

impl Hosts {
    pub(super) fn new(names: Vec<String>, history: History) -> Self {
        Hosts { names, history, is_up: Vec::new(), cut_off: BTreeSet::new() }
    }

    pub(super) fn strike(&mut self, sim: &mut Sim<'_>, fault: Fault) {
        match fault {
            Fault::Crash(target) => {
                if let Some(node) = self.find(target) {
                    self.crash(sim, node);
                }
            }
            Fault::Restart => self.restart(sim),
            Fault::CutOff(target) => {
                if let Some(node) = self.find(target) {
                    self.cut_off(sim, node);
                }
            }
            Fault::Mend => self.mend(sim),
        }
    }

    /// Makes everything whole.
    pub(super) fn heal(&mut self, sim: &mut Sim<'_>) {
        self.mend(sim);
        self.restart(sim);
        self.history.add("world", Event::Healed);
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
        self.is_up[node].load(Ordering::Acquire) && !self.cut_off.contains(&node)
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
        self.is_up[node].store(false, Ordering::Release);
        self.history.add("world", Event::Crashed { node: name.clone() });
        sim.crash(name.as_str());
        // The machine lives on and refuses connections.
        sim.bounce(name.as_str());
    }

    fn restart(&mut self, sim: &mut Sim<'_>) {
        for (name, is_up) in self.names.iter().zip(&self.is_up) {
            if !is_up.swap(true, Ordering::AcqRel) {
                sim.bounce(name.as_str());
            }
        }
    }

    fn cut_off(&mut self, sim: &mut Sim<'_>, node: usize) {
        let name = self.names[node].clone();
        for other in self.names.iter().filter(|other| **other != name) {
            sim.hold(name.as_str(), other.as_str());
        }
        self.cut_off.insert(node);
        self.history.add("world", Event::CutOff { node: name });
    }

    fn mend(&mut self, sim: &mut Sim<'_>) {
        for node in std::mem::take(&mut self.cut_off) {
            for other in (0..self.names.len()).filter(|other| *other != node) {
                sim.release(self.names[node].as_str(), self.names[other].as_str());
            }
        }
    }
}
