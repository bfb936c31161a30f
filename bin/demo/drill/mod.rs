//! Two users talk while their nodes are killed; every message that a node acknowledged must arrive.
//!
//! ```text
//! for a follower, then for the leader:
//!   romeo on a survivor, juliet on the victim ─▶ both talk ─▶ kill -9 the victim while romeo goes on
//!     ├▶ juliet's connection closes ─▶ she comes back elsewhere ─▶ she hears what she missed ─▶ both talk
//!     └▶ the survivors drop the victim and its routes
//!   the victim starts again ─▶ all are members
//! ```
//!
//! A message counts as promised once romeo's node acknowledged it (XEP-0198). Promised and not heard is lost, and a
//! drill that lost a message fails. A message that came back to romeo as an error is not lost: he was told. A second copy
//! is allowed after a failover (with the same id), a third is not.

mod tally;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use self::tally::Tally;
use super::plan::{DOMAIN, PlannedNode};
use super::{Demo, FORM_TIME_MAX, nodes};
use crate::client::{
    Account, CertificatePolicy, Client, Message, Reconnect, Reconnected, Server, StreamManagement, TlsMode, login,
};
use crate::exit::Failure;
use crate::terminal;

/// Messages in each part of the talk.
const MESSAGES: u32 = 50;

/// How long each step may take before the drill fails.
const STEP_TIME_MAX: Duration = Duration::from_secs(20);

/// Kills a follower and then the leader while two users talk.
///
/// # Errors
///
/// If a message that was acknowledged is lost, or a step takes too long.
pub(super) async fn run(demo: &mut Demo) -> Result<(), Failure> {
    let server = Server::new(DOMAIN, TlsMode::Starttls, &CertificatePolicy::Any).map_err(Failure::failed)?;
    let mut drill = Drill { server, begun: Instant::now(), tally: Tally::default() };
    for victim in [Victim::Follower, Victim::Leader] {
        drill.round(demo, victim).await?;
    }
    let tally = drill.tally.close();
    drill.say(&tally.sentence());
    match (tally.lost.as_slice(), tally.more.as_slice()) {
        ([], []) => Ok(()),
        ([], more) => Err(Failure::Failed(format!("heard more than twice: {}", more.join(", ")))),
        (lost, _) => Err(Failure::Failed(format!("lost: {}", lost.join(", ")))),
    }
}

/// Which node is killed.
#[derive(Clone, Copy)]
enum Victim {
    Follower,
    Leader,
}

impl Victim {
    fn name(self) -> &'static str {
        match self {
            Victim::Follower => "a follower",
            Victim::Leader => "the leader",
        }
    }
}

struct Drill {
    server: Server,
    begun: Instant,
    tally: Tally,
}

impl Drill {
    fn say(&self, what: &str) {
        terminal::say(&format!("{:9.3} s  {what}", self.begun.elapsed().as_secs_f64()));
    }

    async fn round(&mut self, demo: &mut Demo, which: Victim) -> Result<(), Failure> {
        let (victim, survivor) = choose(demo, which).await?;
        let name = demo.plan.nodes[victim].name().to_owned();
        let addresses: Vec<String> = demo.plan.nodes.iter().map(|node| node.clients.to_string()).collect();
        let (romeo, juliet) = (account(demo, 0), account(demo, 1));
        let mut from = self.log_in(&addresses[survivor], &romeo).await?;
        let mut to = self.log_in(&addresses[victim], &juliet).await?;
        self.say(&format!(
            "romeo is on node {}, juliet on node {name}, {}",
            demo.plan.nodes[survivor].name(),
            which.name()
        ));
        self.talk(&mut from, &mut to, "before").await?;

        let ids = self.send(&mut from, to.jid(), "meanwhile");
        from.flush().await.map_err(Failure::failed)?;
        let killed = Instant::now();
        demo.nodes[victim].kill().await;
        self.say(&format!(
            "kill -9 node {name}, with {MESSAGES} messages on their way; what follows is counted from here"
        ));
        let plan = &demo.plan.nodes[survivor];
        let (dropped, acknowledged, back) = tokio::join!(
            self.see_dropped(plan, &name, killed),
            self.see_acknowledged(&mut from, killed),
            self.come_back(&addresses, victim, &juliet, to, killed),
        );
        dropped?;
        acknowledged?;
        self.tally.promise(ids);
        let (mut to, heard) = back?;
        self.tally.hear(heard);
        let missed = self.catch_up(&mut to).await?;
        self.say(&format!("  {:4} ms  juliet has heard all that she missed: {missed} messages", ms(killed)));
        self.talk(&mut from, &mut to, "after").await?;
        self.tally.hear(refused(&mut from).await);
        self.log_out(plan, [from, to]).await?;

        let started = Instant::now();
        demo.start_again(victim)?;
        demo.form().await?;
        self.say(&format!("node {name} was started again and was a member after {} ms", ms(started)));
        Ok(())
    }

    async fn see_dropped(&self, plan: &PlannedNode, name: &str, killed: Instant) -> Result<(), Failure> {
        nodes::until(plan, "the victim is dropped", STEP_TIME_MAX, |status| !nodes::is_active(status, name)).await?;
        self.say(&format!("  {:4} ms  the others have dropped node {name} and its routes", ms(killed)));
        Ok(())
    }

    async fn see_acknowledged(&self, romeo: &mut Client, killed: Instant) -> Result<(), Failure> {
        within(romeo.settle()).await?;
        self.say(&format!("  {:4} ms  romeo's node has acknowledged what he sent", ms(killed)));
        Ok(())
    }

    async fn log_out(&self, plan: &PlannedNode, clients: [Client; 2]) -> Result<(), Failure> {
        for client in clients {
            client.close(STEP_TIME_MAX).await;
        }
        nodes::until(plan, "nobody is logged in", STEP_TIME_MAX, |status| status.sessions == 0).await?;
        Ok(())
    }

    async fn log_in(&self, address: &str, account: &Account) -> Result<Client, Failure> {
        let mut client = within(login(&self.server, address, account, StreamManagement::On)).await?;
        client.send_presence();
        within(client.settle()).await?;
        Ok(client)
    }

    fn send(&mut self, from: &mut Client, to: &str, part: &str) -> Vec<String> {
        let to = to.split('/').next().unwrap_or(to);
        let ids: Vec<String> = (0..MESSAGES).map(|number| format!("{part}-{}-{number}", self.tally.next())).collect();
        ids.iter().for_each(|id| from.send_message(to, id, "But, soft! what light through yonder window breaks?"));
        ids
    }

    /// Both say something, and both hear all of it, in order.
    async fn talk(&mut self, romeo: &mut Client, juliet: &mut Client, part: &str) -> Result<(), Failure> {
        let begun = Instant::now();
        self.speak(romeo, juliet, part).await?;
        self.speak(juliet, romeo, part).await?;
        self.say(&format!("both have said {MESSAGES} messages and heard them in order, in {} ms", ms(begun)));
        Ok(())
    }

    async fn speak(&mut self, from: &mut Client, to: &mut Client, part: &str) -> Result<(), Failure> {
        let ids = self.send(from, to.jid(), part);
        within(from.settle()).await?;
        self.tally.promise(ids.clone());
        let mut heard = Vec::new();
        while heard.len() < ids.len() {
            let message = within(to.receive_message()).await?;
            if ids.contains(&message.id) && message.bounced.is_none() {
                heard.push(message.id.clone());
            }
            self.tally.hear([message]);
        }
        if heard == ids {
            Ok(())
        } else {
            Err(Failure::Failed(format!("messages of '{part}' were heard out of order: {heard:?}")))
        }
    }

    /// Hears what still comes until the connection is cut, then comes back elsewhere.
    async fn come_back(
        &self,
        addresses: &[String],
        victim: usize,
        juliet: &Account,
        mut to: Client,
        killed: Instant,
    ) -> Result<(Client, Vec<Message>), Failure> {
        let mut heard = Vec::new();
        // It ends with an error, because the node is dead.
        while let Ok(message) = within(to.receive_message()).await {
            heard.push(message);
        }
        drop(to);
        let until = Instant::now() + STEP_TIME_MAX;
        let reconnect =
            Reconnect { server: &self.server, addresses, account: juliet, management: StreamManagement::On, until };
        let back = reconnect.run(victim, None).await.map_err(|(error, _)| Failure::failed(error))?;
        let Reconnected { mut client, refusals, .. } = back;
        self.say(&format!("  {:4} ms  juliet is logged in at another node{}", ms(killed), in_words(&refusals)));
        client.send_presence();
        Ok((client, heard))
    }

    /// Hears until nothing that was promised is missing; how many messages that were.
    async fn catch_up(&mut self, juliet: &mut Client) -> Result<usize, Failure> {
        let mut missed = 0;
        while self.tally.is_missing_something() {
            let outcome = tokio::time::timeout(STEP_TIME_MAX, juliet.receive_message()).await;
            let Ok(message) = outcome else { break };
            self.tally.hear([message.map_err(Failure::failed)?]);
            missed += 1;
        }
        Ok(missed)
    }
}

/// The node to kill, and one that stays.
async fn choose(demo: &Demo, which: Victim) -> Result<(usize, usize), Failure> {
    let whole = |status: &_| nodes::is_whole(status, demo.plan.nodes.len());
    let (_, status) = nodes::until(&demo.plan.nodes[0], "all are members", FORM_TIME_MAX, whole).await?;
    let leads = |node: &PlannedNode| status.leader.as_deref() == Some(node.name());
    let leader = demo.plan.nodes.iter().position(leads).ok_or_else(|| Failure::failed("nobody leads"))?;
    let other = |not: &[usize]| (0..demo.plan.nodes.len()).find(|node| !not.contains(node));
    let victim = match which {
        Victim::Leader => Some(leader),
        Victim::Follower => other(&[leader]),
    };
    let survivor = victim.and_then(|victim| other(&[leader, victim]));
    victim.zip(survivor).ok_or_else(|| Failure::failed("a drill needs at least three nodes"))
}

fn account(demo: &Demo, number: usize) -> Account {
    let (user, password) = &demo.plan.users[number];
    Account { user: (*user).to_owned(), password: password.clone(), resource: Some("drill".to_owned()) }
}

/// What came back to a client as an error and waits there.
async fn refused(client: &mut Client) -> Vec<Message> {
    let mut refused = Vec::new();
    while let Ok(Ok(message)) = tokio::time::timeout(Duration::from_millis(50), client.receive_message()).await {
        refused.push(message);
    }
    refused
}

async fn within<T, E: std::fmt::Display>(step: impl Future<Output = Result<T, E>>) -> Result<T, Failure> {
    match tokio::time::timeout(STEP_TIME_MAX, step).await {
        Ok(outcome) => outcome.map_err(Failure::failed),
        Err(_) => Err(Failure::Failed(format!("a step of the drill took longer than {} s", STEP_TIME_MAX.as_secs()))),
    }
}

/// `, after 3 × connect: refused`, or nothing.
fn in_words(refusals: &[String]) -> String {
    let mut counts: BTreeMap<&str, u32> = BTreeMap::new();
    refusals.iter().for_each(|refusal| *counts.entry(refusal).or_default() += 1);
    let words: Vec<String> = counts.iter().map(|(refusal, count)| format!("{count} × {refusal}")).collect();
    if words.is_empty() { String::new() } else { format!(", after {}", words.join(", ")) }
}

fn ms(since: Instant) -> u128 {
    since.elapsed().as_millis()
}
