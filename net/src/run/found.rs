//! Founding the cluster, once the node is whole: by whom it is meant to, or by another node if that one does not.

use cresset_core::ids::MemberId;
use cresset_core::node::Mode;
use cresset_core::planted;
use tokio::sync::watch;
use tokio::time::sleep;

use super::StartError;
use crate::consensus::Consensus;
use crate::control::founding::{FOUNDER_TIME_MAX, Founder};
use crate::witness::{self, Fact};

/// Founds the cluster, unless another node has taken the place of this one: whether it did. [`finish`] is to follow.
pub(super) async fn found(founder: &Founder, consensus: &Consensus) -> Result<bool, StartError> {
    if !founder.claim().await? && !planted!(FoundsUnclaimed) {
        return Ok(false);
    }
    witness::tell(|| Fact::Founds { member: founder.member });
    consensus.bootstrap().await?;
    if planted!(FoundingForgottenEarly) {
        founder.done().await?;
    }
    Ok(true)
}

/// Forgets that this node is the one that founds, once that is on disk: a node that dies before founds when it is back.
pub(super) async fn finish(founder: Founder, consensus: Consensus) {
    if consensus.has_begun().await
        && let Err(error) = founder.done().await
    {
        tracing::warn!(%error, "the disk does not take what this node has to remove from it");
    }
}

/// Waits until clustering is on, and founds the cluster then, or sees to it that somebody does.
pub(super) async fn found_when_it_is_on(
    founder: Founder,
    consensus: Consensus,
    meant: MemberId,
    mut switch: watch::Receiver<Mode>,
) {
    if switch.wait_for(|mode| *mode == Mode::Clustered).await.is_err() {
        return;
    }
    if founder.member == meant {
        match found(&founder, &consensus).await {
            Ok(true) => return finish(founder, consensus).await,
            Ok(false) => {}
            Err(error) => tracing::warn!(%error, "this node cannot found the cluster now"),
        }
    }
    found_if_nobody_does(founder, consensus, meant).await;
}

/// Waits until the cluster is formed, and founds it if whoever is to does not.
pub(super) async fn found_if_nobody_does(founder: Founder, consensus: Consensus, mut meant: MemberId) {
    loop {
        sleep(FOUNDER_TIME_MAX).await;
        let founded = match founder.take_over(meant).await {
            Ok((identity, _)) if identity.formed => return,
            Ok((_, true)) => {
                tracing::warn!(instead_of = %meant, "this node founds the cluster: whoever was to has not");
                found(&founder, &consensus).await
            }
            Ok((identity, false)) => {
                meant = identity.founder;
                Ok(false)
            }
            Err(error) => Err(error.into()),
        };
        match founded {
            Ok(true) => return finish(founder, consensus).await,
            Ok(false) => {}
            Err(error) => tracing::warn!(%error, "nobody has founded the cluster, and this node cannot now"),
        }
    }
}
