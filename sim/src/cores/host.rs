//! A machine, and the process on it while there is one.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use cresset_core::cluster::{ClusterState, Command, Role, STATE_VERSIONS};
use cresset_core::config::Timing;
use cresset_core::config::properties::Agreed;
use cresset_core::ids::{BootId, Life, LogIndex, MemberId, Term};
use cresset_core::node::{Clustering, Entry, Node, NodeSettings, Peer, RaftStatus, Request};
use cresset_core::time::Uptime;
use rand::RngExt;
use rand::rngs::StdRng;

use super::What;
use super::lanes::{InboxKey, Inboxed, Inlet, Lane, LaneKey};
use super::mesh::Mesh;
use super::queue::Moment;
use super::raft::{Disk, Raft};
use super::router::Router;
use crate::parts::Drift;

/// A machine.
#[derive(Debug)]
pub(super) struct Host {
    pub(super) name: String,
    pub(super) drift: Drift,
    /// The member to which its disk belongs.
    pub(super) member: Option<MemberId>,
    /// What is on its disk while no process has it.
    pub(super) disk: Disk,
    pub(super) process: Option<Process>,
    /// Whether there is a machine to refuse connections.
    pub(super) has_power: bool,
    /// Episodes for which the process stands still.
    pub(super) pauses: u32,
    /// Episodes for which the port refuses.
    pub(super) refusals: u32,
    /// Episodes for which there is no process.
    pub(super) downs: u32,
    /// What happened to a process that stands still.
    pub(super) deferred: VecDeque<What>,
    pub(super) boots: u64,
}

/// A process.
#[derive(Debug)]
pub(super) struct Process {
    /// Counts the processes of the world.
    pub(super) id: u32,
    pub(super) started: Moment,
    rate: u64,
    pub(super) clustering: Clustering,
    pub(super) raft: Raft,
    pub(super) mesh: Mesh,
    pub(super) router: Router,
    pub(super) lanes: BTreeMap<LaneKey, Lane>,
    pub(super) inboxes: BTreeMap<InboxKey, Inboxed>,
    pub(super) inlets: Inlets,
    /// The process of each life that goes on.
    pub(super) lives: BTreeMap<Life, Peer>,
    /// The process that each member's control link last led to.
    pub(super) linked: BTreeMap<MemberId, BootId>,
    /// The position of the snapshot whose routes are being shown before its state is in place.
    pub(super) ahead: Option<LogIndex>,
    /// The control task makes the links of its next life.
    pub(super) is_between_lives: bool,
    /// What will be proposed for the second time.
    pub(super) late_proposals: VecDeque<(Option<Term>, Vec<Command>)>,
    /// It was asked to stop.
    pub(super) is_leaving: bool,
    /// Its sessions have had their time.
    pub(super) has_said_farewell: bool,
    /// It wants to be no member any more.
    pub(super) has_asked_to_leave: bool,
    /// How it sees the cluster: serving, leader, term, who is active, sessions, whether by itself.
    pub(super) seen: Option<(bool, Option<MemberId>, u64, Vec<MemberId>, u64, bool)>,
    pub(super) random: StdRng,
    /// When the events are due that wake the machines.
    pub(super) node_wakes: Moment,
    pub(super) raft_wakes: Moment,
    pub(super) apply_is_due: bool,
    pub(super) control_is_due: bool,
}

/// What waits for the control task.
#[derive(Debug, Default)]
pub(super) struct Inlets {
    pub(super) links: VecDeque<Inlet>,
    pub(super) raft: Option<RaftStatus>,
    pub(super) committed: VecDeque<Applying>,
    pub(super) requests: VecDeque<Request>,
    pub(super) leave: bool,
    pub(super) timeout: bool,
}

/// What the log hands over.
#[derive(Debug)]
pub(super) enum Applying {
    /// With the terms of the entries and who votes from them on.
    Entries(Vec<(u64, Entry)>),
    Snapshot(u64, Box<ClusterState>),
}

impl Host {
    pub(super) fn new(name: String, drift: Drift) -> Host {
        Host {
            name,
            drift,
            member: None,
            disk: Disk::default(),
            process: None,
            has_power: true,
            pauses: 0,
            refusals: 0,
            downs: 0,
            deferred: VecDeque::new(),
            boots: 0,
        }
    }

    /// Whether a process runs and does not stand still.
    pub(super) fn is_awake(&self) -> bool {
        self.process.is_some() && self.pauses == 0
    }
}

/// What a process is made of.
pub(super) struct Birth {
    pub(super) id: u32,
    pub(super) now: Moment,
    pub(super) drift: Drift,
    pub(super) settings: NodeSettings,
    pub(super) raft: Raft,
    pub(super) mesh: Mesh,
    pub(super) random: StdRng,
    /// What operators have set.
    pub(super) agreed: Agreed,
}

impl Process {
    pub(super) fn new(birth: Birth) -> Process {
        let Birth { id, now, drift, settings, raft, mesh, mut random, agreed } = birth;
        let member = settings.member;
        let logs = AtomicU64::new(random.random());
        let draw_boot = move || BootId(logs.fetch_add(1, Ordering::Relaxed));
        Process {
            id,
            started: now,
            rate: u64::from(1_000_000_u32.saturating_add_signed(drift.0)),
            clustering: Clustering::new(Uptime::ZERO, settings, &agreed, Box::new(draw_boot)),
            raft,
            mesh,
            router: Router::new(member),
            lanes: BTreeMap::new(),
            inboxes: BTreeMap::new(),
            inlets: Inlets::default(),
            lives: BTreeMap::new(),
            linked: BTreeMap::new(),
            ahead: None,
            is_between_lives: false,
            late_proposals: VecDeque::new(),
            is_leaving: false,
            has_said_farewell: false,
            has_asked_to_leave: false,
            seen: None,
            random,
            node_wakes: Moment::NEVER,
            raft_wakes: Moment::NEVER,
            apply_is_due: false,
            control_is_due: false,
        }
    }

    /// The same process with the node of its next life.
    pub(super) fn reborn(self, now: Uptime, boot: BootId) -> Process {
        Process { clustering: self.clustering.reborn(now, boot), is_between_lives: false, ..self }
    }

    pub(super) fn node(&self) -> &Node {
        self.clustering.node()
    }

    /// What its clock says.
    pub(super) fn uptime(&self, now: Moment) -> Uptime {
        let real = u128::from(now.0.saturating_sub(self.started.0));
        let own = real * u128::from(self.rate) / 1_000_000;
        Uptime::new(Duration::from_nanos(u64::try_from(own).unwrap_or(u64::MAX)))
    }

    /// When its clock will say that.
    pub(super) fn moment(&self, uptime: Uptime) -> Moment {
        let own = uptime.since_start().as_nanos();
        let real = (own * 1_000_000).div_ceil(u128::from(self.rate));
        Moment(self.started.0.saturating_add(u64::try_from(real).unwrap_or(u64::MAX)))
    }

    pub(super) fn voted(&self) -> Term {
        self.raft.voted()
    }
}

/// What the process of a host says of itself.
pub(super) fn settings(host: usize, name: &str, member: MemberId, boot: BootId, timing: Timing) -> NodeSettings {
    let number = u8::try_from(host + 1).expect("a world has few machines");
    NodeSettings {
        member,
        boot,
        name: name.to_owned(),
        peer_address: ([10, 0, 1, number], 5701).into(),
        client_addresses: vec![([10, 0, 1, number], 5222).into()],
        role: Role::Server,
        versions: STATE_VERSIONS,
        timing,
        replace_voter_after: None,
        crash_evidence: true,
        order_time_max: Duration::from_secs(4),
    }
}
