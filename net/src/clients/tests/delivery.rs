//! What one client says reaches the other, or waits for it, in order.

use std::time::Duration;

use cresset_core::config::properties::OfflineQuota;
use cresset_core::jid::{BareJid, Jid};
use cresset_core::node::Service;
use cresset_core::routing::Sender;
use cresset_core::stanza::{Kind, MessageType, Stanza};
use cresset_core::time::UnixMillis;
use cresset_core::xml::Element;
use futures_util::FutureExt;

use super::*;
use crate::accounts::Stored;

#[tokio::test(start_paused = true)]
async fn two_clients_of_one_node_talk() {
    seeded(async {
        let world = World::new().await;
        let mut juliet = world.available("juliet", "balcony").await;
        let mut romeo = world.available("romeo", "orchard").await;

        romeo.chat("juliet@capulet.example", "m1").await;
        juliet.chat("romeo@capulet.example/orchard", "m2").await;

        let heard = juliet.hear("</message>").await;
        assert!(heard.contains("from='romeo@capulet.example/orchard'"), "{heard}");
        assert_eq!(romeo.hear_bodies(1).await, ["m2"]);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn what_is_said_to_somebody_who_is_away_waits_and_comes_once() {
    seeded(async {
        let world = World::new().await;
        let mut romeo = world.available("romeo", "orchard").await;
        for body in numbered(1..=250) {
            romeo.chat("juliet@capulet.example", &body).await;
        }
        world.settle_down().await;
        assert_eq!(world.stored_for("juliet").await, 250);

        let mut juliet = world.log_in("juliet", "balcony").await;
        juliet.say("<presence/>").await;

        assert_eq!(juliet.hear_bodies(250).await, numbered(1..=250));
        world.settle_down().await;
        assert_eq!(world.stored_for("juliet").await, 0);
    })
    .await;
}

/// Its sender was told that it is taken care of, and may be gone: nobody could be told that it is not.
#[tokio::test(start_paused = true)]
async fn an_acknowledged_message_waits_for_a_store_that_is_away() {
    seeded(async {
        let world = World::new().await;
        let account = Jid::new("juliet@capulet.example").unwrap().to_bare();
        world.accounts.set_available(false);
        let router = world.settings.router.clone();
        let outgoing = router.outgoing(chat(&account, "m1"), None);
        let stored = crate::runtime::spawn(async move { router.say(&mut Sender::new(0), outgoing).await });
        tokio::time::sleep(Duration::from_secs(60)).await;
        assert!(!stored.is_finished());

        world.accounts.set_available(true);
        stored.await.unwrap();

        assert_eq!(world.stored_for("juliet").await, 1);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_message_to_an_account_that_does_not_exist_comes_back_as_an_error() {
    seeded(async {
        let world = World::new().await;
        let mut romeo = world.available("romeo", "orchard").await;

        romeo.chat("rosaline@capulet.example", "m1").await;

        assert!(romeo.hear("</message>").await.contains("service-unavailable"));
    })
    .await;
}

/// Both are in the mailbox when its session looks into it: that something is stored, and what was said after it.
#[tokio::test(start_paused = true)]
async fn what_was_stored_is_not_overtaken_by_what_was_said_later() {
    seeded(async {
        let world = World::new().await;
        let mut juliet = world.available("juliet", "balcony").await;
        let account = Jid::new("juliet@capulet.example").unwrap().to_bare();
        let name = account.node().unwrap().to_owned();
        let stored = world
            .accounts
            .store_offline(name, chat(&account, "m1"), UnixMillis(0), OfflineQuota::default(), None)
            .await
            .unwrap();
        assert_eq!(stored, Stored::Kept);

        let router = &world.settings.router;
        router.nudge_account(&account).now_or_never().unwrap();
        let outgoing = router.outgoing(chat(&account, "m2"), None);
        router.say(&mut Sender::new(0), outgoing).now_or_never().expect("nothing is to be waited for");

        assert_eq!(juliet.hear_bodies(2).await, ["m1", "m2"]);
    })
    .await;
}

/// Hostile case F10.
#[tokio::test(start_paused = true)]
async fn a_client_that_never_reads_holds_nobody_else_up_and_what_it_missed_waits() {
    seeded(async {
        let world = World::new().await;
        let quota = OfflineQuota::default();
        world.settings.router.set_offline_quota(OfflineQuota { sender: quota.account, ..quota });
        let mut deaf = world.connect_with(600, ListenerKind::StartTls);
        deaf.log_in("juliet").await;
        deaf.bind("balcony").await;
        deaf.say("<presence/>").await;
        deaf.hear("<presence").await;
        let mut romeo = world.available("romeo", "orchard").await;
        let bodies = numbered(1..=900);
        for body in &bodies {
            romeo.chat("juliet@capulet.example", body).await;
        }

        romeo.chat("romeo@capulet.example/orchard", "still here").await;
        assert_eq!(romeo.hear_bodies(1).await, ["still here"]);

        tokio::time::sleep(WRITE_TIME_MAX + Duration::from_secs(1)).await;
        drop(deaf);
        let mut juliet = world.log_in("juliet", "balcony").await;
        juliet.say("<presence/>").await;
        assert_eq!(juliet.hear_bodies(bodies.len()).await, bodies);
    })
    .await;
}

/// RFC 6120 section 7.7.2.2: the new one stays, the old one goes.
#[tokio::test(start_paused = true)]
async fn a_newer_bind_of_the_same_jid_ends_the_older_session() {
    seeded(async {
        let world = World::new().await;
        let mut old = world.available("juliet", "balcony").await;
        let mut new = world.available("juliet", "balcony").await;

        assert!(old.hear_end().await.contains("<conflict"));
        let mut romeo = world.available("romeo", "orchard").await;
        romeo.chat("juliet@capulet.example/balcony", "m1").await;

        assert_eq!(new.hear_bodies(1).await, ["m1"]);
        world.settle_down().await;
        assert_eq!(world.settings.router.session_count(), 2);
    })
    .await;
}

/// The recipient's session ends while the sender goes on: what it had not got is stored before what comes later.
#[tokio::test(start_paused = true)]
async fn what_an_ended_session_leaves_is_not_overtaken() {
    seeded(async {
        let world = World::new().await;
        let mut deaf = world.connect_with(600, ListenerKind::StartTls);
        deaf.log_in("juliet").await;
        deaf.bind("balcony").await;
        deaf.say("<presence/>").await;
        deaf.hear("<presence").await;
        let mut romeo = world.available("romeo", "orchard").await;
        for body in numbered(1..=50) {
            romeo.chat("juliet@capulet.example", &body).await;
        }

        drop(deaf);
        for body in numbered(51..=100) {
            romeo.chat("juliet@capulet.example", &body).await;
        }
        world.settle_down().await;

        let mut juliet = world.log_in("juliet", "chamber").await;
        juliet.say("<presence/>").await;
        assert_eq!(juliet.hear_bodies(100).await, numbered(1..=100));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_paused_node_delivers_nothing_and_loses_nothing() {
    seeded(async {
        let world = World::new().await;
        let mut juliet = world.available("juliet", "balcony").await;
        let mut romeo = world.available("romeo", "orchard").await;

        world.plane.serve(Service::Pause);
        romeo.chat("juliet@capulet.example", "m1").await;
        assert!(juliet.hears_nothing(Duration::from_secs(2)).await);
        world.plane.serve(Service::Serve);

        assert_eq!(juliet.hear_bodies(1).await, ["m1"]);
    })
    .await;
}

/// A machine that was suspended wakes its tasks in any order: a connection may be first, and nobody has told it.
#[tokio::test(start_paused = true)]
async fn a_connection_keeps_to_a_lease_whose_end_nobody_has_told_it() {
    seeded(async {
        let world = World::new().await;
        let mut juliet = world.available("juliet", "balcony").await;
        let mut romeo = world.available("romeo", "orchard").await;
        romeo.chat("juliet@capulet.example", "m1").await;
        world.plane.lose_lease();

        assert!(juliet.hears_nothing(Duration::from_secs(2)).await);
        world.plane.lease_for(Duration::from_secs(60));

        romeo.chat("juliet@capulet.example", "m2").await;
        assert_eq!(juliet.hear_bodies(2).await, ["m1", "m2"]);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn clients_of_a_node_that_closes_are_told_why() {
    seeded(async {
        let world = World::new().await;
        let mut romeo = world.available("romeo", "orchard").await;

        world.plane.serve(Service::Close);

        assert!(romeo.hear_end().await.contains("<system-shutdown"));
    })
    .await;
}

/// O20: it was acknowledged to its sender when its recipient had it, and the resource that it names is gone.
#[tokio::test(start_paused = true)]
async fn a_normal_message_whose_recipient_goes_without_having_it_comes_back() {
    seeded(async {
        let world = World::new().await;
        let mut romeo = world.available("romeo", "orchard").await;
        let chamber = world.available("juliet", "chamber").await;
        let mut balcony = world.log_in("juliet", "balcony").await;
        balcony.say("<enable xmlns='urn:xmpp:sm:3'/>").await;
        balcony.hear("<enabled").await;
        romeo.say("<message to='juliet@capulet.example/balcony' id='n'><body>n</body></message>").await;
        balcony.hear("</message>").await;

        drop(balcony);

        let heard = romeo.hear("</message>").await;
        assert!(heard.contains("id='n' type='error'") && heard.contains("<service-unavailable "), "{heard}");
        world.settle_down().await;
        assert_eq!(world.stored_for("juliet").await, 0);
        drop(chamber);
    })
    .await;
}

/// T20: whom the second farewell is for had been written to by a session that ended a moment before, so it is decided
/// later and by somebody else.
#[tokio::test(start_paused = true)]
async fn whoever_stays_hears_of_each_resource_that_goes() {
    seeded(async {
        let world = World::new().await;
        let mut one = world.available("romeo", "one").await;
        let two = world.available("romeo", "two").await;
        let mut three = world.available("romeo", "three").await;
        three.hear("from='romeo@capulet.example/two'").await;
        one.hear("from='romeo@capulet.example/three'").await;

        for (mut leaves, name) in [(two, "two"), (one, "one")] {
            leaves.say("</stream:stream>").await;
            let farewell = format!("from='romeo@capulet.example/{name}' to='romeo@capulet.example' type='unavailable'");
            three.hear(&farewell).await;
        }
    })
    .await;
}

/// T20, with presence that is directed: one resource of an account takes nothing from the others.
#[tokio::test(start_paused = true)]
async fn whoever_was_told_directly_hears_of_the_end_when_another_resource_has_gone() {
    seeded(async {
        let world = World::new().await;
        let mut balcony = world.log_in("juliet", "balcony").await;
        let mut chamber = world.log_in("juliet", "chamber").await;
        let mut romeo = world.available("romeo", "orchard").await;
        for (client, resource) in [(&mut balcony, "balcony"), (&mut chamber, "chamber")] {
            romeo.say(&format!("<presence to='juliet@capulet.example/{resource}'/>")).await;
            client.hear("<presence").await;
            client.hear("/>").await;
        }

        balcony.say("</stream:stream>").await;
        balcony.hear_end().await;
        romeo.say("</stream:stream>").await;

        chamber
            .hear("from='romeo@capulet.example/orchard' to='juliet@capulet.example/chamber' type='unavailable'")
            .await;
    })
    .await;
}

/// O19: RFC 6121 section 8.5.2.1.2.
#[tokio::test(start_paused = true)]
async fn each_directed_farewell_reaches_each_available_resource() {
    seeded(async {
        let world = World::new().await;
        let mut romeo = world.available("romeo", "orchard").await;
        let mut juliets = [world.available("juliet", "balcony").await, world.available("juliet", "chamber").await];

        for number in 1..=3 {
            let id = format!("id='bye{number}'");
            romeo.say(&format!("<presence to='juliet@capulet.example' type='unavailable' {id}/>")).await;
            for juliet in &mut juliets {
                juliet.hear(&id).await;
            }
        }
    })
    .await;
}

/// O22.
#[tokio::test(start_paused = true)]
async fn the_push_of_a_change_comes_before_its_result() {
    seeded(async {
        let world = World::new().await;
        let mut asker = world.available("romeo", "orchard").await;
        let mut other = world.available("romeo", "garden").await;
        for client in [&mut asker, &mut other] {
            client.say("<iq type='get' id='get'><query xmlns='jabber:iq:roster'/></iq>").await;
            client.hear("id='get'").await;
            client.hear("</iq>").await;
        }

        for (number, item) in
            ["<item jid='a@b.example'/>", "<item jid='a@b.example' subscription='remove'/>"].iter().enumerate()
        {
            asker
                .say(&format!("<iq type='set' id='set{number}'><query xmlns='jabber:iq:roster'>{item}</query></iq>"))
                .await;
            let heard = asker.hear(&format!("id='set{number}' type='result'/>")).await;
            assert_eq!(heard.matches("<item jid='a@b.example'").count(), 1, "{heard}");
            other.hear("<item jid='a@b.example'").await;
        }
        world.settle_down().await;
        assert!(asker.hears_nothing(Duration::from_secs(1)).await);
    })
    .await;
}

/// T16: a session that has sent no presence is reached by its full JID, as soon as it acknowledges or within a second.
#[tokio::test(start_paused = true)]
async fn a_message_does_not_wait_for_presence_if_nothing_is_stored_before_it() {
    seeded(async {
        let world = World::new().await;
        let mut romeo = world.available("romeo", "orchard").await;
        romeo.chat("juliet@capulet.example", "to the account").await;
        world.settle_down().await;
        for (resource, acknowledges, at_most) in [("balcony", true, 999), ("hall", false, 1_001)] {
            let mut juliet = world.log_in("juliet", resource).await;
            let began = tokio::time::Instant::now();
            if acknowledges {
                juliet.say("<enable xmlns='urn:xmpp:sm:3'/>").await;
                juliet.hear("/>").await;
            }

            for body in numbered(1..=3) {
                romeo.chat(&format!("juliet@capulet.example/{resource}"), &body).await;
            }

            assert_eq!(juliet.hear_bodies(3).await, numbered(1..=3));
            assert!(began.elapsed() <= Duration::from_millis(at_most), "{:?}", began.elapsed());
        }
    })
    .await;
}

/// T16: what was sent to the full JID while nobody held it is stored, and comes first.
#[tokio::test(start_paused = true)]
async fn a_message_waits_for_presence_if_one_to_the_same_address_is_stored() {
    seeded(async {
        let world = World::new().await;
        let mut romeo = world.available("romeo", "orchard").await;
        romeo.chat("juliet@capulet.example/balcony", "m1").await;
        world.settle_down().await;
        let mut juliet = world.log_in("juliet", "balcony").await;

        romeo.chat("juliet@capulet.example/balcony", "m2").await;
        assert!(juliet.hears_nothing(Duration::from_secs(2)).await);
        juliet.say("<presence/>").await;

        assert_eq!(juliet.hear_bodies(2).await, numbered(1..=2));
    })
    .await;
}

fn chat(account: &BareJid, body: &str) -> Stanza {
    let body = Element::new("body", "jabber:client").with_text(body);
    let mut stanza = Stanza::new(Kind::Message(MessageType::Chat)).with_child(&body);
    stanza.from = Some(Jid::new("romeo@capulet.example/orchard").unwrap());
    stanza.to = Some(Jid::from(account.clone()));
    stanza
}
