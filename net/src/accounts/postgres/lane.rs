//! The connections of one node to the database, and how work gets one and gives it back.
//!
//! ```text
//! read, write ─▶ wait for a connection ─▶ work ─▶ COMMIT, answer
//!                     │ too long: Busy      │ too long: Unavailable, and the connection is closed
//!                     └ refused: Unavailable└ a deadlock, or a connection that had died: again
//! ```
//!
//! Invariants: every wait ends in time; a connection whose answer did not come is never used again; a transaction that
//! is not committed is rolled back, also if its caller has gone. A connection that died is replaced by the next caller,
//! so nothing has to be done when the database comes back.

use std::time::Duration;

use deadpool_postgres::{Connect, Manager, ManagerConfig, Object, Pool, RecyclingMethod, Timeouts, Transaction};
use futures_util::future::BoxFuture;
use tokio::task::JoinHandle;
use tokio::time::error::Elapsed;
use tokio::time::timeout;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Config, Row};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::OpenError;
use super::failure::{self, Failure};
use super::settings::Settings;
use crate::accounts::{StoreError, StoreFuture};
use crate::runtime;

/// How often the same work is begun. Collisions are rare, for accounts are locked in one order.
const TRIES_MAX: u32 = 4;

/// The connections of one node.
#[derive(Clone)]
pub(super) struct Lane {
    pool: Pool,
    answer_time_max: Duration,
}

impl Lane {
    /// Connections are opened when they are needed.
    pub(super) fn new(config: Config, tls: MakeRustlsConnect, settings: &Settings) -> Lane {
        // A connection that has died is known to have; asking whether it lives would double the trips.
        let manager_config = ManagerConfig { recycling_method: RecyclingMethod::Fast };
        let pool = Pool::builder(Manager::from_connect(config, Opener { tls }, manager_config))
            .max_size(settings.connections_max)
            .timeouts(Timeouts {
                wait: Some(settings.wait_time_max),
                create: Some(settings.connect_time_max),
                recycle: Some(settings.connect_time_max),
            })
            .runtime(deadpool_postgres::Runtime::Tokio1)
            .build()
            .expect("a pool with time-outs has a runtime");
        Lane { pool, answer_time_max: settings.answer_time_max }
    }

    /// Connects, to see whether the database is there and lets us in.
    pub(super) async fn knock(&self) -> Result<(), OpenError> {
        match self.pool.get().await {
            Ok(_) => Ok(()),
            Err(error) => {
                let reason = match failure::of_pool(&error) {
                    StoreError::Unavailable(reason) => reason,
                    other @ (StoreError::Busy | StoreError::Unreadable(_) | StoreError::TooMuch(_)) => {
                        other.to_string()
                    }
                };
                Err(if failure::may_pass(&error) { OpenError::Away { reason } } else { OpenError::Failed { reason } })
            }
        }
    }

    /// Closes the connections that nobody uses, and each of the others when its work is done.
    pub(super) fn close(&self) {
        self.pool.close();
    }

    /// Does `work`, which changes nothing and is one statement.
    pub(super) fn read<'a, A: Send + Sync + 'a, T: Send + 'a>(
        &'a self,
        arguments: A,
        work: Read<A, T>,
    ) -> StoreFuture<'a, T> {
        Box::pin(async move {
            for tries in 1..=TRIES_MAX {
                let connection = self.connection().await?;
                let attempt = async {
                    let undone = |failure| Halted { is_undone: true, failure };
                    work(&connection, &arguments).await.map_err(undone)
                };
                let outcome = timeout(self.answer_time_max, attempt).await;
                if let Some(result) = judge(tries, connection, outcome) {
                    return result;
                }
            }
            Err(StoreError::Busy)
        })
    }

    /// Does `work` in a transaction, and answers when that is on the disk of the database.
    pub(super) fn write<'a, A: Send + Sync + 'a, T: Send + 'a>(
        &'a self,
        arguments: A,
        work: Write<A, T>,
    ) -> StoreFuture<'a, T> {
        self.write_within(self.answer_time_max, arguments, work)
    }

    /// The same for work that may take longer than an answer.
    pub(super) fn write_within<'a, A: Send + Sync + 'a, T: Send + 'a>(
        &'a self,
        time_max: Duration,
        arguments: A,
        work: Write<A, T>,
    ) -> StoreFuture<'a, T> {
        Box::pin(async move {
            for tries in 1..=TRIES_MAX {
                let mut connection = self.connection().await?;
                let outcome = timeout(time_max, transact(&mut connection, &arguments, work)).await;
                if let Some(result) = judge(tries, connection, outcome) {
                    return result;
                }
            }
            Err(StoreError::Busy)
        })
    }

    /// Those who wait are served in their order. How many they are is bounded by who they are: each brings its own
    /// memory, and leaves when its time is over.
    async fn connection(&self) -> Result<Object, StoreError> {
        self.pool.get().await.map_err(|error| failure::of_pool(&error))
    }
}

/// Work on what is lent to it. It may be begun more than once.
pub(super) type Read<A, T> = for<'t> fn(&'t Object, &'t A) -> BoxFuture<'t, Result<T, Failure>>;
pub(super) type Write<A, T> = for<'t> fn(&'t Transaction<'t>, &'t A) -> BoxFuture<'t, Result<T, Failure>>;

async fn transact<A, T>(connection: &mut Object, arguments: &A, work: Write<A, T>) -> Result<T, Halted> {
    let undone = |failure| Halted { is_undone: true, failure };
    // Rolls back when it is dropped without having been committed.
    let transaction = connection.transaction().await.map_err(|error| undone(error.into()))?;
    let result = work(&transaction, arguments).await.map_err(undone)?;
    // If the connection is lost here, nobody knows whether the transaction is there.
    transaction.commit().await.map_err(|error| Halted { is_undone: false, failure: error.into() })?;
    Ok(result)
}

/// What the caller is answered; nothing if there is another try.
fn judge<T>(
    tries: u32,
    connection: Object,
    outcome: Result<Result<T, Halted>, Elapsed>,
) -> Option<Result<T, StoreError>> {
    match outcome {
        Ok(Ok(result)) => Some(Ok(result)),
        Ok(Err(halted)) if tries < TRIES_MAX && halted.may_be_tried_again() => None,
        Ok(Err(halted)) => Some(Err(halted.failure.into())),
        Err(_) => {
            drop(Object::take(connection));
            Some(Err(StoreError::Unavailable("it does not answer".to_owned())))
        }
    }
}

/// An attempt that did not come to its end.
struct Halted {
    /// Whether it certainly has left nothing behind.
    is_undone: bool,
    failure: Failure,
}

impl Halted {
    fn may_be_tried_again(&self) -> bool {
        self.failure.is_collision() || (self.is_undone && self.failure.is_disconnection())
    }
}

/// The rows that a statement answers. The statement stays prepared on its connection.
pub(super) async fn rows<C: deadpool_postgres::GenericClient>(
    on: &C,
    statement: &'static str,
    parameters: &[&(dyn ToSql + Sync)],
) -> Result<Vec<Row>, Failure> {
    let statement = on.prepare_cached(statement).await?;
    Ok(on.query(&statement, parameters).await?)
}

/// How many rows a statement has written.
pub(super) async fn written<C: deadpool_postgres::GenericClient>(
    on: &C,
    statement: &'static str,
    parameters: &[&(dyn ToSql + Sync)],
) -> Result<u64, Failure> {
    let statement = on.prepare_cached(statement).await?;
    Ok(on.execute(&statement, parameters).await?)
}

/// Opens connections, each with a task of its own that ends with it.
struct Opener {
    tls: MakeRustlsConnect,
}

impl Connect for Opener {
    fn connect(&self, config: &Config) -> BoxFuture<'_, Result<(Client, JoinHandle<()>), tokio_postgres::Error>> {
        let config = config.clone();
        Box::pin(async move {
            let (client, connection) = config.connect(self.tls.clone()).await?;
            let task = runtime::spawn(async move {
                if let Err(error) = connection.await {
                    tracing::warn!(reason = failure::told(&error), "a connection to the account database has ended");
                }
            });
            Ok((client, task))
        })
    }
}
