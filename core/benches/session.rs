//! What one stanza costs a session: from the client's bytes to the order to route it, and from a parcel to bytes.
//!
//! `cargo bench -p cresset-core --bench session`

use std::hint::black_box;
use std::sync::Arc;

use bytes::Bytes;
use cresset_core::ids::{Incarnation, Life, LogIndex, MemberId, RouteId, Sequence};
use cresset_core::jid::DomainPart;
use cresset_core::limits::PRESENCE_SEEN_MAX;
use cresset_core::node::Answer;
use cresset_core::routing::{Home, Parcel, Turn};
use cresset_core::sasl::{Hash, Password, ScramKeys};
use cresset_core::session::{CredentialsAnswer, Lost, Order, Session, SessionSettings, TlsPolicy};
use cresset_core::stanza::{Kind, MessageType, PresenceType, Stanza};
use cresset_core::time::Uptime;
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use rand::SeedableRng;
use rand::rngs::StdRng;

const NOW: Uptime = Uptime::from_millis(1);
const ROUTE: RouteId = RouteId { index: LogIndex(1), position: 0 };
const HEADER: &[u8] = b"<stream:stream to='example.org' version='1.0' xmlns='jabber:client' \
                        xmlns:stream='http://etherx.jabber.org/streams'>";
const AUTH: &[u8] = b"<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>AHJvbWVvAHIwbTMw</auth>";
const BIND: &[u8] = b"<iq type='set' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>";
const MESSAGE: &[u8] = b"<message to='juliet@example.org/balcony' id='b4d2f5a0-7f1e' type='chat'><body>But soft, \
    what light through yonder window breaks? It is the east, and Juliet is the sun. Arise.</body>\
    <active xmlns='http://jabber.org/protocol/chatstates'/></message>";

fn settings() -> Arc<SessionSettings> {
    let domain = DomainPart::new("example.org").expect("a domain");
    let settings = SessionSettings::new(domain, [0; 32], "0");
    Arc::new(SessionSettings { tls: TlsPolicy::Disabled, plain_without_tls: true, ..settings })
}

fn keys() -> ScramKeys {
    ScramKeys::derive(Hash::Sha256, &Password::new("r0m30").expect("allowed"), vec![0; 16], 1)
}

fn drain(session: &mut Session) {
    while let Some(order) = session.poll_output() {
        black_box(order);
    }
}

fn log_in(settings: &Arc<SessionSettings>, keys: &ScramKeys) -> Session {
    let mut session = Session::new(NOW, settings.clone(), StdRng::seed_from_u64(1));
    session.handle_bytes(NOW, HEADER);
    session.handle_bytes(NOW, AUTH);
    session.handle_credentials(NOW, CredentialsAnswer::Known(vec![keys.clone()]));
    session.handle_derived(NOW, keys.clone());
    session.handle_bytes(NOW, HEADER);
    session.handle_bytes(NOW, BIND);
    while let Some(order) = session.poll_output() {
        if let Order::Bind { .. } = order {
            session.handle_answer(NOW, Answer::Bound { route: ROUTE });
        }
    }
    assert!(session.jid().is_some(), "the session is bound");
    session
}

fn stanzas(criterion: &mut Criterion) {
    let (settings, keys) = (settings(), keys());
    let mut group = criterion.benchmark_group("session");
    group.throughput(Throughput::Elements(1));

    let mut session = log_in(&settings, &keys);
    group.bench_function("a message from the client", |bencher| {
        bencher.iter(|| {
            session.handle_bytes(NOW, MESSAGE);
            while let Some(order) = session.poll_output() {
                if let Order::Route { number: Some(number), stanza } = order {
                    black_box(stanza);
                    session.handle_handled(NOW, number);
                }
            }
        });
    });

    let mut session = log_in(&settings, &keys);
    let stanza = Stanza {
        from: Some("juliet@example.org/balcony".parse().expect("a JID")),
        to: Some("romeo@example.org/garden".parse().expect("a JID")),
        payload: Bytes::from_static(b"<body>But soft, what light through yonder window breaks?</body>"),
        ..Stanza::new(Kind::Message(MessageType::Chat))
    };
    let parcel = Parcel { stanza, route: ROUTE, home: Home::Here { turn: Turn(0) } };
    group.bench_function("a message for the client", |bencher| {
        bencher.iter_batched(
            || parcel.clone(),
            |parcel| {
                session.handle_parcel(NOW, parcel);
                drain(&mut session);
                session.handle_written(NOW);
                drain(&mut session);
            },
            BatchSize::SmallInput,
        );
    });

    // A client that sees as many as it can, ten of whom are lost with their member and come again.
    let mut session = log_in(&settings, &keys);
    let life = |member| Life { member: MemberId(member), incarnation: Incarnation(1) };
    let appears = |number: usize, life: Life| Parcel {
        stanza: Stanza {
            from: Some(format!("user{number}@example.org/phone").parse().expect("a JID")),
            to: Some("romeo@example.org".parse().expect("a JID")),
            ..Stanza::new(Kind::Presence(PresenceType::Available))
        },
        route: ROUTE,
        home: Home::Member { member: life.member, incarnation: life.incarnation, number: Sequence(1) },
    };
    for number in 10..PRESENCE_SEEN_MAX {
        session.handle_parcel(NOW, appears(number, life(2)));
        drain(&mut session);
    }
    group.bench_function("a member is lost of whom nobody is seen", |bencher| {
        bencher.iter(|| session.handle_members_lost(NOW, Lost::Life(life(4))));
    });
    group.bench_function("a member is lost of whom 10 of 5000 are seen, and they come again", |bencher| {
        bencher.iter(|| {
            (0..10).for_each(|number| session.handle_parcel(NOW, appears(number, life(3))));
            session.handle_members_lost(NOW, Lost::Life(life(3)));
            drain(&mut session);
            session.handle_written(NOW);
            drain(&mut session);
        });
    });

    group.bench_function("a login without its key derivation", |bencher| {
        bencher.iter(|| black_box(log_in(&settings, &keys)));
    });
    group.finish();
}

criterion_group!(benches, stanzas);
criterion_main!(benches);
