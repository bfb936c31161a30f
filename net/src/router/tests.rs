//! Two routers with a mesh between them; what is agreed is told to both by hand.

#![allow(clippy::unwrap_used)]

use std::time::Duration;

use bytes::Bytes;
use cresset_core::cluster::{RoutePresence, RouteView, VersionRange};
use cresset_core::ids::{BootId, Incarnation, RouteId, Sequence};
use cresset_core::jid::{Jid, NodePart};
use cresset_core::routing::{Home, Parcel, Refused, Sender, SenderOutput};
use cresset_core::stanza::{Kind, MessageType, Stanza};
use cresset_core::xml::Element;
use futures_util::future::{BoxFuture, poll_fn};
use futures_util::{FutureExt, StreamExt};
use tokio::time::timeout;

use super::*;
use crate::accounts::memory::MemoryAccounts;
use crate::accounts::{AccountStore, Claimant, Credentials};
use crate::clock::SystemClock;
use crate::links::{DataService, Identity, LinkSecurity, Peer, RaftService, Services};
use crate::runtime::{self, Workers};
use crate::transport::TokioTransport;

/// How long a test waits for what must come.
const PATIENCE: Duration = Duration::from_secs(20);

const JULIET: &str = "juliet@capulet.example";

#[tokio::test]
async fn a_stanza_reaches_a_session_of_another_member_and_its_sender_hears_of_it() {
    two_members(async |one, two| {
        let route = bound(&one, &two, 5).await;
        let sender = one.router.enter();

        one.say(&mut Sender::new(0), "m1", Some(&sender)).await;

        let parcel = two.received(&route).await;
        assert_eq!(parcel.stanza.body().as_deref(), Some("m1"));
        assert_eq!(heard(&sender).await, Sequence(1));
    })
    .await;
}

/// R4.7. The gate opens on another thread between the look at it and the word of it. The session would believe that it is
/// paused until somebody pauses it again.
#[tokio::test]
async fn a_session_that_enters_while_the_gate_opens_hears_last_what_holds() {
    two_members(async |one, _| {
        for (before, after) in [(Service::Pause, Service::Serve), (Service::Serve, Service::Pause)] {
            let session = SessionHandle::new(SessionId(7), 0);
            one.router.gate.set_service(after);
            session.tell(ToSession::Service(after));

            one.router.tell_service(&session, before);

            let (events, _) = poll_fn(|cx| session.poll_take(cx, 0, 0, true)).await;
            assert!(matches!(events.back(), Some(ToSession::Service(last)) if *last == after), "{events:?}");
        }
    })
    .await;
}

/// P2. An error that goes in its place may be among the stanzas that the session does not take yet.
#[tokio::test]
async fn that_a_stanza_is_taken_care_of_is_heard_behind_the_stanzas_that_came_before() {
    let session = SessionHandle::new(SessionId(7), 0);
    let stanza = Stanza::new(Kind::Message(MessageType::Error));
    session
        .deliver(Parcel { stanza, route: RouteId::default(), home: Home::Here { turn: Default::default() } })
        .unwrap();
    session.tell(ToSession::Handled(Sequence(1)));
    session.tell(ToSession::Nudge);

    let (events, _) = poll_fn(|cx| session.poll_take(cx, 0, 0, true)).await;
    assert!(matches!(Vec::from(events).as_slice(), [ToSession::Nudge]));
    assert!(poll_fn(|cx| session.poll_take(cx, 0, 0, true)).now_or_never().is_none(), "there is nothing to be done");

    let (events, parcels) = poll_fn(|cx| session.poll_take(cx, 1, 0, true)).await;
    assert_eq!((events.len(), parcels.len()), (1, 1));
}

/// O9. The sender of what a lane does not take gets an error before the stanza counts as handled.
#[tokio::test]
async fn a_stanza_beyond_the_share_of_its_recipient_comes_back_as_an_error() {
    two_members(async |one, two| {
        let route = bound(&one, &two, 5).await;
        let sender = one.router.enter();
        let origin = Ticket::of(sender.clone(), Sequence(1));
        let from = Some(Jid::new(&format!("{JULIET}/balcony")).unwrap());
        let stanza = Stanza { from, ..Stanza::new(Kind::Message(MessageType::Chat)) };

        one.router.refused(Refused { stanza, origin });

        let error = two.received(&route).await.stanza;
        assert_eq!(error.kind, Kind::Message(MessageType::Error));
        assert!(String::from_utf8_lossy(&error.payload).contains("<resource-constraint"));
        assert_eq!(heard(&sender).await, Sequence(1));
    })
    .await;
}

/// The sender's node has applied the bind, the owner has not.
#[tokio::test]
async fn a_parcel_that_is_ahead_of_the_log_waits_for_it() {
    two_members(async |one, two| {
        let (session, route) = two.route(5);
        one.happens(5, &Event::RouteAdded(route.clone()));
        one.say(&mut Sender::new(0), "m1", None).await;
        tokio::time::sleep(Duration::from_millis(100)).await;

        two.happens(5, &Event::RouteAdded(route.clone()));

        assert_eq!(two.received(&session).await.stanza.body().as_deref(), Some("m1"));
    })
    .await;
}

/// R4.2. Lanes run on other threads: they hand parcels over while a batch of entries is being applied.
#[tokio::test]
async fn what_came_before_its_route_is_not_overtaken_while_the_batch_goes_on() {
    two_members(async |one, two| {
        let (session, route) = two.route(5);
        let parcel = |number: u64| {
            let body = Element::new("body", "jabber:client").with_text(&format!("m{number}"));
            let stanza = Stanza::new(Kind::Message(MessageType::Chat)).with_child(&body);
            let Life { member, incarnation } = one.life();
            Parcel { stanza, route: route.id, home: Home::Member { member, incarnation, number: Sequence(number) } }
        };

        two.router.deliver(parcel(1)).unwrap();
        two.router.handle_event(&Event::RouteAdded(route.clone()));
        two.router.deliver(parcel(2)).unwrap();
        two.router.applied(LogIndex(5));

        for expected in ["m1", "m2"] {
            assert_eq!(two.received(&session).await.stanza.body().as_deref(), Some(expected));
        }
    })
    .await;
}

/// A member dies with stanzas on their way to it, and the sender goes on.
#[tokio::test]
async fn what_was_on_its_way_to_a_dead_member_is_not_overtaken() {
    two_members(async |one, two| {
        let session = bound(&one, &two, 5).await;
        let mut romeo = Sender::new(0);
        for number in 1..=30 {
            one.say(&mut romeo, &format!("m{number}"), None).await;
        }
        two.received(&session).await;
        two.mesh.stop().await;
        let (_, route) = two.route_of(&session, 5);

        one.happens(6, &Event::RouteRemoved { route, reason: Removal::MemberEnded });
        one.happens(6, &Event::Ended { life: two.life(), expelled: None });
        one.mesh.ban(two.peer());
        for number in 31..=60 {
            one.say(&mut romeo, &format!("m{number}"), None).await;
        }

        let expected: Vec<_> = (1..=60).map(|number| format!("m{number}")).collect();
        assert_eq!(one.stored(60).await, expected);
    })
    .await;
}

/// A session ends on a member that lives: what it gives back is decided by the sender's node, which then stores it.
#[tokio::test]
async fn what_a_session_gives_back_to_another_member_is_not_overtaken() {
    two_members(async |one, two| {
        let session = bound(&one, &two, 5).await;
        let mut romeo = Sender::new(0);
        for number in 1..=30 {
            one.say(&mut romeo, &format!("m{number}"), None).await;
        }
        let first = two.received(&session).await;
        let (_, route) = two.route_of(&session, 5);
        let removed = Event::RouteRemoved { route, reason: Removal::Unbound };

        two.happens(6, &removed);
        one.happens(6, &removed);
        let ends = async {
            two.router.take_back(&session, first).await;
            while let Some((_, parcels)) = session.take_or_close() {
                for parcel in parcels {
                    two.router.take_back(&session, parcel).await;
                }
            }
            two.router.leave(&session, Some(RouteId { index: LogIndex(5), position: 0 }));
        };
        let goes_on = async {
            for number in 31..=60 {
                one.say(&mut romeo, &format!("m{number}"), None).await;
            }
        };
        tokio::join!(goes_on, ends);

        let expected: Vec<_> = (1..=60).map(|number| format!("m{number}")).collect();
        assert_eq!(one.stored(60).await, expected);
    })
    .await;
}

/// The home dies while a session here still holds what came from it.
#[tokio::test]
async fn what_a_dead_member_had_handed_over_is_still_delivered_or_stored() {
    two_members(async |one, two| {
        let session = bound(&one, &two, 5).await;
        one.say(&mut Sender::new(0), "m1", None).await;
        let parcel = two.received(&session).await;

        two.happens(6, &Event::Ended { life: one.life(), expelled: None });
        two.mesh.ban(one.peer());
        let (_, route) = two.route_of(&session, 5);
        two.happens(7, &Event::RouteRemoved { route, reason: Removal::Unbound });
        two.router.take_back(&session, parcel).await;

        assert_eq!(two.stored(1).await, ["m1"]);
    })
    .await;
}

/// By an old view it would be stored for somebody who has logged in elsewhere since, and whom nobody would tell.
#[tokio::test]
async fn what_came_back_is_not_decided_about_before_the_node_serves() {
    two_members(async |one, two| {
        let session = bound(&one, &two, 5).await;
        one.say(&mut Sender::new(0), "m1", None).await;
        let parcel = two.received(&session).await;
        two.happens(6, &Event::Ended { life: one.life(), expelled: None });
        two.mesh.ban(one.peer());
        let (_, route) = two.route_of(&session, 5);
        two.happens(7, &Event::RouteRemoved { route, reason: Removal::Unbound });

        two.router.set_service(Service::Pause, None);
        two.router.take_back(&session, parcel).await;
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        let juliet = NodePart::new("juliet").unwrap();
        assert_eq!(two.accounts.offline_count(juliet).await, Ok(0));

        two.router.set_service(Service::Serve, None);
        assert_eq!(two.stored(1).await, ["m1"]);

        let decided = async {
            while two.router.undecided() > 0 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(PATIENCE, decided).await.expect("nothing is left to decide");
    })
    .await;
}

/// P2. Clustering was switched, and an error for somebody who goes on came back before he held his JID again.
#[tokio::test]
async fn what_came_back_waits_for_who_is_about_to_hold_his_jid_again() {
    two_members(async |one, _| {
        let (session, route) = one.route(5);
        one.happens(5, &Event::RouteAdded(route.clone()));
        one.router.move_on(LogIndex(100));
        one.router.set_service(Service::Serve, None);

        let to = Some(Jid::from(route.jid.clone()));
        let error = Stanza { to, ..Stanza::new(Kind::Message(MessageType::Error)) };
        one.router.push_returned(one.router.outgoing(error, None));
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        one.happens(101, &Event::RouteAdded(one.route_of(&session, 101).1));
        one.router.has_moved(&session);

        let comes = async { while poll_fn(|cx| session.poll_take(cx, 1, 0, true)).await.1.is_empty() {} };
        timeout(PATIENCE, comes).await.expect("the error comes");
        assert!(!one.router.view.is_moving(&JULIET.parse().unwrap()));
    })
    .await;
}

/// Who does not go on is not waited for.
#[tokio::test]
async fn nobody_waits_for_the_move_of_a_session_that_is_over() {
    two_members(async |one, _| {
        let account = JULIET.parse().unwrap();
        let [(one_session, one_route), (other_session, other_route)] = [one.route(5), one.route(6)];
        one.happens(5, &Event::RouteAdded(one_route));
        one.happens(6, &Event::RouteAdded(other_route));
        one.router.moves_no_more(&one_session);

        for life in 1..3 {
            one.router.move_on(LogIndex(life * 100));
        }
        assert!(one.router.view.is_moving(&account));
        one.router.leave(&other_session, None);

        assert!(!one.router.view.is_moving(&account));
    })
    .await;
}

/// What was stored by a node that is by itself may be for somebody whom another node serves already.
#[tokio::test]
async fn who_was_alone_tells_whoever_is_there_what_it_stored_meanwhile() {
    two_members(async |one, two| {
        let juliet = Jid::new(JULIET).unwrap().to_bare();
        one.router.move_on(LogIndex::of_nobody_else(BootId(7)));
        one.router.nudge_account(&juliet).await;

        one.router.move_on(LogIndex(0));
        one.router.connect(Some(one.mesh.clone()));
        let session = bound(&one, &two, 3).await;
        one.router.tell_of_what_was_stored_alone();

        let nudged = async {
            loop {
                let (events, _) = poll_fn(|cx| session.poll_take(cx, 0, 0, true)).await;
                if events.iter().any(|event| matches!(event, ToSession::Nudge)) {
                    return;
                }
            }
        };
        timeout(PATIENCE, nudged).await.expect("the session hears of it");
    })
    .await;
}

impl Router {
    /// Lets this be said, and waits until nothing of it waits.
    pub(crate) async fn say(self: &Arc<Self>, sender: &mut Sender<Ticket>, outgoing: Outgoing) {
        let mut under_way = UnderWay::new();
        let mut next = sender.say(self.sight(), outgoing);
        loop {
            while let Some(output) = next.take().or_else(|| sender.poll_output(self.sight())) {
                match output {
                    SenderOutput::Errand(errand) => {
                        let report = self.carry_out(errand, |rest| under_way.push(rest));
                        report.into_iter().for_each(|report| sender.handle(self.sight(), report));
                    }
                    SenderOutput::Later(said) => self.say_later(said),
                }
            }
            let Some(report) = under_way.next().await else { return };
            sender.handle(self.sight(), report);
        }
    }
}

/// One member of two.
struct Member {
    number: u64,
    router: Arc<Router>,
    mesh: Mesh<Router>,
    accounts: MemoryAccounts,
}

impl Member {
    async fn start(number: u64) -> Member {
        let accounts = MemoryAccounts::new();
        let juliet = NodePart::new("juliet").unwrap();
        accounts.add(juliet, Credentials::default()).await.unwrap();
        let domain = DomainPart::new("capulet.example").unwrap();
        let (router, _requests) =
            Router::new(domain, MemberId(number), Arc::new(accounts.clone()), SystemClock::start(), Workers::here());
        router.set_service(Service::Serve, None);
        let identity = Identity {
            cluster: "chat.example".to_owned(),
            member: MemberId(number),
            boot: BootId(number),
            name: format!("node-{number}"),
            address: ([127, 0, 0, 1], 0).into(),
            versions: VersionRange { min: 1, max: 1 },
            machine: String::new(),
            program: String::new(),
            alike: None,
        };
        let services = Services { raft: Arc::new(NoRaft), data: router.clone(), workers: Workers::here() };
        let (mesh, mut events) =
            Mesh::start(TokioTransport, identity.address, identity, LinkSecurity::PlaintextForSimulation, services)
                .await
                .unwrap();
        runtime::spawn(async move { while events.recv().await.is_some() {} });
        router.connect(Some(mesh.clone()));
        Member { number, router, mesh, accounts }
    }

    fn life(&self) -> Life {
        Life { member: MemberId(self.number), incarnation: Incarnation(self.number) }
    }

    fn peer(&self) -> Peer {
        Peer { member: MemberId(self.number), boot: BootId(self.number) }
    }

    /// Tells what was agreed at this position of the log.
    fn happens(&self, index: u64, event: &Event) {
        self.router.handle_event(event);
        self.router.applied(LogIndex(index));
    }

    /// A session of this member with the route that it would hold by the entry at `index`.
    fn route(&self, index: u64) -> (Arc<SessionHandle>, Arc<Route>) {
        self.route_of(&self.router.enter(), index)
    }

    fn route_of(&self, session: &Arc<SessionHandle>, index: u64) -> (Arc<SessionHandle>, Arc<Route>) {
        let route = Route {
            id: RouteId { index: LogIndex(index), position: 0 },
            jid: format!("{JULIET}/balcony").parse().unwrap(),
            member: self.life().member,
            incarnation: self.life().incarnation,
            session: session.id,
            presence: RoutePresence { priority: Some(0), interested: false },
        };
        (session.clone(), Arc::new(route))
    }

    async fn say(&self, romeo: &mut Sender<Ticket>, body: &str, sender: Option<&Arc<SessionHandle>>) {
        let body = Element::new("body", "jabber:client").with_text(body);
        let mut stanza = Stanza::new(Kind::Message(MessageType::Chat)).with_child(&body);
        stanza.from = Some(Jid::new("romeo@capulet.example/orchard").unwrap());
        stanza.to = Some(Jid::new(JULIET).unwrap());
        let ticket = sender.map(|session| Ticket::of(session.clone(), Sequence(1)));
        timeout(PATIENCE, self.router.say(romeo, self.router.outgoing(stanza, ticket))).await.unwrap();
    }

    /// The next stanza in the mailbox of a session.
    async fn received(&self, session: &Arc<SessionHandle>) -> Parcel {
        let take = poll_fn(|cx| session.poll_take(cx, 1, 0, true).map(|(_, mut parcels)| parcels.pop()));
        let search = async {
            let mut take = take;
            loop {
                if let Some(parcel) = (&mut take).await {
                    return parcel;
                }
            }
        };
        let parcel = timeout(PATIENCE, search).await.expect("a stanza comes");
        assert!(matches!(parcel.home, Home::Member { .. }));
        parcel
    }

    /// The bodies of what is stored for Juliet, once there are so many.
    async fn stored(&self, count: usize) -> Vec<String> {
        let juliet = || NodePart::new("juliet").unwrap();
        let arrive = async {
            while self.accounts.offline_count(juliet()).await.unwrap() < count {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(PATIENCE, arrive).await.expect("they are stored");
        let route = RouteId { index: LogIndex(99), position: 0 };
        let claimant = Claimant { route, live: Vec::new(), as_of: LogIndex(99) };
        let claimed = self.accounts.claim(juliet(), claimant).await.unwrap();
        claimed.into_iter().map(|stored| stored.message.body().unwrap()).collect()
    }
}

/// A session of the second member that holds a route which both know.
async fn bound(one: &Member, two: &Member, index: u64) -> Arc<SessionHandle> {
    let (session, route) = two.route(index);
    two.happens(index, &Event::RouteAdded(route.clone()));
    one.happens(index, &Event::RouteAdded(route));
    session
}

/// The number of the stanza that a sender hears of next.
async fn heard(sender: &Arc<SessionHandle>) -> Sequence {
    let search = async {
        loop {
            let (events, _) = poll_fn(|cx| sender.poll_take(cx, 0, 0, true)).await;
            for event in events {
                if let ToSession::Handled(number) = event {
                    return number;
                }
            }
        }
    };
    timeout(PATIENCE, search).await.expect("the sender hears of it")
}

async fn two_members(test: impl AsyncFnOnce(Arc<Member>, Arc<Member>)) {
    let run = async {
        let (one, two) = (Arc::new(Member::start(1).await), Arc::new(Member::start(2).await));
        for (here, there) in [(&one, &two), (&two, &one)] {
            here.mesh.set_peers([there.mesh.identity().address].into());
            here.mesh.set_current(there.peer(), there.life().incarnation);
        }
        test(one, two).await;
    };
    runtime::scope(1, run).await;
}

struct NoRaft;

impl RaftService for NoRaft {
    fn handle(&self, _peer: Peer, request: Bytes) -> BoxFuture<'static, Bytes> {
        async move { request }.boxed()
    }
}
