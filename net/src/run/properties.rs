//! What operators have set for all nodes, and how a running node follows it.
//!
//! ```text
//! account store: properties ──every 2 s──▶ what is set ──changed?──▶ router, log
//! ```
//!
//! A node looks by itself, because the database tells nobody: within five seconds all nodes do what was set, unless the
//! property takes effect at the next start. While the store is away, what was last read holds.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use cresset_core::config::properties::{Agreed, ENABLED, TakesEffect, named};
use cresset_core::node::Mode;
use cresset_core::session::Patience;
use cresset_core::time::UnixMillis;
use tokio::sync::{mpsc, watch};
use tokio::time::sleep;

use super::ask;
use crate::accounts::{ClusterId, ClusterStore, PropertyStore, PropertyWrite, StoreError};
use crate::control::Question;
use crate::control::founding::Waits;
use crate::router::Router;

/// How often a node looks: so often that a change is followed in five seconds also if the store is slow.
const LOOK_AGAIN_AFTER: Duration = Duration::from_secs(2);

/// What is set, as the store last said, and what that means.
pub(super) struct Followed {
    stored: BTreeMap<String, String>,
    pub(super) agreed: Agreed,
}

impl Followed {
    /// Reads what is set.
    ///
    /// # Errors
    ///
    /// If the store does not answer.
    pub(super) async fn read(accounts: &dyn PropertyStore) -> Result<Followed, StoreError> {
        Ok(Followed::of(accounts.properties().await?))
    }

    /// The same, after the switch was written down as a node's configuration has it, if nobody has ever said what it is to
    /// be. `by` is that node. Waits while the store is away.
    ///
    /// # Errors
    ///
    /// If waiting for the store does not help.
    pub(super) async fn read_first(
        accounts: &dyn PropertyStore,
        enabled: bool,
        by: &str,
        at: UnixMillis,
    ) -> Result<Followed, StoreError> {
        let mut waits = Waits::default();
        loop {
            match Followed::try_first(accounts, enabled, by, at).await {
                Ok(followed) => return Ok(followed),
                Err(error) => waits.wait(error).await?,
            }
        }
    }

    async fn try_first(
        accounts: &dyn PropertyStore,
        enabled: bool,
        by: &str,
        at: UnixMillis,
    ) -> Result<Followed, StoreError> {
        let followed = Followed::read(accounts).await?;
        if enabled
            || followed.stored.contains_key(ENABLED)
            || !accounts.property_changes(Some(ENABLED.to_owned()), 1).await?.is_empty()
        {
            return Ok(followed);
        }
        let by = format!("the configuration of {by}");
        accounts
            .set_property(PropertyWrite { name: ENABLED.to_owned(), value: Some("false".to_owned()), by, at })
            .await?;
        Followed::read(accounts).await
    }

    /// What operators have said of clustering.
    pub(super) fn mode(&self) -> Mode {
        Mode::of(&self.agreed)
    }

    /// Tells what counts for nothing.
    fn of(stored: BTreeMap<String, String>) -> Followed {
        let (agreed, problems) = Agreed::of(&stored);
        for problem in problems {
            tracing::warn!(%problem, "a property in the database is not followed");
        }
        Followed { stored, agreed }
    }

    /// Tells the router what takes effect at once.
    fn tell(&self, router: &Router) {
        let Agreed { offline, ask_silent_after, give_up_silent_after, .. } = self.agreed;
        router.set_offline_quota(offline);
        router.set_patience(Patience { ask_after: ask_silent_after, give_up_after: give_up_silent_after });
    }

    /// Looks again and again, and does what was set.
    pub(super) async fn follow(
        mut self,
        accounts: Arc<dyn PropertyStore>,
        router: Arc<Router>,
        switch: watch::Sender<Mode>,
    ) {
        self.tell(&router);
        loop {
            sleep(LOOK_AGAIN_AFTER).await;
            // That the store is away is told by those who need it for more.
            let Ok(stored) = accounts.properties().await else { continue };
            if stored == self.stored {
                continue;
            }
            tell_changes(&self.stored, &stored);
            self = Followed::of(stored);
            self.tell(&router);
            switch.send_replace(self.mode());
        }
    }
}

fn tell_changes(before: &BTreeMap<String, String>, after: &BTreeMap<String, String>) {
    let names = before.keys().chain(after.keys().filter(|name| !before.contains_key(*name)));
    for name in names.filter(|name| before.get(*name) != after.get(*name)) {
        let Ok(property) = named(name) else { continue };
        let value = after.get(name).map_or(property.default, String::as_str);
        match property.takes_effect {
            TakesEffect::AtOnce => tracing::info!(property = name, value, "a property was changed"),
            TakesEffect::AtTheNextStart => {
                tracing::info!(property = name, value, "a property was changed; it takes effect at the next start");
            }
        }
    }
}

/// Tells the control plane what operators say of clustering, whenever they change it.
pub(super) async fn tell_the_switch(questions: mpsc::Sender<Question>, mut switch: watch::Receiver<Mode>) {
    while switch.changed().await.is_ok() {
        let mode = *switch.borrow_and_update();
        if questions.send(Question::Switch(mode)).await.is_err() {
            return;
        }
    }
}

/// Looks whether the accounts belong to another cluster by now, and tells the control plane if they do.
pub(super) async fn tell_if_given_up(
    questions: mpsc::Sender<Question>,
    accounts: Arc<dyn ClusterStore>,
    cluster: ClusterId,
) {
    loop {
        sleep(LOOK_AGAIN_AFTER).await;
        // That there is none at all may be a database that is being restored.
        if let Ok(Some(identity)) = accounts.known_identity().await
            && identity.cluster_id != cluster
        {
            // Without a control plane the node stops.
            drop(questions.send(Question::GivenUp).await);
            return;
        }
    }
}

/// Says so if the node does not serve after as many attempts as it is to make in silence. It goes on all the same.
pub(super) async fn tell_if_alone(questions: mpsc::Sender<Question>, agreed: Agreed) {
    if let Some(why) = is_alone(&questions, &agreed).await {
        let attempts = agreed.start_retries + 1;
        if agreed.start_alone {
            tracing::warn!(attempts, why, "the node has not found its cluster");
            // Without a control plane the node stops.
            drop(questions.send(Question::ServeAlone).await);
            return;
        }
        tracing::warn!(
            attempts,
            why,
            "the node has not found its cluster and serves nobody; it goes on looking for it"
        );
    }
}

/// Whether the node does not serve at the end of any of its attempts, and what its status says of that.
async fn is_alone(questions: &mpsc::Sender<Question>, agreed: &Agreed) -> Option<String> {
    let mut why = None;
    for _ in 0..=agreed.start_retries {
        sleep(agreed.start_retry_after).await;
        let status = ask(questions, Question::Status).await.filter(|status| !status.serving)?;
        why = Some(status.advice);
    }
    why
}

#[cfg(test)]
mod tests {
    use cresset_core::time::UnixMillis;

    use super::*;
    use crate::accounts::PropertyWrite;
    use crate::accounts::memory::MemoryAccounts;
    use crate::admin::ClusterStatus;

    /// Whether a node is alone that serves from the status of this number on, and how often it was asked.
    async fn alone_until(serves_from: u32) -> (bool, u32) {
        let agreed = Agreed { start_retries: 2, start_retry_after: Duration::from_secs(10), ..Agreed::default() };
        let (questions, mut asked) = mpsc::channel(1);
        let answer = async {
            let mut count = 0;
            while let Some(question) = asked.recv().await {
                let Question::Status(reply) = question else { panic!("another question") };
                count += 1;
                let status = ClusterStatus { serving: count >= serves_from, ..ClusterStatus::default() };
                reply.send(status).expect("it waits for the answer");
            }
            count
        };
        let decide = async {
            let questions = questions;
            is_alone(&questions, &agreed).await.is_some()
        };
        tokio::join!(decide, answer)
    }

    #[tokio::test(start_paused = true)]
    async fn a_node_that_serves_after_none_of_its_attempts_is_alone() {
        assert_eq!(alone_until(1).await, (false, 1));
        assert_eq!(alone_until(3).await, (false, 3));
        assert_eq!(alone_until(4).await, (true, 3));
    }

    /// What an operator has said counts more than what a file says, also when he has taken it back.
    #[tokio::test]
    async fn a_configuration_switches_clustering_off_only_where_nobody_has_ever_said_a_word() {
        let (accounts, by, at) = (MemoryAccounts::new(), "a", UnixMillis(1));
        let first = Followed::read_first(&accounts, false, by, at).await.expect("available");
        assert_eq!(first.mode(), Mode::Standalone);
        let changes = accounts.property_changes(None, 9).await.expect("available");
        assert_eq!(changes.iter().map(|change| change.by.as_str()).collect::<Vec<_>>(), ["the configuration of a"]);
        let second = Followed::read_first(&accounts, true, by, at).await.expect("available");
        assert_eq!(second.mode(), Mode::Standalone);

        let write = PropertyWrite { name: ENABLED.to_owned(), value: None, by: "root".to_owned(), at };
        accounts.set_property(write).await.expect("available");

        let third = Followed::read_first(&accounts, false, by, at).await.expect("available");
        assert_eq!(third.mode(), Mode::Clustered);
    }

    #[tokio::test]
    async fn what_is_read_is_what_is_set() {
        let accounts = MemoryAccounts::new();
        let write = |name: &str, value: &str| PropertyWrite {
            name: name.to_owned(),
            value: Some(value.to_owned()),
            by: "root".to_owned(),
            at: UnixMillis(1),
        };
        accounts.set_property(write("offline.messages-max", "3")).await.expect("available");
        accounts.set_property(write("of.a.later.version", "x")).await.expect("available");

        let followed = Followed::read(&accounts).await.expect("available");

        assert_eq!(followed.agreed.offline.account.messages, 3);
    }
}
