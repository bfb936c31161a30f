//! What arrives on links, handed to the attack on decoders.

use cresset_core::cluster::Command;
use cresset_core::ids::{Life, RouteId, Sequence, Term};
use cresset_core::node::{BeatAnswer, CONTROL_BYTES_MAX, ControlMessage};
use cresset_core::routing::{DataAnswer, DataFrame, NumberRange};
use cresset_core::stanza::{Kind, MessageType, Stanza};
use cresset_core::wire;

use super::super::frame::{Assembly, FrameKind, append};
use super::super::hello::{Greeting, Hello};
use super::*;
use crate::hostile_bytes::{Decoder, unsealed};

const LIFE: Life = Life { member: MemberId(2), incarnation: Incarnation(70) };

/// Every decoder of this room, and core's of what the links carry.
pub(crate) fn decoders() -> Vec<Decoder> {
    let decoder = |name, sound, decode| Decoder { name, sound, seal: unsealed, decode };
    vec![
        decoder("greeting", greetings(), |bytes| Greeting::of_bytes(bytes).is_ok()),
        decoder("frames of the control lane", vec![frames()], |bytes| are_frames(Lane::Control, bytes)),
        decoder("frames of the data lane", vec![frames()], |bytes| are_frames(Lane::Data, bytes)),
        decoder("frames of the Raft lane", vec![frames()], |bytes| are_frames(Lane::Raft, bytes)),
        decoder("control message", control_messages(), |bytes| {
            wire::decode::<ControlMessage>(bytes, CONTROL_BYTES_MAX).is_ok()
        }),
        decoder("data frame", data_frames(), |bytes| {
            wire::decode::<DataFrame>(bytes, Lane::Data.payload_bytes_max()).is_ok()
        }),
        decoder("data answer", data_answers(), |bytes| {
            wire::decode::<DataAnswer>(bytes, Lane::Data.payload_bytes_max()).is_ok()
        }),
    ]
}

fn greetings() -> Vec<Vec<u8>> {
    let hello = |lane| Hello { identity: identity(3), lane };
    [Greeting::Hello(hello(Lane::Raft)), Greeting::Refusal(2, hello(Lane::Data))].map(|said| said.to_bytes()).to_vec()
}

/// A stream of frames of every kind.
fn frames() -> Vec<u8> {
    let mut bytes = Vec::new();
    let kinds = [FrameKind::Alive, FrameKind::Control, FrameKind::Request, FrameKind::Response, FrameKind::Data];
    for (kind, length) in kinds.into_iter().zip([0, 5, 100, 1000, 20]) {
        append(kind, &[&vec![7; length]], &mut bytes);
    }
    bytes
}

/// As they arrive: a piece at a time, and no further than to the first fault.
fn are_frames(lane: Lane, bytes: &[u8]) -> bool {
    let mut assembly = Assembly::new(lane);
    for piece in bytes.chunks(700) {
        assembly.tail().extend_from_slice(piece);
        loop {
            match assembly.next() {
                Ok(Some(_)) => {}
                Ok(None) => break,
                Err(_) => return false,
            }
        }
    }
    true
}

fn control_messages() -> Vec<Vec<u8>> {
    let answer = BeatAnswer {
        round: Sequence(300),
        voted: Term(3),
        applied: LogIndex(70_000),
        leader: Some(MemberId(1)),
        another_leader: Some(Duration::from_millis(7)),
    };
    [
        ControlMessage::Beat {
            round: Sequence(300),
            applied: LogIndex(70_000),
            life: Some(LIFE),
            leader: Some(MemberId(1)),
            unheard: BTreeSet::from([MemberId(3), MemberId(400)]),
        },
        ControlMessage::BeatAnswer(answer),
        ControlMessage::Granted { ask: Sequence(9), life: LIFE },
        ControlMessage::Crashed { member: MemberId(3), boot: BootId(u64::MAX), log_end: (Term(3), LogIndex(80)) },
        ControlMessage::Propose { commands: vec![Command::Activate(LIFE), Command::Leave(LIFE)] },
        ControlMessage::LedFrom { address: ([10, 0, 0, 1], 5701).into() },
    ]
    .iter()
    .map(wire::encode)
    .collect()
}

fn data_frames() -> Vec<Vec<u8>> {
    let route = RouteId { index: LogIndex(70), position: 3 };
    let stanza = Stanza {
        from: Some("romeo@example.org/orchard".parse().unwrap()),
        to: Some("juliet@example.org/balcony".parse().unwrap()),
        id: Some("1".to_owned()),
        language: Some("en".to_owned()),
        payload: Bytes::from_static(b"<body>wherefore art thou</body>"),
        ..Stanza::new(Kind::Message(MessageType::Chat))
    };
    let name = Some(StanzaName { home: BootId(1), owner: BootId(2), number: Sequence(3) });
    [
        DataFrame::Parcel { number: Sequence(1), route, stanza, name },
        DataFrame::Nudge { number: Sequence(2), route },
        DataFrame::Recall { ranges: ranges() },
        DataFrame::Confirmed { ranges: ranges() },
    ]
    .iter()
    .map(wire::encode)
    .collect()
}

fn data_answers() -> Vec<Vec<u8>> {
    [
        DataAnswer::Taken { upto: Sequence(7) },
        DataAnswer::Settled { ranges: ranges() },
        DataAnswer::Returned { ranges: ranges(), index: LogIndex(70) },
    ]
    .iter()
    .map(wire::encode)
    .collect()
}

fn ranges() -> Vec<NumberRange> {
    (1..5).map(|n| NumberRange { first: Sequence(100 * n), last: Sequence(100 * n + 3) }).collect()
}
