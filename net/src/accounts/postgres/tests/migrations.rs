//! Which databases are opened and which are refused.

use super::*;
use crate::accounts::postgres::schema::{MIGRATIONS, migrate};

/// H10.
#[tokio::test]
async fn a_database_of_a_newer_version_is_refused_and_left_alone() {
    let test = async {
        let (_store, settings) = empty().await;
        Server::shared().ask_in(&settings, "UPDATE cresset.version SET version = 7");

        let refused = PostgresAccounts::open(&settings).await.err().expect("newer");

        assert_eq!(refused, OpenError::Newer { found: 7, known: i64::try_from(MIGRATIONS.len()).expect("few") });
        assert!(refused.to_string().contains("update this node first"), "{refused}");
        assert_eq!(version(&settings), "7");
    };
    scope(0, test).await;
}

#[tokio::test]
async fn a_schema_of_another_program_is_refused_and_left_alone() {
    let test = async {
        let settings = Server::shared().database();
        Server::shared().ask_in(&settings, "CREATE SCHEMA cresset CREATE TABLE theirs (x INT)");

        let refused = PostgresAccounts::open(&settings).await.err().expect("foreign");

        assert_eq!(refused, OpenError::Foreign);
        let tables = "SELECT count(*) FROM pg_tables WHERE schemaname = 'cresset'";
        assert_eq!(Server::shared().ask_in(&settings, tables), "1");
    };
    scope(0, test).await;
}

#[tokio::test]
async fn a_database_that_could_not_keep_what_it_is_given_is_refused() {
    let test = async {
        let forgetful = Server::shared().database();
        let database = forgetful.url.rsplit('/').next().expect("named").to_owned();
        Server::shared().ask("postgres", &format!("ALTER DATABASE {database} SET synchronous_commit = off"));
        let narrow = Server::shared().database_with("ENCODING 'LATIN1' TEMPLATE template0");

        for (settings, reason) in [(forgetful, "synchronous_commit is off"), (narrow, "its encoding is LATIN1")] {
            let refused = PostgresAccounts::open(&settings).await.err().expect("unfit").to_string();
            assert!(refused.contains(reason), "{refused}");
        }
    };
    scope(0, test).await;
}

/// The first node makes the change while the others wait, and they find nothing to do.
#[tokio::test]
async fn an_older_database_is_brought_up_to_date_once_and_keeps_what_it_holds() {
    static NEXT: [&str; 6] = [
        MIGRATIONS[0],
        MIGRATIONS[1],
        MIGRATIONS[2],
        MIGRATIONS[3],
        MIGRATIONS[4],
        "ALTER TABLE cresset.accounts ADD COLUMN disabled BOOLEAN NOT NULL DEFAULT FALSE",
    ];
    let test = async {
        let (store, settings) = empty().await;
        add(&store, "juliet").await;
        let stores = join_all((0..6).map(|_| open(&settings))).await;

        let migrated = join_all(stores.iter().map(|store| migrate(&store.lane, &NEXT))).await;

        assert!(migrated.iter().all(Result::is_ok), "{migrated:?}");
        assert_eq!(version(&settings), "6");
        let disabled = "SELECT name, disabled FROM cresset.accounts";
        assert_eq!(Server::shared().ask_in(&settings, disabled), "juliet|f");
    };
    scope(0, test).await;
}

/// A migration that fails half way must not leave half of its tables behind.
#[tokio::test]
async fn a_migration_that_fails_changes_nothing() {
    static BROKEN: [&str; 6] = [
        MIGRATIONS[0],
        MIGRATIONS[1],
        MIGRATIONS[2],
        MIGRATIONS[3],
        MIGRATIONS[4],
        "CREATE TABLE cresset.half (x INT); CREATE TABLE cresset.roster (y INT)",
    ];
    let test = async {
        let (store, settings) = empty().await;

        let failed = migrate(&store.lane, &BROKEN).await.expect_err("the table is there already");

        assert!(failed.to_string().contains("already exists"), "{failed}");
        assert_eq!(version(&settings), "5");
        let half = "SELECT to_regclass('cresset.half') IS NULL";
        assert_eq!(Server::shared().ask_in(&settings, half), "t");
    };
    scope(0, test).await;
}

/// The role that the nodes use need not be one that may create tables.
#[tokio::test]
async fn a_role_that_may_only_read_and_write_opens_what_is_up_to_date() {
    let test = async {
        let (_store, settings) = empty().await;
        let grant = "CREATE ROLE modest LOGIN; GRANT USAGE ON SCHEMA cresset TO modest;
                     GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA cresset TO modest";
        Server::shared().ask_in(&settings, grant);

        let modest = Settings { url: settings.url.replace("//cresset@", "//modest@"), ..settings };

        add(&open(&modest).await, "juliet").await;
    };
    scope(0, test).await;
}

fn version(settings: &Settings) -> String {
    Server::shared().ask_in(settings, "SELECT version FROM cresset.version")
}
