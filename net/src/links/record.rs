//! Records: what goes over the network. Each carries a piece of the stream of frames, sealed.
//!
//! ```text
//! length of the body (2, big endian)   body = piece ++ seal
//! ```
//!
//! The seal is the tag of a Noise transport message, or, on a simulated network, a checksum over the record's number,
//! its length and the piece. Records are numbered on both sides without saying so: one that is damaged, lost, repeated
//! or moved is noticed, and nothing of it or after it is handed on.

use super::event::LinkFault;

/// Bytes of the length before the body.
pub(super) const LENGTH_BYTES: usize = 2;

/// Bytes of a body at most: what a Noise message may have (Noise specification, section 3).
pub(super) const BODY_BYTES_MAX: usize = 65_535;

/// Bytes of the tag that Noise adds.
const TAG_BYTES: usize = 16;

/// Bytes of the checksum.
const CHECKSUM_BYTES: usize = 4;

/// Bytes of one piece at most.
pub(super) const PIECE_BYTES_MAX: usize = BODY_BYTES_MAX - TAG_BYTES;

/// Seals and opens the records of one connection.
pub(super) enum Sealing {
    /// Encrypted and authenticated.
    Noise(Box<snow::TransportState>),
    /// Checked for accidents only.
    Checked {
        /// Records sealed.
        sealed: u64,
        /// Records opened.
        opened: u64,
    },
}

impl Sealing {
    /// Appends a record that carries `piece`, of at most [`PIECE_BYTES_MAX`] bytes.
    ///
    /// # Panics
    ///
    /// If the piece is longer.
    pub(super) fn seal(&mut self, piece: &[u8], records: &mut Vec<u8>) {
        let seal_bytes = self.seal_bytes();
        let body = u16::try_from(piece.len() + seal_bytes).expect("a piece leaves room for its seal");
        let begin = records.len() + LENGTH_BYTES;
        records.extend_from_slice(&body.to_be_bytes());
        match self {
            Sealing::Noise(noise) => {
                records.resize(begin + usize::from(body), 0);
                noise
                    .write_message(piece, &mut records[begin..])
                    .expect("the buffer has the size of the body, and no link lives for 2^64 records");
            }
            Sealing::Checked { sealed, opened: _ } => {
                records.extend_from_slice(piece);
                records.extend_from_slice(&checksum(*sealed, body, piece).to_le_bytes());
                *sealed += 1;
            }
        }
    }

    /// Appends the piece that a body carries to `stream`.
    ///
    /// # Errors
    ///
    /// If the body is not the next one that the other side sealed; `stream` is as it was.
    pub(super) fn open(&mut self, body: &[u8], stream: &mut Vec<u8>) -> Result<(), LinkFault> {
        let Some(piece_bytes) = body.len().checked_sub(self.seal_bytes()) else {
            return Err(LinkFault::RecordLength(body.len()));
        };
        let begin = stream.len();
        match self {
            Sealing::Noise(noise) => {
                // The cipher works in place and wants the tag in there too.
                stream.resize(begin + body.len(), 0);
                let opened = noise.read_message(body, &mut stream[begin..]);
                stream.truncate(begin + if opened.is_ok() { piece_bytes } else { 0 });
                opened.map(|_| ()).map_err(|_| LinkFault::Forged)
            }
            Sealing::Checked { sealed: _, opened } => {
                let (piece, said) = body.split_at(piece_bytes);
                let length = u16::try_from(body.len()).map_err(|_| LinkFault::RecordLength(body.len()))?;
                if checksum(*opened, length, piece).to_le_bytes() != said {
                    return Err(LinkFault::Forged);
                }
                *opened += 1;
                stream.extend_from_slice(piece);
                Ok(())
            }
        }
    }

    const fn seal_bytes(&self) -> usize {
        match self {
            Sealing::Noise(_) => TAG_BYTES,
            Sealing::Checked { .. } => CHECKSUM_BYTES,
        }
    }
}

fn checksum(number: u64, body: u16, piece: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&number.to_le_bytes());
    hasher.update(&body.to_be_bytes());
    hasher.update(piece);
    hasher.finalize()
}
