//! The sessions of this node: by id, by route, and by the name under which they may be resumed.

use std::sync::Arc;

use cresset_core::ids::{RouteId, SessionId};
use cresset_core::jid::BareJid;
use cresset_core::node::Service;
use cresset_core::session::ResumptionId;

use super::mailbox::{AccountQueue, SessionHandle, ToSession};
use super::{Router, lock};
use crate::sync::atomic::{Ordering, fence};
use crate::sync::{self, Fault};

/// A session that may be resumed.
#[derive(Debug)]
pub(crate) struct Resumable {
    account: BareJid,
    session: Arc<SessionHandle>,
}

impl Router {
    /// A mailbox for a session that begins, which is told at once how clients are treated. If they are sent away, it is the
    /// [door](Router::door) that says so, in answer to the client's first words.
    pub(crate) fn enter(&self) -> Arc<SessionHandle> {
        let id = SessionId(self.last_session.fetch_add(1, Ordering::Relaxed) + 1);
        let session = Arc::new(SessionHandle::new(id, self.generation()));
        self.sessions.pin().insert(id, session.clone());
        // After it can be found: so a change that happens meanwhile is told at least once. It is an order of two places of
        // memory, which only a fence on both sides keeps: either this sees the change, or whoever makes it sees the session.
        fence(Ordering::SeqCst);
        self.tell_service(&session, self.gate.service());
        if session.generation() != self.generation() && !sync::has(Fault::LifeReadOnce) {
            session.tell(ToSession::Moves { ended: None });
        }
        session
    }

    /// Tells a session how clients are treated, as was read a moment ago. What has changed since, another thread may have
    /// told it before: so it is told what holds, until that is what it was told last.
    pub(super) fn tell_service(&self, session: &SessionHandle, mut read: Service) {
        while read != Service::Close {
            session.tell(ToSession::Service(read));
            let told = std::mem::replace(&mut read, self.gate.service());
            if read == told || sync::has(Fault::GateToldOnce) {
                return;
            }
        }
    }

    /// The session is over and its mailbox closed.
    pub(crate) fn leave(&self, session: &SessionHandle, route: Option<RouteId>) {
        self.moves_no_more(session);
        self.sessions.pin().remove(&session.id);
        if let Some(route) = route {
            self.local_mut().session_over(route);
        }
        let Some(AccountQueue { account, .. }) = session.account().map(AsRef::as_ref) else { return };
        let mut queues = lock(&self.queues);
        if let Some((sessions, _)) = queues.get_mut(account) {
            *sessions -= 1;
            if *sessions == 0 {
                queues.remove(account);
            }
        }
    }

    /// A session of this node is bound: what waits for it counts for its account from here on.
    pub(super) fn counts_for(&self, session: &SessionHandle, account: BareJid) {
        if session.account().is_some() {
            return;
        }
        let mut queues = lock(&self.queues);
        let (sessions, queue) =
            queues.entry(account.clone()).or_insert_with(|| (0, Arc::new(AccountQueue::new(account))));
        if session.belongs_to(queue) {
            *sessions += 1;
        }
    }

    /// How many clients are connected or may come back.
    pub fn session_count(&self) -> usize {
        self.sessions.len()
    }

    pub(crate) fn session(&self, id: SessionId) -> Option<Arc<SessionHandle>> {
        self.sessions.pin().get(&id).cloned()
    }

    /// Counts the lives of this member in this process.
    pub(crate) fn generation(&self) -> u64 {
        self.gate.generation()
    }

    pub(crate) fn may_be_resumed(&self, id: ResumptionId, account: BareJid, session: Arc<SessionHandle>) {
        lock(&self.resumable).insert(id, Resumable { account, session });
    }

    pub(crate) fn may_not_be_resumed(&self, id: &ResumptionId) {
        lock(&self.resumable).remove(id);
    }

    /// The session of that name, if it is this account's. A stranger learns nothing, not even that it exists.
    pub(crate) fn resumable(&self, id: &ResumptionId, account: &BareJid) -> Option<Arc<SessionHandle>> {
        let resumable = lock(&self.resumable);
        resumable.get(id).filter(|found| found.account == *account).map(|found| found.session.clone())
    }
}
