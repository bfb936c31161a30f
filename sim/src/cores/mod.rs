//! Many worlds in little time: the machines of `cresset-core` on a queue of events, without tasks or sockets.
//!
//! ```text
//! plan ─▶ World ── hosts: Clustering, LinkTable, Session, Sender, RetryQueue, … (real) ── clients ─▶ history ─▶ invariants
//!           │         ▲ control.rs, router.rs, session.rs, lanes.rs: what drives them in a node, without tasks
//!         faults      └ raft/: a model of Raft; network.rs, mesh.rs: links
//! ```
//!
//! The same plans, the same history and the same checkers as of whole nodes, in a hundredth of the time, because nothing
//! happens between two events. What is real here is what decides: who is a member, who may serve, who holds what, where a
//! stanza goes, what a client is told and what is kept until it has arrived. What is not is found by the other level:
//! disks, tasks, resumption.
//!
//! The drivers of the machines are copies of those of the node, and take the freedom that tasks have: what waits in
//! different queues is taken in any order, orders are carried out late, machines are woken too early.

#![allow(
    clippy::wildcard_enum_match_arm,
    reason = "a fault that means nothing to machines alone does nothing here, and is never drawn"
)]
#![allow(
    clippy::large_enum_variant,
    clippy::result_large_err,
    clippy::type_complexity,
    clippy::wrong_self_convention,
    clippy::while_immutable_condition,
    reason = "one world of machines holds few of these, for a moment"
)]

mod control;
mod errands;
mod faults;
mod host;
mod lanes;
mod mesh;
mod moving;
mod network;
mod queue;
mod raft;
mod router;
mod session;
mod settled;
mod user;

use std::sync::Arc;
use std::time::Duration;

use cresset_core::config::Timing;
use cresset_core::ids::{BootId, MemberId, SessionId};
use cresset_core::jid::{BareJid, DomainPart, FullJid, Jid};
use cresset_core::node::{Clustering, Peer};
use cresset_core::session::SessionSettings;
use cresset_core::time::Uptime;
use cresset_net::accounts::memory::MemoryAccounts;
use rand::RngExt;
use rand::rngs::StdRng;

use crate::client::RESOURCE;
use crate::history::{DirectoryFact, Event, History, RIVAL, RaftFact};
use crate::invariants;
use crate::parts;
use crate::plan::Plan;
use crate::report::{Report, Violation};
use crate::trace::{self, Trace};
use crate::world::{DOMAIN, panics};

use errands::Decider;
use host::{Birth, Host, Process};
use lanes::LaneKey;
use mesh::Mesh;
use network::{Connection, ConnectionId, Dial, Lane, Packet, Paths, Place, Side, Wire};
use queue::{Moment, Queue};
use raft::{Raft, RaftSettings};
use session::FromClient;
use user::{Persona, ToClient, User};

/// Within this time the processes start at the beginning.
const FIRST_STARTS: Duration = Duration::from_millis(300);

/// How often it is looked whether nothing is left to happen, once everybody is silent.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Events after which a world is taken for one that goes in circles.
const EVENTS_MAX: u64 = 2_000_000;

/// Something that is going to happen.
#[derive(Debug)]
enum What {
    /// A process turns to a part of itself.
    Turn {
        host: usize,
        process: u32,
        part: Part,
    },
    /// Something arrives at a machine.
    Packet(Packet),
    /// What has arrived on a connection is read.
    Read {
        connection: ConnectionId,
        to: Side,
        wire: Wire,
    },
    /// A client wants to log in.
    Knock {
        host: usize,
        user: usize,
        connection: u32,
    },
    /// A client says something to its session.
    Said {
        host: usize,
        process: u32,
        session: SessionId,
        said: FromClient,
    },
    /// A user does or hears something.
    User {
        user: usize,
        part: UserPart,
    },
    /// An episode begins, goes on or ends.
    Begins(usize),
    GoesOn {
        episode: usize,
        step: u32,
    },
    Ends(usize),
    Heals,
    /// A process starts if there is none.
    Starts(usize),
    /// A process is killed, if it is still that one. Whether it stands still does not matter to who kills it.
    Kills {
        host: usize,
        process: u32,
    },
}

/// A part of a process.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Part {
    Control,
    Node,
    Raft,
    Apply,
    NextLife,
    Session(SessionId),
    Decider(Decider),
    Lane(LaneKey),
    Inbox(LaneKey),
    Dial {
        mesh: u32,
        to: usize,
        lane: Lane,
        attempt: u32,
    },
    DialTimeout {
        dial: Dial,
    },
    Silence {
        connection: ConnectionId,
        side: Side,
    },
    /// Its sessions have had their time to go.
    FarewellTimeout,
    /// It has had its time to decide about what it has acknowledged.
    StopTimeout,
    /// It has had its time to leave.
    Leave,
    LateProposal,
    /// It sees what operators have said.
    Switch,
    /// A session has settled what it can.
    Held,
    /// Its sessions look into the store once more.
    LookAgain {
        generation: u64,
    },
}

/// What happens to a user.
#[derive(Debug)]
enum UserPart {
    Connect,
    LoginTimeout { connection: u32 },
    Speak { connection: u32 },
    Ask { connection: u32 },
    Heard { connection: u32, what: ToClient },
}

/// The freedom that the drivers of a world take.
#[derive(Clone, Debug, Default)]
struct Chaos {
    /// How late a task may take its turn.
    turn_delay_max: Duration,
    /// How late what is committed may reach the control task.
    apply_delay_max: Duration,
    /// Whether what waits in different queues of the control task is taken in any order.
    shuffles: bool,
    /// How often a node is woken although it is not time.
    spurious: f64,
    drops_control: f64,
    drops_proposals: f64,
    doubles_proposals: f64,
    /// How often a parcel arrives twice.
    doubles_parcels: f64,
}

impl Chaos {
    fn draw(random: &mut StdRng) -> Chaos {
        let chance = |random: &mut StdRng, most: f64| {
            if random.random_bool(0.4) { random.random_range(0.0..most) } else { 0.0 }
        };
        Chaos {
            turn_delay_max: match random.random_range(0..4) {
                0 => Duration::from_millis(random.random_range(1..=5)),
                1 => Duration::from_micros(200),
                _ => Duration::ZERO,
            },
            apply_delay_max: match random.random_range(0..4) {
                0 => Duration::from_millis(random.random_range(10..=150)),
                1 | 2 => Duration::from_millis(2),
                _ => Duration::ZERO,
            },
            shuffles: random.random_bool(0.5),
            spurious: chance(random, 0.2),
            drops_control: chance(random, 0.03),
            drops_proposals: chance(random, 0.2),
            doubles_proposals: chance(random, 0.3),
            doubles_parcels: chance(random, 0.1),
        }
    }
}

/// One world.
struct World {
    now: Moment,
    queue: Queue<What>,
    hosts: Vec<Host>,
    users: Vec<User>,
    connections: Vec<Connection>,
    paths: Paths,
    accounts: MemoryAccounts,
    domain: DomainPart,
    session_settings: Arc<SessionSettings>,
    timing: Timing,
    chaos: Chaos,
    client_latency: (Duration, Duration),
    silent_from: Moment,
    snapshot_entries: u64,
    history: History,
    plan: Plan,
    processes: u32,
    meshes: u32,
    members: u64,
    /// Whom each episode that is under way met.
    met: Vec<Vec<usize>>,
    /// Who refuse each other.
    shunned: Vec<[usize; 2]>,
    is_healed: bool,
    /// Episodes for which clustering is off.
    switched_off: u32,
    /// Parcels that were missing on a connection, which cannot be.
    gaps: u64,
}

/// Carries a plan out and checks what came of it.
pub fn run(plan: &Plan, trace: Trace) -> Report {
    let history = History::quick(trace.clone());
    let ran = panics::caught(|| {
        let mut world = World::new(plan, history.clone());
        world.live();
        world.unsettled()
    });
    trace::set_now(Duration::ZERO);
    let records = history.take();
    let mut violations = invariants::check(plan, &records);
    match ran {
        Ok(unsettled) => violations.extend(unsettled),
        Err(text) => {
            let at = records.last().map(|last| last.at);
            violations.insert(0, Violation { invariant: "sound_nodes", at, text });
        }
    }
    Report { plan: plan.clone(), history: records, violations, trace: trace.sum(), records: trace.records() }
}

impl World {
    fn new(plan: &Plan, history: History) -> World {
        let seed = plan.seed;
        let names = plan.node_names();
        let drift = |host: usize| plan.drifts_ppm.get(host).copied().unwrap_or_default();
        let users = plan.user_names();
        let domain = DomainPart::new(DOMAIN).expect("the domain is one");
        World {
            now: Moment::default(),
            queue: Queue::new(),
            hosts: names.iter().enumerate().map(|(number, name)| Host::new(name.clone(), drift(number))).collect(),
            users: (0..users.len()).flat_map(|number| personas(plan, &users, number)).map(User::new).collect(),
            connections: Vec::new(),
            paths: Paths::new(seed.generator("network", 0), plan.latency),
            accounts: parts::accounts(users.iter().map(String::as_str)),
            session_settings: World::session_settings(&domain),
            domain,
            timing: Timing::default(),
            chaos: Chaos::draw(&mut seed.generator("chaos", 0)),
            client_latency: (Duration::from_micros(200), Duration::from_millis(3)),
            silent_from: plan.silent_from.into(),
            snapshot_entries: plan.snapshot_entries,
            history,
            met: vec![Vec::new(); plan.episodes.len()],
            shunned: Vec::new(),
            plan: plan.clone(),
            processes: 0,
            meshes: 0,
            members: 0,
            is_healed: false,
            switched_off: 0,
            gaps: 0,
        }
    }

    /// From the first to the last event.
    fn live(&mut self) {
        let mut random = self.plan.seed.generator("beginning", 0);
        for host in 0..self.hosts.len() {
            self.push(Moment::from(random.random_range(Duration::ZERO..FIRST_STARTS)), What::Starts(host));
        }
        for user in 0..self.users.len() {
            let begins = crate::plan::BEGINS.mul_f64(random.random_range(0.5..1.0));
            self.push(begins.into(), What::User { user, part: UserPart::Connect });
        }
        for episode in 0..self.plan.episodes.len() {
            let at = self.plan.episodes[episode].at;
            self.push(at.into(), What::Begins(episode));
        }
        self.push(self.plan.heals_at.into(), What::Heals);
        let end = Moment::from(self.plan.ends_at);
        let mut looks = self.silent_from.after(LOOK_EVERY);
        while let Some((at, what)) = self.queue.pop() {
            if at > end {
                return;
            }
            if at > looks {
                if self.is_at_rest() {
                    return;
                }
                looks = at.after(LOOK_EVERY);
            }
            assert!(self.queue.count() < EVENTS_MAX, "the world goes in circles");
            self.now = at;
            trace::set_now(at.since_start());
            self.happen(what);
        }
    }

    fn happen(&mut self, what: What) {
        if let Some(host) = what.place(&self.connections)
            && self.hosts[host].pauses > 0
            && self.hosts[host].process.is_some()
        {
            self.hosts[host].deferred.push_back(what);
            return;
        }
        match what {
            What::Turn { host, process, part } => {
                if self.hosts[host].process.as_ref().is_some_and(|present| present.id == process) {
                    self.turn(host, part);
                }
            }
            What::Packet(packet) => self.packet(packet),
            What::Read { connection, to, wire } => self.said(connection, to, wire),
            What::Knock { host, user, connection } => self.knock(host, user, connection),
            What::Said { host, process, session, said } => {
                if self.hosts[host].process.as_ref().is_some_and(|present| present.id == process) {
                    self.client_said(host, session, said);
                }
            }
            What::User { user, part } => self.user_turn(user, part),
            What::Begins(episode) => self.episode_begins(episode),
            What::GoesOn { episode, step } => self.episode_goes_on(episode, step),
            What::Ends(episode) => self.episode_ends(episode),
            What::Heals => self.heal(),
            What::Starts(host) => self.start(host),
            What::Kills { host, process } => {
                if self.hosts[host].process.as_ref().is_some_and(|present| present.id == process) {
                    self.kill(host);
                }
            }
        }
    }

    fn turn(&mut self, host: usize, part: Part) {
        match part {
            Part::Control => self.control_turn(host),
            Part::Node => self.node_turn(host),
            Part::Raft => self.raft_turn(host),
            Part::Apply => self.apply_turn(host),
            Part::NextLife => self.next_life(host),
            Part::Session(session) => self.session_turn(host, session),
            Part::Decider(decider) => self.decider_turn(host, decider),
            Part::Lane(lane) => self.lane_turn(host, lane),
            Part::Inbox(inbox) => self.inbox_turn(host, inbox),
            Part::Dial { mesh, to, lane, attempt } => self.attempt(host, mesh, to, lane, attempt),
            Part::DialTimeout { dial } => self.attempt_failed(dial),
            Part::Silence { connection, side } => self.silence(connection, side),
            Part::FarewellTimeout => self.farewell_is_over(host),
            Part::StopTimeout => self.leave_cluster(host),
            Part::Leave => self.end(host),
            Part::LateProposal => self.late_proposal(host),
            Part::Switch => self.see_mode(host),
            Part::Held => self.held(host),
            Part::LookAgain { generation } => self.look_again(host, generation),
        }
    }

    // ---- what all parts use -----------------------------------------------------------------------------------------

    fn push(&mut self, at: Moment, what: What) {
        self.queue.push(at, what);
    }

    /// The present process of a host turns to a part of itself then.
    fn wake(&mut self, host: usize, at: Moment, part: Part) {
        if let Some(process) = &self.hosts[host].process {
            let process = process.id;
            self.push(at, What::Turn { host, process, part });
        }
    }

    /// As [`World::wake`], by the clock of the process.
    fn wake_at(&mut self, host: usize, at: Uptime, part: Part) {
        if let Some(process) = &self.hosts[host].process {
            let at = process.moment(at);
            self.wake(host, at, part);
        }
    }

    /// A task takes its turn as soon as tasks do.
    fn turn_soon(&mut self, host: usize, part: Part) {
        let max = self.chaos.turn_delay_max;
        let Some(process) = &mut self.hosts[host].process else { return };
        let delay = control::draw(&mut process.random, max);
        self.wake(host, self.now.after(delay), part);
    }

    fn process_at(&mut self, place: Place) -> Option<&mut Process> {
        let process = self.hosts[place.host].process.as_mut()?;
        (process.id == place.process && process.mesh.id == place.mesh).then_some(process)
    }

    fn note_at(&self, host: usize, event: Event) {
        self.history.add(&self.hosts[host].name, event);
    }

    fn note(&self, user: Option<usize>, event: Event) {
        self.history.add(user.map_or("world", |user| self.users[user].client.as_str()), event);
    }

    fn raft_fact(&self, host: usize, fact: RaftFact) {
        self.note_at(host, Event::Raft { node: self.hosts[host].name.clone(), fact });
    }

    fn directory(&self, host: usize, fact: DirectoryFact) {
        self.note_at(host, Event::Directory { node: self.hosts[host].name.clone(), fact });
    }

    // ---- processes --------------------------------------------------------------------------------------------------

    /// A process starts on this machine, if there is none.
    fn start(&mut self, host: usize) {
        if self.hosts[host].process.is_some() || self.hosts[host].downs > 0 {
            return;
        }
        let now = self.now;
        self.hosts[host].has_power = true;
        let is_founder = self.members == 0;
        let member = *self.hosts[host].member.get_or_insert_with(|| {
            self.members += 1;
            MemberId(self.members)
        });
        self.hosts[host].boots += 1;
        self.processes += 1;
        self.meshes += 1;
        let number = host as u64 * 10_000 + self.hosts[host].boots;
        let mut random = self.plan.seed.generator("process", number);
        let boot = BootId(random.random());
        let settings = RaftSettings { timing: self.timing.clone(), snapshot_entries: self.snapshot_entries };
        let disk = std::mem::take(&mut self.hosts[host].disk);
        let raft = Raft::new(now, member, settings, disk, self.plan.seed.generator("raft", number));
        let name = self.hosts[host].name.clone();
        let birth = Birth {
            id: self.processes,
            now,
            drift: self.hosts[host].drift,
            settings: host::settings(host, &name, member, boot, self.timing.clone()),
            raft,
            mesh: Mesh::new(self.meshes, Peer { member, boot }, self.hosts.len()),
            random,
            agreed: self.agreed(),
        };
        self.hosts[host].process = Some(Process::new(birth));
        self.note_at(host, Event::Started { node: name });
        self.raft_fact(host, RaftFact::Is { member: member.0 });
        if is_founder && let Some(process) = &mut self.hosts[host].process {
            process.raft.found(now);
        }
        self.dial_all(host);
        self.carry_out_raft(host);
        self.with(host, Clustering::begin);
        self.control_turn(host);
        self.knows_no_connections(host);
        for other in (0..self.hosts.len()).filter(|other| *other != host) {
            self.path_changed(host, other);
        }
    }
}

/// The clients of the n-th user: his own, and those that rivals of his are.
fn personas(plan: &Plan, users: &[String], number: usize) -> Vec<Persona> {
    let user = &plan.users[number];
    let name = users[number].clone();
    let jid: BareJid = format!("{name}@{DOMAIN}").parse().expect("users have simple names");
    let jid: FullJid = jid.with_resource_str(RESOURCE).expect("the resource is simple");
    let peer = users.get(user.peer).cloned().unwrap_or_else(|| "nobody".to_owned());
    let peer_jid: Jid = format!("{peer}@{DOMAIN}").parse().expect("users have simple names");
    let persona = |client: String, door: usize, is_active: bool, concern: &str| Persona {
        name: name.clone(),
        client,
        jid: jid.clone(),
        peer: peer.clone(),
        peer_jid: peer_jid.clone(),
        pace: user.pace,
        leaves: user.leaves && is_active,
        door,
        is_active,
        random: plan.seed.generator(concern, number as u64),
    };
    let mut personas = vec![persona(name.clone(), user.node, true, "user")];
    let is_rivalled = plan
        .episodes
        .iter()
        .any(|episode| matches!(episode.fault, crate::plan::Fault::Rival { user } if user == number));
    if is_rivalled {
        personas.push(persona(format!("{name}{RIVAL}"), user.node + 1, false, "rival"));
    }
    personas
}

impl What {
    /// The machine whose process has to do something about it.
    fn place(&self, connections: &[Connection]) -> Option<usize> {
        match self {
            What::Turn { host, .. } | What::Said { host, .. } | What::Knock { host, .. } => Some(*host),
            What::Packet(Packet::Hello { to, .. }) => Some(*to),
            What::Packet(Packet::HelloAnswer { dial, .. }) => Some(dial.from.host),
            What::Read { connection, to, .. } => Some(connections[*connection].end(*to).place.host),
            What::Packet(Packet::Said { .. })
            | What::User { .. }
            | What::Begins(_)
            | What::GoesOn { .. }
            | What::Ends(_)
            | What::Heals
            | What::Starts(_)
            | What::Kills { .. } => None,
        }
    }
}
