//! What a session says goes on from one life of its node to the next.

use std::future::poll_fn;

use cresset_core::jid::Jid;
use cresset_core::node::Service;
use cresset_core::stanza::{Kind, MessageType, Stanza};
use cresset_core::xml::Element;
use futures_util::FutureExt;

use super::*;
use crate::clients::work::{Saying, Work};
use crate::router::Router;

/// R4.4. What was said between two lives stands in a row, and what is said next to the same account waits behind it, once.
/// It went through the row for the rest of the session's life.
#[tokio::test(start_paused = true)]
async fn a_session_is_behind_what_it_said_between_two_lives_until_that_is_decided() {
    seeded(async {
        let world = World::new().await;
        let router = &world.settings.router;
        let mut juliet = world.available("juliet", "balcony").await;
        let session = router.enter();
        let mut work = Work::of(&session);

        world.plane.serve(Service::Pause);
        work.goes_on_in(session.generation() + 1);
        work.push(router, message(router, "m1"));
        work.goes_on_in(session.generation());
        work.push(router, message(router, "m2"));
        world.plane.serve(Service::Serve);
        poll_fn(|cx| work.poll(cx, router)).await;

        work.push(router, message(router, "m3"));
        assert_eq!(router.undecided(), 0, "nothing stands in a row any more");
        assert_eq!(juliet.hear_bodies(3).await, ["m1", "m2", "m3"]);
        work.end(router);
        let ended = poll_fn(|cx| work.poll_end(cx, router));
        assert!(ended.now_or_never().is_some(), "nothing waits");
    })
    .await;
}

fn message(router: &Router, body: &str) -> Saying {
    let child = Element::new("body", "jabber:client").with_text(body);
    let mut stanza = Stanza::new(Kind::Message(MessageType::Chat)).with_child(&child);
    stanza.from = Some(Jid::new("romeo@capulet.example/orchard").unwrap());
    stanza.to = Some(Jid::new("juliet@capulet.example").unwrap());
    Saying::Stanza(router.outgoing(stanza, None))
}
