//! Frames: what a link carries, cut out of the stream that comes out of the records.
//!
//! ```text
//! length (4, little endian)   format (1)   kind (1)   payload
//! of all that follows
//! ```
//!
//! The length is judged before a byte of the frame is kept; memory grows with what arrived, a record at a time, never
//! with what was announced. The format is the one on which both ends agreed when they said hello, and no other: a frame
//! of another one ends the link. A kind that is not known is skipped, so that a later version may say more.

use cresset_core::wire::LinkFormat;

use super::event::LinkFault;
use super::identity::Lane;

/// Bytes of the length.
const LENGTH_BYTES: usize = 4;

/// Bytes of format and kind, which the length counts.
const HEAD_BYTES: usize = 2;

/// Memory that an assembly keeps when it is empty.
const KEPT_BYTES_MAX: usize = 128 * 1024;

/// What a frame is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum FrameKind {
    /// Says that the sender is there. No payload.
    Alive,
    /// A message of the control plane.
    Control,
    /// A request: its number (8, little endian), then what is asked.
    Request,
    /// The response to the request of that number.
    Response,
    /// Something of the data lane, from the side that dialled it or back to it.
    Data,
}

impl FrameKind {
    const fn number(self) -> u8 {
        match self {
            FrameKind::Alive => 0,
            FrameKind::Control => 1,
            FrameKind::Request => 2,
            FrameKind::Response => 3,
            FrameKind::Data => 4,
        }
    }

    fn of_number(number: u8) -> Option<FrameKind> {
        [FrameKind::Alive, FrameKind::Control, FrameKind::Request, FrameKind::Response, FrameKind::Data]
            .into_iter()
            .find(|kind| kind.number() == number)
    }
}

/// A whole frame.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Frame<'a> {
    pub(super) kind: FrameKind,
    pub(super) payload: &'a [u8],
}

/// Appends a frame whose payload is `parts`, one after the other.
///
/// # Panics
///
/// If the payload is longer than a length can say; the lanes bound it far below.
pub(super) fn append(format: LinkFormat, kind: FrameKind, parts: &[&[u8]], bytes: &mut Vec<u8>) {
    let payload: usize = parts.iter().map(|part| part.len()).sum();
    let length = u32::try_from(payload + HEAD_BYTES).expect("a lane bounds the payload to a megabyte");
    bytes.extend_from_slice(&length.to_le_bytes());
    bytes.extend_from_slice(&[format.number(), kind.number()]);
    for part in parts {
        bytes.extend_from_slice(part);
    }
}

/// Frames in the making.
#[derive(Debug)]
pub(super) struct Assembly {
    bytes: Vec<u8>,
    /// What lies before it has been handed out.
    start: usize,
    length_max: usize,
    format: LinkFormat,
}

impl Assembly {
    /// An empty one, for frames of a lane in the format that was agreed on.
    pub(super) fn new(lane: Lane, format: LinkFormat) -> Assembly {
        Assembly { bytes: Vec::new(), start: 0, length_max: lane.payload_bytes_max() + HEAD_BYTES, format }
    }

    /// Where the next bytes of the stream are to be appended, at most a record at a time. To be called when
    /// [`next`](Self::next) has nothing more, so that what is kept is less than one frame.
    pub(super) fn tail(&mut self) -> &mut Vec<u8> {
        if self.start > 0 {
            self.bytes.drain(..self.start);
            self.start = 0;
            if self.bytes.is_empty() && self.bytes.capacity() > KEPT_BYTES_MAX {
                self.bytes.shrink_to(KEPT_BYTES_MAX);
            }
        }
        &mut self.bytes
    }

    /// The next whole frame of a kind that is known.
    ///
    /// # Errors
    ///
    /// A length or a format that is not accepted; the stream cannot be read any further.
    pub(super) fn next(&mut self) -> Result<Option<Frame<'_>>, LinkFault> {
        loop {
            let Some(length) = self.length()? else { return Ok(None) };
            let begin = self.start + LENGTH_BYTES;
            let Some(&found) = self.bytes.get(begin) else { return Ok(None) };
            let agreed = self.format.number();
            if found != agreed {
                return Err(LinkFault::FrameFormat { found, agreed });
            }
            let end = begin + length;
            if end > self.bytes.len() {
                return Ok(None);
            }
            self.start = end;
            if let Some(kind) = FrameKind::of_number(self.bytes[begin + 1]) {
                return Ok(Some(Frame { kind, payload: &self.bytes[begin + HEAD_BYTES..end] }));
            }
        }
    }

    /// What the frame at the start says of its length.
    fn length(&self) -> Result<Option<usize>, LinkFault> {
        let Some(announced) = self.bytes[self.start..].first_chunk::<LENGTH_BYTES>() else { return Ok(None) };
        let announced = u32::from_le_bytes(*announced);
        match usize::try_from(announced) {
            Ok(length) if (HEAD_BYTES..=self.length_max).contains(&length) => Ok(Some(length)),
            Ok(_) | Err(_) => Err(LinkFault::FrameLength { len: u64::from(announced), max: self.length_max as u64 }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FORMAT: LinkFormat = LinkFormat::Third;

    #[test]
    fn a_length_that_is_not_accepted_is_refused_before_anything_is_kept_for_it() {
        for length in [0, 1, Lane::Data.payload_bytes_max() as u32 + 3, 1 << 31, u32::MAX] {
            let mut assembly = Assembly::new(Lane::Data, FORMAT);
            assembly.tail().extend_from_slice(&length.to_le_bytes());

            assert!(matches!(assembly.next(), Err(LinkFault::FrameLength { .. })), "{length}");
            assert!(assembly.bytes.capacity() < 64);
        }
    }

    #[test]
    fn the_longest_payload_of_a_lane_passes_and_memory_follows_what_arrived() {
        let payload = vec![7; Lane::Control.payload_bytes_max()];
        let mut stream = Vec::new();
        append(FORMAT, FrameKind::Control, &[&payload], &mut stream);

        let mut assembly = Assembly::new(Lane::Control, FORMAT);
        let mut arrived = 0;
        for record in stream.chunks(60_000) {
            assert_eq!(assembly.next(), Ok(None));
            assembly.tail().extend_from_slice(record);
            arrived += record.len();
            assert!(assembly.bytes.capacity() <= 2 * arrived.max(64));
        }

        assert_eq!(assembly.next(), Ok(Some(Frame { kind: FrameKind::Control, payload: &payload })));
        assert_eq!(assembly.next(), Ok(None));
        assembly.tail();
        assert!(assembly.bytes.capacity() <= KEPT_BYTES_MAX);
    }

    #[test]
    fn a_stream_cut_anywhere_yields_the_frames_before_the_cut_and_no_other() {
        let mut stream = Vec::new();
        append(FORMAT, FrameKind::Control, &[b"one"], &mut stream);
        let first = stream.len();
        append(FORMAT, FrameKind::Request, &[&1u64.to_le_bytes(), b"two"], &mut stream);

        for cut in 0..stream.len() {
            let mut assembly = Assembly::new(Lane::Control, FORMAT);
            assembly.tail().extend_from_slice(&stream[..cut]);

            let mut frames = 0;
            while let Ok(Some(_)) = assembly.next() {
                frames += 1;
            }
            assert_eq!(frames, usize::from(cut >= first), "cut at {cut}");
        }
    }

    #[test]
    fn a_kind_of_a_later_version_is_skipped() {
        let mut stream = Vec::new();
        append(FORMAT, FrameKind::Control, &[b"unknown"], &mut stream);
        stream[LENGTH_BYTES + 1] = 99;
        append(FORMAT, FrameKind::Control, &[b"known"], &mut stream);
        let mut assembly = Assembly::new(Lane::Control, FORMAT);
        assembly.tail().extend_from_slice(&stream);

        assert_eq!(assembly.next(), Ok(Some(Frame { kind: FrameKind::Control, payload: b"known" })));
    }

    #[test]
    fn a_frame_of_a_format_that_was_not_agreed_on_is_refused_by_name() {
        let (first, third) = (LinkFormat::First, LinkFormat::Third);
        for (agreed, spoken, found) in [(first, third, 3), (third, first, 1), (third, third, 4)] {
            let mut stream = Vec::new();
            append(agreed, FrameKind::Control, &[b"before"], &mut stream);
            let second = stream.len();
            append(spoken, FrameKind::Control, &[b"after"], &mut stream);
            stream[second + LENGTH_BYTES] = found;
            let mut assembly = Assembly::new(Lane::Control, agreed);
            assembly.tail().extend_from_slice(&stream);

            assert_eq!(assembly.next(), Ok(Some(Frame { kind: FrameKind::Control, payload: b"before" })));
            let agreed = agreed.number();
            assert_eq!(assembly.next(), Err(LinkFault::FrameFormat { found, agreed }));
        }
        let told = LinkFault::FrameFormat { found: 3, agreed: 1 }.to_string();
        assert_eq!(told, "a frame of format 3, and both sides had agreed on format 1");
    }
}
