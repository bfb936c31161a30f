//! The sessions of a node go on while operators switch clustering off or on: the node's router without tasks.

use std::collections::BTreeMap;
use std::time::Duration;

use cresset_core::cluster::Event;
use cresset_core::config::properties::Agreed;
use cresset_core::ids::{LogIndex, RouteId, SessionId};
use cresset_core::node::{Clustering, Mode, Service};
use cresset_core::planted;
use cresset_core::session::Lost;
use rand::RngExt;

use super::session::{Session, ToSession};
use super::{Part, World};

/// How soon the nodes see what operators have said.
const SEEN_WITHIN: Duration = Duration::from_millis(2500);

impl World {
    // ---- operators --------------------------------------------------------------------------------------------------

    /// Clustering is off for as long as any episode wants it off.
    pub(super) fn switch(&mut self, is_off: bool) {
        let was_off = self.switched_off > 0;
        self.switched_off = if is_off { self.switched_off + 1 } else { self.switched_off.saturating_sub(1) };
        if was_off == (self.switched_off > 0) {
            return;
        }
        for host in 0..self.hosts.len() {
            let Some(process) = &mut self.hosts[host].process else { continue };
            let seen = process.random.random_range(Duration::ZERO..=SEEN_WITHIN);
            self.wake(host, self.now.after(seen), Part::Switch);
        }
    }

    /// What operators have set, as a process that starts reads it.
    pub(super) fn agreed(&self) -> Agreed {
        Agreed { is_clustered: self.switched_off == 0, ..Agreed::default() }
    }

    /// A process sees what operators have said.
    pub(super) fn see_mode(&mut self, host: usize) {
        let mode = Mode::of(&self.agreed());
        let is_between_lives = self.hosts[host].process.as_ref().is_some_and(|process| process.is_between_lives);
        if is_between_lives {
            let later = self.now.after(Duration::from_millis(20));
            return self.wake(host, later, Part::Switch);
        }
        self.with(host, |clustering, now| clustering.handle_mode(now, mode));
        self.after_control(host);
    }

    // ---- told by the control task -----------------------------------------------------------------------------------

    /// This life of the node is about to end, and its sessions are to go on.
    pub(super) fn hold(&mut self, host: usize) {
        let Some(process) = &mut self.hosts[host].process else { return };
        process.router.local.leave();
        process.router.moving = process.router.sessions.keys().copied().collect();
        self.tell_all(host, || ToSession::Hold);
        self.wake(host, self.now, Part::Held);
    }

    /// A session has settled what it can, or is over.
    pub(super) fn holds_still(&mut self, host: usize, id: SessionId) {
        let Some(process) = &mut self.hosts[host].process else { return };
        if process.router.moving.remove(&id) {
            self.wake(host, self.now, Part::Held);
        }
    }

    /// All sessions have settled what they can.
    pub(super) fn held(&mut self, host: usize) {
        let Some(process) = &self.hosts[host].process else { return };
        if process.clustering.awaits_held() && process.router.moving.is_empty() {
            self.with(host, Clustering::handle_held);
            self.after_control(host);
        }
    }

    /// This life of the node is over, and its sessions go on in the next one, whose log begins after `begin`.
    pub(super) fn move_on(&mut self, host: usize, begin: LogIndex) {
        let Some(process) = &mut self.hosts[host].process else { return };
        let router = &mut process.router;
        router.generation += 1;
        router.is_connected = false;
        self.set_service(host, Service::Pause, None);
        let Some(process) = &mut self.hosts[host].process else { return };
        let router = &mut process.router;
        router.ended.clear();
        let held = router.local.move_on(begin);
        router.view.begin_again(begin);
        if !begin.is_in_the_log_of(LogIndex(0)) {
            router.stored_alone.begin();
        }
        let routes: BTreeMap<SessionId, RouteId> = held.into_iter().map(|(route, session)| (session, route)).collect();
        let sessions: Vec<SessionId> = router.sessions.keys().copied().collect();
        for session in sessions {
            self.begins_to_move(host, session, routes.contains_key(&session));
            self.tell(host, session, ToSession::Lost(Lost::AllElsewhere));
            self.tell(host, session, ToSession::Moves { ended: routes.get(&session).copied() });
            if planted!(SwitchDropsSessions) {
                self.tell(host, session, ToSession::Close { other_host: None });
            }
            self.decides_soon(host, super::errands::Decider::Sender(session));
        }
        self.view_moved(host);
        self.sessions_see(host);
    }

    /// What is said to a session that held a route waits until it holds one again.
    fn begins_to_move(&mut self, host: usize, id: SessionId, held_route: bool) {
        let Some(process) = &mut self.hosts[host].process else { return };
        let account = process.router.sessions.get(&id).and_then(Session::account_that_goes_on).cloned();
        if let Some(account) = account.filter(|_| held_route) {
            process.router.view.moving.insert(id, account);
        }
    }

    /// The session holds its JID if it is to hold one, or is over.
    pub(super) fn has_moved(&mut self, host: usize, id: SessionId) {
        let Some(process) = &mut self.hosts[host].process else { return };
        if process.router.view.moving.remove(&id).is_some() {
            self.view_moved(host);
        }
    }

    /// All routes of the cluster's state as it is now are shown.
    pub(super) fn show_all_routes(&mut self, host: usize) {
        let Some(process) = &self.hosts[host].process else { return };
        let routes: Vec<_> = process.node().state().routes().cloned().collect();
        routes.into_iter().for_each(|route| self.router_event(host, &Event::RouteAdded(route)));
    }

    /// This node is not by itself any more, and its view shows who is where.
    pub(super) fn tell_of_what_was_stored_alone(&mut self, host: usize, look_again_after: Duration) {
        let Some(process) = &mut self.hosts[host].process else { return };
        let router = &mut process.router;
        let stored = router.stored_alone.end(|| router.view.accounts().cloned().collect());
        if !planted!(StoredAloneForgotten) {
            stored.iter().for_each(|account| self.nudge_account(host, account));
        }
        let Some(process) = &mut self.hosts[host].process else { return };
        process.router.looks_again = true;
        let generation = process.router.generation;
        self.wake(host, self.now.after(look_again_after), Part::LookAgain { generation });
    }

    /// All sessions look into the store once more.
    pub(super) fn look_again(&mut self, host: usize, generation: u64) {
        let Some(process) = &mut self.hosts[host].process else { return };
        process.router.looks_again = false;
        if process.router.generation == generation {
            self.tell_all(host, || ToSession::Nudge);
        }
    }
}
