//! What lies between two states, as events: a snapshot in the place of entries.
//!
//! The routes are told first, in steps, while the old state is in place and nobody is told that anything was applied: so
//! whoever looks a route up may find one that is newer than the position that is shown, which is no harm, and never an
//! older one. What concerns the members follows in one step with the state itself ([`Installation`]).

use std::sync::Arc;

use super::Frozen;
use crate::cluster::{ClusterState, Event, Member, Removal, Route};
use crate::ids::{LogIndex, MemberId, RouteId};

/// The way from the routes of one state to those of another.
#[derive(Debug)]
pub struct Change {
    old: Frozen,
    new: ClusterState,
    stage: Stage,
}

#[derive(Debug)]
enum Stage {
    /// Of the old ones, from there on, those that are gone.
    Gone(usize),
    /// Of the new ones, behind this one, those that are added or changed.
    Present(Option<(MemberId, RouteId)>),
    Done,
}

/// A state that is to take the place of another.
#[derive(Clone, Debug)]
pub struct Installation {
    pub(in crate::cluster) state: ClusterState,
    /// The position of the state from which it was told what becomes of the routes.
    pub(in crate::cluster) routes_told_since: Option<LogIndex>,
}

impl Change {
    /// From one state to another.
    ///
    /// # Panics
    /// If routes are missing.
    pub fn new(old: Frozen, new: ClusterState) -> Change {
        assert!(old.is_complete(), "the difference from all routes is told");
        Change { old, new, stage: Stage::Gone(0) }
    }

    /// Looks at so many routes more: the events, or nothing if there are no more. They are in the order of the log: what
    /// is gone before what is there.
    pub fn step(&mut self, routes_max: usize) -> Option<Vec<Event>> {
        match self.stage {
            Stage::Gone(from) => {
                let until = from.saturating_add(routes_max).min(self.old.routes.len());
                let is_gone = |route: &&Arc<Route>| self.new.routes.get(route.member, route.id).is_none();
                let gone = self.old.routes[from..until].iter().filter(is_gone);
                let events =
                    gone.map(|route| Event::RouteRemoved { route: route.clone(), reason: removal(route, &self.new) });
                let events = events.collect();
                self.stage = if until < self.old.routes.len() { Stage::Gone(until) } else { Stage::Present(None) };
                Some(events)
            }
            Stage::Present(last) => {
                let mut events = Vec::new();
                let mut seen = None;
                for route in self.new.routes.after(last).take(routes_max) {
                    seen = Some((route.member, route.id));
                    match self.old.route(route.member, route.id) {
                        None => events.push(Event::RouteAdded(route.clone())),
                        Some(known) if known != route => events.push(Event::RouteChanged(route.clone())),
                        Some(_) => {}
                    }
                }
                self.stage = if seen.is_some() { Stage::Present(seen) } else { Stage::Done };
                Some(events)
            }
            Stage::Done => None,
        }
    }

    /// The state to install once all was told.
    pub fn into_installation(self) -> Installation {
        let is_told = matches!(self.stage, Stage::Done);
        Installation { state: self.new, routes_told_since: is_told.then_some(self.old.applied) }
    }
}

impl Installation {
    /// Of a state, of which nothing was told before.
    pub fn untold(state: ClusterState) -> Installation {
        Installation { state, routes_told_since: None }
    }

    /// The same, if whoever was to hear of the routes has not heard of all.
    #[must_use]
    pub fn not_told(self) -> Installation {
        Installation { routes_told_since: None, ..self }
    }

    /// Puts the state in the place of another, which it answers, with what is still to be told.
    pub fn install(self, present: &mut ClusterState) -> (ClusterState, Vec<Event>) {
        let is_told = self.routes_told_since == Some(present.applied);
        let old = std::mem::replace(present, self.state);
        let mut events = Vec::new();
        if !is_told {
            let mut change = Change::new(old.freeze(None, usize::MAX), present.clone());
            events.extend(std::iter::from_fn(|| change.step(usize::MAX)).flatten());
        }
        events.extend(of_members(&old, present));
        (old, events)
    }
}

/// What becomes of the members and their lives.
fn of_members(old: &ClusterState, new: &ClusterState) -> Vec<Event> {
    let mut events = Vec::new();
    for life in old.members().filter(|member| member.is_alive()).map(Member::life) {
        if new.alive(life).is_none() {
            events.push(Event::Ended { life, expelled: None });
        }
    }
    for member in new.members().filter(|member| member.is_alive()) {
        let before = old.alive(member.life());
        if before.is_none() {
            events.push(Event::Joined(member.life()));
        }
        if member.is_active() && !before.is_some_and(Member::is_active) {
            events.push(Event::Activated(member.life()));
        }
    }
    if old.voters() != new.voters() {
        events.push(Event::VotersChanged);
    }
    events
}

fn removal(route: &Route, new: &ClusterState) -> Removal {
    if new.alive(route.life()).is_none() {
        return Removal::MemberEnded;
    }
    match new.holder(&route.jid) {
        Some(holder) => Removal::Replaced { by: holder.id },
        None => Removal::Unbound,
    }
}
