//! Processes that are killed, stopped or suspended, and machines whose power goes.
//!
//! When a process is killed its machine refuses connections and resets those that there were; when the power goes,
//! nobody hears anything of it any more.

use std::ops::Range;

use rand::RngExt;

use super::steps::{Action, Step};
use super::*;
use crate::world::node::End;

/// How long an operator takes to find a process that has ended by itself.
const RESCUED_AFTER: Duration = Duration::from_secs(1);

/// One node's process, as it is seen from outside.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Process {
    state: State,
    /// The episode that is to start it again.
    pub(super) down_by: Option<usize>,
    /// It was told to stop and takes its time, and is to start when it has.
    starts_then: bool,
    /// Something on its disk is not what it wrote.
    pub(super) is_damaged: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
enum State {
    #[default]
    Up,
    Stopping,
    Down,
    WithoutPower,
}

impl Process {
    pub(super) fn is_up(&self) -> bool {
        self.state == State::Up
    }
}

impl Breaker {
    pub(super) fn begin_with_process(
        &mut self,
        sim: &mut Sim<'_>,
        number: usize,
        time: Range<Duration>,
        fault: &Fault,
        node: usize,
    ) {
        #[allow(clippy::wildcard_enum_match_arm, reason = "only faults of processes come here")]
        match fault {
            Fault::PowerLoss { .. } => self.cut_power(sim, node),
            Fault::Pause { .. } => {
                self.world.grounds[node].standstill.begin();
                self.tell(node, |node| Event::Paused { node });
                return self.undo_later(number, Undo::GoOn(node));
            }
            Fault::RestartStorm { every, .. } => self.begin_storm(number, time, *every, node),
            Fault::Stop { .. } => {
                self.world.grounds[node].is_told_to_stop.store(true, Ordering::Release);
                self.processes[node].state = State::Stopping;
            }
            Fault::Upgrade { .. } => {
                let ground = &self.world.grounds[node];
                ground.program.fetch_add(1, Ordering::AcqRel);
                ground.is_told_to_stop.store(true, Ordering::Release);
                self.processes[node].state = State::Stopping;
            }
            Fault::OldProgram { .. } => {
                let ground = &self.world.grounds[node];
                let (first, program) = (ground.first_program(), ground.program.load(Ordering::Acquire));
                self.install(sim, node, first);
                return self.undo_later(number, Undo::Install(node, program));
            }
            Fault::LoseDisk { .. } => {
                self.kill(sim, node);
                self.empty_disk(node);
            }
            Fault::OldBackup { .. } => {
                self.kill(sim, node);
                let backups = self.backups.remove(&number).unwrap_or_default();
                self.world.grounds[node].disk.restore(backups.into_iter().nth(node).unwrap_or_default());
                self.processes[node].is_damaged = true;
            }
            _ => self.kill(sim, node),
        }
        self.processes[node].down_by = Some(number);
        self.undo_later(number, Undo::Start(node));
    }

    fn begin_storm(&mut self, number: usize, time: Range<Duration>, every: Duration, node: usize) {
        let mut random = self.world.seed.generator("restart storm", number as u64);
        let every = every.max(Duration::from_millis(20));
        let mut at = time.start;
        while at < time.end {
            self.steps.add(at, Some(number), Action::Kill(node));
            self.steps.add(at + every.mul_f64(random.random_range(0.02..0.6)), Some(number), Action::Start(node));
            at += every;
        }
    }

    /// Does what an episode, or an operator, does now.
    pub(super) fn take(&mut self, sim: &mut Sim<'_>, step: Step) {
        let Step { episode, action } = step;
        match action {
            Action::Kill(node) if self.runs(node) => {
                self.kill(sim, node);
                self.processes[node].down_by = episode;
            }
            Action::Kill(_) => {}
            Action::Start(node) => {
                if self.processes[node].down_by == episode {
                    self.start(sim, node);
                }
            }
            Action::Rescue(node) => {
                if self.processes[node].state == State::Down && self.processes[node].down_by.is_none() {
                    if self.processes[node].is_damaged {
                        self.empty_disk(node);
                    }
                    self.start(sim, node);
                }
            }
            Action::Reset(node) => self.world.switchboard.reset(node),
            Action::Storm(node) => self.world.weather.storm(&self.world.names[node]),
            Action::Hold(ways) => self.hold(episode, ways),
            Action::Release(ways) => self.release(episode, &ways),
            Action::Copy(for_episode) => {
                let disks = self.world.grounds.iter().map(|ground| ground.disk.files()).collect();
                self.backups.insert(for_episode, disks);
            }
        }
    }

    /// Sees to processes that have ended by themselves.
    pub(super) fn tend(&mut self, sim: &mut Sim<'_>, now: Duration) {
        for node in 0..self.processes.len() {
            let Some(end) = self.world.grounds[node].take_end() else { continue };
            self.clear_away(sim, node);
            match end {
                End::Stopped if std::mem::take(&mut self.processes[node].starts_then) => self.start(sim, node),
                End::Stopped => {}
                End::Failed => {
                    self.processes[node].down_by = self.culprit(node);
                    if self.processes[node].down_by.is_none() {
                        self.steps.add(now + RESCUED_AFTER, None, Action::Rescue(node));
                    }
                }
            }
        }
    }

    /// The episode that will start a process that has failed.
    fn culprit(&self, node: usize) -> Option<usize> {
        let starts = |undo: &Undo| matches!(undo, Undo::Start(started) | Undo::StartEmpty(started) if *started == node);
        self.under_way.iter().find(|(_, episode)| episode.undo.iter().any(starts)).map(|(number, _)| *number)
    }

    /// Another program runs on the node from here on, unless somebody else keeps it down.
    pub(super) fn install(&mut self, sim: &mut Sim<'_>, node: usize, program: u32) {
        self.world.grounds[node].program.store(program, Ordering::Release);
        if self.processes[node].state == State::Up {
            self.kill(sim, node);
        }
        if self.processes[node].state == State::Down && self.processes[node].down_by.is_none() {
            self.start(sim, node);
        }
    }

    /// Kills the process; the machine lives on.
    pub(super) fn kill(&mut self, sim: &mut Sim<'_>, node: usize) {
        self.tell(node, |node| Event::Crashed { node });
        self.clear_away(sim, node);
    }

    /// Nothing is left of the process but what is on the disk, and its ports refuse connections.
    fn clear_away(&mut self, sim: &mut Sim<'_>, node: usize) {
        let (ground, name) = (&self.world.grounds[node], self.world.names[node].as_str());
        ground.is_up.store(false, Ordering::Release);
        ground.is_told_to_stop.store(false, Ordering::Release);
        sim.crash(name);
        ground.desk.clear();
        ground.disk.end_process(Ending::Kill);
        sim.bounce(name);
        // Somebody may have ended by himself and been killed in the same moment.
        ground.take_end();
        self.processes[node].state = State::Down;
    }

    fn cut_power(&mut self, sim: &mut Sim<'_>, node: usize) {
        self.tell(node, |node| Event::Crashed { node });
        let (ground, name) = (&self.world.grounds[node], self.world.names[node].as_str());
        for host in self.world.hosts.iter().filter(|host| *host != name) {
            sim.partition_oneway(name, host.as_str());
        }
        ground.is_up.store(false, Ordering::Release);
        sim.crash(name);
        ground.desk.clear();
        ground.disk.end_process(Ending::PowerLoss);
        ground.take_end();
        self.processes[node].state = State::WithoutPower;
    }

    pub(super) fn go_on(&mut self, node: usize) {
        self.tell(node, |node| Event::Continued { node });
        self.world.grounds[node].standstill.end();
    }

    /// Starts the process if it is down because of this episode.
    pub(super) fn start_after(&mut self, sim: &mut Sim<'_>, number: usize, node: usize) {
        if self.processes[node].down_by == Some(number) {
            self.start(sim, node);
        }
    }

    /// The same; if the process was not able to, because of its disk, it gets an empty one.
    pub(super) fn start_empty_after(&mut self, sim: &mut Sim<'_>, number: usize, node: usize) {
        if self.processes[node].down_by == Some(number) && self.processes[node].state == State::Down {
            self.empty_disk(node);
            self.start(sim, node);
        }
    }

    pub(super) fn start(&mut self, sim: &mut Sim<'_>, node: usize) {
        let name = self.world.names[node].as_str();
        match self.processes[node].state {
            State::Up => return,
            State::Stopping => {
                self.processes[node].starts_then = true;
                return;
            }
            State::Down => {}
            State::WithoutPower => {
                for host in self.world.hosts.iter().filter(|host| *host != name) {
                    sim.repair_oneway(name, host.as_str());
                }
            }
        }
        self.world.grounds[node].is_up.store(true, Ordering::Release);
        sim.bounce(name);
        self.processes[node] =
            Process { state: State::Up, is_damaged: self.processes[node].is_damaged, ..Process::default() };
    }

    /// Everything is to run from now on.
    pub(super) fn start_everybody(&mut self, sim: &mut Sim<'_>) {
        for node in 0..self.processes.len() {
            if self.processes[node].is_damaged && self.processes[node].state == State::Down {
                self.empty_disk(node);
            }
            self.start(sim, node);
        }
    }

    pub(super) fn empty_disk(&mut self, node: usize) {
        self.world.grounds[node].disk.restore(Files::new());
        self.processes[node].is_damaged = false;
    }

    pub(super) fn tell(&self, node: usize, event: impl FnOnce(String) -> Event) {
        self.world.history.add("world", event(self.world.names[node].clone()));
    }
}
