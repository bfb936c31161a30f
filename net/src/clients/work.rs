//! What a session has said that must leave it in order: stanzas, and requests to the control plane.
//!
//! Stanzas wait in the session's [`Sender`], and hold up only what is for the same account. A request that waits for the
//! control plane stands in a queue of its own.

use std::collections::VecDeque;
use std::sync::Arc;
use std::task::{Context, Poll};

use cresset_core::ids::RouteId;
use cresset_core::node::Request;
use cresset_core::routing::{Sender, SenderOutput};
use futures_util::future::BoxFuture;
use futures_util::{FutureExt, StreamExt};
use tokio::sync::mpsc::error::TrySendError;

use crate::router::{Outgoing, Router, SessionHandle, Ticket, UnderWay};

/// One thing that a session has said.
#[derive(Debug)]
pub(super) enum Saying {
    Stanza(Outgoing),
    Request(Request),
}

pub(super) struct Work {
    sender: Sender<Ticket>,
    /// What its sender waits for; absent while that is nothing.
    under_way: Option<Box<UnderWay>>,
    /// Absent while no request waits.
    requests: Option<Box<Requests>>,
}

/// Requests that the control plane has no room for.
struct Requests {
    first: BoxFuture<'static, ()>,
    rest: VecDeque<Request>,
}

impl Work {
    /// Of a session that has said nothing yet.
    pub(super) fn of(session: &SessionHandle) -> Work {
        Work { sender: Sender::new(session.generation()), under_way: None, requests: None }
    }

    /// Whether the session may say more.
    pub(super) fn has_room(&self) -> bool {
        self.sender.has_room() && self.requests.is_none()
    }

    /// The session goes on in that life of the node.
    pub(super) fn goes_on_in(&mut self, generation: u64) {
        self.sender.goes_on_in(generation);
    }

    /// The session holds this route.
    pub(super) fn set_own(&mut self, route: RouteId) {
        self.sender.set_own(route);
    }

    /// Sees to it at once if it can be.
    pub(super) fn push(&mut self, router: &Arc<Router>, saying: Saying) {
        match saying {
            Saying::Stanza(outgoing) => {
                let first = self.sender.say(router.sight(), outgoing);
                self.carry_out(router, first);
            }
            Saying::Request(request) => match &mut self.requests {
                Some(requests) => requests.rest.push_back(request),
                None => {
                    self.requests =
                        ask(router, request).map(|first| Box::new(Requests { first, rest: VecDeque::new() }))
                }
            },
        }
    }

    /// Goes on with what waits; ready each time when there was something to do.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>, router: &Arc<Router>) -> Poll<()> {
        let stanza = self.poll_stanzas(cx, router);
        let request = self.poll_requests(cx, router);
        if stanza.is_ready() || request.is_ready() { Poll::Ready(()) } else { Poll::Pending }
    }

    /// The session ends: nothing new comes.
    pub(super) fn end(&mut self, router: &Arc<Router>) {
        self.sender.end();
        self.carry_out(router, None);
    }

    /// Goes on with what is left, until nothing waits here.
    pub(super) fn poll_end(&mut self, cx: &mut Context<'_>, router: &Arc<Router>) -> Poll<()> {
        while self.poll(cx, router).is_ready() {}
        if self.sender.is_idle() && self.requests.is_none() { Poll::Ready(()) } else { Poll::Pending }
    }

    fn poll_stanzas(&mut self, cx: &mut Context<'_>, router: &Arc<Router>) -> Poll<()> {
        let Some(under_way) = &mut self.under_way else { return Poll::Pending };
        match std::task::ready!(under_way.poll_next_unpin(cx)) {
            Some(report) => {
                self.sender.handle(router.sight(), report);
                self.carry_out(router, None);
            }
            None => self.under_way = None,
        }
        Poll::Ready(())
    }

    fn poll_requests(&mut self, cx: &mut Context<'_>, router: &Arc<Router>) -> Poll<()> {
        let Some(requests) = &mut self.requests else { return Poll::Pending };
        std::task::ready!(requests.first.poll_unpin(cx));
        let next = std::iter::from_fn(|| requests.rest.pop_front()).find_map(|request| ask(router, request));
        match next {
            Some(next) => requests.first = next,
            None => self.requests = None,
        }
        Poll::Ready(())
    }

    /// Does what the sender wants done, this first.
    fn carry_out(&mut self, router: &Arc<Router>, first: Option<SenderOutput<Ticket>>) {
        let mut next = first.or_else(|| self.sender.poll_output(router.sight()));
        while let Some(output) = next {
            match output {
                SenderOutput::Errand(errand) => {
                    let under_way = &mut self.under_way;
                    let report = router.carry_out(errand, |rest| under_way.get_or_insert_default().push(rest));
                    if let Some(report) = report {
                        self.sender.handle(router.sight(), report);
                    }
                }
                SenderOutput::Later(said) => router.say_later(said),
            }
            next = self.sender.poll_output(router.sight());
        }
    }
}

/// Sends a request to the control plane. What is left is to be waited for.
fn ask(router: &Router, request: Request) -> Option<BoxFuture<'static, ()>> {
    match router.control().try_send(request) {
        // Without a control plane the node is stopping.
        Ok(()) | Err(TrySendError::Closed(_)) => None,
        Err(TrySendError::Full(request)) => {
            let control = router.control().clone();
            Some(Box::pin(async move { drop(control.send(request).await) }))
        }
    }
}
