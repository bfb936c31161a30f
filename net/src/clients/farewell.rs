//! What a session leaves behind: its route, and what its client did not get.
//!
//! What was not delivered goes back only after the agreed state does not show that it should come to this session,
//! because otherwise it would be sent here again: mostly when the route is gone, and what was for any available resource
//! as soon as this one is not, because what is said after that is stored. The mailbox stays open until the route is gone
//! and is closed when it is found empty, so nothing falls between.

use std::collections::VecDeque;
use std::future::poll_fn;

use cresset_core::ids::RouteId;
use cresset_core::node::Request;
use cresset_core::session::Leaving;
use cresset_core::sometimes;
use futures_util::future::{Either, select};

use super::connection::Connection;
use crate::router::ToSession;

impl Connection {
    /// Ends the session in good order.
    pub(super) async fn farewell(mut self: Box<Self>) {
        let router = self.settings.router.clone();
        self.close_transport();
        router.moves_no_more(&self.handle);
        if let Some(id) = self.resumption.take() {
            router.may_not_be_resumed(&id);
        }
        self.work.end(&router).await;
        self.finish_settling().await;
        self.finish_errands().await;
        let route = self.release_route().await;
        self.give_everything_back().await;
        router.leave(&self.handle, route);
        if let (Some(_), Some(account)) = (route, self.session.account()) {
            // Stored messages that this session had claimed and not delivered wait for somebody else.
            router.nudge_account(account).await;
        }
    }

    /// Gives the route back and waits until the view of this node does not show it any more.
    async fn release_route(&mut self) -> Option<RouteId> {
        loop {
            match self.session.leaves() {
                Leaving::Done(route) => return route,
                Leaving::Waits(route) => self.wait_for_events(route).await,
                Leaving::Unbind(route) => {
                    // Without a control plane the node is stopping, and with it goes the route.
                    if self.settings.router.control().send(Request::Unbind { route }).await.is_err() {
                        return Some(route);
                    }
                }
            }
        }
    }

    async fn wait_for_events(&mut self, route: Option<RouteId>) {
        let (router, handle) = (self.settings.router.clone(), self.handle.clone());
        let mut moves = std::pin::pin!(router.view_moves());
        moves.as_mut().enable();
        if let Some(route) = route {
            for parcel in std::mem::take(&mut self.returned) {
                if router.comes_to(route, &parcel.stanza) {
                    self.returned.push(parcel);
                } else {
                    sometimes!("a_session_gives_back_before_its_route_is_gone");
                    router.take_back(&self.handle, parcel).await;
                }
            }
        }
        let taken = std::pin::pin!(poll_fn(|cx| handle.poll_take(cx, usize::MAX, 0, true)));
        if let Either::Left(((events, parcels), _)) = select(taken, moves).await {
            self.returned.extend(parcels);
            self.note_events(events);
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
