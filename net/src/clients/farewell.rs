//! What a session leaves behind: its route, and what its client did not get.
//!
//! What was not delivered goes back only after the agreed state does not show that it should come to this session,
//! because otherwise it would be sent here again: mostly when the route is gone, and what was for any available resource
//! as soon as this one is not, because what is said after that is stored. The mailbox stays open until the route is gone
//! and is closed when it is found empty, so nothing falls between.

use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::task::{Context, Poll};

use cresset_core::ids::RouteId;
use cresset_core::node::Request;
use cresset_core::session::Leaving;
use cresset_core::sometimes;
use futures_util::FutureExt;
use futures_util::future::FusedFuture;

use super::connection::Connection;
use super::work::Work;
use crate::router::{Router, ToSession};

impl Connection {
    /// Ends the session in good order.
    pub(super) async fn farewell(mut self: Box<Self>) {
        let router = self.settings.router.clone();
        self.close_transport();
        router.moves_no_more(&self.handle);
        if let Some(id) = self.resumption.take() {
            router.may_not_be_resumed(&id);
        }
        self.finish().await;
        let route = self.release_route().await;
        self.give_everything_back().await;
        router.leave(&self.handle, route);
        if let (Some(_), Some(account)) = (route, self.session.account()) {
            // Stored messages that this session had claimed and not delivered wait for somebody else.
            router.nudge_account(account).await;
        }
    }

    /// Brings to an end what the session has begun. The account store may be away: nobody is sent here meanwhile, and what
    /// does not come to the session any more goes back, or what is said later would be stored before it.
    async fn finish(&mut self) {
        let router = self.settings.router.clone();
        self.work.end(&router);
        let mut chores = self.take_chores().fuse();
        let mut is_done = |work: &mut Work, cx: &mut Context<'_>| {
            let works = work.poll_end(cx, &router).is_pending();
            let has_chores = !chores.is_terminated() && chores.poll_unpin(cx).is_pending();
            !works && !has_chores
        };
        let mut is_over = poll_fn(|cx| Poll::Ready(is_done(&mut self.work, cx))).await;
        while !is_over {
            if let Some(retreat) = self.session.retreats(self.handle.id) {
                // Without a control plane the node is stopping.
                drop(router.control().send(retreat).await);
            }
            is_over = self.wait_for_events(&mut is_done).await;
        }
    }

    /// Gives the route back and waits until the view of this node does not show it any more.
    async fn release_route(&mut self) -> Option<RouteId> {
        loop {
            match self.session.leaves() {
                Leaving::Done(route) => return route,
                Leaving::Waits => drop(self.wait_for_events(&mut |_, _| false).await),
                Leaving::Unbind(route) => {
                    // Without a control plane the node is stopping, and with it goes the route.
                    if self.settings.router.control().send(Request::Unbind { route }).await.is_err() {
                        return Some(route);
                    }
                }
            }
        }
    }

    /// Waits until something happens for the session, or the view has moved on, or `is_done` says so, which is answered.
    async fn wait_for_events(&mut self, is_done: &mut impl FnMut(&mut Work, &mut Context<'_>) -> bool) -> bool {
        let (router, handle) = (self.settings.router.clone(), self.handle.clone());
        let mut moves = std::pin::pin!(router.view_moves());
        moves.as_mut().enable();
        self.give_back_early(&router).await;
        let happened = poll_fn(|cx| {
            if is_done(&mut self.work, cx) {
                return Poll::Ready(None);
            }
            match handle.poll_take(cx, usize::MAX, 0, true) {
                Poll::Ready(taken) => Poll::Ready(Some(taken)),
                Poll::Pending => moves.as_mut().poll(cx).map(|()| Some(Default::default())),
            }
        });
        let Some((events, parcels)) = happened.await else { return true };
        self.returned.extend(parcels);
        self.note_events(events);
        false
    }

    async fn give_back_early(&mut self, router: &Router) {
        let Some(route) = self.session.gives_back_early() else { return };
        for parcel in std::mem::take(&mut self.returned) {
            if router.comes_to(route, &parcel.stanza) {
                self.returned.push(parcel);
            } else {
                sometimes!("a_session_gives_back_before_its_route_is_gone");
                router.take_back(&self.handle, parcel).await;
            }
        }
    }

    fn note_events(&mut self, events: VecDeque<ToSession>) {
        let now = self.now();
        events.into_iter().for_each(|event| self.handle_event(now, event));
    }

    /// Lets everything that was not delivered be decided again, in order, and then whoever waits for that go past.
    async fn give_everything_back(&mut self) {
        let mut parcels = std::mem::take(&mut self.returned);
        loop {
            for parcel in parcels {
                self.settings.router.take_back(&self.handle, parcel).await;
            }
            self.let_everybody_past();
            let Some((events, waiting)) = self.handle.take_or_close() else { return };
            self.note_events(events);
            parcels = waiting;
        }
    }
}
