//! Members by a list, by names, or by what AWS says: questions and answers, and the union of what is known.
//!
//! ```text
//! addresses of the list ───────────────────────────────┐
//! names, services, instances ─ Ask ─▶ shell ─ answer ──┴─▶ Found, whenever the union changes
//! ```
//!
//! Each question is asked again after a while, because a name may mean another machine by then; its latest answer
//! replaces the one before. A question that fails keeps the addresses it had: a name server that is gone for a minute must
//! not make a node forget its cluster. One question is on its way at a time for each, and one that is not answered in its
//! time counts as failed.

use std::collections::{BTreeSet, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use super::Output;
use crate::config::discovery::{Aws, Dns, DnsQuery, HostPattern, TcpIp};
use crate::time::Uptime;

/// Between two questions about a name in a list.
const NAMES_EVERY: Duration = Duration::from_secs(30);

/// How long an answer about a name in a list is waited for.
const NAME_TIME_MAX: Duration = Duration::from_secs(5);

/// Between two questions to AWS, which counts requests.
const INSTANCES_EVERY: Duration = Duration::from_secs(30);

/// Addresses taken from one answer. What is beyond it is left out.
const ANSWER_MAX: usize = 1024;

/// Which question, from 0.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct QuestionId(pub usize);

/// What the shell is to find out.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Question {
    /// All addresses of a host, each with every one of these ports.
    Host {
        /// The name.
        name: String,
        /// The ports.
        ports: Vec<u16>,
    },
    /// The hosts and ports of a service (SRV), the hosts resolved.
    Service {
        /// The name.
        name: String,
    },
    /// The instances at AWS, each with every one of the ports of the settings.
    Instances(Box<Aws>),
}

/// A question has no answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NoAnswer;

/// Looks members up.
#[derive(Debug)]
pub struct Lookup {
    own: SocketAddr,
    listed: BTreeSet<SocketAddr>,
    asked: Vec<Asked>,
    told: Option<BTreeSet<SocketAddr>>,
    outputs: VecDeque<Output>,
}

#[derive(Debug)]
struct Asked {
    question: Question,
    every: Duration,
    answer_time_max: Duration,
    state: State,
    known: BTreeSet<SocketAddr>,
}

#[derive(Clone, Copy, Debug)]
enum State {
    /// To be asked at this time.
    Due(Uptime),
    /// On its way; given up at this time.
    OnItsWay(Uptime),
}

impl Lookup {
    /// By a list. `own` is the address of this node, which is never found.
    pub fn by_list(own: SocketAddr, list: &TcpIp) -> Self {
        let mut lookup = Lookup::new(own);
        let members = match &list.required_member {
            Some(required) => std::slice::from_ref(required),
            None => &list.members,
        };
        for member in members {
            let addresses = member.addresses(list.ports);
            match &member.host {
                HostPattern::Name(name) => {
                    let ports = addresses.iter().map(|address| address.port).collect();
                    lookup.add(Question::Host { name: name.clone(), ports }, NAMES_EVERY, NAME_TIME_MAX);
                }
                HostPattern::Address(_) | HostPattern::Range { .. } => {
                    let parsed = addresses.iter().filter_map(|address| {
                        let ip: IpAddr = address.host.parse().ok()?;
                        Some(SocketAddr::new(ip, address.port))
                    });
                    lookup.listed.extend(parsed);
                }
            }
        }
        lookup
    }

    /// By names.
    pub fn by_names(own: SocketAddr, dns: &Dns) -> Self {
        let mut lookup = Lookup::new(own);
        for query in &dns.queries {
            let question = match query {
                DnsQuery::Host { name, port } => Question::Host { name: name.clone(), ports: vec![*port] },
                DnsQuery::Service { name } => Question::Service { name: name.clone() },
            };
            lookup.add(question, dns.every, dns.answer_time_max);
        }
        lookup
    }

    /// By the instances at AWS.
    pub fn by_instances(own: SocketAddr, aws: &Aws) -> Self {
        let mut lookup = Lookup::new(own);
        let attempt = aws.connection_time_max + aws.read_time_max;
        lookup.add(Question::Instances(Box::new(aws.clone())), INSTANCES_EVERY, attempt * (aws.retries + 1));
        lookup
    }

    fn new(own: SocketAddr) -> Self {
        Lookup { own, listed: BTreeSet::new(), asked: Vec::new(), told: None, outputs: VecDeque::new() }
    }

    fn add(&mut self, question: Question, every: Duration, answer_time_max: Duration) {
        let state = State::Due(Uptime::ZERO);
        self.asked.push(Asked { question, every, answer_time_max, state, known: BTreeSet::new() });
    }

    /// The time that [`poll_timeout`](Self::poll_timeout) named has come: asks what is due.
    pub fn handle_timeout(&mut self, now: Uptime) {
        for (number, asked) in self.asked.iter_mut().enumerate() {
            match asked.state {
                State::Due(at) if now >= at => {
                    asked.state = State::OnItsWay(now + asked.answer_time_max);
                    self.outputs.push_back(Output::Ask(QuestionId(number), asked.question.clone()));
                }
                State::OnItsWay(until) if now >= until => asked.state = State::Due(now + asked.every),
                State::Due(_) | State::OnItsWay(_) => {}
            }
        }
        // The list is told at once; an answer is told when it comes.
        if self.told.is_none() {
            self.tell();
        }
    }

    /// A question was answered, with the ports already put in. An answer that comes after it was given up is taken as
    /// well: it is the latest there is. One to a question that does not exist changes nothing.
    pub fn handle_answer(&mut self, now: Uptime, id: QuestionId, answer: Result<Vec<SocketAddr>, NoAnswer>) {
        let Some(asked) = self.asked.get_mut(id.0) else { return };
        if let State::OnItsWay(_) = asked.state {
            asked.state = State::Due(now + asked.every);
        }
        // A name that has no address at the moment says so by a failure, too: what was known is worth a try.
        if let Ok(addresses) = answer
            && !addresses.is_empty()
        {
            asked.known = addresses.into_iter().take(ANSWER_MAX).filter(|address| address.port() != 0).collect();
            self.tell();
        }
    }

    /// When something is to be done by itself; absent if there are no questions.
    pub fn poll_timeout(&self) -> Option<Uptime> {
        let first = self.told.is_none().then_some(Uptime::ZERO);
        let due = self.asked.iter().map(|asked| match asked.state {
            State::Due(at) | State::OnItsWay(at) => at,
        });
        due.chain(first).min()
    }

    /// The next order.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    fn tell(&mut self) {
        let known = self.asked.iter().flat_map(|asked| &asked.known);
        let mut found: BTreeSet<SocketAddr> = self.listed.iter().chain(known).copied().collect();
        found.remove(&self.own);
        if self.told.as_ref() != Some(&found) {
            // Nobody is told that nothing is known yet.
            let is_first = self.told.is_none();
            if !(is_first && found.is_empty()) {
                self.outputs.push_back(Output::Found(found.clone()));
            }
            self.told = Some(found);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::discovery::AwsCredentials;
    use crate::config::discovery::Ports;

    #[test]
    fn a_list_of_addresses_is_found_at_once_without_this_node() {
        let mut lookup = by_list(&["10.0.0.1-3:5701"]);
        assert_eq!(lookup.poll_timeout(), Some(Uptime::ZERO));

        lookup.handle_timeout(at(7));

        assert_eq!(lookup.poll_output(), Some(found(&["10.0.0.2:5701", "10.0.0.3:5701"])));
        assert_eq!((lookup.poll_output(), lookup.poll_timeout()), (None, None));
    }

    #[test]
    fn an_address_without_a_port_is_looked_for_at_three() {
        let mut lookup = by_list(&["10.0.0.2"]);

        lookup.handle_timeout(at(0));

        assert_eq!(lookup.poll_output(), Some(found(&["10.0.0.2:5701", "10.0.0.2:5702", "10.0.0.2:5703"])));
    }

    #[test]
    fn a_name_is_asked_for_and_asked_again_when_its_time_has_come() {
        let mut lookup = by_list(&["a:5701"]);
        lookup.handle_timeout(at(0));
        let ask = Output::Ask(QuestionId(0), Question::Host { name: "a".to_owned(), ports: vec![5701] });
        assert_eq!((lookup.poll_output(), lookup.poll_output()), (Some(ask.clone()), None));

        lookup.handle_answer(at(100), QuestionId(0), Ok(addresses(&["10.0.0.2:5701"])));
        lookup.handle_answer(at(100), QuestionId(0), Ok(addresses(&["10.0.0.2:5701"])));
        lookup.handle_timeout(at(30_099));

        assert_eq!((lookup.poll_output(), lookup.poll_output()), (Some(found(&["10.0.0.2:5701"])), None));
        assert_eq!(lookup.poll_timeout(), Some(at(30_100)));
        lookup.handle_timeout(at(30_100));
        assert_eq!(lookup.poll_output(), Some(ask));
    }

    /// A pod that is replaced has another address, and the one before is nobody's.
    #[test]
    fn the_latest_answer_replaces_the_one_before() {
        let mut lookup = by_names();
        lookup.handle_timeout(at(0));
        lookup.handle_answer(at(1), QuestionId(0), Ok(addresses(&["10.0.0.2:5701", "10.0.0.3:5701"])));
        lookup.handle_answer(at(2), QuestionId(1), Ok(addresses(&["10.0.0.9:5800"])));
        lookup.handle_answer(at(3), QuestionId(0), Ok(addresses(&["10.0.0.4:5701"])));

        let last = std::iter::from_fn(|| lookup.poll_output()).last();

        assert_eq!(last, Some(found(&["10.0.0.4:5701", "10.0.0.9:5800"])));
    }

    #[test]
    fn a_question_that_fails_keeps_what_was_known_and_is_asked_again() {
        let mut lookup = by_names();
        lookup.handle_timeout(at(0));
        lookup.handle_answer(at(1), QuestionId(0), Ok(addresses(&["10.0.0.2:5701"])));
        while lookup.poll_output().is_some() {}

        for answer in [Err(NoAnswer), Ok(Vec::new())] {
            lookup.handle_answer(at(2), QuestionId(0), answer);
        }
        lookup.handle_answer(at(2), QuestionId(99), Ok(addresses(&["10.0.0.5:1"])));
        assert_eq!(lookup.poll_output(), None);

        lookup.handle_timeout(at(10_001));
        assert!(matches!(lookup.poll_output(), Some(Output::Ask(QuestionId(0), _))));
    }

    #[test]
    fn a_question_that_is_not_answered_in_its_time_is_asked_again_and_a_late_answer_counts() {
        let mut lookup = by_names();
        lookup.handle_timeout(at(0));
        while lookup.poll_output().is_some() {}
        assert_eq!(lookup.poll_timeout(), Some(at(5000)));

        lookup.handle_timeout(at(5000));
        assert_eq!((lookup.poll_output(), lookup.poll_timeout()), (None, Some(at(15_000))));
        lookup.handle_answer(at(6000), QuestionId(1), Ok(addresses(&["10.0.0.2:5701"])));

        assert_eq!(lookup.poll_output(), Some(found(&["10.0.0.2:5701"])));
    }

    #[test]
    fn an_answer_without_end_is_bounded() {
        let mut lookup = by_names();
        lookup.handle_timeout(at(0));
        while lookup.poll_output().is_some() {}
        let many = (0..100_000_u32).map(|n| SocketAddr::from((std::net::Ipv4Addr::from(n + 1), 5701))).collect();

        lookup.handle_answer(at(1), QuestionId(0), Ok(many));

        let Some(Output::Found(found)) = lookup.poll_output() else { panic!("addresses") };
        assert_eq!(found.len(), ANSWER_MAX);
    }

    #[test]
    fn instances_are_given_the_time_of_all_their_attempts() {
        let aws = Aws {
            credentials: AwsCredentials::Environment,
            region: None,
            host_header: "ec2.amazonaws.com".to_owned(),
            security_group: None,
            tags: Vec::new(),
            connection_time_max: Duration::from_secs(10),
            read_time_max: Duration::from_secs(10),
            retries: 3,
            ports: Ports { first: 5701, count: 8 },
            use_public_address: false,
        };
        let mut lookup = Lookup::by_instances(own(), &aws);

        lookup.handle_timeout(at(0));

        assert_eq!(lookup.poll_output(), Some(Output::Ask(QuestionId(0), Question::Instances(Box::new(aws)))));
        assert_eq!(lookup.poll_timeout(), Some(at(80_000)));
    }

    fn by_list(members: &[&str]) -> Lookup {
        let members = members.iter().map(|member| member.parse().expect("a member")).collect();
        Lookup::by_list(own(), &TcpIp { members, ..TcpIp::of(5701, []) })
    }

    fn by_names() -> Lookup {
        let queries = vec![
            DnsQuery::Host { name: "members.example".to_owned(), port: 5701 },
            DnsQuery::Service { name: "_cresset._tcp.example".to_owned() },
        ];
        let (answer_time_max, every) = (Duration::from_secs(5), Duration::from_secs(10));
        Lookup::by_names(own(), &Dns { queries, answer_time_max, every })
    }

    fn own() -> SocketAddr {
        "10.0.0.1:5701".parse().expect("an address")
    }

    fn addresses(all: &[&str]) -> Vec<SocketAddr> {
        all.iter().map(|address| address.parse().expect("an address")).collect()
    }

    fn found(all: &[&str]) -> Output {
        Output::Found(addresses(all).into_iter().collect())
    }

    fn at(milliseconds: u64) -> Uptime {
        Uptime::from_millis(milliseconds)
    }
}
