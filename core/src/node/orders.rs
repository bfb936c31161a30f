//! What an operator asks of the cluster: judged where it is asked, carried out by the leader, seen in the agreed state.
//!
//! ```text
//! operator ──Order──▶ judge ──▶ wish ──Wanted──▶ leader ──Propose, TransferLeadership──▶ log, Raft
//!     ▲                │                                                                   │
//!     └───Ordered──────┴───── refusal, or: the state shows what was wanted ◀───────────────┘
//! ```
//!
//! The node that was asked says the wish again until it sees it fulfilled, so a leader that is lost on the way does not
//! matter; a wish that is said twice changes nothing the second time. What would lose the quorum is refused before
//! anything is said.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{ClusterOrder, ControlMessage, Node, Output, PROPOSE_AGAIN_AFTER};
use crate::cluster::{Command, Member, MemberState, Role};
use crate::fencing::Times;
use crate::ids::{Life, LogIndex, MemberId};
use crate::time::Uptime;
use crate::{planted, sometimes};

/// Orders under way at one node. Beyond it they are refused: operators are few.
const ORDERS_MAX: usize = 16;

/// Tells the orders of one process apart.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub struct OrderId(pub u64);

/// What an operator asks for, in his words.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Order {
    /// The member of this name is to lead.
    TransferLeader {
        /// Its name.
        to: String,
    },
    /// The member of this name, which is gone, does not come back.
    Remove {
        /// Its name.
        name: String,
    },
    /// The member of this name is to have no clients.
    Drain {
        /// Its name.
        name: String,
    },
    /// The member of this name may have clients again.
    Undrain {
        /// Its name.
        name: String,
    },
    /// The times on which fencing rests are to become others, for all members.
    ChangeTimes(TimesWanted),
}

/// Which of the times on which fencing rests are to become what. The others stay.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct TimesWanted {
    /// Between two signs of life.
    pub heartbeat: Option<Duration>,
    /// How long a member serves without proof.
    pub lease: Option<Duration>,
    /// By how many percent two clocks may differ in speed.
    pub drift_percent: Option<u32>,
    /// The silence after which a member is expelled.
    pub expel_after: Option<Duration>,
}

impl TimesWanted {
    /// What these times become.
    fn of(self, present: Times) -> Times {
        Times {
            heartbeat: self.heartbeat.unwrap_or(present.heartbeat),
            lease: self.lease.unwrap_or(present.lease),
            drift_percent: self.drift_percent.unwrap_or(present.drift_percent),
            expel_after: self.expel_after.unwrap_or(present.expel_after),
        }
    }
}

/// The same in the words of the cluster.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Wish {
    /// This member leads.
    Leads(MemberId),
    /// This life of a member is not remembered.
    Forgotten(Life),
    /// The clients of this life are sent to others.
    Drained(Life),
    /// This life has clients as any other.
    NotDrained(Life),
    /// The times on which fencing rests are these, if they are the next ones.
    Times {
        /// The entry that put those in force that were when that was said.
        after: LogIndex,
        /// What they become.
        to: Times,
    },
}

/// Why an order was not carried out. A sentence for the operator.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Refusal {
    /// Nothing can be agreed on at the node that was asked.
    #[error(
        "this node has no quorum: nothing can be changed until it has; 'cresset cluster status' says who is missing"
    )]
    NoQuorum,
    /// The node that was asked is in no cluster.
    #[error("clustering is off: nothing can be changed among the members until 'cresset cluster enable'")]
    Off,
    /// There is no such member.
    #[error("no member is called '{name}': the members are {}", members.join(", "))]
    Unknown {
        /// Who was named.
        name: String,
        /// Who could have been.
        members: Vec<String>,
    },
    /// Who does not take part cannot do what members do.
    #[error("'{name}' is {}", if *gone { "gone" } else { "still joining" })]
    NotActive {
        /// Who.
        name: String,
        /// Whether its life is over, or has not quite begun.
        gone: bool,
    },
    /// A drained member is about to be stopped.
    #[error("'{name}' is drained: it does not lead until it is undrained")]
    Drained {
        /// Who.
        name: String,
    },
    /// A witness is a small machine by intent.
    #[error("'{name}' is a witness: it leads only while no server can")]
    Witness {
        /// Who.
        name: String,
    },
    /// Somebody has to serve.
    #[error("no other server is up that takes the clients of '{name}'")]
    NowhereToGo {
        /// Who.
        name: String,
    },
    /// Only voters can lead.
    #[error("'{name}' has no vote: it cannot lead")]
    NoVote {
        /// Who.
        name: String,
    },
    /// A leader that is not heard would be no leader.
    #[error("this node does not reach '{name}': it is not made to lead")]
    NotReached {
        /// Who.
        name: String,
    },
    /// Who is up is a member, whatever is said of it.
    #[error("'{name}' is up: stop it first, it would only join again")]
    StillUp {
        /// Who.
        name: String,
    },
    /// The operators of this node want too much at once.
    #[error("{ORDERS_MAX} orders are under way at this node already: try again when they are done")]
    TooMany,
    /// A program that does not know of agreed times follows its file.
    #[error(
        "the members have not agreed on times yet: they do as soon as all of them run a program that knows how \
         (see 'cresset cluster status')"
    )]
    NoTimes,
    /// Two changes at once would need four steps.
    #[error("the times are being changed to {to} already: try again when that is done")]
    TimesAreChanging {
        /// To what.
        to: Times,
    },
    /// Two members could serve one user, or nobody could serve.
    #[error("{}", reasons.join("; "))]
    BadTimes {
        /// A sentence each.
        reasons: Vec<String>,
    },
    /// It may take effect yet.
    #[error("not seen to be done within {} s; it may still be: see 'cresset cluster status'", .within.as_secs())]
    NotSeen {
        /// How long it was waited for.
        within: Duration,
    },
}

/// The orders of this node's operators that are under way.
#[derive(Debug, Default)]
pub(super) struct Orders(Vec<UnderWay>);

#[derive(Clone, Copy, Debug)]
struct UnderWay {
    id: OrderId,
    wish: Wish,
    until: Uptime,
    again: Uptime,
}

impl Orders {
    pub(super) fn timeout(&self) -> Option<Uptime> {
        self.0.iter().map(|order| order.again.min(order.until)).min()
    }

    /// Gives up what is under way.
    pub(super) fn refuse_all(&mut self) -> impl Iterator<Item = OrderId> + use<> {
        std::mem::take(&mut self.0).into_iter().map(|order| order.id)
    }
}

impl Node {
    /// An operator asks for something: it is refused at once, or under way.
    pub(super) fn order(&mut self, now: Uptime, id: OrderId, order: &Order) {
        match self.judge(now, order) {
            Ok(wish) => {
                self.orders.0.push(UnderWay { id, wish, until: now + self.settings.order_time_max, again: now })
            }
            Err(refusal) => {
                sometimes!("an_order_is_refused");
                self.output.push_back(Output::Cluster(ClusterOrder::Ordered { id, outcome: Err(refusal) }));
            }
        }
    }

    fn judge(&self, now: Uptime, order: &Order) -> Result<Wish, Refusal> {
        // A lease is the proof that a quorum counts this node in.
        if !self.lease.is_held(now) {
            return Err(Refusal::NoQuorum);
        }
        if self.orders.0.len() >= ORDERS_MAX {
            return Err(Refusal::TooMany);
        }
        match order {
            Order::TransferLeader { to } => self.may_lead(self.named(to)?).map(|member| Wish::Leads(member.id)),
            Order::Remove { name } => match self.named(name)? {
                member if member.is_alive() && !planted!(RemovalLosesQuorum) => {
                    Err(Refusal::StillUp { name: name.clone() })
                }
                member => Ok(Wish::Forgotten(member.life())),
            },
            Order::Drain { name } => self.may_be_drained(self.named(name)?).map(|member| Wish::Drained(member.life())),
            Order::Undrain { name } => active(self.named(name)?).map(|member| Wish::NotDrained(member.life())),
            Order::ChangeTimes(wanted) => self.may_change_times(*wanted),
        }
    }

    fn may_change_times(&self, wanted: TimesWanted) -> Result<Wish, Refusal> {
        let times = self.state.times();
        let to = wanted.of(times.in_force().ok_or(Refusal::NoTimes)?);
        let reasons = to.refusals();
        if !reasons.is_empty() {
            return Err(Refusal::BadTimes { reasons });
        }
        match times.change() {
            Some(change) if change.to != to => Err(Refusal::TimesAreChanging { to: change.to }),
            Some(_) | None => Ok(Wish::Times { after: times.since(), to }),
        }
    }

    /// The member of that name, one that is up before one that is gone.
    fn named(&self, name: &str) -> Result<&Member, Refusal> {
        let namesakes = self.state.members().filter(|member| member.name == name);
        namesakes.max_by_key(|member| (member.is_alive(), member.incarnation)).ok_or_else(|| Refusal::Unknown {
            name: name.to_owned(),
            members: self.state.members().map(|member| member.name.clone()).collect(),
        })
    }

    fn may_lead<'a>(&self, member: &'a Member) -> Result<&'a Member, Refusal> {
        let name = active(member)?.name.clone();
        if !self.raft.voter_sets.iter().all(|set| set.contains(&member.id)) {
            Err(Refusal::NoVote { name })
        } else if member.role == Role::Witness {
            Err(Refusal::Witness { name })
        } else if member.is_draining() {
            Err(Refusal::Drained { name })
        } else if member.id != self.settings.member && !self.reaches(member) {
            Err(Refusal::NotReached { name })
        } else {
            Ok(member)
        }
    }

    /// Clients need somebody to go to, unless the member has none anyway.
    fn may_be_drained<'a>(&self, member: &'a Member) -> Result<&'a Member, Refusal> {
        let is_other_server = |other: &&Member| {
            other.id != member.id && other.is_active() && other.role == Role::Server && !other.is_draining()
        };
        let is_there = |other: &Member| other.id == self.settings.member || self.reaches(other);
        let is_needed = active(member)?.role == Role::Server;
        if is_needed && !self.state.members().filter(is_other_server).any(is_there) {
            return Err(Refusal::NowhereToGo { name: member.name.clone() });
        }
        Ok(member)
    }

    /// Answers what is fulfilled or has taken too long, and says again what is not.
    pub(super) fn carry_out_orders(&mut self, now: Uptime) {
        let mut orders = std::mem::take(&mut self.orders.0);
        orders.retain_mut(|order| {
            let outcome = if self.is_fulfilled(order.wish) {
                Ok(())
            } else if now >= order.until {
                Err(Refusal::NotSeen { within: self.settings.order_time_max })
            } else {
                if now >= order.again {
                    order.again = now + PROPOSE_AGAIN_AFTER;
                    self.wish(order.wish);
                }
                return true;
            };
            self.output.push_back(Output::Cluster(ClusterOrder::Ordered { id: order.id, outcome }));
            false
        });
        self.orders.0 = orders;
    }

    fn is_fulfilled(&self, wish: Wish) -> bool {
        match wish {
            Wish::Leads(member) => self.raft.leader == Some(member),
            Wish::Forgotten(life) => self.state.member(life.member).is_none_or(|member| member.life() != life),
            Wish::Drained(life) => self.state.alive(life).is_some_and(Member::is_draining),
            Wish::NotDrained(life) => self.state.alive(life).is_some_and(|member| !member.is_draining()),
            Wish::Times { to, .. } => {
                let times = self.state.times();
                times.change().is_none() && times.in_force() == Some(to)
            }
        }
    }

    fn wish(&mut self, wish: Wish) {
        match self.leader() {
            Some(leader) if leader == self.settings.member => self.wanted(wish),
            Some(leader) => self.send(leader, ControlMessage::Wanted(wish)),
            None => {}
        }
    }

    /// Does what an operator wants, here or at another node, if this node leads and it still makes sense.
    pub(super) fn wanted(&mut self, wish: Wish) {
        if self.leading.is_none() || self.is_fulfilled(wish) {
            return;
        }
        match wish {
            Wish::Leads(to) => {
                if self.state.member(to).is_some_and(|member| self.may_lead(member).is_ok()) {
                    sometimes!("leadership_is_handed_over_by_order");
                    self.output.push_back(Output::Cluster(ClusterOrder::TransferLeadership { to }));
                }
            }
            Wish::Forgotten(life) => {
                self.output.push_back(Output::Cluster(ClusterOrder::Propose(vec![Command::Forget(life)])))
            }
            Wish::Drained(life) => {
                self.output.push_back(Output::Cluster(ClusterOrder::Propose(vec![Command::Drain(life)])))
            }
            Wish::NotDrained(life) => {
                self.output.push_back(Output::Cluster(ClusterOrder::Propose(vec![Command::Undrain(life)])))
            }
            Wish::Times { after, to } => {
                let times = self.state.times();
                let is_next = times.since() == after && times.in_force().is_some() && times.change().is_none();
                if is_next && to.refusals().is_empty() {
                    sometimes!("the_times_are_changed_by_order");
                    self.output
                        .push_back(Output::Cluster(ClusterOrder::Propose(vec![Command::ChangeTimes { after, to }])));
                }
            }
        }
    }
}

/// The member, if it takes part.
fn active(member: &Member) -> Result<&Member, Refusal> {
    let name = || member.name.clone();
    match member.state {
        MemberState::Gone { .. } => Err(Refusal::NotActive { name: name(), gone: true }),
        MemberState::Joining => Err(Refusal::NotActive { name: name(), gone: false }),
        MemberState::Active | MemberState::Draining => Ok(member),
    }
}
