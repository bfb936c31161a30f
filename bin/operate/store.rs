//! The account store as an operator's command sees it: opened for one piece of work, without a node.

use std::path::{Path, PathBuf};

use clap::Args;
use cresset_core::config::Accounts as Place;
use cresset_core::jid::DomainPart;
use cresset_net::accounts::{AccountStore, ClusterStore, Opened, PropertyStore, StoreFuture};
use cresset_net::disk::make_private;
use cresset_net::runtime::scope;
use tokio::runtime::Runtime;

use crate::configuration;
use crate::exit::Failure;

/// The seed of the tasks that speak to a database. They draw nothing that has to be secret.
const SCOPE: u64 = 0;

/// Where the accounts are.
#[derive(Debug, Args)]
#[group(multiple = false)]
pub(crate) struct WhichStore {
    /// The configuration file of a node
    #[arg(long, value_name = "FILE", default_value = configuration::DEFAULT_FILE)]
    config: PathBuf,
    /// The account store itself, an SQLite file
    #[arg(long, value_name = "FILE")]
    store: Option<PathBuf>,
}

/// An open account store.
pub(super) struct Store {
    opened: Opened,
    /// The domain that all accounts belong to, if a configuration names it.
    pub(super) domain: Option<DomainPart>,
    runtime: Runtime,
}

/// What becomes of a store that is not there.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Missing {
    Create,
    Refuse,
}

impl WhichStore {
    /// The one that this configuration names.
    pub(super) fn of(config: PathBuf) -> WhichStore {
        WhichStore { config, store: None }
    }

    /// Works on the store, and closes it.
    pub(super) fn with(
        self,
        missing: Missing,
        work: impl FnOnce(&Store) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let store = self.open(missing)?;
        let outcome = work(&store);
        store.opened.close();
        outcome
    }

    fn open(self, missing: Missing) -> Result<Store, Failure> {
        let (place, domain) = match self.store {
            Some(path) => (Place::Sqlite { path }, None),
            None => {
                let config = configuration::load(&self.config)?.config;
                (config.accounts, Some(config.domain))
            }
        };
        if let Place::Sqlite { path } = &place {
            prepare(path, missing, domain.is_some())?;
        }
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Failure::failed)?;
        let opened = runtime.block_on(scope(SCOPE, Opened::open(&place))).map_err(Failure::failed)?;
        Ok(Store { opened, domain, runtime })
    }
}

/// A file may have to be there, or a place for it.
fn prepare(path: &Path, missing: Missing, is_configured: bool) -> Result<(), Failure> {
    match path.try_exists() {
        Ok(false) if missing == Missing::Refuse => {
            return Err(Failure::failed(format!("there is no account store '{}' yet", path.display())));
        }
        Ok(_) => {}
        Err(error) => {
            return Err(Failure::failed(format!("cannot open the account store '{}': {error}", path.display())));
        }
    }
    // The place that a configuration names is meant to be there; a node that starts would create it, too.
    if is_configured && let Some(directory) = path.parent() {
        make_private(directory)
            .map_err(|error| Failure::failed(format!("cannot create '{}': {error}", directory.display())))?;
    }
    Ok(())
}

impl Store {
    pub(super) fn accounts(&self) -> &dyn AccountStore {
        self.opened.store()
    }

    pub(super) fn cluster(&self) -> &dyn ClusterStore {
        self.opened.store()
    }

    pub(super) fn properties(&self) -> &dyn PropertyStore {
        self.opened.store()
    }

    /// Waits for something that is done with the account store.
    pub(super) fn wait<T>(&self, work: impl Future<Output = T>) -> T {
        self.runtime.block_on(scope(SCOPE, work))
    }

    /// Waits for an answer of the account store.
    pub(super) fn ask<T>(&self, answer: StoreFuture<'_, T>) -> Result<T, Failure> {
        self.runtime.block_on(scope(SCOPE, answer)).map_err(Failure::failed)
    }
}
