//! What a session has said that must leave it in order: stanzas, and requests to the control plane.
//!
//! Mostly nothing has to be waited for and nothing is kept here. When something has to (a full lane, the store, what is
//! under way on an ended route), everything behind it waits, and the client is not read from meanwhile.
//!
//! Once the session ends nothing of it waits for a route or a row: what would have to goes into its row. So does what has
//! waited until the life of the node was over. It is said in the next one, but for presence: everybody has been told by
//! then that the sessions of that life are gone, and who held them may be elsewhere.

use std::collections::VecDeque;
use std::sync::Arc;
use std::task::{Context, Poll};

use cresset_core::node::Request;
use cresset_core::routing::{Paths, Way, may_go_elsewhere};
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
    busy: Option<Busy>,
    is_ending: bool,
    /// Something it said stands in a row, and what it says after that must not overtake it.
    is_behind: bool,
}

/// What is waited for.
enum Busy {
    /// The rest of what was begun.
    Rest(BoxFuture<'static, ()>),
    /// Something after which this is routed again, and the ended ways on which something is under way until then.
    Again(BoxFuture<'static, ()>, Box<Outgoing>, Vec<Way>),
}

impl Work {
    /// Of a session that has said nothing yet.
    pub(super) fn of(session: &SessionHandle) -> Work {
        Work {
            generation: session.generation(),
            paths: Paths::default(),
            waiting: VecDeque::new(),
            busy: None,
            is_ending: false,
            is_behind: false,
        }
    }

    /// Whether nothing waits.
    pub(super) fn is_idle(&self) -> bool {
        self.busy.is_none()
    }

    /// The session goes on in that life of the node.
    pub(super) fn goes_on_in(&mut self, generation: u64) {
        self.generation = generation;
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
        let Some(Busy::Rest(wait) | Busy::Again(wait, ..)) = &mut self.busy else { return Poll::Pending };
        std::task::ready!(wait.poll_unpin(cx));
        self.go_on(router);
        Poll::Ready(())
    }

    /// The session ends: waits until nothing waits here.
    pub(super) async fn end(&mut self, router: &Arc<Router>) {
        self.is_ending = true;
        while let Some(busy) = self.busy.take() {
            match busy {
                Busy::Rest(rest) => rest.await,
                Busy::Again(_, outgoing, ways) => self.say_later(router, *outgoing, ways),
            }
            self.go_on(router);
        }
    }

    fn go_on(&mut self, router: &Arc<Router>) {
        match self.busy.take() {
            // The wait was given up.
            Some(Busy::Again(_, outgoing, ways)) if !self.is_of_this_life(router) => {
                self.say_later(router, *outgoing, ways);
            }
            Some(Busy::Again(_, outgoing, _)) => self.begin(router, Saying::Stanza(*outgoing)),
            Some(Busy::Rest(_)) | None => {}
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
            Saying::Stanza(outgoing) if self.is_behind || !self.is_of_this_life(router) => {
                self.say_later(router, outgoing, Vec::new());
                None
            }
            Saying::Stanza(outgoing) => match router.route(&mut self.paths, outgoing) {
                Routed::Done => None,
                Routed::Finish(rest) => Some(Busy::Rest(rest)),
                Routed::Again(_, outgoing, ways) if self.is_ending => {
                    self.say_later(router, *outgoing, ways);
                    None
                }
                Routed::Again(wait, outgoing, ways) => Some(Busy::Again(wait, outgoing, ways)),
            },
            Saying::Request(request) => match router.control().try_send(request) {
                // Without a control plane the node is stopping.
                Ok(()) | Err(TrySendError::Closed(_)) => None,
                Err(TrySendError::Full(request)) => {
                    let control = router.control().clone();
                    Some(Busy::Rest(Box::pin(async move {
                        drop(control.send(request).await);
                    })))
                }
            },
        };
    }

    fn say_later(&mut self, router: &Router, outgoing: Outgoing, ways: Vec<Way>) {
        self.is_behind = true;
        if !self.is_of_this_life(router) && !may_go_elsewhere(&outgoing.stanza) {
            sometimes!("presence_of_an_ended_life_is_dropped");
            return outgoing.ticket.into_iter().for_each(Ticket::done);
        }
        sometimes!("a_session_ends_before_what_it_said_is_decided");
        router.say_later(outgoing, &mut self.paths, ways, self.generation);
    }

    fn is_of_this_life(&self, router: &Router) -> bool {
        self.generation == router.generation() || planted!(FarewellOfTheExpelled)
    }
}
