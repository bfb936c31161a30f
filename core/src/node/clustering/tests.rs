#![allow(clippy::unwrap_used, clippy::wildcard_enum_match_arm)]

use std::collections::BTreeSet;
use std::sync::Arc;

use super::*;
use crate::cluster::{Command, Event};
use crate::ids::{MemberId, SessionId, Term};
use crate::jid::FullJid;
use crate::node::tests::settings;
use crate::node::{Answer, BindRefusal, Entry, RaftStatus};

const ROMEO: SessionId = SessionId(1);

#[test]
fn a_node_in_the_cluster_has_its_router_follow_the_cluster() {
    let mut process = Process::clustered();

    let told = process.bind();

    assert!(matches!(told[..], [ToRouter::Event(Event::RouteAdded(_)), ToRouter::Applied(_), ToRouter::Answer { .. }]));
    assert!(process.is_shown(LogIndex(0)));
}

#[test]
fn sessions_hold_still_before_the_node_leaves_and_go_on_by_itself() {
    let mut process = Process::clustered();
    process.bind();

    process.switch(Mode::Standalone);
    assert_eq!(process.told(), [ToRouter::Hold]);
    assert!(process.clustering.awaits_held() && !process.has_left());
    process.commits = false;
    process.clustering.handle_held(process.now);
    process.settle();
    process.commits = true;
    process.pass(Duration::from_secs(1));

    let told = process.told();
    let at = |wanted: fn(&ToRouter) -> bool| told.iter().position(wanted).unwrap();
    let paused = at(|told| matches!(told, ToRouter::Service { source: Source::Leaving, service: Service::Pause }));
    let moved = at(|told| matches!(told, ToRouter::MoveOn { .. }));
    let served = at(|told| matches!(told, ToRouter::Service { source: Source::Itself, service: Service::Serve }));
    assert!(paused < moved && moved < served, "{told:?}");
    assert!(process.has_left() && process.clustering.is_alone() && !process.clustering.awaits_held());
    assert!(process.bind().iter().any(|told| matches!(told, ToRouter::Answer { source: Source::Itself, .. })));
}

/// Somebody who does not settle keeps nobody in the cluster.
#[test]
fn a_node_leaves_although_its_sessions_do_not_hold_still() {
    let mut process = Process::clustered();
    process.switch(Mode::Standalone);

    process.pass(HOLD_TIME_MAX);

    assert!(process.has_left() && process.clustering.is_alone());
}

#[test]
fn a_node_that_cannot_agree_that_it_leaves_goes_on_by_itself_unnoticed() {
    let mut process = Process::clustered();
    process.commits = false;
    process.switch(Mode::Standalone);
    process.clustering.handle_held(process.now);
    process.settle();
    assert!(!process.clustering.is_alone());

    process.pass(LEAVE_TIME_MAX);

    assert!(process.clustering.is_alone());
    assert!(process.notices.contains(&Notice::LeavesUnnoticed));
}

/// The sessions move in the moment in which the cluster's machine serves, and not before.
/// P10. Found by the simulator: a session that had asked for its JID before that waited for ever.
#[test]
fn who_has_asked_something_when_the_node_goes_on_by_itself_unnoticed_is_answered() {
    let mut process = Process::clustered();
    process.commits = false;
    let jid: FullJid = "romeo@example.org/orchard".parse().unwrap();
    process.clustering.handle_requests(process.now, [Request::Bind { session: ROMEO, jid }]);
    process.switch(Mode::Standalone);
    process.clustering.handle_held(process.now);

    process.pass(LEAVE_TIME_MAX);

    let refused = Answer::Refused(BindRefusal::NotServing);
    let answer = ToRouter::Answer { source: Source::Cluster, session: ROMEO, answer: refused };
    let told = process.told();
    let at = |wanted: &dyn Fn(&ToRouter) -> bool| told.iter().position(wanted);
    assert!(at(&|told| *told == answer).unwrap() < at(&|told| matches!(told, ToRouter::MoveOn { .. })).unwrap());
}

#[test]
fn sessions_move_to_the_cluster_when_it_serves() {
    let mut process = Process::standalone();
    process.bind();
    process.commits = false;
    process.switch(Mode::Clustered);
    process.pass(Duration::from_secs(1));
    assert_eq!(process.told_but_leases(), [], "it is not in the cluster yet");

    process.commits = true;
    process.pass(Duration::from_secs(2));

    let told = process.told_but_leases();
    let moves = told.iter().position(|told| matches!(told, ToRouter::MoveOn { begin: LogIndex(0) })).unwrap();
    assert!(matches!(told[moves + 1..moves + 3], [ToRouter::Connect, ToRouter::AllRoutes]), "{told:?}");
    let served = ToRouter::Service { source: Source::Cluster, service: Service::Serve };
    let [.., stored, service] = &told[..] else { panic!("{told:?}") };
    assert!(matches!(stored, ToRouter::StoredAlone { .. }) && *service == served, "{told:?}");
    assert!(!process.clustering.is_alone() && process.is_shown(LogIndex(0)));
    process.pass(JOIN_TIME_MAX);
    assert!(!process.notices.contains(&Notice::AloneForTooLong));
}

#[test]
fn a_node_that_does_not_get_into_the_cluster_stops_serving_by_itself() {
    let mut process = Process::standalone();
    process.commits = false;
    process.switch(Mode::Clustered);

    process.pass(JOIN_TIME_MAX);

    assert!(process.notices.contains(&Notice::AloneForTooLong));
    let closed = ToRouter::Service { source: Source::Cluster, service: Service::Close };
    assert_eq!(process.told_but_leases().last(), Some(&closed));
    assert_eq!(process.clustering.unready(), Some(Unready::Outside));
}

#[test]
fn a_node_that_has_not_found_its_cluster_serves_alone_if_operators_allow_it_and_for_as_long() {
    for is_allowed in [true, false] {
        let agreed = Agreed { start_alone: is_allowed, ..Agreed::default() };
        let mut process = Process::new(&agreed, false);

        process.clustering.handle_not_found(process.now);
        process.settle();
        process.pass(JOIN_TIME_MAX * 2);

        assert_eq!(process.clustering.is_alone(), is_allowed);
        assert_eq!(process.clustering.unready(), (!is_allowed).then_some(Unready::Outside));
    }
}

#[test]
fn a_switch_that_is_taken_back_while_the_node_leaves_brings_it_back() {
    let mut process = Process::clustered();
    process.switch(Mode::Standalone);
    process.switch(Mode::Clustered);
    process.clustering.handle_held(process.now);
    process.settle();

    process.pass(Duration::from_secs(3));

    assert!(!process.clustering.is_alone());
    assert_eq!(process.clustering.unready(), None);
}

/// The machine of the cluster may do what it likes: the sessions follow the other one.
#[test]
fn what_happens_in_the_cluster_is_not_told_to_the_sessions_of_a_node_by_itself() {
    let mut process = Process::standalone();
    process.commits = false;
    process.switch(Mode::Clustered);
    process.told();

    process.clustering.handle(process.now, Input::Over);
    process.settle();

    assert_eq!(process.told_but_leases(), []);
    assert_eq!(process.lives, 1, "it tries again in another life");
}

#[test]
fn orders_are_refused_while_clustering_is_off() {
    let mut process = Process::standalone();
    let id = OrderId(7);

    process.clustering.handle_order(process.now, id, Order::Drain { name: "node1".to_owned() });

    let refused = ClusteringOutput::Cluster(ClusterOrder::Ordered { id, outcome: Err(Refusal::Off) });
    assert_eq!(process.clustering.poll_output(), Some(refused));
}

#[test]
fn a_node_that_stops_ends_when_it_has_left() {
    for mut process in [Process::clustered(), Process::standalone()] {
        process.clustering.handle_stop(process.now);
        assert_eq!(process.clustering.unready(), Some(Unready::Stopping));
        process.settle();
        process.pass(LEAVE_TIME_MAX);

        assert_eq!(process.ended, Some(ProcessEnd::Left));
        assert_eq!(process.clustering.poll_timeout(), None, "nobody turns a control plane that has ended");
    }
}

/// A process that is a cluster of its own, with a Raft that agrees at once.
struct Process {
    clustering: Clustering,
    now: Uptime,
    last: LogIndex,
    commits: bool,
    told: Vec<ToRouter>,
    notices: Vec<Notice>,
    happened: Vec<Event>,
    shown: LogIndex,
    lives: u64,
    ended: Option<ProcessEnd>,
}

impl Process {
    fn new(agreed: &Agreed, commits: bool) -> Process {
        let draw_boot = || BootId(77);
        let clustering = Clustering::new(Uptime::ZERO, settings(1), agreed, Box::new(draw_boot));
        let mut process = Process {
            clustering,
            now: Uptime::ZERO,
            last: LogIndex(0),
            commits,
            told: Vec::new(),
            notices: Vec::new(),
            happened: Vec::new(),
            shown: LogIndex(0),
            lives: 0,
            ended: None,
        };
        process.clustering.begin(process.now);
        let member = MemberId(1);
        let status = RaftStatus {
            term: Term(1),
            voted: Term(1),
            leader: Some(member),
            voter_sets: vec![BTreeSet::from([member])],
            learners: BTreeSet::new(),
            log_end: (Term(1), process.last),
        };
        process.clustering.handle(process.now, Input::Raft(status));
        process.settle();
        process
    }

    /// One that serves in its cluster.
    fn clustered() -> Process {
        let mut process = Process::new(&Agreed::default(), true);
        process.pass(Duration::from_secs(2));
        assert_eq!(process.clustering.unready(), None);
        process.told();
        process
    }

    /// One that serves by itself, since it has started.
    fn standalone() -> Process {
        let mut process = Process::new(&Agreed { is_clustered: false, ..Agreed::default() }, true);
        process.pass(Duration::from_secs(2));
        assert_eq!(process.clustering.unready(), None);
        process.told();
        process
    }

    fn switch(&mut self, mode: Mode) {
        self.clustering.handle_mode(self.now, mode);
        self.settle();
    }

    /// What the router is told until the bind of a session is answered.
    fn bind(&mut self) -> Vec<ToRouter> {
        self.told();
        let jid: FullJid = "romeo@example.org/orchard".parse().unwrap();
        self.clustering.handle_requests(self.now, [Request::Bind { session: ROMEO, jid }]);
        self.settle();
        if self.clustering.gathers_until(self.now).is_some() {
            self.pass(Duration::from_millis(50));
        }
        let mut told = self.told_but_leases();
        let is_answer = |told: &ToRouter| matches!(told, ToRouter::Answer { answer: Answer::Bound { .. }, .. });
        told.truncate(told.iter().position(is_answer).unwrap() + 1);
        told
    }

    fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        while self.now < end && self.ended.is_none() {
            self.now = self.clustering.poll_timeout().map_or(end, |due| due.max(self.now)).min(end);
            self.clustering.handle_timeout(self.now);
            self.settle();
        }
    }

    /// Carries out what was ordered.
    fn settle(&mut self) {
        let mut is_over = false;
        while let Some(output) = self.clustering.poll_output() {
            match output {
                ClusteringOutput::Router(told) => self.told.push(told),
                ClusteringOutput::Happened(event) => self.happened.push(event),
                ClusteringOutput::Notice(notice) => self.notices.push(notice),
                ClusteringOutput::Shown(index) => self.shown = index,
                ClusteringOutput::End(why) => self.ended = Some(why),
                ClusteringOutput::Cluster(
                    ClusterOrder::Propose(commands) | ClusterOrder::ProposeInTerm { commands, .. },
                ) if self.commits => self.commit(commands),
                ClusteringOutput::NextLife => is_over = true,
                _ => {}
            }
        }
        if is_over {
            self.lives += 1;
            self.reborn();
            self.settle();
        }
    }

    fn commit(&mut self, commands: Vec<Command>) {
        let entries = commands.into_iter().map(|command| {
            self.last = self.last.next();
            Entry { index: self.last, command: Some(Arc::new(command)) }
        });
        self.clustering.handle(self.now, Input::Committed(entries.collect()));
    }

    fn reborn(&mut self) {
        let boot = BootId(200 + self.lives);
        let spare = Clustering::new(self.now, settings(1), &Agreed::default(), Box::new(|| BootId(0)));
        let before = std::mem::replace(&mut self.clustering, spare);
        self.clustering = before.reborn(self.now, boot);
    }

    fn told(&mut self) -> Vec<ToRouter> {
        std::mem::take(&mut self.told)
    }

    /// Without leases, and what clients find.
    fn told_but_leases(&mut self) -> Vec<ToRouter> {
        let told = self.told();
        let is_news = |told: &ToRouter| !matches!(told, ToRouter::Lease(_) | ToRouter::Door(_));
        let mut news: Vec<ToRouter> = told.into_iter().filter(is_news).collect();
        news.dedup();
        news
    }

    /// Whether the cluster has agreed that this node leaves.
    fn has_left(&self) -> bool {
        self.happened.iter().any(|event| matches!(event, Event::Ended { expelled: None, .. }))
    }

    /// Whether all is shown that was agreed in the log that begins there.
    fn is_shown(&self, begin: LogIndex) -> bool {
        self.shown == self.clustering.node().state().applied() && self.shown.is_in_the_log_of(begin)
    }
}
