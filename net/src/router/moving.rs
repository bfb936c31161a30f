//! The sessions of a node go on while the node leaves a cluster or joins one.
//!
//! ```text
//! hold: they settle what they have ─▶ this life of the node ends ─▶ move_on: nothing is known of who is where
//!       ─▶ the events of the next life ─▶ it serves: they ask for their JIDs again
//! ```
//!
//! The invariant: nobody is written to by a route of a life that is over, because the gate is that of the next one.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use cresset_core::ids::{LogIndex, RouteId, SessionId};
use cresset_core::node::Service;
use cresset_core::session::RoutesGone;
use cresset_core::sometimes;
use tokio::sync::mpsc;

use super::mailbox::ToSession;
use super::{Router, lock};

impl Router {
    /// This life of the node is about to end, and its sessions are to go on. When all have settled what they can, the
    /// other end of the guard hears that there is no sender any more.
    pub fn hold(&self, guard: mpsc::Sender<()>) {
        self.is_leaving.store(true, Ordering::Release);
        for session in self.sessions_in_order() {
            session.tell(ToSession::Hold(guard.clone()));
        }
    }

    pub(super) fn is_leaving(&self) -> bool {
        self.is_leaving.load(Ordering::Acquire)
    }

    /// This life of the node is over, and its sessions go on in the next one, whose log begins after `begin`. They are told
    /// that those who are elsewhere are gone.
    pub fn move_on(&self, begin: LogIndex) {
        sometimes!("the_sessions_of_a_node_move_on");
        self.next_generation();
        self.connect(None);
        self.set_service(Service::Pause, None);
        let elsewhere = self.view.all().into_iter().filter(|route| route.member != self.member);
        let gone = Arc::new(RoutesGone { jids: elsewhere.map(|route| route.jid.clone()).collect() });
        lock(&self.gone).clear();
        lock(&self.ended).clear();
        lock(&self.early).clear();
        self.view.begin_again(begin);
        let routes: BTreeMap<SessionId, RouteId> =
            self.by_route.pin().iter().map(|(route, session)| (session.id, *route)).collect();
        self.by_route.pin().clear();
        for session in self.sessions_in_order() {
            if !gone.jids.is_empty() {
                session.tell(ToSession::RoutesGone(gone.clone()));
            }
            session.tell(ToSession::Moves { ended: routes.get(&session.id).copied() });
        }
        self.is_leaving.store(false, Ordering::Release);
        self.moved.notify_waiters();
    }

    pub(super) fn next_generation(&self) {
        self.generation.send_modify(|generation| *generation += 1);
        self.gate.set_generation(self.generation());
    }
}
