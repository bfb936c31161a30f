//! A session outlives its connection (XEP-0198).

use std::time::Duration;

use cresset_core::cluster::{Event, Removal, RouteView};
use cresset_core::jid::BareJid;
use cresset_core::session::{ResumptionId, StreamErrorCondition};

use super::*;
use crate::router::{SessionHandle, ToSession};

const ENABLE: &str = "<enable xmlns='urn:xmpp:sm:3' resume='true'/>";

#[tokio::test(start_paused = true)]
async fn a_session_is_resumed_on_another_connection_and_has_missed_nothing() {
    seeded(async {
        let world = World::new().await;
        let mut romeo = world.available("romeo", "orchard").await;
        let (mut juliet, id) = resumable(&world).await;
        romeo.chat("juliet@capulet.example", "m1").await;
        juliet.hear("</message>").await;
        drop(juliet);
        romeo.chat("juliet@capulet.example", "m2").await;
        world.settle_down().await;

        let mut juliet = come_back(&world, &id, 1).await;
        let heard = juliet.hear("/>").await;

        assert!(heard.contains("<resumed"), "{heard}");
        assert_eq!(juliet.hear_bodies(2).await, ["m1", "m2"]);
        juliet.chat("romeo@capulet.example", "m3").await;
        assert_eq!(romeo.hear_bodies(1).await, ["m3"]);
        assert_eq!(world.stored_for("juliet").await, 0);
    })
    .await;
}

/// Hostile case D10: one owner, and the older connection is closed.
#[tokio::test(start_paused = true)]
async fn a_session_whose_connection_lives_is_resumed_from_another() {
    seeded(async {
        let world = World::new().await;
        let (mut old, id) = resumable(&world).await;

        let mut new = come_back(&world, &id, 1).await;

        assert!(new.hear("/>").await.contains("<resumed"));
        assert!(old.hear_end().await.contains("<conflict"));
    })
    .await;
}

/// P1: what the older connection had not taken comes on the new one, and nowhere else.
#[tokio::test(start_paused = true)]
async fn a_connection_that_is_superseded_says_nothing_more_to_the_client() {
    seeded(async {
        let world = World::new().await;
        let mut romeo = world.available("romeo", "orchard").await;
        let mut old = world.connect_with(512, ListenerKind::StartTls);
        old.log_in("juliet").await;
        old.bind("balcony").await;
        old.say(ENABLE).await;
        let id = id_in(&old.hear("/>").await);
        for body in numbered(1..=20) {
            romeo.chat("juliet@capulet.example/balcony", &body).await;
        }
        world.settle_down().await;

        let mut new = come_back(&world, &id, 0).await;

        assert_eq!(new.hear_bodies(20).await, numbered(1..=20));
        let heard = old.hear_end().await;
        assert!(heard.len() <= 512, "{heard}");
    })
    .await;
}

/// Hostile case D9: a stranger cannot tell a session that is not his from none.
#[tokio::test(start_paused = true)]
async fn the_session_of_another_account_is_as_good_as_none() {
    seeded(async {
        let world = World::new().await;
        let (mut juliet, id) = resumable(&world).await;
        let mut romeo = world.connect();
        romeo.log_in("romeo").await;

        resume(&mut romeo, &id, 0).await;
        let refused = romeo.hear("</failed>").await;
        resume(&mut romeo, "nonsense", 0).await;

        assert_eq!(refused, romeo.hear("</failed>").await);
        romeo.bind("orchard").await;
        juliet.chat("romeo@capulet.example/orchard", "m1").await;
        assert_eq!(romeo.hear_bodies(1).await, ["m1"]);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn what_a_session_that_is_never_resumed_had_waits_for_the_next_one() {
    seeded(async {
        let world = World::new().await;
        let mut romeo = world.available("romeo", "orchard").await;
        let (juliet, id) = resumable(&world).await;
        drop(juliet);
        for body in numbered(1..=20) {
            romeo.chat("juliet@capulet.example", &body).await;
        }
        world.settle_down().await;
        assert_eq!(world.stored_for("juliet").await, 0);

        tokio::time::sleep(Duration::from_secs(400)).await;
        assert_eq!(world.stored_for("juliet").await, 20);
        let mut juliet = come_back(&world, &id, 0).await;
        juliet.hear("</failed>").await;
        juliet.bind("balcony").await;
        juliet.say("<presence/>").await;

        assert_eq!(juliet.hear_bodies(20).await, numbered(1..=20));
    })
    .await;
}

/// R4.10. A client that comes and goes leaves a session behind each time; they have no connection, and take memory.
#[tokio::test(start_paused = true)]
async fn a_session_that_finds_no_room_to_wait_for_its_client_ends() {
    seeded(async {
        let world = World::with(|settings| settings.admission = Admission::new(1)).await;
        let (juliet, first) = resumable(&world).await;
        drop(juliet);
        world.settle_down().await;
        let mut juliet = world.log_in("juliet", "hall").await;
        juliet.say(ENABLE).await;
        let second = id_in(&juliet.hear("/>").await);
        drop(juliet);
        world.settle_down().await;

        let mut juliet = come_back(&world, &second, 0).await;
        assert!(juliet.hear("</failed>").await.contains("<item-not-found"));
        resume(&mut juliet, &first, 1).await;

        assert!(juliet.hear("/>").await.contains("<resumed"));
        // The one that is resumed waits no more.
        drop(juliet);
        world.settle_down().await;
        let mut juliet = come_back(&world, &first, 1).await;
        assert!(juliet.hear("/>").await.contains("<resumed"));
    })
    .await;
}

/// The sender is told only of what somebody else answers for.
#[tokio::test(start_paused = true)]
async fn an_acknowledgement_counts_what_was_taken_or_stored() {
    seeded(async {
        let world = World::new().await;
        let (mut juliet, _) = resumable(&world).await;

        juliet.chat("romeo@capulet.example", "m1").await;
        juliet.chat("juliet@capulet.example/balcony", "m2").await;
        juliet.hear("</message>").await;
        juliet.say("<r xmlns='urn:xmpp:sm:3'/>").await;

        assert!(juliet.hear("<a").await.len() < 400);
        let acknowledged = juliet.hear("/>").await;
        assert!(acknowledged.contains("h='3'"), "presence and two messages, not {acknowledged}");
        assert_eq!(world.stored_for("romeo").await, 1);
    })
    .await;
}

/// Outside trial O8, R4.1. What ends a session and a transport for it can wait in its mailbox together, if the session is busy
/// meanwhile. It ended in words only: it held its JID for ever, and what was sent to it vanished.
#[tokio::test(start_paused = true)]
async fn what_ends_a_session_ends_it_although_a_transport_for_it_comes_with_it() {
    seeded(async {
        for end in [End::Close, End::Overflow, End::Replaced, End::TooHigh] {
            let world = World::new().await;
            let mut romeo = world.available("romeo", "orchard").await;
            let (_juliet, id) = resumable(&world).await;
            let session = session_of(&world, &id);
            let (_late, too_high) = attaching(&world, 99).await;
            let (mut new, attach) = attaching(&world, 0).await;

            end.tell(&world, &session, too_high);
            assert!(session.attach(attach).is_ok());
            new.hear_end().await;
            world.settle_down().await;

            assert_eq!(world.settings.router.session_count(), 1, "only Romeo's is left after {end:?}");
            romeo.chat("juliet@capulet.example/balcony", "m1").await;
            world.settle_down().await;
            assert_eq!(world.stored_for("juliet").await, 1, "nobody holds the JID after {end:?}");
        }
    })
    .await;
}

/// What can end a session by its mailbox.
#[derive(Clone, Copy, Debug)]
enum End {
    Close,
    Overflow,
    Replaced,
    /// A resumption by a client that claims to have handled more than it was sent.
    TooHigh,
}

impl End {
    fn tell(self, world: &World, session: &SessionHandle, too_high: Box<Attach>) {
        let condition = StreamErrorCondition::SystemShutdown;
        match self {
            End::Close => drop(session.tell(ToSession::Close { condition, other_host: None })),
            End::Overflow => drop(session.tell(ToSession::Overflow)),
            End::Replaced => {
                let router = &world.settings.router;
                let routes = router.view().routes_of(&BareJid::new("juliet@capulet.example").unwrap()).unwrap();
                let route = routes.iter().find(|route| route.session == session.id).unwrap().clone();
                let reason = Removal::Replaced { by: route.id };
                router.handle_event(&Event::RouteRemoved { route, reason });
            }
            End::TooHigh => assert!(session.attach(too_high).is_ok()),
        }
    }
}

fn session_of(world: &World, id: &str) -> Arc<SessionHandle> {
    let account = BareJid::new("juliet@capulet.example").unwrap();
    world.settings.router.resumable(&ResumptionId(id.to_owned()), &account).unwrap()
}

/// The transport of a client that resumes, before it is in the mailbox of any session of Juliet's.
async fn attaching(world: &World, handled: u32) -> (Client, Box<Attach>) {
    let router = &world.settings.router;
    let (id, account) = (ResumptionId("caught".to_owned()), BareJid::new("juliet@capulet.example").unwrap());
    let caught = router.enter();
    router.may_be_resumed(id.clone(), account, caught.clone());
    let client = come_back(world, &id.0, handled).await;
    loop {
        let (events, _) = std::future::poll_fn(|cx| caught.poll_take(cx, 0, 0, true)).await;
        let attach = events
            .into_iter()
            .find_map(|event| if let ToSession::Attach(attach) = event { Some(attach) } else { None });
        if let Some(attach) = attach {
            router.may_not_be_resumed(&id);
            router.leave(&caught, None);
            return (client, attach);
        }
    }
}

async fn resumable(world: &World) -> (Client, String) {
    let mut juliet = world.log_in("juliet", "balcony").await;
    juliet.say(ENABLE).await;
    let id = id_in(&juliet.hear("/>").await);
    juliet.say("<presence/>").await;
    juliet.hear("<presence").await;
    juliet.hear("/>").await;
    juliet.hears_nothing(Duration::from_millis(50)).await;
    (juliet, id)
}

/// By what a session can be resumed, as the client was told.
fn id_in(enabled: &str) -> String {
    enabled.split(" id='").nth(1).unwrap().split('\'').next().unwrap().to_owned()
}

/// Juliet on another connection, where she asks for a session of hers.
async fn come_back(world: &World, id: &str, handled: u32) -> Client {
    let mut juliet = world.connect();
    juliet.log_in("juliet").await;
    resume(&mut juliet, id, handled).await;
    juliet
}

async fn resume(client: &mut Client, id: &str, handled: u32) {
    client.say(&format!("<resume xmlns='urn:xmpp:sm:3' previd='{id}' h='{handled}'/>")).await;
}
