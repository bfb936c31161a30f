//! Parcels between two nodes: none is lost, none arrives twice, order is kept, whatever the connections do.

use cresset_core::ids::{RouteId, Sequence};
use cresset_core::limits::{LANE_QUEUE_BYTES_MAX, OUTBOX_UNTAKEN_PARCELS_MAX};
use cresset_core::routing::{Home, Turn};
use cresset_core::stanza::{Kind, MessageType, Stanza};

use super::*;

const ROUTE: RouteId = RouteId { index: LogIndex(7), position: 0 };
const MISSED: RouteId = RouteId { index: LogIndex(404), position: 0 };

fn stanza(number: u64) -> Stanza {
    Stanza { id: Some(number.to_string()), ..Stanza::new(Kind::Message(MessageType::Chat)) }
}

fn parcel(number: u64) -> ToLane<u64, u64> {
    ToLane::Parcel {
        origin: Some(number),
        route: ROUTE,
        stanza: stanza(number),
        attempts: 0,
        name: None,
        turn: Turn(0),
    }
}

async fn linked() -> (Node, Node) {
    let (one, two) = (Node::start(1).await, Node::start(2).await);
    one.dial(&[&two]);
    two.dial(&[&one]);
    acquaint(&one, &two);
    (one, two)
}

#[test]
fn a_parcel_is_delivered_handled_and_settled_and_the_way_is_clear_then() {
    block_on_two_threads(async {
        let (mut one, mut two) = linked().await;
        let lane = one.mesh.lane(life_of(&two)).unwrap();

        lane.send(parcel(1)).await.unwrap();
        let home = Home::Member { member: MemberId(1), incarnation: Incarnation(1001), number: Sequence(1) };
        assert_eq!(two.told().await, Told::Delivered(Parcel { stanza: stanza(1), route: ROUTE, home }));
        assert_eq!(one.told().await, Told::Handled(1));

        lane.send(ToLane::Pass { route: ROUTE, pass: 9 }).await.unwrap();
        two.mesh.settle(home).await;
        assert_eq!(one.told().await, Told::Passed(9));

        lane.send(ToLane::Nudge { route: ROUTE }).await.unwrap();
        assert_eq!(two.told().await, Told::Nudged);
    });
}

/// Two programs, of which one may be older: what goes to and fro is written as both understand it.
#[test]
fn parcels_cross_between_programs_of_different_versions() {
    for (ours, theirs, agreed) in [(3, 3, 3), (3, 2, 2), (1, 3, 1), (4, 3, 3)] {
        block_on_two_threads(async {
            let program = |member, max| Identity { versions: VersionRange { min: 1, max }, ..identity(member) };
            let mut one = Node::start_as(TokioTransport, program(1, ours), noise()).await;
            let mut two = Node::start_as(TokioTransport, program(2, theirs), noise()).await;
            one.dial(&[&two]);
            acquaint(&one, &two);
            let lane = one.mesh.lane(life_of(&two)).unwrap();

            lane.send(parcel(1)).await.unwrap();
            lane.send(ToLane::Parcel {
                origin: None,
                route: MISSED,
                stanza: stanza(2),
                attempts: 0,
                name: None,
                turn: Turn(0),
            })
            .await
            .unwrap();

            let home = Home::Member { member: MemberId(1), incarnation: Incarnation(1001), number: Sequence(1) };
            assert_eq!(two.told().await, Told::Delivered(Parcel { stanza: stanza(1), route: ROUTE, home }));
            assert_eq!(one.told().await, Told::Handled(1));
            one.mesh.applied(LogIndex(1_000_000));
            let Told::Redecide(again) = one.told().await else { panic!("the second one comes back") };
            assert_eq!(again.stanza, stanza(2));
            let version = one
                .wait(|event| match event {
                    LinkEvent::Up(LinkUp { lane: Lane::Data, version, .. }) => Some(version),
                    _ => None,
                })
                .await;
            assert_eq!(version, agreed);
        });
    }
}

/// The lane is cut again and again while parcels are under way.
#[test]
fn parcels_survive_their_connections_once_each_and_in_order() {
    const COUNT: u64 = 3000;
    block_on_two_threads(async {
        let (mut one, mut two) = linked().await;
        let lane = one.mesh.lane(life_of(&two)).unwrap();
        let (mesh, there) = (one.mesh.clone(), two.address());

        let send = async {
            for number in 1..=COUNT {
                lane.send(parcel(number)).await.unwrap();
                if number % 500 == 0 {
                    mesh.set_peers(nobody());
                    mesh.set_peers([there].into());
                }
            }
        };
        let deliver = async {
            for number in 1..=COUNT {
                let Told::Delivered(parcel) = two.told().await else { panic!("only parcels were sent") };
                assert_eq!(parcel.stanza, stanza(number));
                two.mesh.settle(parcel.home).await;
            }
        };
        let handle = async {
            for number in 1..=COUNT {
                assert_eq!(one.told().await, Told::Handled(number));
            }
        };
        timeout(PATIENCE, futures_util::future::join3(send, deliver, handle)).await.expect("all arrive");
        lane.send(ToLane::Pass { route: ROUTE, pass: 9 }).await.unwrap();
        assert_eq!(one.told().await, Told::Passed(9));
    });
}

#[test]
fn a_parcel_for_a_session_that_is_not_there_is_decided_again_when_this_node_knows_as_much() {
    block_on_one_thread(async {
        let (mut one, two) = linked().await;
        let lane = one.mesh.lane(life_of(&two)).unwrap();
        let missed = ToLane::Parcel {
            origin: Some(1),
            route: MISSED,
            stanza: stanza(1),
            attempts: 0,
            name: None,
            turn: Turn(0),
        };
        lane.send(missed).await.unwrap();
        assert_eq!(one.told().await, Told::Handled(1));

        one.mesh.applied(LogIndex(500));

        let Told::Redecide(again) = one.told().await else { panic!("it was missed") };
        assert_eq!((again.stanza, again.attempts, again.confirm), (stanza(1), 1, true));
        one.mesh.confirm(lane.peer(), again.number).await;
    });
}

/// Two processes die at different moments: who lives decides about what the dead one had.
#[test]
fn the_end_of_a_life_gives_back_what_was_sent_to_it_in_order_and_inherits_what_it_had_returned() {
    block_on_two_threads(async {
        let (mut one, mut two) = linked().await;
        let lane = one.mesh.lane(life_of(&two)).unwrap();
        for number in 1..=3 {
            lane.send(parcel(number)).await.unwrap();
        }
        for number in 1..=3 {
            assert_eq!(one.told().await, Told::Handled(number));
            let Told::Delivered(parcel) = two.told().await else { panic!("only parcels were sent") };
            if number == 2 {
                two.mesh.give_back(parcel, LogIndex(1_000_000)).await;
            }
        }

        two.mesh.ban(one.peer());
        let Told::Inherited(inherited) = two.told().await else { panic!("one was returned") };
        assert_eq!(inherited.stanza, stanza(2));

        one.mesh.ban(two.peer());
        for number in 1..=3 {
            let Told::Redecide(again) = one.told().await else { panic!("three were sent") };
            assert_eq!((again.stanza, again.confirm), (stanza(number), false));
        }
        let refused = lane.send(parcel(4)).await;
        assert!(refused.is_err() || matches!(one.told().await, Told::Redecide(_)));
        assert!(one.mesh.lane(life_of(&two)).is_none());
    });
}

/// R4.8. What is said on a route and the question whether anything is under way on it take the same lane, or none.
#[test]
fn a_lane_leads_to_one_life_and_to_no_other_of_the_member() {
    block_on_one_thread(async {
        let (one, two) = (Node::start(1).await, Node::start(2).await);
        acquaint(&one, &two);
        let present = life_of(&two);
        let next = Life { incarnation: Incarnation(present.incarnation.0 + 1), ..present };

        assert!(one.mesh.lane(present).is_some());
        assert!(one.mesh.lane(next).is_none());
        one.mesh.set_current(two.peer(), next.incarnation);
        assert!(one.mesh.lane(next).is_some());
        assert!(one.mesh.lane(present).is_none());
    });
}

/// The owner has not heard yet that the home has joined: the home tries again until it has.
#[test]
fn a_lane_waits_until_both_sides_know_the_lives() {
    block_on_two_threads(async {
        let (one, mut two) = (Node::start(1).await, Node::start(2).await);
        one.dial(&[&two]);
        one.mesh.set_current(two.peer(), life_of(&two).incarnation);
        one.mesh.lane(life_of(&two)).unwrap().send(parcel(1)).await.unwrap();
        two.wait_up(Lane::Control, Direction::Accepted).await;
        two.mesh.set_current(one.peer(), Incarnation(1));

        let Told::Delivered(parcel) = two.told().await else { panic!("a parcel was sent") };
        assert_eq!(parcel.stanza, stanza(1));
    });
}

/// The recipients' node is there and its lane is not: senders wait at the bound, and nothing is lost.
#[test]
fn senders_wait_when_a_lane_is_full() {
    block_on_two_threads(async {
        let (one, two) = (Node::start(1).await, Node::start(2).await);
        acquaint(&one, &two);
        let lane = one.mesh.lane(life_of(&two)).unwrap();

        let mut sent = 0;
        let fill = async {
            loop {
                sent += 1;
                lane.send(parcel(sent)).await.unwrap();
            }
        };
        tokio::select! {
            biased;
            () = fill => {}
            () = tokio::time::sleep(Duration::from_secs(2)) => {}
        }

        let queued = LANE_QUEUE_BYTES_MAX / cresset_core::stanza::STANZA_OVERHEAD_BYTES;
        let bound = OUTBOX_UNTAKEN_PARCELS_MAX + queued as u64 + 1;
        assert!(sent <= bound, "{sent} of {bound}");
    });
}
