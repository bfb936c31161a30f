//! Members on the local network, by question and answer.
//!
//! ```text
//! who looks ─── question(nonce) ───▶ group        at once, then after 2, 4, 8 … 30 s
//!           ◀── answer(nonce, address) ─── group   each member that hears it
//! ```
//!
//! An address is taken from an answer only, and only from one to a question of ours that is young. The nonce was not
//! known to anybody before we asked; so a recorded packet, question or answer, adds no address, now or later (G27). A
//! replayed question leads to an answer that nobody waits for: it is answered once, and then known; and answers as a
//! whole are bounded, so that a node is no loudspeaker.
//!
//! It deliberately has no clock of the wall: a node whose date is wrong finds its cluster.
//!
//! On one network with an attacker who floods the group the bound starves honest questions, too. The way out is a list.

use std::collections::{BTreeSet, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use rand::RngExt;
use rand::rngs::StdRng;

use super::Output;
use super::packet::{DiscoveryKey, Kind, Nonce, NotOurs, Packet};
use crate::config::discovery::Multicast as Settings;
use crate::ids::BootId;
use crate::time::Uptime;

/// Between two questions at most, however long nobody has answered: a member that comes later is found within it.
const QUESTIONS_EVERY_MAX: Duration = Duration::from_secs(30);

/// Questions of ours that may still be answered. An answer to an older one is counted as replayed.
const OPEN_QUESTIONS_MAX: usize = 4;

/// Questions of others that are known to be answered. Beyond it the oldest is forgotten, and might be answered again.
const ANSWERED_MAX: usize = 1024;

/// Answers in one second. Beyond it questions are not answered; who asks asks again. A hundred nodes that start at once
/// are answered within their second question.
const ANSWERS_PER_SECOND_MAX: u32 = 64;

/// Addresses that are kept. Beyond it others are not taken: only members with the key can bring it to that.
const FOUND_MAX: usize = 1024;

/// Packets that led to nothing, by reason.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Counts {
    /// Of somebody else, Hazelcast's included, or not understood.
    pub foreign: u64,
    /// Like ours, but not made with the key of this cluster.
    pub unauthenticated: u64,
    /// Answers to no open question of ours, and questions that were answered already.
    pub replayed: u64,
    /// From an address that is not to be trusted.
    pub untrusted: u64,
    /// Our own, come back.
    pub own: u64,
    /// Questions beyond what is answered in a second.
    pub excess: u64,
}

/// Looks for members on the local network, and answers those who look.
#[derive(Debug)]
pub struct Multicast {
    settings: Settings,
    key: DiscoveryKey,
    boot: BootId,
    address: SocketAddr,
    random: StdRng,
    /// Whether members are wanted, and if so when to ask next and how long to wait then.
    next: Option<(Uptime, Duration)>,
    open: VecDeque<Nonce>,
    answered: BTreeSet<Nonce>,
    answered_in_order: VecDeque<Nonce>,
    second: (Uptime, u32),
    found: BTreeSet<SocketAddr>,
    counts: Counts,
    outputs: VecDeque<Output>,
}

impl Multicast {
    /// A node that can be dialled at `address`. It answers, and asks nothing until members are wanted.
    pub fn new(settings: Settings, key: DiscoveryKey, boot: BootId, address: SocketAddr, random: StdRng) -> Self {
        Multicast {
            settings,
            key,
            boot,
            address,
            random,
            next: None,
            open: VecDeque::new(),
            answered: BTreeSet::new(),
            answered_in_order: VecDeque::new(),
            second: (Uptime::ZERO, 0),
            found: BTreeSet::new(),
            counts: Counts::default(),
            outputs: VecDeque::new(),
        }
    }

    /// Members are wanted from here on: asks at once, and again and again. Twice changes nothing.
    pub fn handle_wanted(&mut self, now: Uptime) {
        if self.next.is_none() {
            self.ask(now, self.settings.answer_time_max);
        }
    }

    /// Members enough: asks no more. What was found stays, and others are answered all the same.
    pub fn handle_satisfied(&mut self) {
        self.next = None;
    }

    /// A packet has come to the group from this address.
    pub fn handle_packet(&mut self, now: Uptime, sender: IpAddr, bytes: &[u8]) {
        if !self.settings.trusts(sender) {
            self.counts.untrusted += 1;
            return;
        }
        let packet = match Packet::decode(bytes, &self.key) {
            Ok(packet) => packet,
            Err(NotOurs::Foreign) => {
                self.counts.foreign += 1;
                return;
            }
            Err(NotOurs::Unauthenticated) => {
                self.counts.unauthenticated += 1;
                return;
            }
        };
        if packet.boot == self.boot {
            self.counts.own += 1;
            return;
        }
        match packet.kind {
            Kind::Question => self.answer(now, packet.nonce),
            Kind::Answer => self.take(&packet),
        }
    }

    /// The time that [`poll_timeout`](Self::poll_timeout) named has come.
    pub fn handle_timeout(&mut self, now: Uptime) {
        if let Some((at, wait)) = self.next
            && now >= at
        {
            self.ask(now, wait);
        }
    }

    /// When something is to be done by itself; absent if nothing is.
    pub fn poll_timeout(&self) -> Option<Uptime> {
        self.next.map(|(at, _)| at)
    }

    /// The next order.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// What led to nothing so far.
    pub fn counts(&self) -> Counts {
        self.counts
    }

    fn ask(&mut self, now: Uptime, wait: Duration) {
        let nonce = Nonce(self.random.random());
        if self.open.len() == OPEN_QUESTIONS_MAX {
            self.open.pop_front();
        }
        self.open.push_back(nonce);
        self.next = Some((now + wait, (wait * 2).min(QUESTIONS_EVERY_MAX)));
        self.send(Kind::Question, nonce);
    }

    fn answer(&mut self, now: Uptime, nonce: Nonce) {
        if self.answered.contains(&nonce) {
            self.counts.replayed += 1;
            return;
        }
        let (since, count) = self.second;
        let count = if now.since(since) >= Duration::from_secs(1) { 0 } else { count };
        if count == ANSWERS_PER_SECOND_MAX {
            self.counts.excess += 1;
            return;
        }
        self.second = (if count == 0 { now } else { since }, count + 1);
        if self.answered.len() == ANSWERED_MAX
            && let Some(oldest) = self.answered_in_order.pop_front()
        {
            self.answered.remove(&oldest);
        }
        self.answered.insert(nonce);
        self.answered_in_order.push_back(nonce);
        self.send(Kind::Answer, nonce);
    }

    fn take(&mut self, packet: &Packet) {
        // Everybody hears the answers to everybody's questions; only ours are fresh to us.
        if !self.open.contains(&packet.nonce) {
            self.counts.replayed += 1;
            return;
        }
        let is_new =
            packet.address != self.address && self.found.len() < FOUND_MAX && self.found.insert(packet.address);
        if is_new {
            self.outputs.push_back(Output::Found(self.found.clone()));
        }
    }

    fn send(&mut self, kind: Kind, nonce: Nonce) {
        let packet = Packet { kind, nonce, boot: self.boot, address: self.address };
        self.outputs.push_back(Output::Send(packet.encode(&self.key)));
    }
}

#[cfg(test)]
mod tests;
