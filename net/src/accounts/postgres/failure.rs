//! What a failure of the database means to who asked.

use deadpool_postgres::{PoolError, TimeoutType};
use tokio_postgres::error::SqlState;
use tokio_postgres::types::{WasNull, WrongType};

use crate::accounts::StoreError;

/// Why a piece of work failed.
#[derive(Debug)]
pub(super) enum Failure {
    /// The driver or the database says so.
    Database(tokio_postgres::Error),
    /// We say so.
    Ours(StoreError),
}

impl Failure {
    /// Whether others were in the way: the database has undone all of it, and it may succeed the next time.
    pub(super) fn is_collision(&self) -> bool {
        let Failure::Database(error) = self else { return false };
        let code = error.code();
        code == Some(&SqlState::T_R_DEADLOCK_DETECTED) || code == Some(&SqlState::T_R_SERIALIZATION_FAILURE)
    }

    /// Whether the connection was gone, as are those that were left from before the database went away.
    pub(super) fn is_disconnection(&self) -> bool {
        matches!(self, Failure::Database(error) if error.is_closed())
    }
}

impl From<tokio_postgres::Error> for Failure {
    fn from(error: tokio_postgres::Error) -> Failure {
        Failure::Database(error)
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Failure {
        Failure::Ours(error)
    }
}

impl From<Failure> for StoreError {
    fn from(failure: Failure) -> StoreError {
        let collided = failure.is_collision();
        match failure {
            Failure::Ours(error) => error,
            Failure::Database(_) if collided => StoreError::Busy,
            Failure::Database(error) => of_database(&error),
        }
    }
}

/// What a failure to get a connection means: nothing was asked of the database yet.
pub(super) fn of_pool(error: &PoolError) -> StoreError {
    match error {
        PoolError::Timeout(TimeoutType::Wait) => StoreError::Busy,
        PoolError::Timeout(TimeoutType::Create | TimeoutType::Recycle) => {
            StoreError::Unavailable("it does not take connections in time".to_owned())
        }
        PoolError::Backend(error) => StoreError::Unavailable(told(error)),
        PoolError::Closed | PoolError::NoRuntimeSpecified | PoolError::PostCreateHook(_) => {
            StoreError::Unavailable(error.to_string())
        }
    }
}

/// Whether a connection that we did not get may be there later without anybody putting something right.
pub(super) fn may_pass(error: &PoolError) -> bool {
    let PoolError::Backend(error) = error else { return matches!(error, PoolError::Timeout(_)) };
    if let Some(code) = error.code() {
        // Connections, resources, an operator's intervention, which starting up is (PostgreSQL's manual, appendix A).
        return matches!(&code.code()[..2], "08" | "53" | "57");
    }
    let cause = std::error::Error::source(error).and_then(|cause| cause.downcast_ref::<std::io::Error>());
    // A certificate that does not hold is told as an error of the system's, too.
    error.is_closed() || cause.is_some_and(|cause| cause.kind() != std::io::ErrorKind::InvalidData)
}

fn of_database(error: &tokio_postgres::Error) -> StoreError {
    let told = told(error);
    if let Some(code) = error.code() {
        // The classes of SQLSTATE (PostgreSQL's manual, appendix A): a value, a constraint, a name or the storage is
        // not what we have left there.
        return match &code.code()[..2] {
            "22" | "23" | "42" | "XX" => StoreError::Unreadable(told),
            _ => StoreError::Unavailable(told),
        };
    }
    let cause = std::error::Error::source(error);
    if cause.is_some_and(|cause| cause.is::<WasNull>() || cause.is::<WrongType>()) {
        return StoreError::Unreadable(told);
    }
    StoreError::Unavailable(told)
}

/// An error with what is behind it, on one line. The driver never tells a password.
pub(super) fn told(error: &tokio_postgres::Error) -> String {
    if let Some(database) = error.as_db_error() {
        return database.message().to_owned();
    }
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        let more = error.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        cause = error.source();
    }
    text
}
