//! What a session has said that must leave it in order: stanzas, and requests to the control plane.
//!
//! Mostly nothing has to be waited for and nothing is kept here. When something has to (a full lane, the store, what is
//! under way on an ended route), everything behind it waits, and the client is not read from meanwhile.
//!
//! What has waited until the life of the node was over is said in the next one, but for presence: everybody has been told
//! by then that the sessions of that life are gone, and who held them may be elsewhere.

use std::collections::VecDeque;
use std::sync::Arc;
use std::task::{Context, Poll};

use cresset_core::node::Request;
use cresset_core::routing::{Paths, may_go_elsewhere};
use cresset_core::{planted, sometimes};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::sync::mpsc::error::TrySendError;

use crate::router::{Outgoing, Routed, Router, SessionHandle, Ticket};

/// One thing that a session has said.
#[derive(Debug)]
pub(super) enum Saying {
    Stanza(Outgoing),
    Request(Request),
}

pub(super) struct Work {
    /// The life of the node in which the session began.
    generation: u64,
    paths: Paths,
    waiting: VecDeque<Saying>,
    busy: Option<BoxFuture<'static, Option<Box<Outgoing>>>>,
}

impl Work {
    /// Of a session that has said nothing yet.
    pub(super) fn of(session: &SessionHandle) -> Work {
        Work { generation: session.generation, paths: Paths::default(), waiting: VecDeque::new(), busy: None }
    }

    /// Whether nothing waits.
    pub(super) fn is_idle(&self) -> bool {
        self.busy.is_none()
    }

    pub(super) fn paths(&mut self) -> &mut Paths {
        &mut self.paths
    }

    /// Sees to it at once if it can be.
    pub(super) fn push(&mut self, router: &Arc<Router>, saying: Saying) {
        if self.busy.is_some() {
            self.waiting.push_back(saying);
        } else {
            self.begin(router, saying);
        }
    }

    /// Goes on with what waits; ready each time when there was something to do.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>, router: &Arc<Router>) -> Poll<()> {
        let Some(busy) = &mut self.busy else { return Poll::Pending };
        let again = std::task::ready!(busy.poll_unpin(cx));
        self.go_on(router, again);
        Poll::Ready(())
    }

    /// Waits until nothing waits.
    pub(super) async fn finish(&mut self, router: &Arc<Router>) {
        while let Some(busy) = self.busy.take() {
            let again = busy.await;
            self.go_on(router, again);
        }
    }

    fn go_on(&mut self, router: &Arc<Router>, again: Option<Box<Outgoing>>) {
        self.busy = None;
        if let Some(outgoing) = again {
            self.begin(router, Saying::Stanza(*outgoing));
        }
        while self.busy.is_none()
            && let Some(saying) = self.waiting.pop_front()
        {
            self.begin(router, saying);
        }
        if self.waiting.is_empty() {
            self.waiting = VecDeque::new();
        }
    }

    fn begin(&mut self, router: &Arc<Router>, saying: Saying) {
        self.busy = match saying {
            Saying::Stanza(outgoing) if self.comes_too_late(router, &outgoing) => {
                sometimes!("presence_of_an_ended_life_is_dropped");
                outgoing.ticket.into_iter().for_each(Ticket::done);
                None
            }
            Saying::Stanza(outgoing) => match router.route(&mut self.paths, outgoing) {
                Routed::Done => None,
                Routed::Finish(rest) => Some(Box::pin(async move {
                    rest.await;
                    None
                })),
                Routed::Again(wait, outgoing) => Some(Box::pin(async move {
                    wait.await;
                    Some(outgoing)
                })),
            },
            Saying::Request(request) => match router.control().try_send(request) {
                // Without a control plane the node is stopping.
                Ok(()) | Err(TrySendError::Closed(_)) => None,
                Err(TrySendError::Full(request)) => {
                    let control = router.control().clone();
                    Some(Box::pin(async move {
                        drop(control.send(request).await);
                        None
                    }))
                }
            },
        };
    }

    fn comes_too_late(&self, router: &Router, outgoing: &Outgoing) -> bool {
        let is_of_this_life = self.generation == router.generation() || planted!(FarewellOfTheExpelled);
        !is_of_this_life && !may_go_elsewhere(&outgoing.stanza)
    }
}
