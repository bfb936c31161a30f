//! The state of the links between nodes: what is cut, lost, slow, reset or refused. Every stream asks here.
//!
//! ```text
//! faults/links.rs ──cuts, resets, …──▶ Switchboard ◀──asks at each read, write, connect── Stream, SimulatedTransport
//!                                          │ wakes, in the order of the streams' addresses
//! ```
//!
//! The invariants: bytes are never lost or reordered while a connection lasts, only late, as with TCP; a cut or a loss
//! concerns nodes only, clients reach everybody; each fault takes back exactly what it did, so faults may overlap.

use std::collections::{BTreeMap, BTreeSet};
use std::future::poll_fn;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use rand::RngExt;
use rand::rngs::StdRng;

/// After how long TCP sends a packet again (RFC 6298, as Linux has it). It doubles each time.
const RETRANSMISSION_TIME: Duration = Duration::from_millis(200);

/// After how long TCP asks again for a connection.
const CONNECT_RETRANSMISSION_TIME: Duration = Duration::from_secs(1);

/// How often a packet is lost one time after the other, at most.
const LOSSES_MAX: u32 = 5;

/// Of a hundred slow packets, this many are ten times as slow.
const TAIL_PERCENT: u32 = 3;

/// The links of one world. Clones are the same.
#[derive(Clone, Debug)]
pub struct Switchboard {
    state: Arc<Mutex<State>>,
}

/// One end of a connection: its own address and the other's.
pub(super) type End = (SocketAddr, SocketAddr);

#[derive(Debug)]
struct State {
    nodes: BTreeMap<IpAddr, usize>,
    /// How many faults hold back what the first node says to the second.
    held: BTreeMap<(usize, usize), u32>,
    /// How many faults make it look as if the node were dead.
    played_dead: BTreeMap<usize, u32>,
    /// How many faults make the first node refuse the second.
    shunned: BTreeMap<(usize, usize), u32>,
    losses: Vec<u8>,
    slowness: Vec<Duration>,
    random: StdRng,
    ends: BTreeMap<End, Socket>,
    sockets: u64,
    /// Those who wait to be let through.
    waiting: Vec<Waker>,
}

#[derive(Debug)]
struct Socket {
    number: u64,
    fate: Fate,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

/// What becomes of one end of a connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Fate {
    /// Nothing.
    Sound,
    /// It is reset.
    Reset,
    /// It is reset in the middle of what it says next.
    ResetAtNextWrite,
    /// The other end is reset; this one learns it as soon as it has heard everything.
    ResetAtEnd,
    /// The other end is gone, and this one does not learn it.
    Forsaken,
}

/// What an end needs to know before it reads.
#[derive(Clone, Copy, Debug)]
pub(super) struct Passage {
    pub(super) fate: Fate,
    /// Whether what the other end says is held back.
    pub(super) is_held: bool,
    /// Whether what comes in is late.
    pub(super) is_troubled: bool,
}

impl Switchboard {
    /// Links between nodes at these addresses.
    pub fn new(nodes: &[IpAddr], random: StdRng) -> Self {
        let state = State {
            nodes: nodes.iter().copied().zip(0..).collect(),
            held: BTreeMap::new(),
            played_dead: BTreeMap::new(),
            shunned: BTreeMap::new(),
            losses: Vec::new(),
            slowness: Vec::new(),
            random,
            ends: BTreeMap::new(),
            sockets: 0,
            waiting: Vec::new(),
        };
        Switchboard { state: Arc::new(Mutex::new(state)) }
    }

    /// Holds back what the first of each pair says to the second.
    pub fn hold(&self, pairs: &BTreeSet<(usize, usize)>) {
        let mut state = self.state();
        for pair in pairs {
            *state.held.entry(*pair).or_default() += 1;
        }
    }

    /// Takes back what [`Switchboard::hold`] did.
    pub fn release(&self, pairs: &BTreeSet<(usize, usize)>) {
        self.change(|state| pairs.iter().for_each(|pair| count_down(&mut state.held, pair)));
    }

    /// Loses so many of a hundred packets between nodes.
    pub fn begin_losses(&self, percent: u8) {
        self.state().losses.push(percent);
    }

    /// Takes back what [`Switchboard::begin_losses`] did.
    pub fn end_losses(&self, percent: u8) {
        self.change(|state| remove_one(&mut state.losses, &percent));
    }

    /// Lets packets between nodes take up to this long.
    pub fn begin_slowness(&self, worst: Duration) {
        self.state().slowness.push(worst);
    }

    /// Takes back what [`Switchboard::begin_slowness`] did.
    pub fn end_slowness(&self, worst: Duration) {
        self.change(|state| remove_one(&mut state.slowness, &worst));
    }

    /// Resets every connection of a node, with other nodes and with clients.
    pub fn reset(&self, node: usize) {
        self.change(|state| state.reset(node, |_| true));
    }

    /// Resets the node's connections with other nodes, and refuses new ones until [`Switchboard::stop_playing_dead`].
    pub fn play_dead(&self, node: usize) {
        self.change(|state| {
            *state.played_dead.entry(node).or_default() += 1;
            let nodes: BTreeSet<IpAddr> = state.nodes.keys().copied().collect();
            state.reset(node, |other| nodes.contains(&other));
        });
    }

    /// Takes back what [`Switchboard::play_dead`] did.
    pub fn stop_playing_dead(&self, node: usize) {
        self.change(|state| count_down(&mut state.played_dead, &node));
    }

    /// Resets the connections between two nodes, which refuse each other until [`Switchboard::stop_shunning`].
    pub fn shun(&self, node: usize, other: usize) {
        self.change(|state| {
            for (node, other) in [(node, other), (other, node)] {
                *state.shunned.entry((node, other)).or_default() += 1;
            }
            let address = state.nodes.iter().find(|(_, number)| **number == other).map(|(address, _)| *address);
            state.reset(node, |peer| Some(peer) == address);
        });
    }

    /// Takes back what [`Switchboard::shun`] did.
    pub fn stop_shunning(&self, node: usize, other: usize) {
        self.change(|state| {
            [(node, other), (other, node)].iter().for_each(|pair| count_down(&mut state.shunned, pair))
        });
    }

    /// Lets one node forget its connections with another one, which does not learn it. Answers the ends that are left
    /// alone.
    pub fn forget(&self, node: usize, other: usize) -> Vec<(SocketAddr, SocketAddr)> {
        let mut forsaken = Vec::new();
        self.change(|state| {
            for end in state.ends_between(node, other) {
                state.doom(end, Fate::Reset);
                state.doom((end.1, end.0), Fate::Forsaken);
                forsaken.push((end.1, end.0));
            }
        });
        forsaken
    }

    /// Lets ends learn that they were left alone.
    pub fn disabuse(&self, forsaken: &[(SocketAddr, SocketAddr)]) {
        self.change(|state| {
            for end in forsaken {
                if state.ends.get(end).is_some_and(|socket| socket.fate == Fate::Forsaken) {
                    state.doom(*end, Fate::Reset);
                }
            }
        });
    }

    /// Registers one end of a connection and says by which number to [`Switchboard::close`] it.
    pub(super) fn open(&self, end: End) -> u64 {
        let mut state = self.state();
        state.sockets += 1;
        let number = state.sockets;
        state.ends.insert(end, Socket { number, fate: Fate::Sound, reader: None, writer: None });
        number
    }

    /// Forgets an end, unless its addresses are somebody else's by now.
    pub(super) fn close(&self, end: End, number: u64) {
        let mut state = self.state();
        if state.ends.get(&end).is_some_and(|socket| socket.number == number) {
            state.ends.remove(&end);
        }
    }

    /// What the end needs to know before it reads. Whoever asks is woken when it changes.
    pub(super) fn before_read(&self, end: End, context: &Context<'_>) -> Passage {
        let mut state = self.state();
        if let Some(socket) = state.ends.get_mut(&end) {
            keep(&mut socket.reader, context);
        }
        state.passage(end)
    }

    /// What the end needs to know before it writes. Whoever asks is woken when it changes.
    pub(super) fn before_write(&self, end: End, context: &Context<'_>) -> Passage {
        let mut state = self.state();
        if let Some(socket) = state.ends.get_mut(&end) {
            keep(&mut socket.writer, context);
        }
        state.passage(end)
    }

    /// The end has been reset in the middle of what it said; its reader learns it.
    pub(super) fn break_off(&self, end: End) {
        self.change(|state| state.doom(end, Fate::Reset));
    }

    /// How late the next bytes from another node are.
    pub(super) fn lateness(&self) -> Duration {
        self.state().lateness(RETRANSMISSION_TIME)
    }

    /// How late a request to connect is, if it is one between nodes.
    pub(super) fn connect_lateness(&self, from: IpAddr, to: IpAddr) -> Duration {
        let mut state = self.state();
        if state.pair(from, to).is_some() { state.lateness(CONNECT_RETRANSMISSION_TIME) } else { Duration::ZERO }
    }

    /// Whether the node at this address looks as if it were dead, to the one at the other.
    pub(super) fn is_refused(&self, from: IpAddr, to: IpAddr) -> bool {
        let state = self.state();
        let refuses = |(from, to)| state.played_dead.contains_key(&to) || state.shunned.contains_key(&(to, from));
        state.pair(from, to).is_some_and(refuses)
    }

    /// Waits until a request to connect from the first reaches the second. Who plays dead asks for none.
    pub(super) async fn reach(&self, from: IpAddr, to: IpAddr) {
        self.wait(from, to, |state, (from, to)| {
            !state.held.contains_key(&(from, to)) && !state.played_dead.contains_key(&from)
        })
        .await;
    }

    /// Waits until the answer of the first reaches the second.
    pub(super) async fn answer(&self, from: IpAddr, to: IpAddr) {
        self.wait(from, to, |state, pair| !state.held.contains_key(&pair)).await;
    }

    async fn wait(&self, from: IpAddr, to: IpAddr, is_open: impl Fn(&State, (usize, usize)) -> bool) {
        poll_fn(|context| {
            let mut state = self.state();
            if state.pair(from, to).is_none_or(|pair| is_open(&state, pair)) {
                return Poll::Ready(());
            }
            if !state.waiting.iter().any(|waker| waker.will_wake(context.waker())) {
                state.waiting.push(context.waker().clone());
            }
            Poll::Pending
        })
        .await;
    }

    /// Changes something and lets everybody look again, in order.
    fn change(&self, change: impl FnOnce(&mut State)) {
        let wakers = {
            let mut state = self.state();
            change(&mut state);
            let mut wakers = std::mem::take(&mut state.waiting);
            for socket in state.ends.values_mut() {
                wakers.extend(socket.reader.take());
                wakers.extend(socket.writer.take());
            }
            wakers
        };
        wakers.into_iter().for_each(Waker::wake);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// The nodes at two addresses, if both are nodes'.
    fn pair(&self, from: IpAddr, to: IpAddr) -> Option<(usize, usize)> {
        Some((*self.nodes.get(&from)?, *self.nodes.get(&to)?))
    }

    fn passage(&self, end: End) -> Passage {
        let fate = self.ends.get(&end).map_or(Fate::Sound, |socket| socket.fate);
        let (is_held, is_troubled) = match self.pair(end.1.ip(), end.0.ip()) {
            Some(pair) => (self.held.contains_key(&pair), !self.losses.is_empty() || !self.slowness.is_empty()),
            None => (false, false),
        };
        Passage { fate, is_held, is_troubled }
    }

    fn lateness(&mut self, retransmission: Duration) -> Duration {
        let mut late = Duration::ZERO;
        if let Some(percent) = self.losses.iter().max().copied() {
            let mut lost = 0;
            while lost < LOSSES_MAX && self.random.random_ratio(u32::from(percent.min(100)), 100) {
                late += retransmission * 2_u32.pow(lost);
                lost += 1;
            }
        }
        if let Some(worst) = self.slowness.iter().max().copied() {
            let slow = worst.mul_f64(self.random.random_range(0.0..1.0));
            late += if self.random.random_ratio(TAIL_PERCENT, 100) { slow * 10 } else { slow };
        }
        late
    }

    fn ends_between(&self, node: usize, other: usize) -> Vec<End> {
        let between = |end: &&End| self.pair(end.0.ip(), end.1.ip()) == Some((node, other));
        self.ends.keys().filter(between).copied().collect()
    }

    /// Resets the connections of a node with those whom `concerned` names. Some break off in what they say next.
    fn reset(&mut self, node: usize, concerned: impl Fn(IpAddr) -> bool) {
        let is_concerned = |end: &&End| self.nodes.get(&end.0.ip()) == Some(&node) && concerned(end.1.ip());
        let ends: Vec<End> = self.ends.keys().filter(is_concerned).copied().collect();
        for end in ends {
            let fate = if self.random.random_bool(0.5) { Fate::Reset } else { Fate::ResetAtNextWrite };
            self.doom(end, fate);
            self.doom((end.1, end.0), Fate::ResetAtEnd);
        }
    }

    fn doom(&mut self, end: End, fate: Fate) {
        if let Some(socket) = self.ends.get_mut(&end) {
            socket.fate = fate;
        }
    }
}

fn keep(slot: &mut Option<Waker>, context: &Context<'_>) {
    match slot {
        Some(waker) => waker.clone_from(context.waker()),
        None => *slot = Some(context.waker().clone()),
    }
}

fn count_down<K: Ord>(counts: &mut BTreeMap<K, u32>, key: &K) {
    if let Some(count) = counts.get_mut(key) {
        *count -= 1;
        if *count == 0 {
            counts.remove(key);
        }
    }
}

fn remove_one<T: PartialEq>(from: &mut Vec<T>, what: &T) {
    if let Some(at) = from.iter().position(|one| one == what) {
        from.remove(at);
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use futures_util::FutureExt;
    use rand::SeedableRng;

    use super::*;

    fn address(last: u8) -> IpAddr {
        IpAddr::V4(Ipv4Addr::new(10, 0, 0, last))
    }

    fn two_nodes() -> Switchboard {
        Switchboard::new(&[address(1), address(2)], StdRng::seed_from_u64(1))
    }

    #[test]
    fn what_two_faults_hold_is_held_until_both_have_ended() {
        let board = two_nodes();
        let cut = BTreeSet::from([(0, 1)]);

        board.hold(&cut);
        board.hold(&cut);
        board.release(&cut);

        assert!(board.reach(address(1), address(2)).now_or_never().is_none());
        assert!(board.reach(address(2), address(1)).now_or_never().is_some(), "the other way is open");
        assert!(board.reach(address(9), address(2)).now_or_never().is_some(), "clients reach everybody");
        board.release(&cut);
        assert!(board.reach(address(1), address(2)).now_or_never().is_some());
    }

    #[test]
    fn a_packet_is_late_only_while_packets_are_lost() {
        let board = two_nodes();

        board.begin_losses(50);
        assert!((0..20).map(|_| board.lateness()).any(|late| late >= RETRANSMISSION_TIME));
        board.end_losses(50);

        assert!((0..20).all(|_| board.lateness().is_zero()));
    }

    #[test]
    fn who_plays_dead_is_refused_to_nodes_and_not_to_clients() {
        let board = two_nodes();

        board.play_dead(1);

        assert!(board.is_refused(address(1), address(2)) && !board.is_refused(address(9), address(2)));
        assert!(board.reach(address(2), address(1)).now_or_never().is_none());
        board.stop_playing_dead(1);
        assert!(!board.is_refused(address(1), address(2)));
    }

    #[test]
    fn two_who_shun_each_other_are_refused_by_each_other() {
        let board = two_nodes();

        board.shun(0, 1);

        assert!(board.is_refused(address(1), address(2)) && board.is_refused(address(2), address(1)));
        board.stop_shunning(0, 1);
        assert!(!board.is_refused(address(1), address(2)) && !board.is_refused(address(2), address(1)));
    }

    #[test]
    fn who_was_forsaken_learns_it_at_the_end() {
        let board = two_nodes();
        let end = (SocketAddr::new(address(1), 5), SocketAddr::new(address(2), 6));
        board.open(end);
        board.open((end.1, end.0));
        let context = &Context::from_waker(Waker::noop());

        let forsaken = board.forget(0, 1);

        assert_eq!(board.before_read(end, context).fate, Fate::Reset);
        assert_eq!(board.before_read((end.1, end.0), context).fate, Fate::Forsaken);
        board.disabuse(&forsaken);
        assert_eq!(board.before_read((end.1, end.0), context).fate, Fate::Reset);
    }
}
