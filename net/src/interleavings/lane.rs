//! A life ends while sessions send to it by a lane that is full.

use std::sync::{Arc, LazyLock};

use bytes::Bytes;
use cresset_core::ids::RouteId;
use cresset_core::limits::LANE_QUEUE_BYTES_MAX;
use cresset_core::node::Peer;
use cresset_core::routing::{Missed, Parcel, Redecide, Refused, StanzaName, Turn};
use cresset_core::stanza::{Kind, MessageType, Stanza};
use shuttle::{future, thread};
use tokio::sync::mpsc::error::TrySendError;

use super::{check, finds};
use crate::links::{self, DataLane, DataService, ToLane};
use crate::sync::{Fault, Mutex, PoisonError};

/// One of these fills the queue of a lane.
static HEAVY: LazyLock<Bytes> = LazyLock::new(|| vec![b' '; LANE_QUEUE_BYTES_MAX].into());

/// One sender of the harness, and the place of the stanza among what it sends.
type Origin = (usize, usize);

/// What has come back from the lane to be decided again.
#[derive(Default)]
struct CameBack(Mutex<Vec<Origin>>);

impl CameBack {
    fn of(&self, sender: usize) -> Vec<usize> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.iter().filter(|origin| origin.0 == sender).map(|origin| origin.1).collect()
    }
}

impl DataService for CameBack {
    type Origin = Origin;
    type Pass = ();

    fn redecide(&self, _peer: Peer, again: Redecide<Origin>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend(again.origin);
    }

    fn deliver(&self, _parcel: Parcel) -> Result<(), Box<Missed>> {
        unreachable!("nothing comes from the other member")
    }

    fn nudge(&self, _route: RouteId) {
        unreachable!("nothing comes from the other member")
    }

    fn inherit(&self, _parcel: Parcel, _name: Option<StanzaName>) {
        unreachable!("nothing comes from the other member")
    }

    fn handled(&self, _origin: Origin) {
        unreachable!("the other member takes nothing")
    }

    fn refused(&self, _refused: Refused<Origin>) {
        unreachable!("it is little for one account")
    }

    fn passed(&self, (): ()) {
        unreachable!("nobody asks")
    }
}

/// P4. A sender that is refused sends the next by another way, so all that the lane had accepted from it is in its row by
/// then, in order. And nobody waits for room on a lane that is over.
fn whoever_is_refused_finds_what_was_accepted_decided_again() {
    let service = Arc::new(CameBack::default());
    let (lane, end, run) = links::alone(service.clone());

    let task = thread::spawn(move || future::block_on(run));
    let senders: Vec<_> = (0..2)
        .map(|sender| {
            let (lane, service) = (lane.clone(), service.clone());
            thread::spawn(move || {
                let accepted = (0..).take_while(|number| is_accepted(&lane, (sender, *number))).take(3).count();
                if accepted < 3 {
                    assert_eq!(service.of(sender), (0..accepted).collect::<Vec<_>>());
                }
                accepted
            })
        })
        .collect();
    end();

    let accepted: Vec<_> = senders.into_iter().map(|sender| sender.join().expect("it does not panic")).collect();
    task.join().expect("it does not panic");
    for (sender, accepted) in accepted.into_iter().enumerate() {
        assert_eq!(service.of(sender), (0..accepted).collect::<Vec<_>>());
    }
    assert!(lane.is_closed());
}

/// Sends as the router does: at once if it can be, waiting else.
fn is_accepted(lane: &DataLane<CameBack>, origin: Origin) -> bool {
    let payload = HEAVY.clone();
    let stanza = Stanza { payload, ..Stanza::new(Kind::Message(MessageType::Chat)) };
    let route = RouteId::default();
    let request = ToLane::Parcel { origin: Some(origin), route, stanza, attempts: 0, name: None, turn: Turn(0) };
    match lane.try_send(request) {
        Ok(()) => true,
        Err(TrySendError::Full(request)) => future::block_on(lane.send(request)).is_ok(),
        Err(TrySendError::Closed(_)) => false,
    }
}

#[test]
fn interleavings_of_the_end_of_a_life_and_what_is_sent_to_it() {
    check(whoever_is_refused_finds_what_was_accepted_decided_again);
}

#[test]
fn a_sender_that_waits_for_room_on_a_lane_that_is_over_is_noticed() {
    finds(Fault::WaitersNotTold, whoever_is_refused_finds_what_was_accepted_decided_again);
}

#[test]
fn a_lane_that_refuses_before_all_has_come_back_is_noticed() {
    finds(Fault::RefusedBeforeDrained, whoever_is_refused_finds_what_was_accepted_decided_again);
}
