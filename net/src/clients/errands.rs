//! What a session asks of the account store, one thing after the other.

use cresset_core::admission::{Origin, Party};
use cresset_core::cluster::RouteView;
use cresset_core::ids::RouteId;
use cresset_core::jid::{BareJid, FullJid, NodePart};
use cresset_core::sasl::{Derivation, ScramKeys};
use cresset_core::session::{
    CredentialsAnswer, OfflineMessage, RosterAnswer, RosterOrder, RosterRefusal, StoreUnavailable,
};
use futures_util::future::BoxFuture;

use super::ClientSettings;
use super::tries::Attempt;
use crate::accounts::{Claimant, OfflineStore, RosterStore, RosterWrite, credentials_answer, unavailable};
use crate::router::Router;

/// Something to ask.
#[derive(Debug)]
pub(super) enum Errand {
    LookUp {
        account: BareJid,
        /// Draws the account that is looked up with it.
        draw: i64,
    },
    Derive(Derivation),
    Roster {
        account: BareJid,
        order: RosterOrder,
    },
    Claim {
        account: BareJid,
        route: RouteId,
    },
    /// Looks whether a message to exactly this JID is stored.
    Look {
        jid: FullJid,
    },
    /// Forgets stored messages that have arrived.
    Forget {
        account: BareJid,
        keys: Vec<i64>,
        route: RouteId,
    },
}

/// The answer.
#[derive(Debug)]
pub(super) enum ErrandAnswer {
    /// With the attempt that is to be told how it ends, if one may be made.
    Credentials(CredentialsAnswer, Option<Attempt>),
    Derived(ScramKeys),
    Roster(RosterAnswer),
    Offline(Result<Vec<OfflineMessage>, StoreUnavailable>),
    Stored(Result<bool, StoreUnavailable>),
    Forgotten,
}

impl Errand {
    /// Whether it changes what is stored, and so is done although nobody waits for the answer.
    pub(super) fn is_change(&self) -> bool {
        match self {
            Errand::Roster { order, .. } => !matches!(order, RosterOrder::Load { .. }),
            Errand::Forget { .. } => true,
            // A claim that is broken off may have been made.
            Errand::Claim { .. } => true,
            Errand::LookUp { .. } | Errand::Derive(_) | Errand::Look { .. } => false,
        }
    }

    /// Does it for a client from there, who takes turns as one of this party.
    pub(super) fn run(
        self,
        settings: &ClientSettings,
        origin: Origin,
        party: Party,
    ) -> BoxFuture<'static, ErrandAnswer> {
        let (router, accounts) = (settings.router.clone(), settings.accounts.clone());
        match self {
            Errand::Derive(derivation) => {
                let derive = settings.derive.derive(party, derivation);
                Box::pin(async move { ErrandAnswer::Derived(derive.await) })
            }
            Errand::LookUp { account, draw } => {
                let attempt = settings.tries.ask(router.now(), &account, origin);
                Box::pin(async move {
                    let Some(attempt) = attempt else {
                        return ErrandAnswer::Credentials(CredentialsAnswer::TooManyTries, None);
                    };
                    attempt.turn().await;
                    let answer = match account.node() {
                        Some(name) => credentials_answer(accounts.credentials(name.to_owned(), draw).await),
                        None => CredentialsAnswer::Unknown(Vec::new()),
                    };
                    ErrandAnswer::Credentials(answer, Some(attempt))
                })
            }
            Errand::Roster { account, order } => {
                Box::pin(async move { ErrandAnswer::Roster(roster(&*accounts, &account, order).await) })
            }
            Errand::Claim { account, route } => {
                Box::pin(async move { ErrandAnswer::Offline(claim(&router, &*accounts, &account, route).await) })
            }
            Errand::Look { jid } => Box::pin(async move {
                let found = accounts.is_stored_for(name_of(&jid.to_bare()), jid).await;
                ErrandAnswer::Stored(found.map_err(|error| unavailable(&error)))
            }),
            Errand::Forget { account, keys, route } => Box::pin(async move {
                let forgotten = match account.node() {
                    Some(name) => accounts.forget(name.to_owned(), keys, route).await,
                    None => Ok(()),
                };
                if let Err(error) = forgotten {
                    // They stay claimed by this route, and are delivered once more after it has ended.
                    tracing::warn!(%error, "delivered messages could not be taken out of the store");
                }
                ErrandAnswer::Forgotten
            }),
        }
    }
}

async fn roster(rosters: &dyn RosterStore, account: &BareJid, order: RosterOrder) -> RosterAnswer {
    let name = name_of(account);
    match order {
        RosterOrder::Load { after } => {
            RosterAnswer::Loaded(rosters.roster(name, after).await.map_err(|error| unavailable(&error)))
        }
        RosterOrder::Set { jid, name: called, groups } => {
            RosterAnswer::Set(match rosters.set_contact(name, jid, called, groups).await {
                Ok(RosterWrite::Done(item)) => Ok(item),
                Ok(RosterWrite::Full) => Err(RosterRefusal::Full),
                // The account was removed while its client was connected.
                Ok(RosterWrite::NoSuchAccount) => Err(RosterRefusal::Unavailable),
                Err(error) => {
                    unavailable(&error);
                    Err(RosterRefusal::Unavailable)
                }
            })
        }
        RosterOrder::Remove(contact) => {
            let removed = rosters.remove_contact(name, contact.clone()).await;
            RosterAnswer::Removed(match removed {
                Ok(was_there) => Ok(was_there.then_some(contact)),
                Err(error) => Err(unavailable(&error)),
            })
        }
    }
}

async fn claim(
    router: &Router,
    offline: &dyn OfflineStore,
    account: &BareJid,
    route: RouteId,
) -> Result<Vec<OfflineMessage>, StoreUnavailable> {
    let as_of = router.view().applied();
    let routes = router.view().routes_of(account);
    let live = routes.iter().flat_map(|routes| routes.iter()).map(|route| route.id).collect();
    let claimed = offline.claim(name_of(account), Claimant { route, live, as_of }).await;
    claimed.map_err(|error| unavailable(&error))
}

fn name_of(account: &BareJid) -> NodePart {
    account.node().expect("only an account binds a resource").to_owned()
}
