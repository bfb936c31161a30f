//! What a page shows of a run: spans of time for what lasts, dots and lines of text for what happens.

#![allow(clippy::wildcard_enum_match_arm, reason = "a page picks what can be drawn")]

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

use crate::history::{DirectoryFact, Event, RaftFact, Record};
use crate::report::Report;
use crate::scenario::Scenario;

/// Events beyond this many are left out, and the page says so: more would make it slow.
const EVENTS_MAX: usize = 20_000;

/// All that a page shows.
#[derive(Serialize)]
pub(super) struct View {
    name: String,
    story: String,
    plan: String,
    trace: String,
    bug: Option<String>,
    /// Times in milliseconds, like all times here.
    begins: f64,
    heals: f64,
    silent: f64,
    ends: f64,
    nodes: Vec<NodeLane>,
    episodes: Vec<EpisodeBar>,
    users: Vec<UserLane>,
    violations: Vec<Mark>,
    /// When, at which place, what.
    events: Vec<(f64, &'static str, String)>,
    /// What was left out, in words.
    left_out: Vec<String>,
}

/// Something that lasts: from, to, what it is, and that in words.
#[derive(Serialize)]
struct Span(f64, f64, String, String);

#[derive(Serialize, Default)]
struct NodeLane {
    name: String,
    process: Vec<Span>,
    role: Vec<Span>,
    service: Vec<Span>,
}

#[derive(Serialize)]
struct EpisodeBar {
    number: usize,
    from: f64,
    to: f64,
    name: String,
    text: String,
    nodes: Vec<String>,
}

#[derive(Serialize, Default)]
struct UserLane {
    name: String,
    sessions: Vec<Span>,
    sent: Vec<f64>,
    acknowledged: Vec<f64>,
    received: Vec<f64>,
    bounced: Vec<f64>,
}

#[derive(Serialize)]
struct Mark {
    at: Option<f64>,
    invariant: String,
    text: String,
}

/// What is drawn later of what lasts: since when, what, in words.
type Open = Option<(Duration, String, String)>;

/// How a node is while the history is read.
#[derive(Default)]
struct NodeNow {
    process: Open,
    role: Open,
    service: Open,
}

impl View {
    /// Reads a history.
    pub(super) fn of(scenario: &Scenario, report: &Report) -> View {
        let plan = &report.plan;
        let ends = report.history.last().map_or(plan.ends_at, |record| record.at.max(plan.ends_at));
        let (events, left_out) = events(report);
        let bug = scenario.trial.bug.map(|bug| format!("{}: {}", bug.name(), bug.story()));
        let violation = |it: &crate::report::Violation| Mark {
            at: it.at.map(milliseconds),
            invariant: it.invariant.to_owned(),
            text: it.text.clone(),
        };
        View {
            name: scenario.name.clone(),
            story: scenario.story.trim().to_owned(),
            plan: plan.to_string(),
            trace: format!("{} of {} records", report.trace, report.records),
            bug,
            begins: milliseconds(crate::plan::BEGINS),
            heals: milliseconds(plan.heals_at),
            silent: milliseconds(plan.silent_from),
            ends: milliseconds(ends),
            nodes: node_lanes(report, ends),
            episodes: episode_bars(report),
            users: user_lanes(report, ends),
            violations: report.violations.iter().map(violation).collect(),
            events,
            left_out,
        }
    }
}

fn milliseconds(time: Duration) -> f64 {
    // Whole microseconds of a simulated hour are exact in a float.
    time.as_micros() as f64 / 1000.0
}

/// Ends what lasted, and begins what lasts from now on, unless it is the same.
fn turn(open: &mut Open, spans: &mut Vec<Span>, at: Duration, next: Option<(&str, String)>) {
    let is_same = match (&open, &next) {
        (Some((_, kind, words)), Some((next_kind, next_words))) => kind == next_kind && words == next_words,
        (None, None) => true,
        (Some(_), None) | (None, Some(_)) => false,
    };
    if is_same {
        return;
    }
    if let Some((since, kind, words)) = open.take()
        && since < at
    {
        spans.push(Span(milliseconds(since), milliseconds(at), kind, words));
    }
    *open = next.map(|(kind, words)| (at, kind.to_owned(), words));
}

fn node_lanes(report: &Report, ends: Duration) -> Vec<NodeLane> {
    let mut lanes: BTreeMap<String, (NodeLane, NodeNow)> = BTreeMap::new();
    for name in report.plan.node_names() {
        let now =
            NodeNow { process: Some((Duration::ZERO, "down".into(), "not started".into())), ..NodeNow::default() };
        lanes.insert(name.clone(), (NodeLane { name, ..NodeLane::default() }, now));
    }
    for Record { at, event } in &report.history {
        let (node, process) = match event {
            Event::Started { node } | Event::Continued { node } => (node, ("up", "runs".to_owned())),
            Event::Crashed { node } => (node, ("down", "killed".to_owned())),
            Event::Stopped { node } => (node, ("down", "stopped in good order".to_owned())),
            Event::Failed { node, reason } => (node, ("down", format!("ended by itself: {reason}"))),
            Event::Paused { node } => (node, ("paused", "stands still".to_owned())),
            Event::Sees { node, view } => {
                let Some((lane, now)) = lanes.get_mut(node) else { continue };
                let (term, leader) = (view.term, view.leader.as_deref());
                let role = match leader {
                    Some(leader) if leader == node => ("leader", format!("leads, term {term}")),
                    Some(leader) => ("follower", format!("follows {leader}, term {term}")),
                    None => ("nobody", format!("knows no leader, term {term}")),
                };
                let service =
                    if view.serving { ("serves", "has its lease, serves") } else { ("fenced", "serves nobody") };
                let service = (service.0, format!("{}; counts in {}", service.1, view.active.join(" ")));
                turn(&mut now.role, &mut lane.role, *at, Some(role));
                turn(&mut now.service, &mut lane.service, *at, Some(service));
                continue;
            }
            _ => continue,
        };
        let Some((lane, now)) = lanes.get_mut(node) else { continue };
        if process.0 == "down" {
            turn(&mut now.role, &mut lane.role, *at, None);
            turn(&mut now.service, &mut lane.service, *at, None);
        }
        turn(&mut now.process, &mut lane.process, *at, Some(process));
    }
    let close = |(mut lane, mut now): (NodeLane, NodeNow)| {
        turn(&mut now.process, &mut lane.process, ends, None);
        turn(&mut now.role, &mut lane.role, ends, None);
        turn(&mut now.service, &mut lane.service, ends, None);
        lane
    };
    lanes.into_values().map(close).collect()
}

fn episode_bars(report: &Report) -> Vec<EpisodeBar> {
    let mut met: BTreeMap<usize, &[String]> = BTreeMap::new();
    let mut ended: BTreeMap<usize, Duration> = BTreeMap::new();
    for record in &report.history {
        match &record.event {
            Event::Began { episode, nodes } => drop(met.insert(*episode, nodes)),
            Event::Ended { episode } => drop(ended.insert(*episode, record.at)),
            _ => {}
        }
    }
    let bar = |(number, episode): (usize, &crate::plan::Episode)| EpisodeBar {
        number,
        from: milliseconds(episode.at),
        to: milliseconds(ended.get(&number).copied().unwrap_or_else(|| episode.ends()).max(episode.at)),
        name: episode.fault.name(),
        text: format!("{:?}", episode.fault),
        nodes: met.get(&number).map(|nodes| nodes.to_vec()).unwrap_or_default(),
    };
    report.plan.episodes.iter().enumerate().map(bar).collect()
}

fn user_lanes(report: &Report, ends: Duration) -> Vec<UserLane> {
    let mut lanes: BTreeMap<String, (UserLane, Open)> = BTreeMap::new();
    for name in report.plan.user_names() {
        lanes.insert(name.clone(), (UserLane { name, ..UserLane::default() }, None));
    }
    for Record { at, event } in &report.history {
        let (connection, session) = match event {
            Event::LoggedIn { connection, node, .. } => (connection, Some((node.as_str(), "logged in"))),
            Event::Resumed { connection, node, .. } => (connection, Some((node.as_str(), "resumed"))),
            Event::Disconnected { connection, .. } | Event::LoggedOut { connection, .. } => (connection, None),
            Event::Sent { connection, .. }
            | Event::Acknowledged { connection, .. }
            | Event::Received { connection, .. }
            | Event::Bounced { connection, .. } => {
                let lane = lane_of(&mut lanes, &connection.user);
                let dots = match event {
                    Event::Sent { .. } => &mut lane.0.sent,
                    Event::Acknowledged { .. } => &mut lane.0.acknowledged,
                    Event::Received { .. } => &mut lane.0.received,
                    _ => &mut lane.0.bounced,
                };
                dots.push(milliseconds(*at));
                continue;
            }
            _ => continue,
        };
        let (lane, open) = lane_of(&mut lanes, &connection.user);
        let next = session.map(|(node, how)| (node, format!("{connection} {how} at {node}")));
        turn(open, &mut lane.sessions, *at, next);
    }
    let close = |(mut lane, mut open): (UserLane, Open)| {
        turn(&mut open, &mut lane.sessions, ends, None);
        lane
    };
    let mut lanes: Vec<UserLane> = lanes.into_values().map(close).collect();
    lanes.sort_by_key(|lane| (lane.name.len(), lane.name.clone()));
    lanes
}

fn lane_of<'a>(lanes: &'a mut BTreeMap<String, (UserLane, Open)>, user: &str) -> &'a mut (UserLane, Open) {
    let new = || (UserLane { name: user.to_owned(), ..UserLane::default() }, None);
    lanes.entry(user.to_owned()).or_insert_with(new)
}

/// Kinds of events, in the order in which they are left out last.
const KINDS: [&str; 6] = ["world", "view", "session", "agreed", "message", "detail"];

fn kind(event: &Event) -> &'static str {
    match event {
        Event::Started { .. }
        | Event::Failed { .. }
        | Event::Crashed { .. }
        | Event::Stopped { .. }
        | Event::Paused { .. }
        | Event::Continued { .. }
        | Event::DiskLost { .. }
        | Event::Ordered { .. }
        | Event::OrderAnswered { .. }
        | Event::Began { .. }
        | Event::Ended { .. }
        | Event::Healed
        | Event::UnreadableOutput { .. } => KINDS[0],
        Event::Sees { .. } => KINDS[1],
        Event::Raft { fact, .. } => match fact {
            RaftFact::Voted { .. } | RaftFact::Leads { .. } | RaftFact::Installed { .. } => KINDS[3],
            _ => KINDS[5],
        },
        Event::Directory { fact, .. } => match fact {
            DirectoryFact::LookedUp { .. } => KINDS[5],
            _ => KINDS[3],
        },
        Event::Sent { .. } | Event::Acknowledged { .. } | Event::Received { .. } | Event::Bounced { .. } => KINDS[4],
        Event::Delivers { .. } => KINDS[5],
        _ => KINDS[2],
    }
}

/// The events that a page can hold: the telling ones first, then those that are nearest to the first violation.
fn events(report: &Report) -> (Vec<(f64, &'static str, String)>, Vec<String>) {
    let focus = report.violations.iter().filter_map(|violation| violation.at).min().unwrap_or_default();
    let (mut kept, mut left_out): (Vec<usize>, _) = (Vec::new(), Vec::new());
    for of in KINDS {
        let ours = report.history.iter().enumerate().filter(|(_, record)| kind(&record.event) == of);
        let mut ours: Vec<usize> = ours.map(|(number, _)| number).collect();
        let room = EVENTS_MAX - kept.len();
        if ours.len() > room {
            ours.sort_by_key(|number| report.history[*number].at.abs_diff(focus));
            left_out.push(format!("{} events of the kind '{of}'", ours.len() - room));
            ours.truncate(room);
        }
        kept.extend(ours);
    }
    kept.sort_unstable();
    let line = |number: usize| {
        let record = &report.history[number];
        (milliseconds(record.at), kind(&record.event), record.event.to_string())
    };
    (kept.into_iter().map(line).collect(), left_out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::Connection;
    use crate::plan::{Fault, Plan, Target};
    use crate::scenario::Scenario;
    use crate::trace::{Detail, Trace};
    use crate::trial::Trial;

    fn at(milliseconds: u64, event: Event) -> Record {
        Record { at: Duration::from_millis(milliseconds), event }
    }

    fn view(history: Vec<Record>) -> View {
        let second = Duration::from_secs(1);
        let plan = Plan::calm(1).with(8 * second, second, Fault::Crash { node: Target::Node(0) });
        let trial = Trial::of(plan.healing_at(9 * second));
        let (name, story) = ("n".to_owned(), "s".to_owned());
        let trace = Trace::new(Detail::Nothing, None).sum();
        let report = Report { plan: trial.plan.clone(), history, violations: Vec::new(), trace, records: 0 };
        View::of(&Scenario { name, story, invariant: None, trial, expect: Vec::new() }, &report)
    }

    #[test]
    fn what_lasts_is_a_span_from_its_beginning_to_its_end() {
        let node = || "n1".to_owned();
        let view = view(vec![
            at(5, Event::Started { node: node() }),
            at(8000, Event::Began { episode: 0, nodes: vec![node()] }),
            at(8000, Event::Crashed { node: node() }),
            at(9000, Event::Started { node: node() }),
        ]);

        let spans: Vec<_> = view.nodes[0].process.iter().map(|it| (it.0, it.1, it.2.as_str())).collect();
        let ends = view.ends;
        assert_eq!(spans, [(0.0, 5.0, "down"), (5.0, 8000.0, "up"), (8000.0, 9000.0, "down"), (9000.0, ends, "up")]);
        assert_eq!((view.episodes[0].name.as_str(), view.episodes[0].nodes.as_slice()), ("crash", &[node()][..]));
    }

    #[test]
    fn more_events_than_a_page_can_hold_are_left_out_and_counted() {
        let connection = || Connection { user: "u1".to_owned(), number: 1 };
        let sent = |number: u64| {
            let id = number.to_string();
            at(number, Event::Received { connection: connection(), node: "n1".to_owned(), id })
        };
        let many = (0..EVENTS_MAX as u64 + 10).map(sent);

        let view = view([at(0, Event::Healed)].into_iter().chain(many).collect());

        assert_eq!(view.events.len(), EVENTS_MAX);
        assert_eq!(view.events[0].2, "HEALED");
        assert_eq!(view.left_out, ["11 events of the kind 'message'"]);
    }
}
