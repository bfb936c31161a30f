//! A user with a client of his own: logs in somewhere, talks, and comes back elsewhere when he is cut off.
//!
//! He always asks for the same resource, so a new connection takes the full JID over from the one that broke. He
//! acknowledges what he gets and asks for acknowledgement of what he sends (XEP-0198), does not resume, and sends
//! nothing twice.

mod stream;
mod talk;

use std::net::SocketAddr;
use std::time::Duration;

use rand::RngExt;
use rand::rngs::StdRng;
use tokio::time::{sleep, timeout};

use crate::history::{Connection, Event, History};
use crate::trace;
use crate::world::Weather;

use stream::ClientStream;

/// The namespace of SASL (RFC 6120 section 6).
pub const SASL: &str = "urn:ietf:params:xml:ns:xmpp-sasl";

/// The namespace of binding a resource (RFC 6120 section 7).
pub const BIND: &str = "urn:ietf:params:xml:ns:xmpp-bind";

/// The namespace of acknowledgement (XEP-0198).
const ACKNOWLEDGEMENT: &str = "urn:xmpp:sm:3";

/// The resource of every client.
pub const RESOURCE: &str = "sim";

/// How long a client tries to log in before it tries elsewhere. Longer than a bind that has to wait for the expulsion of
/// a hung member.
const LOGIN_TIME_MAX: Duration = Duration::from_secs(7);

/// One node as clients know it.
#[derive(Clone, Debug)]
pub struct Door {
    /// The node's name.
    pub node: String,
    /// Where it is.
    pub address: SocketAddr,
}

/// Who a user is and what he is up to.
#[derive(Debug)]
pub struct User {
    /// Which of the plan's users he is, from 0.
    pub number: usize,
    /// What the plan does to him at the moment.
    pub weather: Weather,
    /// The localpart of his JID.
    pub name: String,
    /// The domain.
    pub domain: String,
    /// To whom he talks.
    pub peer: String,
    /// Where he logs in, the place he likes most first.
    pub doors: Vec<Door>,
    /// How often he says something.
    pub pace: Duration,
    /// When he falls silent, in time of the world.
    pub silent_from: Duration,
    /// What he draws from.
    pub random: StdRng,
}

/// What a user has said so far.
#[derive(Debug, Default)]
struct Said {
    messages: u64,
}

/// Lives a user's life, which does not end. Each connection goes to another node than the one before: that one may be
/// gone.
pub async fn live(mut user: User, history: History) {
    let mut said = Said::default();
    for (door, number) in (1..).enumerate() {
        let connection = Connection { user: user.name.clone(), number };
        let at = user.doors[door % user.doors.len()].clone();
        let (reason, logged_in) = visit(&mut user, &mut said, &history, &connection, &at).await;
        history.add(&user.name, Event::Disconnected { connection, node: at.node, reason });
        let pause = if logged_in { 50..150 } else { 200..600 };
        sleep(Duration::from_millis(user.random.random_range(pause))).await;
    }
}

/// One connection from its beginning to its end; why it ended, and whether it was ever any good.
async fn visit(
    user: &mut User,
    said: &mut Said,
    history: &History,
    connection: &Connection,
    door: &Door,
) -> (String, bool) {
    history.add(&user.name, Event::Dialled { connection: connection.clone(), node: door.node.clone() });
    let login = async {
        let mut stream = ClientStream::connect(door.address).await?;
        let jid = stream.log_in(&user.name, &user.domain).await?;
        Ok::<_, stream::Broken>((stream, jid))
    };
    let (mut stream, jid) = match timeout(LOGIN_TIME_MAX, login).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(broken)) => return (broken.to_string(), false),
        Err(_) => return ("no login in time".to_owned(), false),
    };
    history.add(&user.name, Event::LoggedIn { connection: connection.clone(), node: door.node.clone(), jid });
    let broken = talk::talk(&mut stream, user, said, history, connection, &door.node).await;
    (broken.to_string(), true)
}

impl User {
    fn is_silent(&self) -> bool {
        trace::now() >= self.silent_from
    }
}
