//! What one account can make a node keep.

use std::time::Duration;

use cresset_core::ids::SessionId;
use cresset_core::limits::{
    ACCOUNT_QUEUE_BYTES_MAX, SESSION_QUEUE_BYTES_MAX, SESSION_UNHANDLED_BYTES_MAX, SESSIONS_PER_ACCOUNT_MAX,
    STANZA_BYTES_MAX,
};

use super::*;

/// Stanzas that go to one session each: together twice as much as an account may have.
const STANZAS: usize = 8;

/// O9. As many sessions as an account may have, hibernated ones, ones that do not read and ones that do not acknowledge,
/// are sent large stanzas and stanzas with large ids and addresses. What the node keeps for all of them together is
/// bounded, and it goes on serving one of them for which little waits.
#[tokio::test(start_paused = true)]
async fn all_sessions_of_an_account_together_make_a_node_keep_no_more_than_the_bound() {
    seeded(async {
        let world = World::new().await;
        let mut romeo = world.log_in("romeo", "orchard").await;
        let mut quiet = world.log_in("juliet", "quiet").await;
        let mut connected = Vec::new();
        let names: Vec<String> = (1..SESSIONS_PER_ACCOUNT_MAX).map(|number| format!("{number:x>900}")).collect();
        for (number, name) in names.iter().enumerate() {
            let mut juliet = world.log_in("juliet", name).await;
            if number % 3 != 0 {
                juliet.say("<enable xmlns='urn:xmpp:sm:3' resume='true'/>").await;
                juliet.hear("/>").await;
            }
            juliet.say("<presence/>").await;
            world.settle_down().await;
            match number % 3 {
                // Hibernates.
                1 => drop(juliet),
                // Does not read, or reads nothing more and acknowledges nothing.
                _ => connected.push(juliet),
            }
        }
        let (body, id) = ("x".repeat(STANZA_BYTES_MAX - 4096), "y".repeat(1000));
        let mut most = 0;

        for stanza in 0..STANZAS {
            for name in &names {
                romeo
                    .say(&format!(
                        "<iq type='result' to='juliet@capulet.example/{name}' id='{id}{stanza}'><q>{body}</q></iq>"
                    ))
                    .await;
                tokio::time::sleep(Duration::from_millis(1)).await;
                most = most.max(kept(&world));
            }
        }

        assert!(most > ACCOUNT_QUEUE_BYTES_MAX / 2, "the sessions were not full: {most}");
        assert!(most <= ACCOUNT_QUEUE_BYTES_MAX + STANZA_BYTES_MAX, "{most}");
        romeo.chat("juliet@capulet.example/quiet", "m1").await;
        assert_eq!(quiet.hear_bodies(1).await, ["m1"]);
    })
    .await;
}

/// O9. What a node keeps for one account if everything is as bad as it can be at once: what waits for its clients and what
/// is being written to them, and of each session what it has sent and what of its next stanza has been read, in the
/// reader and in the element that is being put together, each of which may have grown to twice its size.
#[test]
fn the_worst_that_one_account_can_do_adds_up_to_less_than_the_memory_of_a_small_machine() {
    let of_all = ACCOUNT_QUEUE_BYTES_MAX + ACCOUNT_QUEUE_BYTES_MAX;
    let of_each = SESSION_UNHANDLED_BYTES_MAX + STANZA_BYTES_MAX + 2 * 2 * STANZA_BYTES_MAX + OUTBOUND_BYTES_HIGH;

    const { assert!(SESSION_QUEUE_BYTES_MAX <= ACCOUNT_QUEUE_BYTES_MAX) }
    assert!(of_all + SESSIONS_PER_ACCOUNT_MAX * of_each <= 144 * 1024 * 1024);
}

/// The weight of what waits for all of Juliet's sessions.
fn kept(world: &World) -> usize {
    (2..=1 + SESSIONS_PER_ACCOUNT_MAX as u64)
        .filter_map(|id| world.settings.router.session(SessionId(id)))
        .map(|session| session.weight())
        .sum()
}
