//! How a connection becomes a link: prove that both know the join secret, then say who one is.
//!
//! ```text
//! dials                                                accepts
//!   ── "CRESSET" version mode, [Noise: psk, e] ────────▶
//!   ◀──────────── status, [Noise: e, ee] ───────────────
//!   ── record: hello ──────────────────────────────────▶   judged
//!   ◀──────────── record: hello or refusal ─────────────
//! ```
//!
//! Whoever dials may ask who is there in the place of its hello: it is told, and gets no link.
//!
//! The pattern is `NNpsk0`: strangers are turned away by the first message, before any work with keys, and what is
//! recorded cannot be read later with the secret alone. The hello comes after both sides have contributed, so a
//! replayed first message never gets as far as being judged. The status is not authenticated: it is a hint for the
//! log of whoever dialled, and nothing else depends on it.
//!
//! Nothing is allocated beyond [`RECORD_BYTES_MAX`] before the secret was proven. Deadlines and the number of
//! handshakes at a time are the callers' business.

use cresset_core::wire::LinkFormat;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::event::{HelloRefusal, LinkFault};
use super::hello::{Greeting, Hello, reason_number, refusal_of_number};
use super::identity::{Identity, JoinSecret, Lane, LinkSecurity};
use super::record::Sealing;
use super::wire::{BoxedStream, Wire};

/// The protocol. Sealing and opening a full record took 21 µs with ring's AES-256-GCM and 71 µs with its
/// ChaCha20-Poly1305, on a processor with AES instructions.
const NOISE: &str = "Noise_NNpsk0_25519_AESGCM_SHA256";

const MAGIC: &[u8; 7] = b"CRESSET";
const HANDSHAKE_VERSION: u8 = 1;
const MODE_NOISE: u8 = b'N';
const MODE_PLAINTEXT: u8 = b'P';
const PREAMBLE_BYTES: usize = 9;

/// Bytes of a record of the handshake at most.
const RECORD_BYTES_MAX: usize = 2048;

const STATUS_GO_ON: u8 = 0;
const STATUS_WRONG_SECRET: u8 = 1;
const STATUS_OTHER_SECURITY: u8 = 2;
const STATUS_OTHER_VERSION: u8 = 3;

/// A connection whose both ends know each other.
pub(super) struct Acquainted {
    pub(super) wire: Wire,
    pub(super) theirs: Hello,
    pub(super) version: u32,
}

/// Shakes hands as the side that dialled.
pub(super) async fn dial(
    mut stream: BoxedStream,
    security: &LinkSecurity,
    ours: &Hello,
) -> Result<Acquainted, HelloRefusal> {
    let mut sealing = prove_as_dialler(&mut stream, security).await?;
    write_greeting(&mut stream, &mut sealing, &Greeting::Hello(ours.clone())).await?;
    match read_greeting(&mut stream, &mut sealing).await? {
        Greeting::Refusal(number, theirs) => Err(refusal_of_number(number, ours, &theirs)),
        Greeting::Question => Err(HelloRefusal::Malformed),
        Greeting::Hello(theirs) => {
            ours.judge(&theirs)?;
            let version = ours.common_version(&theirs);
            let wire = Wire::new(stream, sealing, ours.lane, LinkFormat::of_version(version));
            Ok(Acquainted { wire, theirs, version })
        }
    }
}

/// Asks, as the side that dialled, who is at the other end: nothing if it knows the secret and does not say, because its
/// program is of a time when that was not asked.
pub(super) async fn ask(mut stream: BoxedStream, security: &LinkSecurity) -> Result<Option<Identity>, HelloRefusal> {
    let mut sealing = prove_as_dialler(&mut stream, security).await?;
    write_greeting(&mut stream, &mut sealing, &Greeting::Question).await?;
    match read_greeting(&mut stream, &mut sealing).await {
        Ok(Greeting::Hello(theirs) | Greeting::Refusal(_, theirs)) => Ok(Some(theirs.identity)),
        Ok(Greeting::Question) | Err(HelloRefusal::BrokenOff(LinkFault::Ended | LinkFault::Reset)) => Ok(None),
        Err(refusal) => Err(refusal),
    }
}

/// A connection from somebody who knows the join secret, or repeats what somebody who knows it has said.
pub(super) struct Proven {
    stream: BoxedStream,
    sealing: Sealing,
}

/// The first half of the handshake as the side that accepted: the other side shows that it knows the join secret.
pub(super) async fn prove(mut stream: BoxedStream, security: &LinkSecurity) -> Result<Proven, HelloRefusal> {
    let sealing = prove_as_listener(&mut stream, security).await?;
    Ok(Proven { stream, sealing })
}

/// The second half: both say who they are. `judge` may refuse for reasons that only this side knows. What it grants
/// comes back with the connection.
pub(super) async fn greet<G>(
    proven: Proven,
    identity: &Identity,
    judge: impl FnOnce(&Hello) -> Result<G, HelloRefusal>,
) -> Result<(Acquainted, G), HelloRefusal> {
    let Proven { mut stream, mut sealing } = proven;
    let theirs = match read_greeting(&mut stream, &mut sealing).await? {
        Greeting::Hello(theirs) => theirs,
        Greeting::Refusal(..) => return Err(HelloRefusal::Malformed),
        Greeting::Question => {
            let ours = Hello { identity: identity.clone(), lane: Lane::Control };
            write_greeting(&mut stream, &mut sealing, &Greeting::Hello(ours)).await?;
            end(&mut stream).await;
            return Err(HelloRefusal::OnlyAsked);
        }
    };
    let ours = Hello { identity: identity.clone(), lane: theirs.lane };
    match ours.judge(&theirs).and_then(|()| judge(&theirs)) {
        Ok(granted) => {
            let version = ours.common_version(&theirs);
            write_greeting(&mut stream, &mut sealing, &Greeting::Hello(ours)).await?;
            let wire = Wire::new(stream, sealing, theirs.lane, LinkFormat::of_version(version));
            Ok((Acquainted { wire, theirs, version }, granted))
        }
        Err(refusal) => {
            let greeting = Greeting::Refusal(reason_number(&refusal), ours);
            write_greeting(&mut stream, &mut sealing, &greeting).await?;
            end(&mut stream).await;
            Err(refusal)
        }
    }
}

/// Both halves of the handshake as the side that accepted.
#[cfg(test)]
pub(super) async fn accept<G>(
    stream: BoxedStream,
    security: &LinkSecurity,
    identity: &Identity,
    judge: impl FnOnce(&Hello) -> Result<G, HelloRefusal>,
) -> Result<(Acquainted, G), HelloRefusal> {
    greet(prove(stream, security).await?, identity, judge).await
}

async fn prove_as_dialler<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut S,
    security: &LinkSecurity,
) -> Result<Sealing, HelloRefusal> {
    let preamble = preamble(security);
    let mut noise = noise(security, Side::Dials, &preamble);
    let mut first = preamble.to_vec();
    if let Some(noise) = &mut noise {
        append_noise(noise, &mut first);
    }
    stream.write_all(&first).await?;
    stream.flush().await?;
    match stream.read_u8().await? {
        STATUS_GO_ON => {}
        STATUS_WRONG_SECRET => return Err(HelloRefusal::WrongSecret),
        STATUS_OTHER_SECURITY => return Err(HelloRefusal::OtherSecurity),
        STATUS_OTHER_VERSION => return Err(HelloRefusal::HandshakeVersion(stream.read_u8().await?)),
        _ => return Err(HelloRefusal::NotAPeer),
    }
    if let Some(noise) = &mut noise {
        let message = read_record(stream).await?;
        noise.read_message(&message, &mut [0; RECORD_BYTES_MAX]).map_err(|_| HelloRefusal::WrongSecret)?;
    }
    Ok(sealing(noise))
}

async fn prove_as_listener<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut S,
    security: &LinkSecurity,
) -> Result<Sealing, HelloRefusal> {
    let ours = preamble(security);
    let mut theirs = [0; PREAMBLE_BYTES];
    stream.read_exact(&mut theirs).await?;
    let [magic @ .., version, mode] = theirs;
    if magic != *MAGIC {
        return Err(HelloRefusal::NotAPeer);
    }
    if version != HANDSHAKE_VERSION {
        stream.write_all(&[STATUS_OTHER_VERSION, HANDSHAKE_VERSION]).await?;
        end(stream).await;
        return Err(HelloRefusal::HandshakeVersion(version));
    }
    if !ours.ends_with(&[mode]) {
        stream.write_all(&[STATUS_OTHER_SECURITY]).await?;
        end(stream).await;
        return Err(HelloRefusal::OtherSecurity);
    }
    let mut noise = noise(security, Side::Accepts, &ours);
    let mut answer = vec![STATUS_GO_ON];
    if let Some(noise) = &mut noise {
        let message = read_record(stream).await?;
        if noise.read_message(&message, &mut [0; RECORD_BYTES_MAX]).is_err() {
            stream.write_all(&[STATUS_WRONG_SECRET]).await?;
            end(stream).await;
            return Err(HelloRefusal::WrongSecret);
        }
        append_noise(noise, &mut answer);
    }
    stream.write_all(&answer).await?;
    stream.flush().await?;
    Ok(sealing(noise))
}

fn preamble(security: &LinkSecurity) -> [u8; PREAMBLE_BYTES] {
    let mode = match security {
        LinkSecurity::Noise(_) => MODE_NOISE,
        LinkSecurity::PlaintextForSimulation => MODE_PLAINTEXT,
    };
    let mut preamble = [0; PREAMBLE_BYTES];
    preamble[..MAGIC.len()].copy_from_slice(MAGIC);
    preamble[MAGIC.len()..].copy_from_slice(&[HANDSHAKE_VERSION, mode]);
    preamble
}

#[derive(Clone, Copy)]
enum Side {
    Dials,
    Accepts,
}

/// The handshake of Noise, if there is one. The preamble is its prologue, so nobody changes it on the way.
fn noise(security: &LinkSecurity, side: Side, preamble: &[u8]) -> Option<snow::HandshakeState> {
    match security {
        LinkSecurity::Noise(secret) => {
            Some(build(secret, side, preamble).expect("the pattern, its key and its prologue fit each other"))
        }
        LinkSecurity::PlaintextForSimulation => None,
    }
}

fn build(secret: &JoinSecret, side: Side, preamble: &[u8]) -> Result<snow::HandshakeState, snow::Error> {
    use snow::resolvers::{DefaultResolver, FallbackResolver, RingResolver};

    // Ring's ciphers and hash; it has no Diffie-Hellman for Noise.
    let resolver = FallbackResolver::new(Box::new(RingResolver), Box::new(DefaultResolver));
    let builder =
        snow::Builder::with_resolver(NOISE.parse()?, Box::new(resolver)).psk(0, secret.key())?.prologue(preamble)?;
    match side {
        Side::Dials => builder.build_initiator(),
        Side::Accepts => builder.build_responder(),
    }
}

fn append_noise(noise: &mut snow::HandshakeState, bytes: &mut Vec<u8>) {
    let mut message = [0; RECORD_BYTES_MAX];
    let length = noise.write_message(&[], &mut message).expect("an empty message fits, and it is this side's turn");
    append_record(&message[..length], bytes);
}

fn sealing(noise: Option<snow::HandshakeState>) -> Sealing {
    match noise {
        None => Sealing::Checked { sealed: 0, opened: 0 },
        Some(noise) => Sealing::Noise(Box::new(
            noise.into_transport_mode().expect("both messages of the handshake were exchanged"),
        )),
    }
}

async fn write_greeting<S: AsyncWrite + Unpin>(
    stream: &mut S,
    sealing: &mut Sealing,
    greeting: &Greeting,
) -> Result<(), HelloRefusal> {
    let mut record = Vec::new();
    sealing.seal(&greeting.to_bytes(), &mut record);
    stream.write_all(&record).await?;
    Ok(stream.flush().await?)
}

async fn read_greeting<S: AsyncRead + Unpin>(stream: &mut S, sealing: &mut Sealing) -> Result<Greeting, HelloRefusal> {
    let body = read_record(stream).await?;
    let mut greeting = Vec::new();
    sealing.open(&body, &mut greeting).map_err(HelloRefusal::BrokenOff)?;
    Greeting::of_bytes(&greeting)
}

fn append_record(body: &[u8], bytes: &mut Vec<u8>) {
    let length = u16::try_from(body.len()).expect("a message of the handshake is short");
    bytes.extend_from_slice(&length.to_be_bytes());
    bytes.extend_from_slice(body);
}

async fn read_record<S: AsyncRead + Unpin>(stream: &mut S) -> Result<Vec<u8>, HelloRefusal> {
    let length = usize::from(stream.read_u16().await?);
    if length > RECORD_BYTES_MAX {
        return Err(HelloRefusal::BrokenOff(LinkFault::RecordLength(length)));
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await?;
    Ok(body)
}

/// Lets what was written arrive: a socket that is dropped with bytes to read resets the connection, and the reason for
/// the refusal with it. Bounded by the deadline of the handshake.
async fn end<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut S) {
    // The other side may be gone already; there is nothing more to tell it.
    if stream.shutdown().await.is_ok() {
        let mut rest = [0; 512];
        while matches!(stream.read(&mut rest).await, Ok(1..)) {}
    }
}

impl From<std::io::Error> for HelloRefusal {
    fn from(error: std::io::Error) -> HelloRefusal {
        HelloRefusal::BrokenOff(error.into())
    }
}
