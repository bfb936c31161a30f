//! What a client does not have to put up with from other clients.

use std::time::Duration;

use cresset_core::limits::ABANDONED_WAY_WAIT_MAX;
use tokio::time::Instant;

use super::*;

/// Acknowledgements are asked for, and never given.
const COUNTS: &str = "<enable xmlns='urn:xmpp:sm:3'/>";

/// Outside trial 7: sessions that acknowledge nothing do not freeze those who answer them.
#[tokio::test(start_paused = true)]
async fn a_client_that_answers_deaf_sessions_is_not_held_up_by_them() {
    seeded(async {
        let world = World::new().await;
        let mut juliet = world.available("juliet", "balcony").await;
        let mut deaf = Vec::new();
        for number in 1..=4 {
            let mut client = world.log_in("romeo", &format!("r{number}")).await;
            client.say(COUNTS).await;
            client
                .say("<iq type='get' id='p' to='juliet@capulet.example/balcony'><ping xmlns='urn:xmpp:ping'/></iq>")
                .await;
            deaf.push(client);
        }
        let started = Instant::now();

        for number in 1..=4 {
            juliet.hear("</iq>").await;
            juliet.say(&format!("<iq type='result' id='p' to='romeo@capulet.example/r{number}'/>")).await;
        }
        juliet.say("<iq type='get' id='mine' to='capulet.example'><ping xmlns='urn:xmpp:ping'/></iq>").await;
        juliet.hear("id='mine'").await;

        assert!(started.elapsed() < Duration::from_secs(1), "{:?}", started.elapsed());
    })
    .await;
}

/// Outside trial 7: two clients of negative priority that acknowledge late do not hold each other up.
#[tokio::test(start_paused = true)]
async fn nobody_waits_for_a_negative_priority() {
    seeded(async {
        let world = World::new().await;
        let mut romeo = world.available("romeo", "orchard").await;
        let mut juliet = world.log_in("juliet", "balcony").await;
        juliet.say(COUNTS).await;
        juliet.say("<presence><priority>-1</priority></presence>").await;
        juliet.hear("<presence").await;
        romeo.chat("juliet@capulet.example/balcony", "m1").await;
        assert_eq!(juliet.hear_bodies(1).await, ["m1"]);
        let started = Instant::now();

        romeo.chat("juliet@capulet.example", "m2").await;
        world.settle_down().await;

        assert_eq!(world.stored_for("juliet").await, 1);
        assert!(started.elapsed() < Duration::from_secs(1), "{:?}", started.elapsed());
    })
    .await;
}

/// Outside trial 7: what waits for a client that logs out holds up what is said to that client only.
#[tokio::test(start_paused = true)]
async fn what_waits_for_one_recipient_holds_up_nobody_else() {
    seeded(async {
        let world = World::new().await;
        let (mut romeo, _juliet) = world.romeo_and_juliet_who_left_m1().await;
        let started = Instant::now();

        romeo.chat("juliet@capulet.example", "m2").await;
        romeo.chat("romeo@capulet.example/orchard", "to myself").await;
        assert_eq!(romeo.hear_bodies(1).await, ["to myself"]);

        assert!(started.elapsed() < Duration::from_millis(100), "{:?}", started.elapsed());
        assert_eq!(world.stored_for("juliet").await, 0, "m2 waits for m1");
        tokio::time::sleep(ABANDONED_WAY_WAIT_MAX).await;
        world.settle_down().await;
        assert_eq!(world.stored_for("juliet").await, 1, "and not for longer than that");
    })
    .await;
}

/// Outside trial 7: the end of a stream waits for nobody.
#[tokio::test(start_paused = true)]
async fn the_end_of_a_stream_is_answered_at_once() {
    seeded(async {
        let world = World::new().await;
        let (mut romeo, _juliet) = world.romeo_and_juliet_who_left_m1().await;
        let started = Instant::now();

        romeo.chat("juliet@capulet.example", "m2").await;
        romeo.say("</stream:stream>").await;
        romeo.hear("</stream:stream>").await;

        assert!(started.elapsed() < Duration::from_millis(100), "{:?}", started.elapsed());
        world.settle_down().await;
        assert_eq!(world.stored_for("juliet").await, 1);
    })
    .await;
}

impl World {
    /// Romeo, and Juliet, who counts what she gets, has acknowledged nothing of `m1` and is not available any more.
    async fn romeo_and_juliet_who_left_m1(&self) -> (Client, Client) {
        let mut juliet = self.log_in("juliet", "balcony").await;
        juliet.say(COUNTS).await;
        juliet.say("<presence/>").await;
        juliet.hear("<presence").await;
        let mut romeo = self.available("romeo", "orchard").await;
        romeo.chat("juliet@capulet.example", "m1").await;
        assert_eq!(juliet.hear_bodies(1).await, ["m1"]);
        juliet.say("<presence type='unavailable'/>").await;
        self.settle_down().await;
        (romeo, juliet)
    }
}
