//! Slows the guessing of secrets down: of passwords, and of whatever else a stranger can try again and again.
//!
//! ```text
//! handle_try ─▶ Go, after a wait ─▶ the secret is checked ─▶ handle_outcome (succeeded, failed, abandoned)
//!        └────▶ Refused: nothing is checked
//! ```
//!
//! A failure is a debt of everybody who shares something with the try, and is paid off with time. A try waits until the
//! debt is small enough, or is refused if that takes longer than [`TRY_WAIT_MAX`]:
//!
//! | whose debt                                     | free  | then one in |
//! |------------------------------------------------|-------|-------------|
//! | this account's from this host                  | 10    | 5 s         |
//! | this host's: an IPv4 address, an IPv6 /64      | 60    | 2 s         |
//! | this network's: an IPv4 /24, an IPv6 /48       | 240   | 0.5 s       |
//! | this account's                                 | 100   | 5 s         |
//!
//! Invariants: the owner of an account gets in, whatever others try elsewhere. For a host that has hardly failed itself,
//! what others owe is a pause of [`TRY_PAUSE_MAX`] and never a refusal; a host from which the account was logged in to
//! before does not even pause. Memory is bounded: at [`TRY_DEBTS_MAX`] the debt that would be forgotten first is.
//!
//! Behind a proxy that hides addresses there is one host for everybody, so nobody is refused there, and guessing costs a
//! pause at most.
//!
//! A name that does not exist has debts like any other, so they tell nothing about it. Who shares a host with the owner
//! can learn that the account was logged in to from there.
//!
//! Deliberately not here: what other nodes have seen. Each node counts for itself, so a cluster allows as many tries
//! more as it has nodes.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::IpAddr;
use std::time::Duration;

use sha2::{Digest, Sha256};

use crate::admission::{Host, Network, Origin};
use crate::limits::{
    TRY_BURSTS_MAX, TRY_DEBT_TIME_MAX, TRY_DEBTS_MAX, TRY_KNOWN_HOSTS_MAX, TRY_PAUSE_MAX, TRY_WAIT_MAX,
};
use crate::time::Uptime;

/// How many tries are free, and how soon one more is.
struct Rule {
    free: u32,
    interval: Duration,
}

/// Typing errors, and all devices of a household at once with an old password.
const PAIR: Rule = Rule { free: 10, interval: Duration::from_secs(5) };

/// Typing errors of all who share an address translator, when all of them come back after a failure.
const HOST: Rule = Rule { free: 60, interval: Duration::from_secs(2) };

/// Four such hosts.
const NETWORK: Rule = Rule { free: 240, interval: Duration::from_millis(500) };

/// More than any owner's devices fail, wherever they are.
const ACCOUNT: Rule = Rule { free: 100, interval: Duration::from_secs(5) };

/// Lines about single failures from one host: more than a program needs that reads them to ban an address.
const LINES: Rule = Rule { free: 60, interval: Duration::from_secs(2) };

/// Lines about single failures from everywhere.
const ALL_LINES: Rule = Rule { free: 600, interval: Duration::from_millis(50) };

/// Failures of a host within [`FAILURE_TIME`] with which it is still none of those who guess.
const FEW_FAILURES: u32 = 5;

/// How long after the last one failures are remembered.
const FAILURE_TIME: Duration = Duration::from_secs(3600);

/// How long a try may be under way: longer than a stream may take to authenticate.
const TRY_TIME_MAX: Duration = Duration::from_secs(60);

/// So long after its last try a burst is over.
const BURST_GAP: Duration = Duration::from_secs(10);

/// How often a burst is told of that goes on.
const BURST_TIME_MAX: Duration = Duration::from_secs(60);

/// Bytes of a name in a [`Burst`].
const BURST_NAME_BYTES_MAX: usize = 256;

/// Whose secret is tried.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Subject {
    id: SubjectId,
    name: String,
}

type SubjectId = [u8; 16];

impl Subject {
    /// Something with this name. Equal names of two kinds are two subjects.
    pub fn new(kind: &str, name: &str) -> Subject {
        let digest = Sha256::new().chain_update(kind).chain_update(b"\0").chain_update(name).finalize();
        let mut id = SubjectId::default();
        id.iter_mut().zip(digest).for_each(|(to, from)| *to = from);
        let shown = name.char_indices().take_while(|(at, c)| at + c.len_utf8() <= BURST_NAME_BYTES_MAX);
        Subject { id, name: shown.map(|(_, c)| c).collect() }
    }
}

/// The hosts of strangers.
pub struct Throttle {
    debts: BTreeMap<Key, Debt>,
    /// When each of them is forgotten.
    ends: BTreeSet<(Uptime, Key)>,
    /// From where a subject's secret was right, and the number of that success.
    known: BTreeMap<(SubjectId, Host), u64>,
    known_by_age: BTreeMap<u64, (SubjectId, Host)>,
    successes: u64,
    /// The last one is everything for which there was no room.
    bursts: BTreeMap<Option<Key>, Burst>,
    ended: VecDeque<Burst>,
}

/// Who shares a debt.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Key {
    Pair(SubjectId, Host),
    Host(Host),
    Network(Network),
    Account(SubjectId),
    Lines(Host),
    AllLines,
}

#[derive(Clone, Copy, Default, Debug)]
struct Debt {
    /// When everything is paid off.
    paid: Uptime,
    /// Tries that are under way and count as if they had failed.
    pending: u32,
    failures: u32,
    end: Uptime,
}

/// Whether a secret may be checked.
#[derive(Debug)]
pub enum Verdict {
    /// It may, after this wait. What becomes of it is to be told by [`Throttle::handle_outcome`].
    Go(Duration, Try),
    /// It may not: too many tries wait already. A later one may.
    Refused,
}

/// A try that is under way.
#[derive(Debug)]
pub struct Try {
    subject: SubjectId,
    host: Host,
    /// Where it counts as pending.
    queued: Vec<Key>,
}

/// What became of a try.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TryOutcome {
    /// The secret was right.
    Succeeded,
    /// The secret was wrong.
    Failed,
    /// No secret was checked.
    Abandoned,
}

/// Tries of one kind that came close behind each other, for the log.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Burst {
    /// What they have in common.
    pub scope: BurstScope,
    /// The subject of all of them, cut off at 256 bytes; absent if there are several.
    pub subject: Option<String>,
    /// The address from which the last one came.
    pub address: IpAddr,
    /// How many had to wait.
    pub slowed: u64,
    /// How many were refused.
    pub refused: u64,
    /// How many failures got no line of their own.
    pub unlogged: u64,
    /// From the first to the last.
    pub lasted: Duration,
    first: Uptime,
    last: Uptime,
}

/// What the tries of a [`Burst`] have in common.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BurstScope {
    /// One account, tried from one host.
    AccountFromHost,
    /// One host.
    Host,
    /// One network.
    Network,
    /// One account, tried from many hosts.
    Account,
    /// Nothing: there were too many bursts to tell of each.
    Various,
}

impl BurstScope {
    /// One word for the log.
    pub const fn name(self) -> &'static str {
        match self {
            BurstScope::AccountFromHost => "account-from-address",
            BurstScope::Host => "address",
            BurstScope::Network => "network",
            BurstScope::Account => "account",
            BurstScope::Various => "various",
        }
    }
}

/// How much of a debt a try has to wait for.
enum Manner {
    /// All of it, behind those who wait.
    Queue,
    /// At most a pause.
    Pause,
    /// Nothing of it.
    Pass,
}

enum Slowed {
    Waits,
    Refused,
    Unlogged,
}

impl Default for Throttle {
    fn default() -> Self {
        Throttle::new()
    }
}

impl Throttle {
    /// Nobody has tried anything.
    pub fn new() -> Throttle {
        Throttle {
            debts: BTreeMap::new(),
            ends: BTreeSet::new(),
            known: BTreeMap::new(),
            known_by_age: BTreeMap::new(),
            successes: 0,
            bursts: BTreeMap::new(),
            ended: VecDeque::new(),
        }
    }

    /// Somebody is about to try a secret of this subject.
    pub fn handle_try(&mut self, now: Uptime, subject: &Subject, origin: Origin) -> Verdict {
        self.forget(now);
        let (address, host) = (origin.address(), origin.host());
        let (worst, wait, queued) = self.weigh(now, subject.id, host, origin);
        if wait > TRY_WAIT_MAX {
            self.note(now, worst, Some(subject), address, &Slowed::Refused);
            return Verdict::Refused;
        }
        if wait > Duration::ZERO {
            self.note(now, worst, Some(subject), address, &Slowed::Waits);
        }
        for key in &queued {
            self.change(now, *key, |debt| {
                debt.pending += 1;
                debt.end = debt.end.max(now + TRY_TIME_MAX);
            });
        }
        Verdict::Go(wait, Try { subject: subject.id, host, queued })
    }

    /// Tells what became of a try.
    pub fn handle_outcome(&mut self, now: Uptime, tried: Try, outcome: TryOutcome) {
        let Try { subject, host, queued } = tried;
        for key in queued {
            if self.debts.contains_key(&key) {
                self.change(now, key, |debt| debt.pending = debt.pending.saturating_sub(1));
            }
        }
        match outcome {
            TryOutcome::Succeeded => {
                self.change(now, Key::Pair(subject, host), |debt| {
                    (debt.paid, debt.failures) = (now, 0);
                    debt.end = if debt.pending > 0 { debt.end } else { now };
                });
                self.know(subject, host);
            }
            TryOutcome::Failed => {
                for (key, rule) in debtors(subject, host) {
                    self.charge(now, key, &rule);
                }
            }
            TryOutcome::Abandoned => {}
        }
        self.forget(now);
    }

    /// Whether a failure at this address gets a line of its own in the log. Those that do not are counted.
    pub fn handle_line(&mut self, now: Uptime, address: IpAddr) -> bool {
        let host = Host::of(address);
        let lines = [(Key::Lines(host), LINES), (Key::AllLines, ALL_LINES)];
        let is_too_much = lines.iter().any(|(key, rule)| self.wait(now, *key, rule) > Duration::ZERO);
        if is_too_much {
            self.note(now, Key::Lines(host), None, address, &Slowed::Unlogged);
            return false;
        }
        lines.iter().for_each(|(key, rule)| self.charge(now, *key, rule));
        self.forget(now);
        true
    }

    /// When a burst is to be told of.
    pub fn poll_timeout(&self) -> Option<Uptime> {
        self.bursts.values().map(Burst::due).min()
    }

    /// It is at least as late as [`Throttle::poll_timeout`] said.
    pub fn handle_timeout(&mut self, now: Uptime) {
        for burst in self.bursts.extract_if(.., |_, burst| burst.due() <= now).map(|(_, burst)| burst) {
            self.ended.push_back(Burst { lasted: burst.last.since(burst.first), ..burst });
        }
    }

    /// The next burst that is over, or has gone on for so long that it is told of meanwhile.
    pub fn poll_burst(&mut self) -> Option<Burst> {
        self.ended.pop_front()
    }

    /// The debt for which a try would have to wait longest, how long that is, and where the try has to queue.
    fn weigh(&self, now: Uptime, subject: SubjectId, host: Host, origin: Origin) -> (Key, Duration, Vec<Key>) {
        let is_known = self.known.contains_key(&(subject, host));
        let hardly_failed = |key| self.debts.get(&key).is_none_or(|debt| debt.failures < FEW_FAILURES);
        let pair = Key::Pair(subject, host);
        let (mut worst, mut longest, mut queued) = (pair, Duration::ZERO, vec![pair]);
        for (key, rule) in debtors(subject, host) {
            let manner = match key {
                // Everybody would be refused for what one of them tried.
                _ if matches!(origin, Origin::Shared(_)) => Manner::Pause,
                Key::Pair(..) => Manner::Queue,
                _ if is_known => Manner::Pass,
                Key::Account(_) if hardly_failed(pair) => Manner::Pause,
                // An IPv6 /48 holds more fresh hosts than anybody could be made to wait for.
                Key::Network(network) if network.is_of_ipv4() && hardly_failed(Key::Host(host)) => Manner::Pause,
                Key::Network(_) | Key::Host(_) | Key::Account(_) | Key::Lines(_) | Key::AllLines => Manner::Queue,
            };
            let owed = self.wait(now, key, &rule);
            let wait = match manner {
                Manner::Queue => owed,
                Manner::Pause => owed.min(TRY_PAUSE_MAX),
                Manner::Pass => Duration::ZERO,
            };
            if matches!(manner, Manner::Queue) && wait > Duration::ZERO && key != pair {
                queued.push(key);
            }
            if wait > longest {
                (worst, longest) = (key, wait);
            }
        }
        (worst, longest, queued)
    }

    /// How long until one more try is within what is free.
    fn wait(&self, now: Uptime, key: Key, rule: &Rule) -> Duration {
        let debt = self.debts.get(&key).copied().unwrap_or_default();
        let owed = debt.paid.since(now) + rule.interval * (debt.pending + 1);
        owed.saturating_sub(rule.interval * rule.free)
    }

    fn charge(&mut self, now: Uptime, key: Key, rule: &Rule) {
        self.change(now, key, |debt| {
            debt.paid = (debt.paid.max(now) + rule.interval).min(now + TRY_DEBT_TIME_MAX);
            debt.failures = debt.failures.saturating_add(1);
            debt.end = debt.end.max(now + FAILURE_TIME).max(debt.paid);
        });
    }

    fn change(&mut self, now: Uptime, key: Key, change: impl FnOnce(&mut Debt)) {
        let mut debt = self.debts.get(&key).copied().unwrap_or(Debt { end: now, ..Debt::default() });
        self.ends.remove(&(debt.end, key));
        change(&mut debt);
        self.ends.insert((debt.end, key));
        self.debts.insert(key, debt);
    }

    /// Forgets what is past, and what there is no room for.
    fn forget(&mut self, now: Uptime) {
        while let Some(&(end, key)) = self.ends.first()
            && (end <= now || self.debts.len() > TRY_DEBTS_MAX)
        {
            self.ends.pop_first();
            self.debts.remove(&key);
        }
    }

    fn know(&mut self, subject: SubjectId, host: Host) {
        self.successes += 1;
        if let Some(before) = self.known.insert((subject, host), self.successes) {
            self.known_by_age.remove(&before);
        }
        self.known_by_age.insert(self.successes, (subject, host));
        if self.known.len() > TRY_KNOWN_HOSTS_MAX
            && let Some((_, oldest)) = self.known_by_age.pop_first()
        {
            self.known.remove(&oldest);
        }
    }

    fn note(&mut self, now: Uptime, key: Key, subject: Option<&Subject>, address: IpAddr, slowed: &Slowed) {
        let has_room = self.bursts.len() < TRY_BURSTS_MAX || self.bursts.contains_key(&Some(key));
        let (key, scope, has_subject) = match key {
            _ if !has_room => (None, BurstScope::Various, false),
            Key::Pair(..) => (Some(key), BurstScope::AccountFromHost, true),
            Key::Host(_) | Key::Lines(_) | Key::AllLines => (Some(key), BurstScope::Host, false),
            Key::Network(_) => (Some(key), BurstScope::Network, false),
            Key::Account(_) => (Some(key), BurstScope::Account, true),
        };
        let burst = self.bursts.entry(key).or_insert_with(|| Burst {
            scope,
            subject: subject.filter(|_| has_subject).map(|subject| subject.name.clone()),
            address,
            slowed: 0,
            refused: 0,
            unlogged: 0,
            lasted: Duration::ZERO,
            first: now,
            last: now,
        });
        (burst.last, burst.address) = (now, address.to_canonical());
        match slowed {
            Slowed::Waits => burst.slowed += 1,
            Slowed::Refused => burst.refused += 1,
            Slowed::Unlogged => burst.unlogged += 1,
        }
    }
}

impl Burst {
    fn due(&self) -> Uptime {
        (self.last + BURST_GAP).min(self.first + BURST_TIME_MAX)
    }
}

/// Everybody whose debt a failure is.
fn debtors(subject: SubjectId, host: Host) -> [(Key, Rule); 4] {
    [
        (Key::Pair(subject, host), PAIR),
        (Key::Host(host), HOST),
        (Key::Network(host.network()), NETWORK),
        (Key::Account(subject), ACCOUNT),
    ]
}

impl std::fmt::Debug for Throttle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Throttle").field("debts", &self.debts.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
