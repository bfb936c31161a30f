//! Breaks things and makes them whole: begins each episode of the plan at its time, and takes back what it did at its
//! end, whatever else goes on by then.
//!
//! ```text
//! plan ──episode──▶ Breaker ──begin──▶ processes, links, disks, clocks, clients, operators
//!                      │   ◀──── Undo ─────┘ (kept until the end)
//!                      └── steps: what an episode does later than at its beginning
//! ```
//!
//! The invariants: whom a fault meets is decided when it begins, and said in the history; an episode that has ended has
//! left nothing behind but what it broke for good, and that is put right by an operator: a process that is down by then
//! is started, with an empty disk if its own is damaged.

mod clients;
mod disks;
mod links;
mod operators;
mod orders;
mod processes;
mod steps;

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::atomic::Ordering;
use std::time::Duration;

use cresset_net::accounts::memory::MemoryAccounts;
use turmoil::Sim;

use crate::history::{Event, History};
use crate::parts::{DiskTrouble, Ending, Files, Gate, Outage, Switchboard};
use crate::plan::{Fault, Plan, Target};
use crate::seeds::Seed;

use super::node::Ground;
use super::weather::{Trouble, Weather};
use orders::Errand;
use processes::Process;
use steps::Steps;

/// The parts of a world, as somebody sees them who can break them.
pub(super) struct Breakable {
    pub(super) seed: Seed,
    /// The nodes' names.
    pub(super) names: Vec<String>,
    /// All hosts, clients among them.
    pub(super) hosts: Vec<String>,
    /// What each node stands on.
    pub(super) grounds: Vec<Ground>,
    pub(super) switchboard: Switchboard,
    /// What stands before the account store.
    pub(super) store: Gate,
    /// Whether that one says that it is away.
    pub(super) outage: Outage,
    /// The store itself, as operators reach it.
    pub(super) accounts: MemoryAccounts,
    pub(super) weather: Weather,
    pub(super) history: History,
}

/// Who breaks them.
pub(super) struct Breaker {
    world: Breakable,
    processes: Vec<Process>,
    /// How many episodes of the plan have begun.
    begun: usize,
    /// Those that have not ended.
    under_way: BTreeMap<usize, UnderWay>,
    steps: Steps,
    /// What was on the disks when a backup was made, for each episode that will need it.
    backups: BTreeMap<usize, Vec<Files>>,
    /// How many episodes keep clustering off.
    switched_off: u32,
    /// What the operators of episodes want.
    errands: BTreeMap<usize, Errand>,
    /// Counts their orders.
    orders: u64,
}

/// An episode that has begun.
#[derive(Default)]
struct UnderWay {
    /// Whom it met.
    nodes: Vec<usize>,
    /// What to do at its end, in this order.
    undo: Vec<Undo>,
    /// The ways that it holds.
    held: Vec<Ways>,
}

/// From whom to whom.
type Ways = BTreeSet<(usize, usize)>;

/// What takes a fault back.
enum Undo {
    /// Starts the node's process, if this episode is why it is down.
    Start(usize),
    /// The same, with an empty disk.
    StartEmpty(usize),
    GoOn(usize),
    EndLosses(u8),
    EndSlowness(Duration),
    Disabuse(Vec<(SocketAddr, SocketAddr)>),
    StopPlayingDead(usize),
    StopShunning(usize, usize),
    EndDiskTrouble(usize, DiskTrouble),
    StepWall(usize, i64),
    Thaw(usize),
    Calm(usize, Trouble),
    OpenStore,
    EndOutage,
    SwitchOn,
    /// Runs this program on the node from here on.
    Install(usize, u32),
    /// The operator has the node undrained.
    Undrain,
    /// The operator wants nothing any more.
    LetGo,
}

impl Breaker {
    pub(super) fn new(world: Breakable, plan: &Plan) -> Self {
        let processes = world.grounds.iter().map(|_| Process::default()).collect();
        let steps = Steps::backups_of(plan);
        Breaker {
            world,
            processes,
            begun: 0,
            under_way: BTreeMap::new(),
            steps,
            backups: BTreeMap::new(),
            switched_off: 0,
            errands: BTreeMap::new(),
            orders: 0,
        }
    }

    /// Begins and ends what is due.
    pub(super) fn follow(&mut self, sim: &mut Sim<'_>, plan: &Plan) {
        let now = sim.elapsed();
        for ground in &self.world.grounds {
            ground.disk.settle();
            ground.standstill.time_goes_on();
        }
        self.tend(sim, now);
        let due = |number: &usize| plan.episodes[*number].ends() <= now;
        for number in self.under_way.keys().copied().filter(due).collect::<Vec<_>>() {
            self.end(sim, number);
        }
        while let Some(step) = self.steps.next(now) {
            self.take(sim, step);
        }
        while let Some(episode) = plan.episodes.get(self.begun).filter(|episode| episode.at <= now) {
            let number = self.begun;
            self.begun += 1;
            // It is under way before anything of it happens, because what happens may end a process at once.
            self.under_way.insert(number, UnderWay::default());
            let fault = episode.fault.clone();
            let met = self.targets(&fault);
            let nodes = met.iter().map(|node| self.world.names[*node].clone()).collect();
            self.world.history.add("world", Event::Began { episode: number, nodes });
            if let Some(under_way) = self.under_way.get_mut(&number) {
                under_way.nodes.clone_from(&met);
            }
            self.begin(sim, number, episode.at..episode.ends(), &fault, &met);
        }
        self.follow_orders(now, plan.heals_at);
    }

    /// Makes everything whole.
    pub(super) fn heal(&mut self, sim: &mut Sim<'_>) {
        for number in self.under_way.keys().copied().collect::<Vec<_>>() {
            self.end(sim, number);
        }
        self.steps.forget_all();
        self.start_everybody(sim);
        self.world.history.add("world", Event::Healed);
    }

    fn begin(
        &mut self,
        sim: &mut Sim<'_>,
        number: usize,
        time: std::ops::Range<Duration>,
        fault: &Fault,
        met: &[usize],
    ) {
        let first = met.first().copied();
        match fault {
            Fault::Crash { .. }
            | Fault::PowerLoss { .. }
            | Fault::Pause { .. }
            | Fault::RestartStorm { .. }
            | Fault::Stop { .. }
            | Fault::Upgrade { .. }
            | Fault::OldProgram { .. }
            | Fault::LoseDisk { .. }
            | Fault::OldBackup { .. } => {
                if let Some(node) = first {
                    self.begin_with_process(sim, number, time, fault, node);
                }
            }
            Fault::Isolate { .. }
            | Fault::OneWay { .. }
            | Fault::Split { .. }
            | Fault::Ring
            | Fault::Bridge { .. }
            | Fault::Clog { .. }
            | Fault::Swizzle { .. }
            | Fault::Loss { .. }
            | Fault::Slow { .. }
            | Fault::Reset { .. }
            | Fault::HalfOpen { .. }
            | Fault::Shunned { .. }
            | Fault::FalseCrash { .. } => self.begin_with_links(number, time, fault, met),
            Fault::DiskFull { .. }
            | Fault::SyncFails { .. }
            | Fault::SlowDisk { .. }
            | Fault::FlippedBit { .. }
            | Fault::LostVote { .. }
            | Fault::ShortReads { .. } => {
                if let Some(node) = first {
                    self.begin_with_disk(sim, number, fault, node);
                }
            }
            Fault::WallClockStep { seconds, .. } => {
                if let Some(node) = first {
                    self.world.grounds[node].wall.step(*seconds);
                    self.undo_later(number, Undo::StepWall(node, -seconds));
                }
            }
            Fault::WallClockFreeze { .. } => {
                if let Some(node) = first {
                    self.world.grounds[node].wall.freeze();
                    self.undo_later(number, Undo::Thaw(node));
                }
            }
            Fault::Rival { .. }
            | Fault::Storm { .. }
            | Fault::Flapping { .. }
            | Fault::ResumptionRace { .. }
            | Fault::SlowReader { .. }
            | Fault::NeverAcknowledges { .. }
            | Fault::StoreStalls
            | Fault::StoreFails => self.begin_with_clients(number, time, fault, first),
            Fault::SwitchedOff => self.switch_off(number),
            Fault::ChangeTimes { lease, expel_after } => self.begin_with_times(number, *lease, *expel_after),
            Fault::Drain { .. } | Fault::TransferLeader { .. } | Fault::Remove { .. } | Fault::RemoveBlindly { .. } => {
                if let Some(node) = first {
                    self.begin_with_orders(sim, number, fault, node);
                }
            }
        }
    }

    fn end(&mut self, sim: &mut Sim<'_>, number: usize) {
        self.steps.forget(number);
        let under_way = self.under_way.remove(&number).unwrap_or_default();
        for ways in &under_way.held {
            self.world.switchboard.release(ways);
        }
        // A disk that is given in place of a damaged one is no part of the damage.
        self.world.history.add("world", Event::Ended { episode: number });
        for undo in under_way.undo {
            self.undo(sim, number, undo);
        }
    }

    fn undo(&mut self, sim: &mut Sim<'_>, number: usize, undo: Undo) {
        let world = &self.world;
        match undo {
            Undo::Start(node) => self.start_after(sim, number, node),
            Undo::StartEmpty(node) => self.start_empty_after(sim, number, node),
            Undo::GoOn(node) => self.go_on(node),
            Undo::EndLosses(percent) => world.switchboard.end_losses(percent),
            Undo::EndSlowness(worst) => world.switchboard.end_slowness(worst),
            Undo::Disabuse(forsaken) => world.switchboard.disabuse(&forsaken),
            Undo::StopPlayingDead(node) => world.switchboard.stop_playing_dead(node),
            Undo::StopShunning(node, other) => world.switchboard.stop_shunning(node, other),
            Undo::EndDiskTrouble(node, trouble) => world.grounds[node].disk.end_trouble(trouble),
            Undo::StepWall(node, seconds) => world.grounds[node].wall.step(seconds),
            Undo::Thaw(node) => world.grounds[node].wall.thaw(),
            Undo::Calm(user, trouble) => world.weather.end(user, trouble),
            Undo::OpenStore => world.store.open(),
            Undo::EndOutage => world.outage.end(),
            Undo::SwitchOn => self.switch_on(),
            Undo::Install(node, program) => self.install(sim, node, program),
            Undo::Undrain => self.undrain(number),
            Undo::LetGo => self.let_go(number),
        }
    }

    fn undo_later(&mut self, number: usize, undo: Undo) {
        if let Some(under_way) = self.under_way.get_mut(&number) {
            under_way.undo.push(undo);
        }
    }

    /// Whom a fault meets now. Nobody, if it is to meet a process and there is none.
    fn targets(&self, fault: &Fault) -> Vec<usize> {
        let mut met: Vec<usize> = Vec::new();
        for target in fault.targets() {
            let needs_process = fault.is_of_a_process();
            if let Some(node) = self.find(target, &met).filter(|node| !needs_process || self.runs(*node)) {
                met.push(node);
            }
        }
        met
    }

    /// Somebody who is not taken yet.
    fn find(&self, target: Target, taken: &[usize]) -> Option<usize> {
        let is_free = |node: &usize| *node < self.processes.len() && !taken.contains(node);
        match target {
            Target::Node(number) => Some(number).filter(is_free),
            Target::Leader => self.leader().filter(is_free),
            Target::Follower => {
                let leader = self.leader()?;
                let follows = |node: &usize| *node != leader && self.runs(*node) && is_free(node);
                let whole = (0..self.processes.len()).filter(follows).find(|node| !self.is_cut(*node));
                whole.or_else(|| (0..self.processes.len()).find(follows))
            }
        }
    }

    /// Whom a node that runs takes for the leader.
    fn leader(&self) -> Option<usize> {
        let running = (0..self.processes.len()).filter(|node| self.runs(*node));
        let views = running.filter_map(|node| self.world.history.view_of(&self.world.names[node]));
        let newest = views.filter(|view| view.leader.is_some()).max_by_key(|view| view.term)?;
        self.world.names.iter().position(|name| Some(name) == newest.leader.as_ref())
    }

    /// Whether anything that the node says or hears is held back.
    fn is_cut(&self, node: usize) -> bool {
        let mut ways = self.under_way.values().flat_map(|episode| &episode.held).flatten();
        ways.any(|(from, to)| *from == node || *to == node)
    }

    /// Whether the node has a process, and it does not stand still.
    fn runs(&self, node: usize) -> bool {
        self.processes[node].is_up() && !self.world.grounds[node].standstill.is_on()
    }
}

impl Fault {
    /// Whether it needs a process that runs.
    #[allow(clippy::wildcard_enum_match_arm, reason = "all others do not")]
    fn is_of_a_process(&self) -> bool {
        matches!(
            self,
            Fault::Crash { .. }
                | Fault::PowerLoss { .. }
                | Fault::Pause { .. }
                | Fault::RestartStorm { .. }
                | Fault::Stop { .. }
                | Fault::Upgrade { .. }
                | Fault::OldProgram { .. }
                | Fault::LoseDisk { .. }
                | Fault::OldBackup { .. }
                | Fault::FlippedBit { .. }
                | Fault::LostVote { .. }
                | Fault::ShortReads { .. }
                | Fault::Remove { .. }
        )
    }
}
