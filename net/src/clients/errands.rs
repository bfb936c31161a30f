//! What a session asks of the account store, one thing after the other.

use std::sync::Arc;

use cresset_core::cluster::RouteView;
use cresset_core::ids::RouteId;
use cresset_core::jid::{BareJid, FullJid, NodePart};
use cresset_core::sasl::{Derivation, Hash, Mechanism, ScramKeys};
use cresset_core::session::{
    CredentialsAnswer, OfflineMessage, RosterAnswer, RosterOrder, RosterRefusal, StoreUnavailable,
};
use futures_util::future::BoxFuture;

use super::ClientSettings;
use crate::accounts::{Claimant, RosterWrite, StoreError};
use crate::router::Router;

/// Something to ask.
#[derive(Debug)]
pub(super) enum Errand {
    LookUp {
        account: BareJid,
        mechanism: Mechanism,
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
    Credentials(CredentialsAnswer),
    Derived(ScramKeys),
    Roster(RosterAnswer),
    Offline(Result<Vec<OfflineMessage>, StoreUnavailable>),
    Stored(Result<bool, StoreUnavailable>),
    Forgotten,
}

impl Errand {
    pub(super) fn run(self, settings: &ClientSettings) -> BoxFuture<'static, ErrandAnswer> {
        let router = settings.router.clone();
        match self {
            Errand::Derive(derivation) => {
                let derive = settings.derive.derive(derivation);
                Box::pin(async move { ErrandAnswer::Derived(derive.await) })
            }
            Errand::LookUp { account, mechanism } => {
                Box::pin(async move { ErrandAnswer::Credentials(look_up(&router, &account, mechanism).await) })
            }
            Errand::Roster { account, order } => {
                Box::pin(async move { ErrandAnswer::Roster(roster(&router, &account, order).await) })
            }
            Errand::Claim { account, route } => {
                Box::pin(async move { ErrandAnswer::Offline(claim(&router, &account, route).await) })
            }
            Errand::Look { jid } => Box::pin(async move {
                let found = router.accounts().is_stored_for(name_of(&jid.to_bare()), jid).await;
                ErrandAnswer::Stored(found.map_err(|error| unavailable(&error)))
            }),
            Errand::Forget { account, keys, route } => Box::pin(async move {
                let forgotten = match account.node() {
                    Some(name) => router.accounts().forget(name.to_owned(), keys, route).await,
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

async fn look_up(router: &Arc<Router>, account: &BareJid, mechanism: Mechanism) -> CredentialsAnswer {
    let Some(name) = account.node() else { return CredentialsAnswer::Unknown };
    // For PLAIN either hash will do; an account that was imported may have only one.
    let hashes: &[Hash] = match mechanism {
        Mechanism::ScramSha256 => &[Hash::Sha256],
        Mechanism::ScramSha1 => &[Hash::Sha1],
        Mechanism::Plain => &[Hash::Sha256, Hash::Sha1],
    };
    for hash in hashes {
        match router.accounts().credentials(name.to_owned(), *hash).await {
            Ok(Some(keys)) => return CredentialsAnswer::Found(keys),
            Ok(None) => {}
            Err(error) => {
                unavailable(&error);
                return CredentialsAnswer::Unavailable;
            }
        }
    }
    CredentialsAnswer::Unknown
}

async fn roster(router: &Arc<Router>, account: &BareJid, order: RosterOrder) -> RosterAnswer {
    let accounts = router.accounts();
    let name = name_of(account);
    match order {
        RosterOrder::Load => RosterAnswer::Loaded(accounts.roster(name).await.map_err(|error| unavailable(&error))),
        RosterOrder::Set { jid, name: called, groups } => {
            RosterAnswer::Set(match accounts.set_contact(name, jid, called, groups).await {
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
            let removed = accounts.remove_contact(name, contact.clone()).await;
            RosterAnswer::Removed(match removed {
                Ok(was_there) => Ok(was_there.then_some(contact)),
                Err(error) => Err(unavailable(&error)),
            })
        }
    }
}

async fn claim(
    router: &Arc<Router>,
    account: &BareJid,
    route: RouteId,
) -> Result<Vec<OfflineMessage>, StoreUnavailable> {
    let as_of = router.view().applied();
    let routes = router.view().routes_of(account);
    let live = routes.iter().flat_map(|routes| routes.iter()).map(|route| route.id).collect();
    let claimed = router.accounts().claim(name_of(account), Claimant { route, live, as_of }).await;
    claimed.map_err(|error| unavailable(&error))
}

fn unavailable(error: &StoreError) -> StoreUnavailable {
    tracing::warn!(%error, "the account store did not answer");
    StoreUnavailable
}

fn name_of(account: &BareJid) -> NodePart {
    account.node().expect("only an account binds a resource").to_owned()
}
