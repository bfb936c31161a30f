//! Records that were cut, flipped, repeated or moved: nothing of them is ever handed on (G9, G10).

use cresset_core::wire::LinkFormat;
use tokio::io::AsyncWriteExt;

use super::*;
use crate::links::frame::FrameKind;
use crate::links::handshake;
use crate::links::hello::Hello;
use crate::links::record::Sealing;
use crate::links::wire::{Reading, Wire};

const FORMAT: LinkFormat = LinkFormat::Third;

/// Payloads of one stream of frames, in three records.
const CORPUS: [&[&[u8]]; 3] =
    [&[b"one", b""], &[b"a third frame, a little longer than those before"], &[b"four", b"5"]];

fn frames() -> Vec<Vec<u8>> {
    CORPUS.iter().flat_map(|record| record.iter()).map(|payload| payload.to_vec()).collect()
}

/// Both ends of a connection after a handshake.
async fn sealings(security: &LinkSecurity) -> (Sealing, Sealing) {
    let (near, far) = tokio::io::duplex(4096);
    let ours = Hello { identity: identity(1), lane: Lane::Control };
    let theirs = identity(2);
    let (dialled, accepted) = tokio::join!(
        handshake::dial(Box::new(near), security, &ours),
        handshake::accept(Box::new(far), security, &theirs, |_| Ok(()))
    );
    (dialled.unwrap().wire.into_sealing(), accepted.unwrap().0.wire.into_sealing())
}

fn sealed(sealing: &mut Sealing) -> Vec<Vec<u8>> {
    CORPUS
        .iter()
        .map(|record| {
            let (mut piece, mut bytes) = (Vec::new(), Vec::new());
            for payload in *record {
                crate::links::frame::append(FORMAT, FrameKind::Control, &[payload], &mut piece);
            }
            sealing.seal(&piece, &mut bytes);
            bytes
        })
        .collect()
}

/// A sealing that opens from the first record on, as often as it is asked for.
struct Opener {
    keys: Option<Sealing>,
}

impl Opener {
    async fn receive(&mut self, bytes: &[u8]) -> (Vec<Vec<u8>>, LinkFault) {
        let opening = match self.keys.take() {
            Some(Sealing::Noise(mut noise)) => {
                noise.set_receiving_nonce(1);
                Sealing::Noise(noise)
            }
            Some(Sealing::Checked { .. }) | None => Sealing::Checked { sealed: 1, opened: 1 },
        };
        let (near, mut far) = tokio::io::duplex(4096);
        far.write_all(bytes).await.unwrap();
        drop(far);
        let mut wire = Wire::new(Box::new(near), opening, Lane::Control, FORMAT);
        let received = drain(&mut wire).await;
        self.keys = Some(wire.into_sealing());
        received
    }
}

/// What a link hands on, what came with the damage included, and why it ends.
async fn drain(wire: &mut Wire) -> (Vec<Vec<u8>>, LinkFault) {
    let mut frames = Vec::new();
    loop {
        let turned = wire.turn(Reading::On).await;
        loop {
            match wire.next_frame() {
                Ok(Some(frame)) => frames.push(frame.payload.to_vec()),
                Ok(None) => break,
                Err(fault) => return (frames, fault),
            }
        }
        if let Err(fault) = turned {
            return (frames, fault);
        }
    }
}

async fn every_cut_and_every_flip(security: LinkSecurity) {
    let (mut near, far) = sealings(&security).await;
    let records = sealed(&mut near);
    let whole = records.concat();
    let mut opener = Opener { keys: Some(far) };
    assert_eq!(opener.receive(&whole).await, (frames(), LinkFault::Ended));

    for cut in 0..whole.len() {
        let (handed_on, fault) = opener.receive(&whole[..cut]).await;
        assert!(frames().starts_with(&handed_on), "cut at {cut}");
        assert!(handed_on.len() < frames().len() && fault == LinkFault::Ended, "cut at {cut}: {fault}");
    }
    for bit in 0..whole.len() * 8 {
        let mut flipped = whole.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        let (handed_on, fault) = opener.receive(&flipped).await;
        // Records before the damage pass, the damaged one and those after it do not.
        let before = CORPUS[..record_of(&records, bit / 8)].iter().map(|record| record.len()).sum();
        assert_eq!(handed_on, frames()[..before], "bit {bit}");
        let expected = matches!(fault, LinkFault::Forged | LinkFault::RecordLength(_) | LinkFault::Ended);
        assert!(expected, "bit {bit}: {fault}");
    }
    for (first, second) in [(1, 0), (0, 0), (0, 2)] {
        let (handed_on, fault) = opener.receive(&[&*records[first], &*records[second]].concat()).await;
        assert!(handed_on.len() <= CORPUS[0].len() && fault == LinkFault::Forged, "{first}, {second}: {fault}");
    }
}

fn record_of(records: &[Vec<u8>], mut byte: usize) -> usize {
    for (number, record) in records.iter().enumerate() {
        match byte.checked_sub(record.len()) {
            Some(rest) => byte = rest,
            None => return number,
        }
    }
    records.len()
}

#[test]
fn what_came_is_handed_on_although_nothing_can_be_said_any_more() {
    block_on_one_thread(async {
        let whole = sealed(&mut Sealing::Checked { sealed: 1, opened: 1 }).concat();
        let (near, mut far) = tokio::io::duplex(4096);
        far.write_all(&whole).await.unwrap();
        drop(far);
        let mut wire = Wire::new(Box::new(near), Sealing::Checked { sealed: 1, opened: 1 }, Lane::Control, FORMAT);
        wire.push(FrameKind::Control, &[b"an answer"]);

        assert_eq!(drain(&mut wire).await.0, frames());
    });
}

#[test]
fn encrypted_records_that_were_cut_flipped_or_moved_are_never_handed_on() {
    block_on_one_thread(every_cut_and_every_flip(noise()));
}

#[test]
fn checked_records_that_were_cut_flipped_or_moved_are_never_handed_on() {
    block_on_one_thread(every_cut_and_every_flip(LinkSecurity::PlaintextForSimulation));
}

/// Every byte of the handshake of a peer, cut and flipped: no link, no panic.
#[test]
fn a_handshake_that_was_cut_or_flipped_leads_to_no_link() {
    block_on_one_thread(async {
        let (mut near, far) = tokio::io::duplex(4096);
        let ours = Hello { identity: identity(1), lane: Lane::Control };
        let recorded = async {
            use tokio::io::AsyncReadExt;
            let mut first = vec![0; 9 + 2 + 48];
            near.read_exact(&mut first).await.unwrap();
            first
        };
        let security = noise();
        let first = tokio::select! {
            biased;
            first = recorded => first,
            _ = handshake::dial(Box::new(far), &security, &ours) => unreachable!("nobody answers"),
        };

        for case in 0..first.len() * 9 {
            let mut bytes = first.clone();
            match case.checked_sub(first.len() * 8) {
                Some(cut) => bytes.truncate(cut),
                None => bytes[case / 8] ^= 1 << (case % 8),
            }
            let (mut near, far) = tokio::io::duplex(4096);
            near.write_all(&bytes).await.unwrap();
            near.shutdown().await.unwrap();
            let accepted = handshake::accept(Box::new(far), &security, &identity(2), |_| Ok(())).await;
            assert!(accepted.is_err(), "case {case}");
        }
    });
}

#[test]
fn a_long_frame_crosses_records_of_every_size() {
    block_on_one_thread(async {
        let (mut near, far) = sealings(&noise()).await;
        let payload: Vec<u8> = (0..200_000u32).map(|number| number as u8).collect();
        let mut stream = Vec::new();
        crate::links::frame::append(FORMAT, FrameKind::Control, &[&payload], &mut stream);
        let (write, read) = tokio::io::duplex(1000);
        let mut wire = Wire::new(Box::new(read), far, Lane::Control, FORMAT);
        let mut write = write;
        let feed = async {
            let (mut rest, mut size) = (&stream[..], 1);
            while !rest.is_empty() {
                let (piece, later) = rest.split_at(size.min(rest.len()));
                let mut record = Vec::new();
                near.seal(piece, &mut record);
                write.write_all(&record).await.unwrap();
                (rest, size) = (later, (size * 3).min(60_000));
            }
            drop(write);
        };
        let ((), (frames, fault)) = tokio::join!(feed, drain(&mut wire));

        assert_eq!((frames, fault), (vec![payload], LinkFault::Ended));
    });
}
