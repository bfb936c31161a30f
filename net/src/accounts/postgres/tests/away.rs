//! The database goes away and comes back.

use std::time::Duration;

use tokio::time::Instant;

use super::*;

#[tokio::test]
async fn a_server_that_is_not_there_may_come_and_one_that_does_not_let_us_in_will_not() {
    let test = async {
        let there = Server::shared().database();
        let refused = async |url: &str| {
            let settings = Settings { url: url.to_owned(), ..there.clone() };
            PostgresAccounts::open(&settings).await.err().expect("not opened")
        };

        let silent = refused("postgresql://cresset@%2Fnowhere/db").await;
        assert!(matches!(&silent, OpenError::Away { reason } if reason.contains("No such file")), "{silent}");
        let closed = refused("postgresql://cresset@127.0.0.1:1/db").await;
        assert!(matches!(&closed, OpenError::Away { reason } if reason.contains("refused")), "{closed}");
        let database = refused(&format!("{}x", there.url)).await;
        assert!(matches!(&database, OpenError::Failed { reason } if reason.contains("does not exist")), "{database}");
        let role = refused(&there.url.replace("//cresset@", "//nobody@")).await;
        assert!(matches!(&role, OpenError::Failed { reason } if reason.contains("nobody")), "{role}");
    };
    scope(0, test).await;
}

#[tokio::test]
async fn a_database_that_stops_is_told_and_one_that_is_back_is_used_again() {
    let test = async {
        let server = Server::start();
        let settings = Settings { answer_time_max: Duration::from_secs(10), ..server.database() };
        let store = open(&settings).await;
        add(&store, "juliet").await;
        // Several connections that will have died.
        join_all((0..8).map(|_| store.exists(name("juliet")))).await;

        for way in ["immediate", "fast"] {
            server.control(&["-m", way, "stop"]);
            let (read, written) = tokio::join!(store.exists(name("juliet")), store.allocate_member("n".to_owned()));
            assert!(matches!(read, Err(StoreError::Unavailable(_))), "{read:?}");
            assert!(matches!(written, Err(StoreError::Unavailable(_))), "{written:?}");

            server.control(&["start"]);
            assert_eq!(store.exists(name("juliet")).await, Ok(true), "after a stop that is {way}");
            assert!(store.allocate_member("n".to_owned()).await.is_ok());
        }
    };
    scope(0, test).await;
}

/// Connections that died between two calls must not cost a caller an error.
#[tokio::test]
async fn a_restart_between_two_calls_is_not_noticed() {
    let test = async {
        let server = Server::start();
        let store = open(&server.database()).await;
        add(&store, "juliet").await;

        server.control(&["-m", "fast", "restart"]);

        assert_eq!(store.change_credentials(name("juliet"), credentials("y")).await, Ok(Written::Done));
    };
    scope(0, test).await;
}

#[tokio::test]
async fn a_database_that_does_not_answer_is_given_up_in_time_and_used_again() {
    let test = async {
        let server = Server::shared();
        let settings = Settings { answer_time_max: Duration::from_secs(1), ..server.database() };
        let store = open(&settings).await;
        add(&store, "juliet").await;
        let (client, connection) = tokio_postgres::connect(&settings.url, tokio_postgres::NoTls).await.expect("there");
        let connection = crate::runtime::spawn(connection);
        client.batch_execute("BEGIN; LOCK TABLE cresset.accounts").await.expect("locked");

        let asked = Instant::now();
        let refused = join_all((0..4).map(|_| store.exists(name("juliet")))).await;
        let written = keep_one(&store).await;

        assert!(asked.elapsed() < Duration::from_secs(30), "{:?}", asked.elapsed());
        assert!(refused.iter().all(|answer| matches!(answer, Err(StoreError::Unavailable(_)))), "{refused:?}");
        assert!(matches!(written, Err(StoreError::Unavailable(_))), "{written:?}");
        client.batch_execute("ROLLBACK").await.expect("released");
        assert_eq!(store.exists(name("juliet")).await, Ok(true));
        assert_eq!(keep_one(&store).await, Ok(Stored::Kept));
        connection.abort();
    };
    scope(0, test).await;
}

#[tokio::test]
async fn who_waits_too_long_for_a_connection_is_told_that_nothing_was_done() {
    let test = async {
        let server = Server::shared();
        let mut settings = server.database();
        settings.connections_max = 1;
        settings.wait_time_max = Duration::from_millis(50);
        let store = open(&settings).await;
        add(&store, "juliet").await;
        let (client, connection) = tokio_postgres::connect(&settings.url, tokio_postgres::NoTls).await.expect("there");
        let connection = crate::runtime::spawn(connection);
        client.batch_execute("BEGIN; LOCK TABLE cresset.accounts").await.expect("locked");

        let mut first = Box::pin(keep_one(&store));
        assert!(futures_util::poll!(&mut first).is_pending());
        let second = keep_one(&store).await;
        client.batch_execute("ROLLBACK").await.expect("released");

        assert_eq!(second, Err(StoreError::Busy));
        assert_eq!(first.await, Ok(Stored::Kept));
        connection.abort();
    };
    scope(0, test).await;
}

/// A caller that has gone, as at the end of a session, leaves no transaction behind.
#[tokio::test]
async fn a_call_that_is_given_up_holds_nothing() {
    let test = async {
        let settings = Settings { connections_max: 1, ..Server::shared().database() };
        let store = open(&settings).await;
        let other = open(&settings).await;
        add(&store, "juliet").await;

        for _ in 0..50 {
            let call = keep_one(&store);
            tokio::select! {
                biased;
                _ = call => {}
                _ = other.exists(name("romeo")) => {}
            }
        }

        assert_eq!(keep_one(&other).await, Ok(Stored::Kept));
        assert_eq!(keep_one(&store).await, Ok(Stored::Kept));
    };
    scope(0, test).await;
}

async fn keep_one(store: &PostgresAccounts) -> Result<Stored, StoreError> {
    store.store_offline(name("juliet"), message("x"), UnixMillis(0), quota(1000), None).await
}
