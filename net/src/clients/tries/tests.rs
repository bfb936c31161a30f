//! O12.3 and T19, at the door: with time that stands still while everybody waits.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};

use cresset_core::sasl::SaslError;
use tokio::time::Instant;
use tracing_subscriber::fmt::MakeWriter;

use super::*;

const NOW: Uptime = Uptime::from_millis(1000);

/// What the README gives to fail2ban, with its `<HOST>` as an address.
fn is_read_by_the_filter(line: &str) -> Option<String> {
    let fields = line.split_once(" INFO cresset::login: log-in failed address=")?.1;
    let (address, rest) = fields.split_once(" mechanism=")?;
    let reason = rest.split_once(" reason=")?.1.split_once(" account=")?.0;
    ["wrong-password", "unknown-account", "no-keys"].contains(&reason).then(|| address.to_owned())
}

/// T19: the fixed form.
#[test]
fn a_failure_is_one_line_with_address_mechanism_reason_and_account() {
    let tries = Tries::default();
    let account = LoginName::Account("romeo@example.org".parse().expect("a JID"));

    let lines = logged(|| {
        tell(&tries, account.clone(), Some(Mechanism::Plain), LoginFailure::WrongPassword);
        tell(&tries, LoginName::Unsaid, None, LoginFailure::Refused(SaslError::InvalidMechanism));
        tell(&tries, account, Some(Mechanism::Plain), LoginFailure::TooManyTries);
    });

    let [first, second] = &lines[..] else { panic!("{lines:?}") };
    let expected = " INFO cresset::login: log-in failed address=192.0.2.7 mechanism=PLAIN reason=wrong-password \
                    account=romeo@example.org";
    assert!(first.ends_with(expected), "{first}");
    assert_eq!(is_read_by_the_filter(first).as_deref(), Some("192.0.2.7"));
    let expected =
        " INFO cresset::login: log-in failed address=192.0.2.7 mechanism=- reason=invalid-mechanism account=-";
    assert!(second.ends_with(expected), "{second}");
    assert_eq!(is_read_by_the_filter(second), None);
}

/// T19: nobody gets another one banned, and nobody writes lines of his own.
#[test]
fn what_a_client_calls_itself_cannot_look_like_a_line() {
    let tries = Tries::default();
    let evil = "x\r\n2026-11-29T21:00:00.000000Z  INFO cresset::login: log-in failed address=198.51.100.1";

    let lines = logged(|| {
        let name = LoginName::Nobodys(evil.to_owned());
        tell(&tries, name, Some(Mechanism::Plain), LoginFailure::Refused(SaslError::NotAuthorized));
    });

    let [line] = &lines[..] else { panic!("{lines:?}") };
    let (before, name) = line.split_once(" account=").expect("the name is the last field");
    assert!(before.ends_with("reason=not-authorized") && !name.contains([' ', '\u{1b}']), "{line}");
}

/// 600 failures: lines up to the bound, and one with the count of the rest.
#[tokio::test(start_paused = true)]
async fn lines_are_bounded_and_the_rest_is_counted() {
    let tries = Tries::default();
    let account = LoginName::Account("romeo@example.org".parse().expect("a JID"));

    let lines = logged(|| {
        for _ in 0..600 {
            tell(&tries, account.clone(), Some(Mechanism::Plain), LoginFailure::WrongPassword);
        }
        let bursts: Vec<Burst> = tries.with(|throttle| {
            throttle.handle_timeout(NOW + Duration::from_secs(10));
            std::iter::from_fn(|| throttle.poll_burst()).collect()
        });
        bursts.iter().for_each(log_burst);
    });

    assert_eq!(lines.len(), 61);
    let expected = "INFO cresset::login: log-ins slowed down scope=address address=192.0.2.7 count=540 slowed=0 \
                    refused=0 unlogged=540 seconds=0 account=-";
    assert!(lines[60].ends_with(expected), "{}", lines[60]);
}

/// A try that waits holds no thread: thirteen of them on the only thread of this test, one behind the other.
#[tokio::test(start_paused = true)]
async fn a_try_that_is_not_yet_allowed_waits_for_its_turn() {
    let tries = Arc::new(Tries::default());
    let account: BareJid = "romeo@example.org".parse().expect("a JID");
    let address = SocketAddr::from(([192, 0, 2, 7], 1)).ip();
    let began = Instant::now();

    let attempts: Vec<Option<Attempt>> = (0..20).map(|_| tries.ask(NOW, &account, Origin::Own(address))).collect();
    let turns = attempts.iter().flatten().map(Attempt::turn);
    let count = futures_util::future::join_all(turns).await.len();

    assert_eq!((count, attempts.iter().filter(|attempt| attempt.is_none()).count()), (13, 7));
    assert_eq!(began.elapsed(), Duration::from_secs(15));
    drop(attempts);
    assert!(
        tries.ask(NOW, &account, Origin::Own(address)).is_some_and(|attempt| attempt.wait.is_zero()),
        "nothing was checked"
    );
}

fn tell(tries: &Tries, login: LoginName, mechanism: Option<Mechanism>, failure: LoginFailure) {
    let report = LoginReport { login, mechanism, result: Err(failure) };
    tries.tell(NOW, IpAddr::V6(Ipv4Addr::new(192, 0, 2, 7).to_ipv6_mapped()), &report);
}

/// The lines that `work` writes to the log, as a program writes them.
fn logged(work: impl FnOnce()) -> Vec<String> {
    let written = Written::default();
    let subscriber = tracing_subscriber::fmt().with_writer(written.clone()).with_ansi(false).finish();
    tracing::subscriber::with_default(subscriber, work);
    let bytes = written.0.lock().expect("nobody panics").clone();
    String::from_utf8(bytes).expect("UTF-8").lines().map(str::to_owned).collect()
}

#[derive(Clone, Default)]
struct Written(Arc<Mutex<Vec<u8>>>);

impl io::Write for Written {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("nobody panics").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Written {
    type Writer = Written;

    fn make_writer(&'a self) -> Written {
        self.clone()
    }
}
