//! Breaks things and makes them whole, as the plan says.

use std::collections::BTreeSet;
use std::time::Duration;

use cresset_core::ids::MemberId;
use cresset_core::limits::{FAREWELL_TIME_MAX, STOP_WAIT_MAX};
use cresset_core::node::{LEAVE_TIME_MAX, Service};

use super::mesh::Fault as LinkFault;
use super::network::{ConnectionId, Packet, Side, Wire};
use super::queue::Moment;
use super::raft::Disk;
use super::{Part, UserPart, What, World};
use crate::history::Event;
use crate::plan::{Fault, Target, Way};

/// How often a link says that it is alive.
const BEAT: Duration = Duration::from_millis(500);

/// How long clients and links have to be told.
const FAREWELL: Duration = Duration::from_millis(50);

impl Fault {
    /// Whether it means something to machines without bytes and disks.
    pub(crate) fn is_of_cores(&self) -> bool {
        match self {
            Fault::Crash { .. }
            | Fault::PowerLoss { .. }
            | Fault::Pause { .. }
            | Fault::RestartStorm { .. }
            | Fault::Stop { .. }
            | Fault::LoseDisk { .. }
            | Fault::Isolate { .. }
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
            | Fault::FalseCrash { .. }
            | Fault::Rival { .. }
            | Fault::Storm { .. }
            | Fault::Flapping { .. }
            | Fault::SwitchedOff => true,
            Fault::OldBackup { .. }
            | Fault::DiskFull { .. }
            | Fault::SyncFails { .. }
            | Fault::SlowDisk { .. }
            | Fault::FlippedBit { .. }
            | Fault::LostVote { .. }
            | Fault::ShortReads { .. }
            | Fault::WallClockStep { .. }
            | Fault::WallClockFreeze { .. }
            | Fault::ResumptionRace { .. }
            | Fault::SlowReader { .. }
            | Fault::NeverAcknowledges { .. }
            | Fault::StoreStalls
            | Fault::StoreFails
            | Fault::Upgrade { .. }
            | Fault::OldProgram { .. }
            | Fault::Drain { .. }
            | Fault::TransferLeader { .. }
            | Fault::Remove { .. }
            | Fault::RemoveBlindly { .. }
            | Fault::ChangeTimes { .. } => false,
        }
    }
}

impl World {
    pub(super) fn episode_begins(&mut self, number: usize) {
        if self.is_healed {
            return;
        }
        let episode = self.plan.episodes[number].clone();
        let met = self.begin(&episode.fault, number);
        let nodes = met.iter().map(|host| self.hosts[*host].name.clone()).collect();
        self.note(None, Event::Began { episode: number, nodes });
        self.met[number] = met;
        let ends = episode.ends().min(self.plan.heals_at);
        self.push(ends.into(), What::Ends(number));
        let steps = match &episode.fault {
            Fault::Reset { times, .. } | Fault::Storm { times, .. } => *times,
            Fault::RestartStorm { every, .. } => {
                u32::try_from(episode.lasts.as_nanos() / every.as_nanos().max(1)).unwrap_or(0).min(100)
            }
            Fault::Swizzle { .. } => u32::try_from(self.met[number].len()).unwrap_or(0),
            Fault::Crash { .. }
            | Fault::PowerLoss { .. }
            | Fault::Pause { .. }
            | Fault::Stop { .. }
            | Fault::LoseDisk { .. }
            | Fault::OldBackup { .. }
            | Fault::Isolate { .. }
            | Fault::OneWay { .. }
            | Fault::Split { .. }
            | Fault::Ring
            | Fault::Bridge { .. }
            | Fault::Clog { .. }
            | Fault::Loss { .. }
            | Fault::Slow { .. }
            | Fault::HalfOpen { .. }
            | Fault::Shunned { .. }
            | Fault::FalseCrash { .. }
            | Fault::DiskFull { .. }
            | Fault::SyncFails { .. }
            | Fault::SlowDisk { .. }
            | Fault::FlippedBit { .. }
            | Fault::LostVote { .. }
            | Fault::ShortReads { .. }
            | Fault::WallClockStep { .. }
            | Fault::WallClockFreeze { .. }
            | Fault::Rival { .. }
            | Fault::Flapping { .. }
            | Fault::ResumptionRace { .. }
            | Fault::SlowReader { .. }
            | Fault::NeverAcknowledges { .. }
            | Fault::StoreStalls
            | Fault::StoreFails
            | Fault::Upgrade { .. }
            | Fault::OldProgram { .. }
            | Fault::SwitchedOff
            | Fault::Drain { .. }
            | Fault::TransferLeader { .. }
            | Fault::Remove { .. }
            | Fault::RemoveBlindly { .. }
            | Fault::ChangeTimes { .. } => 0,
        };
        for step in 1..=steps {
            let at = episode.at + episode.lasts * step / (steps + 1);
            self.push(at.min(self.plan.heals_at).into(), What::GoesOn { episode: number, step });
        }
    }

    fn begin(&mut self, fault: &Fault, number: usize) -> Vec<usize> {
        let all: Vec<usize> = (0..self.hosts.len()).collect();
        let met = self.whom(fault);
        match fault {
            Fault::Crash { .. } | Fault::RestartStorm { .. } => met.iter().for_each(|host| self.crash(*host)),
            Fault::PowerLoss { .. } => met.iter().for_each(|host| self.lose_power(*host)),
            Fault::LoseDisk { .. } => met.iter().for_each(|host| self.lose_disk(*host)),
            Fault::Stop { .. } => met.iter().for_each(|host| self.stop(*host)),
            Fault::Pause { .. } => met.iter().for_each(|host| self.pause(*host)),
            Fault::FalseCrash { .. } => {
                for host in &met {
                    self.hosts[*host].refusals += 1;
                    self.reset(*host);
                }
            }
            Fault::Shunned { .. } => {
                if let [one, other] = met[..] {
                    self.shunned.push([one, other]);
                    self.reset_where(|from, to| [from, to] == [one, other] || [to, from] == [one, other]);
                }
            }
            Fault::HalfOpen { .. } => {
                if let [gone, other] = met[..] {
                    self.half_open(gone, other);
                }
            }
            Fault::Loss { percent } => self.paths.loss.push(*percent),
            Fault::Slow { worst } => self.paths.slow.push(*worst),
            Fault::Rival { user } => self.rival(*user, true),
            Fault::Flapping { user } => self.users_of(*user).for_each(|user| self.users[user].flaps = true),
            Fault::Isolate { .. }
            | Fault::OneWay { .. }
            | Fault::Split { .. }
            | Fault::Ring
            | Fault::Bridge { .. }
            | Fault::Clog { .. }
            | Fault::Swizzle { .. } => {
                for (from, to) in ways(fault, &met, &all) {
                    self.cut(from, to);
                }
            }
            Fault::Reset { .. } => met.iter().for_each(|host| self.reset(*host)),
            Fault::Storm { .. } => met.iter().for_each(|host| self.storm(*host)),
            Fault::OldBackup { .. }
            | Fault::DiskFull { .. }
            | Fault::SyncFails { .. }
            | Fault::SlowDisk { .. }
            | Fault::FlippedBit { .. }
            | Fault::LostVote { .. }
            | Fault::ShortReads { .. }
            | Fault::WallClockStep { .. }
            | Fault::WallClockFreeze { .. }
            | Fault::ResumptionRace { .. }
            | Fault::SlowReader { .. }
            | Fault::NeverAcknowledges { .. }
            | Fault::StoreStalls
            | Fault::StoreFails
            | Fault::Upgrade { .. }
            | Fault::OldProgram { .. } => {}
            Fault::SwitchedOff => self.switch(true),
            Fault::Drain { .. }
            | Fault::TransferLeader { .. }
            | Fault::Remove { .. }
            | Fault::RemoveBlindly { .. }
            | Fault::ChangeTimes { .. } => {}
        }
        debug_assert!(number < self.met.len(), "episodes are counted");
        met
    }

    pub(super) fn episode_goes_on(&mut self, number: usize, step: u32) {
        let met = self.met[number].clone();
        match &self.plan.episodes[number].fault {
            // What was clogged is freed in any case, everything else is over.
            Fault::Swizzle { .. } => {}
            _ if self.is_healed => return,
            _ => {}
        }
        match &self.plan.episodes[number].fault {
            Fault::Reset { .. } => met.iter().for_each(|host| self.reset(*host)),
            Fault::Storm { .. } => met.iter().for_each(|host| self.storm(*host)),
            Fault::RestartStorm { .. } => {
                for host in met {
                    self.hosts[host].downs -= 1;
                    self.start(host);
                    let at = self.now.after(Duration::from_millis(u64::from(step % 7) * 40));
                    // Whoever is there when the storm is over stays.
                    if let Some(process) = self.hosts[host].process.as_ref().map(|process| process.id)
                        && at < Moment::from(self.plan.episodes[number].ends())
                    {
                        self.push(at, What::Kills { host, process });
                    }
                    self.hosts[host].downs += 1;
                }
            }
            // Freed one by one, in the order in which they were clogged.
            Fault::Swizzle { .. } => {
                let freed = usize::try_from(step - 1).ok().and_then(|at| met.get(at)).copied();
                if let Some(host) = freed {
                    for other in (0..self.hosts.len()).filter(|other| *other != host) {
                        self.mend(host, other);
                        self.mend(other, host);
                    }
                }
            }
            _ => {}
        }
    }

    pub(super) fn episode_ends(&mut self, number: usize) {
        let fault = self.plan.episodes[number].fault.clone();
        let met = std::mem::take(&mut self.met[number]);
        let all: Vec<usize> = (0..self.hosts.len()).collect();
        match &fault {
            Fault::Crash { .. }
            | Fault::PowerLoss { .. }
            | Fault::RestartStorm { .. }
            | Fault::LoseDisk { .. }
            | Fault::Stop { .. } => {
                for host in met {
                    self.hosts[host].downs -= 1;
                    self.start(host);
                }
            }
            Fault::Pause { .. } => met.into_iter().for_each(|host| self.go_on(host)),
            Fault::FalseCrash { .. } => met.into_iter().for_each(|host| self.hosts[host].refusals -= 1),
            Fault::Shunned { .. } => {
                if let [one, other] = met[..] {
                    remove(&mut self.shunned, &[one, other]);
                }
            }
            Fault::SwitchedOff => self.switch(false),
            Fault::Loss { percent } => remove(&mut self.paths.loss, percent),
            Fault::Slow { worst } => remove(&mut self.paths.slow, worst),
            Fault::Rival { user } => self.rival(*user, false),
            Fault::Flapping { user } => self.users_of(*user).for_each(|user| self.users[user].flaps = false),
            Fault::Isolate { .. }
            | Fault::OneWay { .. }
            | Fault::Split { .. }
            | Fault::Ring
            | Fault::Bridge { .. }
            | Fault::Clog { .. } => {
                for (from, to) in ways(&fault, &met, &all) {
                    self.mend(from, to);
                }
            }
            _ => {}
        }
        self.note(None, Event::Ended { episode: number });
    }

    /// Everything is whole from here on.
    pub(super) fn heal(&mut self) {
        self.is_healed = true;
        self.note(None, Event::Healed);
    }

    // ---- whom a fault meets -----------------------------------------------------------------------------------------

    fn whom(&self, fault: &Fault) -> Vec<usize> {
        match fault {
            Fault::Crash { node }
            | Fault::PowerLoss { node }
            | Fault::Pause { node }
            | Fault::RestartStorm { node, .. }
            | Fault::Stop { node }
            | Fault::LoseDisk { node }
            | Fault::Isolate { node }
            | Fault::OneWay { node, .. }
            | Fault::Bridge { node }
            | Fault::Reset { node, .. }
            | Fault::FalseCrash { node }
            | Fault::Storm { node, .. } => self.find(*node).into_iter().collect(),
            Fault::Split { nodes } | Fault::Swizzle { nodes } => {
                let found: BTreeSet<usize> = nodes.iter().filter_map(|node| self.find(*node)).collect();
                found.into_iter().collect()
            }
            Fault::Clog { nodes } | Fault::HalfOpen { nodes } | Fault::Shunned { nodes } => {
                let found: BTreeSet<usize> = nodes.iter().filter_map(|node| self.find(*node)).collect();
                if found.len() == 2 { nodes.iter().filter_map(|node| self.find(*node)).collect() } else { Vec::new() }
            }
            _ => Vec::new(),
        }
    }

    fn find(&self, target: Target) -> Option<usize> {
        let found = match target {
            Target::Node(number) => Some(number).filter(|number| *number < self.hosts.len()),
            Target::Leader => self.leader(),
            Target::Follower => {
                let leader = self.leader();
                (0..self.hosts.len()).find(|host| Some(*host) != leader && self.is_whole(*host))
            }
        };
        found.filter(|host| self.is_whole(*host))
    }

    fn is_whole(&self, host: usize) -> bool {
        let others = (0..self.hosts.len()).filter(|other| *other != host);
        let reached = others.filter(|other| !self.paths.is_cut(host, *other) && !self.paths.is_cut(*other, host));
        self.hosts[host].is_awake() && reached.count() > 0
    }

    /// Who leads the latest term.
    fn leader(&self) -> Option<usize> {
        let leaders = (0..self.hosts.len()).filter_map(|host| {
            let process = self.hosts[host].process.as_ref().filter(|process| process.raft.leads())?;
            Some((process.raft.voted(), host))
        });
        leaders.max().map(|(_, host)| host)
    }

    // ---- processes --------------------------------------------------------------------------------------------------

    /// The process dies; the machine answers for it.
    fn crash(&mut self, host: usize) {
        self.hosts[host].downs += 1;
        self.kill(host);
    }

    /// See [`World::crash`].
    pub(super) fn kill(&mut self, host: usize) {
        let Some(process) = &self.hosts[host].process else { return };
        let id = process.id;
        let node = self.hosts[host].name.clone();
        if process.is_leaving {
            self.note_at(host, Event::Stopped { node });
        } else {
            self.note_at(host, Event::Crashed { node });
        }
        for number in 0..self.connections.len() {
            for side in [Side::Dialler, Side::Acceptor] {
                let end = self.connections[number].end(side);
                if end.is_open && (end.place.host, end.place.process) == (host, id) {
                    self.say_last(number, side, Wire::Ended);
                }
            }
        }
        self.cut_clients_off(host);
        self.bury(host);
    }

    /// What is left of a process.
    fn bury(&mut self, host: usize) {
        if let Some(process) = self.hosts[host].process.take() {
            self.hosts[host].disk = process.raft.into_disk();
        }
        self.hosts[host].deferred.clear();
    }

    /// The machine is gone without a word.
    fn lose_power(&mut self, host: usize) {
        self.hosts[host].downs += 1;
        let Some(process) = &self.hosts[host].process else { return };
        let id = process.id;
        let node = self.hosts[host].name.clone();
        self.note_at(host, Event::Crashed { node });
        self.hosts[host].has_power = false;
        for number in 0..self.connections.len() {
            for side in [Side::Dialler, Side::Acceptor] {
                let end = self.connections[number].end_mut(side);
                if (end.place.host, end.place.process) == (host, id) {
                    end.is_open = false;
                }
            }
        }
        for other in (0..self.hosts.len()).filter(|other| *other != host) {
            self.path_changed(host, other);
        }
        self.bury(host);
    }

    fn lose_disk(&mut self, host: usize) {
        self.crash(host);
        self.hosts[host].member = None::<MemberId>;
        self.hosts[host].disk = Disk::default();
        let node = self.hosts[host].name.clone();
        self.note_at(host, Event::DiskLost { node });
    }

    /// The process is asked to stop.
    fn stop(&mut self, host: usize) {
        self.hosts[host].downs += 1;
        let Some(process) = &mut self.hosts[host].process else { return };
        process.is_leaving = true;
        self.tell_all(host, || super::session::ToSession::Close { other_host: None });
        self.wake(host, self.now.after(FAREWELL_TIME_MAX), Part::FarewellTimeout);
        self.leave_if_empty(host);
    }

    /// A process that was asked to stop leaves when its last session is gone and it owes nothing.
    pub(super) fn leave_if_empty(&mut self, host: usize) {
        let Some(process) = &self.hosts[host].process else { return };
        let may_have_sessions = process.has_said_farewell && process.router.service != Service::Serve;
        let has_gone = process.router.sessions.is_empty() || may_have_sessions;
        if process.is_leaving && has_gone && process.router.has_decided() {
            self.leave_cluster(host);
        }
    }

    /// A process that was asked to stop has waited for its sessions.
    pub(super) fn farewell_is_over(&mut self, host: usize) {
        let Some(process) = &mut self.hosts[host].process else { return };
        process.has_said_farewell = true;
        self.wake(host, self.now.after(STOP_WAIT_MAX), Part::StopTimeout);
        self.leave_if_empty(host);
    }

    /// A process that was asked to stop has waited for everything.
    pub(super) fn leave_cluster(&mut self, host: usize) {
        let Some(process) = &mut self.hosts[host].process else { return };
        if !std::mem::replace(&mut process.has_asked_to_leave, true) {
            process.inlets.leave = true;
            self.control_soon(host);
            self.wake(host, self.now.after(LEAVE_TIME_MAX), Part::Leave);
        }
    }

    /// A process that was asked to stop ends. It is started anew at once if it took longer than it was to be away.
    pub(super) fn end(&mut self, host: usize) {
        self.kill(host);
        self.start(host);
    }

    /// The others have agreed that it leaves.
    pub(super) fn has_left(&mut self, host: usize) {
        self.wake(host, self.now.after(FAREWELL), Part::Leave);
    }

    fn pause(&mut self, host: usize) {
        self.hosts[host].pauses += 1;
        let node = self.hosts[host].name.clone();
        self.note_at(host, Event::Paused { node });
        for other in (0..self.hosts.len()).filter(|other| *other != host) {
            self.path_changed(host, other);
        }
    }

    fn go_on(&mut self, host: usize) {
        self.hosts[host].pauses -= 1;
        if self.hosts[host].pauses > 0 {
            return;
        }
        let node = self.hosts[host].name.clone();
        self.note_at(host, Event::Continued { node });
        for other in (0..self.hosts.len()).filter(|other| *other != host) {
            self.path_changed(host, other);
        }
        let deferred = std::mem::take(&mut self.hosts[host].deferred);
        for what in deferred {
            self.push(self.now, what);
        }
    }

    // ---- links ------------------------------------------------------------------------------------------------------

    /// All connections with a host are reset, and what is under way is lost.
    fn reset(&mut self, host: usize) {
        self.reset_where(|from, to| from == host || to == host);
    }

    fn reset_where(&mut self, is_concerned: impl Fn(usize, usize) -> bool) {
        for number in 0..self.connections.len() {
            let connection = &self.connections[number];
            let (dialler, acceptor) = (connection.end(Side::Dialler), connection.end(Side::Acceptor));
            if !is_concerned(dialler.place.host, acceptor.place.host) {
                continue;
            }
            self.connections[number].is_cut_off = true;
            for side in [Side::Dialler, Side::Acceptor] {
                if self.connections[number].end(side).is_open {
                    self.closed(number, side, LinkFault::Reset);
                }
            }
        }
    }

    /// The ends of one host of all connections between two are gone, and the other does not know.
    fn half_open(&mut self, gone: usize, other: usize) {
        for number in 0..self.connections.len() {
            for side in [Side::Dialler, Side::Acceptor] {
                let connection = &self.connections[number];
                let (own, theirs) = (connection.end(side), connection.end(side.other()));
                if own.is_open && own.place.host == gone && theirs.place.host == other {
                    self.connections[number].is_cut_off = true;
                    self.closed(number, side, LinkFault::Reset);
                    self.reset_at_a_sign_of_life(number, side.other());
                }
            }
        }
    }

    /// A machine has started again that may have lost its power: it knows nothing of the connections that it had, and
    /// answers the next sign of life of their other ends with a reset.
    pub(super) fn knows_no_connections(&mut self, host: usize) {
        let Some(process) = self.hosts[host].process.as_ref().map(|process| process.id) else { return };
        for number in 0..self.connections.len() {
            for side in [Side::Dialler, Side::Acceptor] {
                let connection = &self.connections[number];
                let (own, theirs) = (connection.end(side), connection.end(side.other()));
                let is_of_another = theirs.place.host == host && theirs.place.process != process;
                if own.is_open && !theirs.is_open && is_of_another {
                    self.reset_at_a_sign_of_life(number, side);
                }
            }
        }
    }

    /// The other end of a connection is gone, and this one does not know: its next sign of life is answered with a reset.
    fn reset_at_a_sign_of_life(&mut self, connection: ConnectionId, to: Side) {
        let at = self.now.after(self.paths.draw_below(BEAT)).after(self.paths.draw_latency());
        self.push(at, What::Packet(Packet::Said { connection, to, wire: Wire::Reset }));
    }

    // ---- clients ----------------------------------------------------------------------------------------------------

    fn users_of(&self, number: usize) -> std::vec::IntoIter<usize> {
        let name = self.plan.user_names().get(number).cloned().unwrap_or_default();
        let of: Vec<usize> = (0..self.users.len()).filter(|user| self.users[*user].client == name).collect();
        of.into_iter()
    }

    fn rival(&mut self, number: usize, is_active: bool) {
        let name = self.plan.user_names().get(number).cloned().unwrap_or_default();
        let rival = self.users.iter().position(|user| user.name == name && user.client != name);
        let Some(rival) = rival else { return };
        self.users[rival].is_active = is_active;
        if is_active {
            self.push(self.now, What::User { user: rival, part: UserPart::Connect });
        } else if !self.users[rival].is_away() {
            self.hang_up(rival, "gives up");
        }
    }

    /// Every client of a host is thrown off.
    fn storm(&mut self, host: usize) {
        for user in 0..self.users.len() {
            if self.users[user].place() == Some(host) {
                self.hang_up(user, "thrown off");
            }
        }
    }
}

fn remove<T: PartialEq>(from: &mut Vec<T>, one: &T) {
    if let Some(at) = from.iter().position(|other| other == one) {
        from.remove(at);
    }
}

/// The ways between machines that a fault cuts.
fn ways(fault: &Fault, met: &[usize], all: &[usize]) -> Vec<(usize, usize)> {
    let count = all.len();
    let pairs = || all.iter().flat_map(|from| all.iter().map(move |to| (*from, *to))).filter(|(from, to)| from != to);
    match fault {
        Fault::Isolate { .. } => pairs().filter(|(from, to)| met.contains(from) || met.contains(to)).collect(),
        Fault::Swizzle { .. } => {
            // A way between two of them is cut twice and freed twice.
            let of =
                |host: usize| all.iter().filter(move |to| **to != host).flat_map(move |to| [(host, *to), (*to, host)]);
            met.iter().flat_map(|host| of(*host)).collect()
        }
        Fault::OneWay { way: Way::Out, .. } => pairs().filter(|(from, _)| met.contains(from)).collect(),
        Fault::OneWay { way: Way::In, .. } => pairs().filter(|(_, to)| met.contains(to)).collect(),
        Fault::Split { .. } => pairs().filter(|(from, to)| met.contains(from) != met.contains(to)).collect(),
        Fault::Clog { .. } => pairs().filter(|(from, to)| met.contains(from) && met.contains(to)).collect(),
        Fault::Ring => pairs().filter(|(from, to)| (from + 1) % count != *to && (to + 1) % count != *from).collect(),
        Fault::Bridge { .. } => {
            let Some(bridge) = met.first() else { return Vec::new() };
            let rest: Vec<usize> = all.iter().copied().filter(|host| host != bridge).collect();
            let half: BTreeSet<usize> = rest.iter().copied().take(rest.len() / 2).collect();
            let is_cut =
                |from: &usize, to: &usize| from != bridge && to != bridge && half.contains(from) != half.contains(to);
            pairs().filter(|(from, to)| is_cut(from, to)).collect()
        }
        _ => Vec::new(),
    }
}
