//! Which files are opened and which are refused.

use std::os::unix::fs::PermissionsExt;

use tempfile::TempDir;

use super::*;

/// H10.
#[test]
fn a_file_of_a_newer_version_is_refused_and_left_alone() {
    let (path, _directory) = place();
    let connection = open_for_writing(&path).expect("created");
    connection.pragma_update(None, "user_version", 7).expect("written");

    let refused = open_for_writing(&path).expect_err("newer");

    assert_eq!(
        refused,
        OpenError::Newer { path: path.clone(), found: 7, known: i64::try_from(MIGRATIONS.len()).expect("few") }
    );
    assert!(refused.to_string().contains("update this node first"), "{refused}");
    assert_eq!(number::<i64>(&connection, "user_version"), Ok(7));
}

#[test]
fn a_database_of_another_program_is_refused_and_left_alone() {
    let (path, _directory) = place();
    let foreign = Connection::open(&path).expect("created");
    foreign.execute_batch("CREATE TABLE theirs (x)").expect("written");

    let refused = open_for_writing(&path).expect_err("foreign");

    assert_eq!(refused, OpenError::Foreign { path: path.clone() });
    let tables: i64 = foreign.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0)).expect("counted");
    assert_eq!(tables, 1);
}

#[test]
fn a_file_that_is_no_database_is_refused_and_left_alone() {
    let (path, _directory) = place();
    let text = "name,password\n".repeat(100);
    std::fs::write(&path, &text).expect("written");

    assert_eq!(open_for_writing(&path).expect_err("foreign"), OpenError::Foreign { path: path.clone() });
    assert_eq!(std::fs::read_to_string(&path).expect("read"), text);
}

#[test]
fn a_place_that_is_not_there_is_told() {
    let (path, _directory) = place();
    let refused = open_for_writing(&path.join("deeper")).expect_err("no such place");

    assert!(matches!(&refused, OpenError::Failed { .. }), "{refused:?}");
    assert!(refused.to_string().contains("deeper"), "{refused}");
}

#[test]
fn an_older_file_is_brought_up_to_date_and_keeps_what_it_holds() {
    let (path, _directory) = place();
    let connection = open_for_writing(&path).expect("created");
    connection.execute("INSERT INTO accounts (name) VALUES ('juliet')", []).expect("inserted");

    let next = [&MIGRATIONS[..], &["ALTER TABLE accounts ADD COLUMN disabled INTEGER NOT NULL DEFAULT 0"]].concat();
    migrate(&connection, &path, &next).expect("migrated");
    migrate(&connection, &path, &next).expect("nothing to do");

    assert_eq!(number::<i64>(&connection, "user_version"), Ok(7));
    let disabled: i64 =
        connection.query_row("SELECT disabled FROM accounts", [], |row| row.get(0)).expect("still there");
    assert_eq!(disabled, 0);
}

/// O14. What was stored before there were quotas counts as well.
#[test]
fn messages_of_an_older_file_count_for_their_senders() {
    let (path, _directory) = place();
    create_private(&path).expect("created");
    let connection = Connection::open(&path).expect("opened");
    migrate(&connection, &path, &MIGRATIONS[..4]).expect("migrated");
    connection
        .execute_batch(
            "INSERT INTO accounts (id, name, waiting) VALUES (1, 'juliet', 3);
             INSERT INTO messages (account, at, kind, sender, payload) VALUES
                (1, 0, 'message/chat', 'romeo@m.lit/orchard', x'616263'),
                (1, 0, 'message/chat', 'romeo@m.lit', x'616263'),
                (1, 0, 'message/chat', NULL, x'');",
        )
        .expect("inserted");

    migrate(&connection, &path, &MIGRATIONS).expect("migrated");

    let of = |sender: &str| -> (i64, i64) {
        let sum = "SELECT count(*), sum(weight) FROM messages WHERE sender_account = ?1";
        connection.query_row(sum, [sender], |row| Ok((row.get(0)?, row.get(1)?))).expect("summed")
    };
    assert_eq!(of("romeo@m.lit"), (2, 2 * (512 + 11 + 3) + 8));
    assert_eq!(of(""), (1, 512));
    let bytes: i64 =
        connection.query_row("SELECT waiting_bytes FROM accounts", [], |row| row.get(0)).expect("still there");
    assert_eq!(bytes, 3 * 512 + 2 * (11 + 3) + 8);
}

/// A migration that fails half way must not leave half of its tables behind.
#[test]
fn a_migration_that_fails_changes_nothing() {
    let (path, _directory) = place();
    let connection = open_for_writing(&path).expect("created");

    let broken = [&MIGRATIONS[..], &["CREATE TABLE half (x); CREATE TABLE accounts (y)"]].concat();
    migrate(&connection, &path, &broken).expect_err("the table is there already");

    assert_eq!(number::<i64>(&connection, "user_version"), Ok(6));
    connection.prepare("SELECT * FROM half").expect_err("rolled back");
}

/// Nodes that start together on a busy disk: whoever is last must not give up while the others make the tables.
#[test]
fn a_start_waits_longer_for_a_migration_than_a_statement_for_a_commit() {
    let calls = i32::try_from(BUSY_TIME_MAX.as_micros() / LOOK_AGAIN_AFTER.as_micros()).expect("few");

    assert!(wait_for_a_commit(calls - 1) && !wait_for_a_commit(calls));
    assert!(wait_for_a_migration(calls));
}

/// An import may hold the lock for seconds: no node has to wait for it in order to start.
#[test]
fn a_file_that_is_up_to_date_is_opened_while_another_process_writes() {
    let (path, _directory) = place();
    let mut other = open_for_writing(&path).expect("created");
    let _held = other.transaction_with_behavior(TransactionBehavior::Immediate).expect("begun");

    let opened = open_for_writing(&path).expect("there is nothing to change");

    assert_eq!(number::<i64>(&opened, "user_version"), Ok(6));
}

#[test]
fn the_file_is_its_owners_alone() {
    let (path, _directory) = place();
    let _connection = open_for_writing(&path).expect("created");

    let mode = std::fs::metadata(&path).expect("there").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

/// O15. The join secret is in it. A copy may have lost its rights, and an operator may have made the file.
#[test]
fn a_file_that_everybody_may_read_is_refused() {
    let (path, _directory) = place();
    let mode = |path: &Path, mode| std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).expect("ours");
    drop(open_for_writing(&path).expect("created"));

    for open in [0o644, 0o604, 0o602] {
        mode(&path, open);
        let refused = open_for_writing(&path).expect_err("open to everybody");
        assert_eq!(refused, OpenError::EverybodyMay { path: path.clone() });
        assert!(refused.to_string().contains("chmod o-rwx"), "{refused}");
    }
    mode(&path, 0o640);
    let connection = open_for_writing(&path).expect("its group is the operator's business");
    connection.execute("INSERT INTO accounts (name) VALUES ('juliet')", []).expect("inserted");
    let log = path.with_extension("sqlite-wal");
    mode(&log, 0o644);
    assert_eq!(open_for_writing(&path).expect_err("open"), OpenError::EverybodyMay { path: log.clone() });
    mode(&log, 0o640);

    let (touched, _directory) = place();
    std::fs::write(&touched, "").expect("written");
    mode(&touched, 0o644);
    assert_eq!(open_for_writing(&touched).expect_err("open"), OpenError::EverybodyMay { path: touched.clone() });
}

fn place() -> (PathBuf, TempDir) {
    let directory = TempDir::new().expect("a directory");
    (directory.path().join("accounts.sqlite"), directory)
}
