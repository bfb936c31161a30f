//! The sessions of a node go on while the node leaves a cluster or joins one.
//!
//! ```text
//! hold: they settle what they have ─▶ this life of the node ends ─▶ move_on: nothing is known of who is where
//!       ─▶ the events of the next life ─▶ tell_of_what_was_stored_alone ─▶ it serves: they ask for their JIDs again
//! ```
//!
//! The invariants: nobody is written to by a route of a life that is over, because the gate is that of the next one. What
//! a node that is by itself has stored is told to whoever is there when it is not any more: those of other nodes may have
//! claimed what they saw before it was stored. And who was not able to tell is not needed for it: all sessions look again.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use cresset_core::ids::{LogIndex, RouteId, SessionId};
use cresset_core::jid::BareJid;
use cresset_core::node::Service;
use cresset_core::session::{Lost, StreamErrorCondition};
use cresset_core::{planted, sometimes};
use futures_util::FutureExt;
use tokio::sync::mpsc;
use tokio::time::sleep;

use super::mailbox::{SessionHandle, ToSession};
use super::{Router, lock};

/// How many sessions look at once into the store, and how long until the next ones do.
const LOOKS_AT_ONCE: usize = 64;
const LOOK_PAUSE: Duration = Duration::from_millis(10);

impl Router {
    /// This life of the node is about to end, and its sessions are to go on. When all have settled what they can, the
    /// other end of the guard hears that there is no sender any more.
    pub fn hold(&self, guard: mpsc::Sender<()>) {
        self.local_mut().leave();
        for session in self.sessions_in_order() {
            session.tell(ToSession::Hold(guard.clone()));
        }
    }

    /// This life of the node is over, and its sessions go on in the next one, whose log begins after `begin`. They are told
    /// that those who are elsewhere are gone.
    pub fn move_on(&self, begin: LogIndex) {
        sometimes!("the_sessions_of_a_node_move_on");
        self.next_generation();
        self.connect(None);
        self.set_service(Service::Pause, None);
        lock(&self.ended).clear();
        let held = self.local_mut().move_on(begin);
        self.view.begin_again(begin);
        if !begin.is_in_the_log_of(LogIndex(0)) {
            lock(&self.stored_alone).begin();
        }
        let routes: BTreeMap<SessionId, RouteId> =
            held.into_iter().map(|(route, session)| (session.id, route)).collect();
        for session in self.sessions_in_order() {
            self.begins_to_move(&session, routes.contains_key(&session.id));
            session.tell(ToSession::Lost(Lost::AllElsewhere));
            session.tell(ToSession::Moves { ended: routes.get(&session.id).copied() });
            if planted!(SwitchDropsSessions) {
                let condition = StreamErrorCondition::SystemShutdown;
                session.tell(ToSession::Close { condition, other_host: None });
            }
        }
        self.moved.notify_waiters();
    }

    /// What is said to a session that held a route waits until it holds one again.
    fn begins_to_move(&self, session: &SessionHandle, held_route: bool) {
        if let Some(queue) = session.account().filter(|_| held_route)
            && session.moves()
        {
            self.view.begins_to_move(&queue.account);
        }
    }

    /// The session goes on, and holds its JID if it is to hold one.
    pub(crate) fn has_moved(&self, session: &SessionHandle) {
        if session.has_moved() {
            self.nobody_waits_for_the_move_of(session);
        }
    }

    /// The session is over.
    pub(crate) fn moves_no_more(&self, session: &SessionHandle) {
        if session.moves_no_more() {
            self.nobody_waits_for_the_move_of(session);
        }
    }

    fn nobody_waits_for_the_move_of(&self, session: &SessionHandle) {
        if let Some(queue) = session.account() {
            self.view.has_moved(&queue.account);
            self.moved.notify_waiters();
        }
    }

    /// This node is not by itself any more, and its view shows who is where. Whoever is there of those for whom something
    /// was stored meanwhile hears of it before anything else that is said here, if it can be said at once.
    pub fn tell_of_what_was_stored_alone(self: &Arc<Self>) {
        let there = || self.view.all().iter().map(|route| route.jid.to_bare()).collect();
        let accounts = lock(&self.stored_alone).end(there);
        if planted!(StoredAloneForgotten) {
            return;
        }
        sometimes!(!accounts.is_empty(), "others_are_told_of_what_was_stored_alone");
        let waiting: Vec<BareJid> =
            accounts.into_iter().filter(|account| self.nudge_account(account).now_or_never().is_none()).collect();
        if !waiting.is_empty() {
            let router = self.clone();
            crate::runtime::spawn(async move {
                for account in waiting {
                    router.nudge_account(&account).await;
                }
            });
        }
    }

    /// Lets every session of this node look into the store once more, after that time: a node that was by itself for longer
    /// than this one may have stored something, and have stopped before it could tell anybody.
    pub fn look_again_later(self: &Arc<Self>, after: Duration) {
        let (router, generation) = (self.clone(), self.generation());
        crate::runtime::spawn(async move {
            sleep(after).await;
            for sessions in router.sessions_in_order().chunks(LOOKS_AT_ONCE) {
                if router.generation() != generation {
                    return;
                }
                for session in sessions {
                    session.tell(ToSession::Nudge);
                }
                sleep(LOOK_PAUSE).await;
            }
        });
    }

    pub(super) fn next_generation(&self) {
        let next = self.generation() + 1;
        // First where it is read: whoever is woken is to find it.
        self.gate.set_generation(next);
        self.lives.send_replace(next);
    }
}
