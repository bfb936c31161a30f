//! An example of each format in which links say something.

use cresset_core::cluster::Command;
use cresset_core::ids::{RouteId, Sequence, Term};
use cresset_core::node::{BeatAnswer, ControlMessage, Wish};
use cresset_core::routing::{DataAnswer, DataFrame, Destination, NumberRange};
use cresset_core::stanza::{IqType, Kind, MessageType, PresenceType, Stanza};
use cresset_core::wire::LinkFormat;

use super::super::frame::{Assembly, FrameKind, append};
use super::super::hello::{Greeting, Hello};
use super::*;
use crate::formats::{Example, TIMES, joined, parts};

const LIFE: Life = Life { member: MemberId(2), incarnation: Incarnation(70) };
const ROUTE: RouteId = RouteId { index: LogIndex(70_000), position: 3 };

/// Every example of this room.
pub(crate) fn examples() -> Vec<Example> {
    let mut examples = vec![greetings()];
    for (home, owner, control, format) in [
        ("data-lane-home.1", "data-lane-owner.1", "control-lane.1", LinkFormat::First),
        ("data-lane-home.3", "data-lane-owner.3", "control-lane.3", LinkFormat::Third),
    ] {
        let frames = data_frames().map(|frame| {
            let mut bytes = Vec::new();
            frame.encode_into(format, &mut bytes);
            bytes
        });
        examples.push(stream(home, Lane::Data, format, &frames, move |payloads| {
            let read = payloads.iter().map(|payload| DataFrame::decode(payload, format).ok().flatten());
            read.eq(data_frames().map(Some))
        }));
        let answers = data_answers().map(|answer| answer.encode(format));
        examples.push(stream(owner, Lane::Data, format, &answers, move |payloads| {
            let read = payloads.iter().map(|payload| DataAnswer::decode(payload, format).ok().flatten());
            read.eq(data_answers().map(Some))
        }));
        let messages = control_messages().map(|message| message.encode(format));
        examples.push(stream(control, Lane::Control, format, &messages, move |payloads| {
            let read = payloads.iter().map(|payload| ControlMessage::decode(payload, format).ok());
            read.eq(control_messages().map(Some))
        }));
    }
    examples
}

/// What is said before a version is agreed on: a hello, a refusal and a question.
fn greetings() -> Example {
    fn said() -> [Greeting; 3] {
        let alike = Alike {
            domain: "chat.example".into(),
            name: "cresset".into(),
            former_name: "old".into(),
            times: TIMES,
            times_are_agreed: true,
            crash_evidence: true,
        };
        let identity = Identity {
            cluster: "c1".into(),
            member: MemberId(300),
            boot: BootId(u64::MAX),
            name: "node-a".into(),
            address: ([10, 0, 0, 1], 5701).into(),
            versions: VersionRange { min: 1, max: 3 },
            machine: "m1".into(),
            program: "0.1.0".into(),
            alike: Some(alike),
        };
        let hello = |lane| Hello { identity: identity.clone(), lane };
        [Greeting::Hello(hello(Lane::Raft)), Greeting::Refusal(2, hello(Lane::Data)), Greeting::Question]
    }
    let bytes = said().map(|greeting| greeting.to_bytes());
    Example::new("greetings.1", joined(&bytes), |bytes| {
        parts(bytes).iter().map(|greeting| Greeting::of_bytes(greeting).ok()).eq(said().map(Some))
    })
}

/// Frames as they follow each other on a lane, and whether their payloads are those that were meant.
fn stream(
    file: &'static str,
    lane: Lane,
    format: LinkFormat,
    payloads: &[Vec<u8>],
    holds: impl Fn(&[Vec<u8>]) -> bool + 'static,
) -> Example {
    let kind = if lane == Lane::Data { FrameKind::Data } else { FrameKind::Control };
    let mut bytes = Vec::new();
    append(format, FrameKind::Alive, &[], &mut bytes);
    for payload in payloads {
        append(format, kind, &[payload], &mut bytes);
    }
    Example::new(file, bytes, move |bytes| {
        let mut assembly = Assembly::new(lane, format);
        assembly.tail().extend_from_slice(bytes);
        let mut payloads = Vec::new();
        while let Ok(Some(frame)) = assembly.next() {
            if frame.kind == kind {
                payloads.push(frame.payload.to_vec());
            }
        }
        assembly.tail().is_empty() && holds(&payloads)
    })
}

/// One of each kind.
pub(super) fn control_messages() -> [ControlMessage; 10] {
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
        ControlMessage::Over { life: LIFE },
        ControlMessage::Applied { index: LogIndex(1 << 40) },
        ControlMessage::Crashed { member: MemberId(3), boot: BootId(u64::MAX), log_end: (Term(3), LogIndex(80)) },
        ControlMessage::TakenBack { member: MemberId(3), boot: BootId(u64::MAX) },
        ControlMessage::Propose { commands: vec![Command::Activate(LIFE), Command::Leave(LIFE)] },
        ControlMessage::LedFrom { address: ([10, 0, 0, 1], 5701).into() },
        ControlMessage::Wanted(Wish::Times { after: LogIndex(7), to: TIMES }),
    ]
}

/// One of each kind, with as much in it as there can be, and with as little.
pub(super) fn data_frames() -> [DataFrame; 7] {
    let destination = Destination::Session(ROUTE);
    let stanza = Stanza {
        from: Some("romeo@example.org/orchard".parse().unwrap()),
        to: Some("juliet@example.org/balcony".parse().unwrap()),
        id: Some("1".to_owned()),
        language: Some("en".to_owned()),
        payload: Bytes::from_static(b"<body>wherefore art thou</body>"),
        ..Stanza::new(Kind::Message(MessageType::Chat))
    };
    let name = Some(StanzaName { home: BootId(1), owner: BootId(u64::MAX), number: Sequence(3) });
    let parcel = |number, stanza, name| DataFrame::Parcel { number: Sequence(number), destination, stanza, name };
    [
        parcel(1, stanza, name),
        parcel(2, Stanza::new(Kind::Presence(PresenceType::Unavailable)), None),
        parcel(300, Stanza::new(Kind::Iq(IqType::Error)), None),
        DataFrame::Nudge { number: Sequence(70_000), route: ROUTE },
        DataFrame::Recall { ranges: ranges() },
        DataFrame::Confirmed { ranges: ranges() },
        DataFrame::Confirmed { ranges: Vec::new() },
    ]
}

/// One of each kind.
pub(super) fn data_answers() -> [DataAnswer; 3] {
    [
        DataAnswer::Taken { upto: Sequence(70_000) },
        DataAnswer::Settled { ranges: ranges() },
        DataAnswer::Returned { ranges: ranges(), index: LogIndex(70) },
    ]
}

/// One behind the other, one before it, and the ends of counting.
fn ranges() -> Vec<NumberRange> {
    [(1, 1), (70_000, 70_009), (5, 300), (u64::MAX, u64::MAX)]
        .map(|(first, last)| NumberRange { first: Sequence(first), last: Sequence(last) })
        .into()
}
