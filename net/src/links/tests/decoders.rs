//! What arrives on links, handed to the attack on decoders.

use cresset_core::node::ControlMessage;
use cresset_core::routing::{DataAnswer, DataFrame};
use cresset_core::wire::LinkFormat;

use super::super::frame::{Assembly, FrameKind, append};
use super::super::hello::{Greeting, Hello};
use super::examples::{control_messages, data_answers, data_frames};
use super::*;
use crate::hostile_bytes::{Decoder, unsealed};

const FIRST: LinkFormat = LinkFormat::First;
const THIRD: LinkFormat = LinkFormat::Third;

/// Every decoder of this room, and core's of what the links carry.
pub(crate) fn decoders() -> Vec<Decoder> {
    let decoder = |name, sound, decode| Decoder { name, sound, seal: unsealed, decode };
    vec![
        decoder("greeting", greetings(), |bytes| Greeting::of_bytes(bytes).is_ok()),
        decoder("frames of the control lane", vec![frames()], |bytes| are_frames(Lane::Control, bytes)),
        decoder("frames of the data lane", vec![frames()], |bytes| are_frames(Lane::Data, bytes)),
        decoder("frames of the Raft lane", vec![frames()], |bytes| are_frames(Lane::Raft, bytes)),
        decoder("control message", written(&control_messages(), |said| said.encode(FIRST)), |bytes| {
            ControlMessage::decode(bytes, FIRST).is_ok()
        }),
        decoder(
            "data frame of the first format",
            written(&data_frames(), |frame| frame_bytes(frame, FIRST)),
            |bytes| DataFrame::decode(bytes, FIRST).is_ok(),
        ),
        decoder(
            "data frame of the third format",
            written(&data_frames(), |frame| frame_bytes(frame, THIRD)),
            |bytes| DataFrame::decode(bytes, THIRD).is_ok(),
        ),
        decoder("data answer of the first format", written(&data_answers(), |answer| answer.encode(FIRST)), |bytes| {
            DataAnswer::decode(bytes, FIRST).is_ok()
        }),
        decoder("data answer of the third format", written(&data_answers(), |answer| answer.encode(THIRD)), |bytes| {
            DataAnswer::decode(bytes, THIRD).is_ok()
        }),
    ]
}

fn written<T>(values: &[T], encode: impl Fn(&T) -> Vec<u8>) -> Vec<Vec<u8>> {
    values.iter().map(encode).collect()
}

fn frame_bytes(frame: &DataFrame, format: LinkFormat) -> Vec<u8> {
    let mut bytes = Vec::new();
    frame.encode_into(format, &mut bytes);
    bytes
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
        append(THIRD, kind, &[&vec![7; length]], &mut bytes);
    }
    bytes
}

/// As they arrive: a piece at a time, and no further than to the first fault.
fn are_frames(lane: Lane, bytes: &[u8]) -> bool {
    let mut assembly = Assembly::new(lane, THIRD);
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
