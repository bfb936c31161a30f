//! Whatever a peer says or a file holds, the decoder that reads it answers, and takes no more memory than it may (G26).
//!
//! Each room hands in its decoders, with some sound encodings of each. These are altered at random (bits, bytes that mean
//! something to the encoding, lengths, cuts, repetitions, parts of each other) and resealed, so that a checksum does not
//! hide what is behind it. A failure names the decoder, the seed and the run, and shows the bytes.
//!
//! `CRESSET_DECODER_RUNS=10000000 cargo test --release -p cresset-net hostile_bytes` goes on for longer, and
//! `CRESSET_DECODER_SEED` repeats one or tries others.

use std::env;
use std::fs;
use std::io::Write;
use std::process::Command;
use std::thread;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tokio::time::Instant;

/// Runs of each decoder, unless the environment says how many.
const RUNS: u64 = 20_000;

/// How much more memory all decoders together may ever have reserved than sound input takes. What the largest of them
/// may take is bounded by sixteen times the bytes that it is given.
const MEMORY_KIB_MAX: u64 = 48 * 1024;

/// How long one encoding may take. Far beyond what it takes on a busy machine.
const TIME_MAX: Duration = Duration::from_secs(5);

/// Bytes of the longest altered encoding.
const BYTES_MAX: usize = 256 * 1024;

/// What is said to a process that is to do nothing else.
const ALONE: &str = "CRESSET_DECODERS_ALONE";

/// A decoder under attack.
pub(crate) struct Decoder {
    pub(crate) name: &'static str,
    /// What it accepts.
    pub(crate) sound: Vec<Vec<u8>>,
    /// Puts right what says that the bytes were not altered.
    pub(crate) seal: fn(&mut [u8]),
    /// Whether it accepts the bytes.
    pub(crate) decode: fn(&[u8]) -> bool,
}

/// For encodings without a checksum.
pub(crate) fn unsealed(_: &mut [u8]) {}

/// Says what the bytes were, if they are the last ones.
struct Case<'a> {
    decoder: &'a str,
    seed: u64,
    run: u64,
    bytes: &'a [u8],
}

impl Drop for Case<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            let Case { decoder, seed, run, bytes } = self;
            tell(&format!("the decoder '{decoder}', seed {seed}, run {run}: {bytes:02x?}"));
        }
    }
}

/// To standard error, which is shown with `--nocapture` or if the test fails.
fn tell(line: &str) {
    drop(writeln!(std::io::stderr(), "{line}"));
}

fn number_of(variable: &str) -> Option<u64> {
    env::var(variable).ok()?.parse().ok()
}

/// Memory that this process has reserved, touched or not: `VmSize` at the moment, `VmPeak` ever.
fn reserved_kib(when: &str) -> u64 {
    let status = fs::read_to_string("/proc/self/status").expect("Linux says it");
    let line = status.lines().find_map(|line| line.strip_prefix(when)).expect("Linux says it");
    line.trim().trim_end_matches(" kB").trim().parse().expect("a number")
}

fn decoders() -> Vec<Decoder> {
    let of_rooms = [
        crate::links::tests::decoders(),
        crate::consensus::decoders(),
        crate::control::decoders(),
        crate::run::decoders(),
    ];
    of_rooms.into_iter().flatten().collect()
}

/// A process of its own, because memory is counted by process.
#[test]
fn no_bytes_make_a_decoder_panic_or_take_more_memory_than_it_may() {
    if env::var_os(ALONE).is_some() {
        return attack_all();
    }
    let name = "hostile_bytes::no_bytes_make_a_decoder_panic_or_take_more_memory_than_it_may";
    let program = env::current_exe().expect("this test");
    // Otherwise the C library reserves 64 MiB for each thread.
    let variables = [(ALONE, "1"), ("MALLOC_ARENA_MAX", "1")];
    let status = Command::new(program).args(["--exact", name, "--nocapture"]).envs(variables).status();

    assert!(status.expect("it can be started").success(), "see above");
}

fn attack_all() {
    let (runs, seed) = (number_of("CRESSET_DECODER_RUNS").unwrap_or(RUNS), number_of("CRESSET_DECODER_SEED"));
    let decoders = decoders();
    for Decoder { name, sound, decode, .. } in &decoders {
        assert!(!sound.is_empty() && sound.iter().all(|bytes| decode(bytes)), "{name}: what is sound is refused");
    }
    let before = reserved_kib("VmSize:");
    for decoder in &decoders {
        attack(decoder, runs, seed.unwrap_or(1));
    }
    let grown = reserved_kib("VmPeak:") - before;
    tell(&format!("{grown} KiB were reserved besides"));
    assert!(grown <= MEMORY_KIB_MAX, "{grown} KiB were reserved: somebody believes a length");
}

fn attack(decoder: &Decoder, runs: u64, seed: u64) {
    let mut random = StdRng::seed_from_u64(seed);
    let (mut accepted, begun) = (0_u64, Instant::now());
    for run in 0..runs {
        let bytes = altered(decoder, &mut random);
        let case = Case { decoder: decoder.name, seed, run, bytes: &bytes };
        let at = Instant::now();
        accepted += u64::from((decoder.decode)(&bytes));
        assert!(at.elapsed() < TIME_MAX, "it takes {:?}", at.elapsed());
        drop(case);
    }
    let rate = runs as f64 / begun.elapsed().as_secs_f64();
    tell(&format!("{}: {runs} runs, {rate:.0} in a second, {accepted} accepted", decoder.name));
}

/// Bytes that bincode gives a meaning, and the ends of what a byte can be.
const TELLING: [u8; 10] = [0, 1, 2, 0x7f, 0x80, 250, 251, 252, 253, 255];

/// One of the sound encodings, altered, or something that never was one.
fn altered(decoder: &Decoder, random: &mut StdRng) -> Vec<u8> {
    let any = |random: &mut StdRng| decoder.sound[random.random_range(0..decoder.sound.len())].clone();
    if random.random_ratio(1, 16) {
        let length = random.random_range(0..300);
        return (0..length).map(|_| random.random()).collect();
    }
    let mut bytes = any(random);
    for _ in 0..random.random_range(1..=4) {
        let at = random.random_range(0..=bytes.len());
        match random.random_range(0..8) {
            0 if at < bytes.len() => bytes[at] ^= 1 << random.random_range(0..8),
            1 if at < bytes.len() => bytes[at] = TELLING[random.random_range(0..TELLING.len())],
            2 if at < bytes.len() => bytes[at] = random.random(),
            3 => bytes.truncate(at),
            // A length or a number beyond all reason, as bincode writes it.
            4 => {
                let huge = random.random::<u64>() >> random.random_range(0..48);
                let end = bytes.len().min(at + 9 * random.random_range(0..=1));
                bytes.splice(at..end, [253].into_iter().chain(huge.to_le_bytes()));
            }
            5 => {
                let from = random.random_range(0..=at);
                let part = bytes[from..at].repeat(random.random_range(1..50));
                bytes.splice(at..at, part);
            }
            6 => {
                let other = any(random);
                bytes.truncate(at);
                bytes.extend_from_slice(&other[at.min(other.len())..]);
            }
            _ => {
                let end = bytes.len().min(at + random.random_range(0..20));
                bytes.drain(at..end);
            }
        }
        bytes.truncate(BYTES_MAX);
    }
    if random.random_ratio(7, 8) {
        (decoder.seal)(&mut bytes);
    }
    bytes
}
