//! What two nodes say of themselves before anything else, and whether they then want to speak with each other.
//!
//! Written by hand and not by the encoding of the day, because programs of different versions must understand it: fields
//! are only ever added at the end, and what follows the known ones is ignored.

use std::net::SocketAddr;
use std::time::Duration;

use cresset_core::cluster::VersionRange;
use cresset_core::config::alike::{ALIKE_BYTES_MAX, Alike, Difference};
use cresset_core::fencing::Times;
use cresset_core::ids::{BootId, MemberId};
use cresset_core::node::Peer;

use super::event::HelloRefusal;
use super::identity::{Identity, Lane, TEXT_BYTES_MAX};

/// A node on one lane.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Hello {
    pub(super) identity: Identity,
    pub(super) lane: Lane,
}

/// One message of the handshake, after the secret was proven.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Greeting {
    /// Who I am; as an answer also: welcome.
    Hello(Hello),
    /// Who I am, and that I will not speak with you, for this reason.
    Refusal(u8, Hello),
    /// I only want to know who you are.
    Question,
}

const HELLO: u8 = 1;
const REFUSAL: u8 = 2;
/// A program that does not know it breaks the handshake off.
const QUESTION: u8 = 3;

impl Hello {
    /// The process that says it.
    pub(super) fn peer(&self) -> Peer {
        Peer { member: self.identity.member, boot: self.identity.boot }
    }

    /// Judges the hello of the other side. Both sides come to the same verdict.
    pub(super) fn judge(&self, theirs: &Hello) -> Result<(), HelloRefusal> {
        refusal_of(&self.identity, &theirs.identity).map_or(Ok(()), Err)
    }

    /// The newest version that both understand.
    pub(super) fn common_version(&self, theirs: &Hello) -> u32 {
        self.identity.versions.max.min(theirs.identity.versions.max)
    }

    fn write(&self, bytes: &mut Vec<u8>) {
        let Identity { cluster, member, boot, name, address, versions, machine, program, alike } = &self.identity;
        bytes.extend_from_slice(&versions.min.to_le_bytes());
        bytes.extend_from_slice(&versions.max.to_le_bytes());
        bytes.push(self.lane.number());
        bytes.extend_from_slice(&member.0.to_le_bytes());
        bytes.extend_from_slice(&boot.0.to_le_bytes());
        for said in [cluster, name, &address.to_string(), machine, program] {
            write_text(said, bytes);
        }
        let Some(Alike { domain, name, former_name, times, times_are_agreed, crash_evidence }) = alike else { return };
        for said in [domain, name, former_name] {
            write_text(said, bytes);
        }
        for time in [times.heartbeat, times.lease, times.expel_after] {
            let milliseconds = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
            bytes.extend_from_slice(&milliseconds.to_le_bytes());
        }
        bytes.extend_from_slice(&times.drift_percent.to_le_bytes());
        bytes.extend_from_slice(&[u8::from(*crash_evidence), u8::from(*times_are_agreed)]);
    }

    fn read(mut bytes: &[u8]) -> Option<Hello> {
        let bytes = &mut bytes;
        let versions = VersionRange { min: u32::from_le_bytes(take(bytes)?), max: u32::from_le_bytes(take(bytes)?) };
        let [lane] = take(bytes)?;
        let member = MemberId(u64::from_le_bytes(take(bytes)?));
        let boot = BootId(u64::from_le_bytes(take(bytes)?));
        let cluster = text(bytes)?.to_owned();
        let name = text(bytes)?.to_owned();
        let address: SocketAddr = text(bytes)?.parse().ok()?;
        let machine = text(bytes)?.to_owned();
        let program = if bytes.is_empty() { String::new() } else { text(bytes)?.to_owned() };
        let alike = if bytes.is_empty() { None } else { Some(read_alike(bytes)?) };
        if versions.min > versions.max {
            return None;
        }
        let identity = Identity { cluster, member, boot, name, address, versions, machine, program, alike };
        Some(Hello { identity, lane: Lane::of_number(lane)? })
    }
}

impl Greeting {
    /// As bytes, fewer than 1984.
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(128 + 5 * TEXT_BYTES_MAX + 3 * ALIKE_BYTES_MAX);
        match self {
            Greeting::Hello(hello) => {
                bytes.push(HELLO);
                hello.write(&mut bytes);
            }
            Greeting::Refusal(reason, hello) => {
                bytes.extend_from_slice(&[REFUSAL, *reason]);
                hello.write(&mut bytes);
            }
            Greeting::Question => bytes.push(QUESTION),
        }
        bytes
    }

    /// What the bytes say.
    ///
    /// # Errors
    ///
    /// [`HelloRefusal::Malformed`].
    pub(super) fn of_bytes(bytes: &[u8]) -> Result<Greeting, HelloRefusal> {
        match bytes {
            [HELLO, hello @ ..] => Hello::read(hello).map(Greeting::Hello),
            [REFUSAL, reason, hello @ ..] => Hello::read(hello).map(|hello| Greeting::Refusal(*reason, hello)),
            [QUESTION, ..] => Some(Greeting::Question),
            [] | [_, ..] => None,
        }
        .ok_or(HelloRefusal::Malformed)
    }
}

/// The number of a reason in a refusal.
pub(super) fn reason_number(refusal: &HelloRefusal) -> u8 {
    match refusal {
        HelloRefusal::WrongCluster { .. } => 1,
        HelloRefusal::IncompatibleVersions { .. } => 2,
        HelloRefusal::SelfConnection => 3,
        HelloRefusal::Superseded | HelloRefusal::Over => 4,
        HelloRefusal::NotCurrent => 5,
        HelloRefusal::TooManyLinks => 6,
        HelloRefusal::WrongSecret => 7,
        HelloRefusal::OtherSecurity => 8,
        HelloRefusal::HandshakeVersion(_) => 9,
        HelloRefusal::Malformed => 10,
        HelloRefusal::Unfinished => 11,
        HelloRefusal::NotAPeer | HelloRefusal::BrokenOff(_) | HelloRefusal::OnlyAsked => 12,
        HelloRefusal::OtherMachine => 13,
        HelloRefusal::NotAlike(Difference::Domain { .. }) => 14,
        HelloRefusal::NotAlike(Difference::Name { .. }) => 15,
        HelloRefusal::NotAlike(Difference::Times { .. }) => 16,
        HelloRefusal::NotAlike(Difference::CrashEvidence { .. }) => 17,
        HelloRefusal::Unknown(number) => *number,
    }
}

/// What a refusal by the other side means here.
pub(super) fn refusal_of_number(number: u8, ours: &Hello, theirs: &Hello) -> HelloRefusal {
    match number {
        1 => {
            HelloRefusal::WrongCluster { ours: ours.identity.cluster.clone(), theirs: theirs.identity.cluster.clone() }
        }
        2 => HelloRefusal::IncompatibleVersions { ours: ours.identity.versions, theirs: theirs.identity.versions },
        3 => HelloRefusal::SelfConnection,
        4 => HelloRefusal::Over,
        5 => HelloRefusal::NotCurrent,
        6 => HelloRefusal::TooManyLinks,
        10 => HelloRefusal::Malformed,
        13 => HelloRefusal::OtherMachine,
        14..=17 => {
            difference(&ours.identity, &theirs.identity).map_or(HelloRefusal::Unknown(number), HelloRefusal::NotAlike)
        }
        number => HelloRefusal::Unknown(number),
    }
}

fn refusal_of(ours: &Identity, theirs: &Identity) -> Option<HelloRefusal> {
    if ours.cluster != theirs.cluster {
        return Some(HelloRefusal::WrongCluster { ours: ours.cluster.clone(), theirs: theirs.cluster.clone() });
    }
    if ours.boot == theirs.boot {
        return Some(HelloRefusal::SelfConnection);
    }
    if !ours.machine.is_empty() && !theirs.machine.is_empty() && ours.machine != theirs.machine {
        return Some(HelloRefusal::OtherMachine);
    }
    let (our, their) = (ours.versions, theirs.versions);
    let common = our.min.max(their.min) <= our.max.min(their.max);
    if !common {
        return Some(HelloRefusal::IncompatibleVersions { ours: our, theirs: their });
    }
    difference(ours, theirs).map(HelloRefusal::NotAlike)
}

/// A program that does not say what it is configured with cannot be asked; it is judged once it is upgraded.
fn difference(ours: &Identity, theirs: &Identity) -> Option<Difference> {
    ours.alike.as_ref().zip(theirs.alike.as_ref()).and_then(|(our, their)| our.difference(their))
}

fn read_alike(bytes: &mut &[u8]) -> Option<Alike> {
    let domain = text(bytes)?.to_owned();
    let name = text(bytes)?.to_owned();
    let former_name = text(bytes)?.to_owned();
    let [heartbeat, lease, expel_after] = [take(bytes)?, take(bytes)?, take(bytes)?].map(u64::from_le_bytes);
    let times = Times {
        heartbeat: Duration::from_millis(heartbeat),
        lease: Duration::from_millis(lease),
        drift_percent: u32::from_le_bytes(take(bytes)?),
        expel_after: Duration::from_millis(expel_after),
    };
    let crash_evidence = read_switch(bytes)?;
    let times_are_agreed = if bytes.is_empty() { false } else { read_switch(bytes)? };
    Some(Alike { domain, name, former_name, times, times_are_agreed, crash_evidence })
}

fn read_switch(bytes: &mut &[u8]) -> Option<bool> {
    match take(bytes)? {
        [0] => Some(false),
        [1] => Some(true),
        [_] => None,
    }
}

fn write_text(text: &str, bytes: &mut Vec<u8>) {
    let length = u8::try_from(text.len()).expect("the texts of an identity are bounded when a mesh starts");
    bytes.push(length);
    bytes.extend_from_slice(text.as_bytes());
}

fn take<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    let (taken, rest) = bytes.split_first_chunk::<N>()?;
    *bytes = rest;
    Some(*taken)
}

fn text<'a>(bytes: &mut &'a [u8]) -> Option<&'a str> {
    let [length] = take(bytes)?;
    let (text, rest) = bytes.split_at_checked(usize::from(length))?;
    *bytes = rest;
    std::str::from_utf8(text).ok()
}

#[cfg(test)]
mod tests {
    use cresset_core::config::Timing;

    use super::*;

    fn hello() -> Hello {
        let identity = Identity {
            cluster: "chat.example".into(),
            member: MemberId(3),
            boot: BootId(77),
            name: "node-3".into(),
            address: ([10, 0, 0, 3], 5701).into(),
            versions: VersionRange { min: 1, max: 4 },
            machine: "m1".into(),
            program: "0.1.0".into(),
            alike: Some(alike()),
        };
        Hello { identity, lane: Lane::Raft }
    }

    fn alike() -> Alike {
        Alike {
            domain: "chat.example".into(),
            name: "rook".into(),
            former_name: "cresset".into(),
            times: Timing::default().times(),
            times_are_agreed: true,
            crash_evidence: true,
        }
    }

    /// Where the hello of a program ends that did not say what it is configured with.
    fn end_of_earlier(bytes: &[u8]) -> usize {
        let said = alike();
        bytes.len() - [said.domain, said.name, said.former_name].iter().map(|text| 1 + text.len()).sum::<usize>() - 30
    }

    #[test]
    fn a_greeting_is_read_as_it_was_written_even_if_a_later_version_adds_to_it() {
        for greeting in [Greeting::Hello(hello()), Greeting::Refusal(2, hello()), Greeting::Question] {
            let mut bytes = greeting.to_bytes();
            assert_eq!(Greeting::of_bytes(&bytes), Ok(greeting.clone()));

            bytes.extend_from_slice(b"a later field");
            assert_eq!(Greeting::of_bytes(&bytes), Ok(greeting));
        }
    }

    #[test]
    fn a_greeting_of_a_program_that_does_not_say_its_version_is_read() {
        let bytes = Greeting::Hello(hello()).to_bytes();
        let mut earlier = hello();
        earlier.identity.alike = None;
        let end = end_of_earlier(&bytes);
        assert_eq!(Greeting::of_bytes(&bytes[..end]), Ok(Greeting::Hello(earlier.clone())));
        assert_eq!(hello().judge(&earlier), Err(HelloRefusal::SelfConnection), "nothing else is held against it");
        earlier.identity.program = String::new();

        let said = Greeting::of_bytes(&bytes[..end - "0.1.0".len() - 1]);

        assert_eq!(said, Ok(Greeting::Hello(earlier)));
    }

    #[test]
    fn the_longest_greeting_fits_a_record_of_the_handshake() {
        let mut longest = hello();
        let long = "x".repeat(TEXT_BYTES_MAX);
        let Identity { cluster, name, machine, program, .. } = &mut longest.identity;
        for text in [cluster, name, machine, program] {
            text.clone_from(&long);
        }
        let long = "x".repeat(ALIKE_BYTES_MAX);
        longest.identity.alike = Some(Alike { domain: long.clone(), name: long.clone(), former_name: long, ..alike() });

        assert!(Greeting::Refusal(1, longest).to_bytes().len() < 1984);
    }

    #[test]
    fn a_greeting_that_is_cut_or_changed_anywhere_is_refused_or_another_greeting() {
        let bytes = Greeting::Hello(hello()).to_bytes();
        let without_alike = end_of_earlier(&bytes);
        let without_program = without_alike - 1 - hello().identity.program.len();
        let without_agreement = bytes.len() - 1;
        let earlier = [without_alike, without_program, without_agreement];
        for cut in (0..bytes.len()).filter(|cut| !earlier.contains(cut)) {
            assert_eq!(Greeting::of_bytes(&bytes[..cut]), Err(HelloRefusal::Malformed), "cut at {cut}");
        }
        for bit in 0..bytes.len() * 8 {
            let mut changed = bytes.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert_ne!(Greeting::of_bytes(&changed), Ok(Greeting::Hello(hello())), "bit {bit}");
        }
    }

    #[test]
    fn both_sides_refuse_for_the_same_reason() {
        let ours = hello();
        let mut later = hello();
        later.identity.boot = BootId(78);
        later.identity.versions = VersionRange { min: 5, max: 6 };
        let mut other = later.clone();
        other.identity.cluster = "other.example".into();

        let mut far = later.clone();
        far.identity.machine = "m2".into();

        let differs = |change: fn(&mut Alike)| {
            let mut theirs = hello();
            theirs.identity.boot = BootId(78);
            theirs.identity.alike.as_mut().into_iter().for_each(change);
            theirs
        };
        let domain = differs(|alike| alike.domain = "chat.other".into());
        let name = differs(|alike| alike.name = "bishop".into());
        let times = differs(|alike| {
            alike.times.lease = Duration::from_secs(12);
            alike.times_are_agreed = false;
        });
        let crash = differs(|alike| alike.crash_evidence = false);

        let all =
            [(&later, 2), (&other, 1), (&ours, 3), (&far, 13), (&domain, 14), (&name, 15), (&times, 16), (&crash, 17)];
        for (theirs, number) in all {
            let refused = ours.judge(theirs).expect_err("they do not fit");
            assert_eq!(reason_number(&refused), number);
            assert_eq!(refusal_of_number(number, &ours, theirs), refused);
            assert_eq!(theirs.judge(&ours).map_err(|refusal| reason_number(&refusal)), Err(number));
        }
    }

    #[test]
    fn a_store_that_several_machines_share_does_not_ask_for_one_machine() {
        let mut ours = hello();
        ours.identity.machine = String::new();
        let mut theirs = hello();
        theirs.identity.boot = BootId(1);

        for machine in ["", "m1"] {
            theirs.identity.machine = machine.into();
            assert_eq!(ours.judge(&theirs), Ok(()));
        }
    }

    #[test]
    fn the_newest_common_version_is_spoken() {
        let ours = hello();
        let mut theirs = hello();
        theirs.identity.boot = BootId(1);
        theirs.identity.versions = VersionRange { min: 2, max: 3 };

        assert_eq!(ours.judge(&theirs), Ok(()));
        assert_eq!(ours.common_version(&theirs), 3);
    }
}
