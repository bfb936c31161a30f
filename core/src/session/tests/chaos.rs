//! Facts in any order: whatever clients, accounts and the cluster do, the session keeps its promises.

use std::collections::BTreeMap;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::client::{Client, HEADER, keys, parcel, stanza};
use crate::ids::Sequence;
use crate::node::{Answer, BindRefusal};
use crate::session::{
    CredentialsAnswer, Lost, OfflineMessage, Order, RosterAnswer, RosterPart, StoreUnavailable, StreamErrorCondition,
    TlsEstablished,
};
use crate::time::UnixMillis;

const SEEDS: u64 = 400;
const STEPS: usize = 150;

const SAID: [&str; 26] = [
    HEADER,
    " ",
    "<presence/>",
    "<presence><priority>-3</priority></presence>",
    "<presence><priority>x</priority></presence>",
    "<presence type='unavailable'/>",
    "<presence to='nurse@example.org/a'/>",
    "<presence to='nurse@example.org' type='subscribe'/>",
    "<message to='juliet@example.org'><body>x</body></message>",
    "<message to='@'/>",
    "<iq type='get' id='1'><query xmlns='jabber:iq:roster'/></iq>",
    "<iq type='set' id='2'><query xmlns='jabber:iq:roster'><item jid='a@example.org'/></query></iq>",
    "<iq type='set' id='3'><query xmlns='jabber:iq:roster'><item jid='a@example.org' subscription='remove'/></query></iq>",
    "<iq type='get' id='4' to='example.org'><ping xmlns='urn:xmpp:ping'/></iq>",
    "<iq type='get' id='5' to='juliet@example.org/a'><ping xmlns='urn:xmpp:ping'/></iq>",
    "<iq type='result' id='6'/>",
    "<enable xmlns='urn:xmpp:sm:3' resume='true'/>",
    "<enable xmlns='urn:xmpp:sm:3'/>",
    "<r xmlns='urn:xmpp:sm:3'/>",
    "<a xmlns='urn:xmpp:sm:3' h='0'/>",
    "<a xmlns='urn:xmpp:sm:3' h='1'/>",
    "<a xmlns='urn:xmpp:sm:3' h='3'/>",
    "<message to='juliet@example.org'><bo",
    "</stream:stream>",
    "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>AHJvbWVvAHIwbTMw</auth>",
    "<iq type='set' id='7'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>",
];

/// A run of one seed and what is known of it.
struct Run {
    client: Client,
    random: StdRng,
    /// How many times each parcel was settled or returned.
    fates: BTreeMap<i64, usize>,
    revision: u64,
    routed: u64,
    ended: bool,
    errors: usize,
    transports: usize,
    trace: Vec<String>,
}

#[test]
fn every_parcel_has_one_fate_and_every_stream_one_end() {
    for seed in 0..SEEDS {
        let mut random = StdRng::seed_from_u64(seed);
        let client = match random.random_range(0..6) {
            0 => Client::encrypted(),
            1 => Client::authenticated(),
            2 => Client::bound(),
            3 => Client::available(),
            _ => Client::managed(),
        };
        let mut run = Run {
            client,
            random,
            fates: BTreeMap::new(),
            revision: 0,
            routed: 0,
            ended: false,
            errors: 0,
            transports: 1,
            trace: vec![format!("seed {seed}")],
        };
        for key in 1..=STEPS {
            run.step(i64::try_from(key).unwrap());
            run.check();
        }
        run.client.session.handle_close(run.client.now, StreamErrorCondition::SystemShutdown, None);
        run.check();
        assert!(run.ended, "{:?}", run.trace);
        assert!(run.fates.values().all(|count| *count == 1), "{:?} {:?}", run.fates, run.trace);
    }
}

impl Run {
    fn step(&mut self, key: i64) {
        let fact = self.random.random_range(0..20);
        let said = SAID[self.random.random_range(0..SAID.len())];
        self.trace.push(format!("{fact} {said}"));
        let now = self.client.now;
        let session = &mut self.client.session;
        match fact {
            0..=5 => session.handle_bytes(now, said.as_bytes()),
            6..=8 if !session.is_over() => {
                self.fates.insert(key, 0);
                session.handle_parcel(now, parcel(key, "<message from='juliet@example.org/a'/>"));
            }
            9 if !session.is_over() => {
                self.fates.insert(key, 0);
                session.handle_parcel(now, parcel(key, "<presence type='probe' from='romeo@example.org/x'/>"));
            }
            10 => session.handle_written(now),
            11 => session.handle_answer(now, Answer::Announced { revision: self.revision }),
            12 => {
                self.check();
                let session = &mut self.client.session;
                let awaits = session.awaits_handled();
                session.handle_handled(now, Sequence(self.random.random_range(0..=self.routed + 1)));
                assert!(awaits || session.output.is_empty(), "nobody was said to wait for it: {:?}", self.trace);
            }
            13 => self.claim(key),
            14 => session.handle_pause(now),
            15 => session.handle_unpause(now),
            16 => self.lose(),
            17 => self.answer_out_of_turn(),
            18 => self.client.passes(5000),
            _ => session.handle_nudge(now),
        }
    }

    /// The store hands out a message, if it was asked.
    fn claim(&mut self, key: i64) {
        let now = self.client.now;
        let asked = self.client.session.bound.as_ref().is_some_and(|bound| {
            matches!(bound.claim, crate::session::state::Claim::Asked) && self.client.session.offline_answer.is_none()
        });
        if asked {
            self.fates.insert(key, 0);
            let message = stanza("<message from='juliet@example.org/a'/>");
            self.client.session.handle_offline(now, Ok(vec![OfflineMessage { key, message, at: UnixMillis(0) }]));
        } else {
            self.client.session.handle_offline(now, Err(StoreUnavailable));
        }
    }

    /// The transport is lost, and mostly the client comes back at once.
    fn lose(&mut self) {
        let now = self.client.now;
        match self.random.random_range(0..2) {
            0 => self.client.session.handle_lost(now),
            _ => self.client.session.handle_superseded(now),
        }
        self.check();
        if self.client.session.is_resumable() && self.random.random_range(0..4) > 0 {
            let again = Client::authenticated();
            let handled = self.random.random_range(0..3);
            self.transports += 1;
            self.client.session.handle_resumed(now, handled, again.session.into_remaining());
        }
    }

    fn answer_out_of_turn(&mut self) {
        let now = self.client.now;
        let session = &mut self.client.session;
        match self.random.random_range(0..9) {
            0 => session.handle_credentials(now, CredentialsAnswer::Unknown(Vec::new())),
            1 => session.handle_credentials(now, CredentialsAnswer::Known(vec![keys()])),
            2 => session.handle_derived(now, keys()),
            3 => session.handle_answer(now, Answer::Refused(BindRefusal::TooManySessions)),
            4 => session.handle_roster(now, RosterAnswer::Loaded(Ok(RosterPart { items: Vec::new(), is_last: true }))),
            5 => session.handle_resume_failed(now),
            6 => session.handle_tls(now, TlsEstablished),
            7 => session.handle_members_lost(now, Lost::AllElsewhere),
            _ => session.handle_timeout(now),
        }
    }

    /// Takes the orders and holds them against the promises.
    fn check(&mut self) {
        for order in self.client.orders() {
            assert!(!self.ended, "{order:?} after the end: {:?}", self.trace);
            match order {
                Order::End => self.ended = true,
                Order::Settle(crate::routing::Home::Offline { key, .. }) => *self.fates.get_mut(&key).unwrap() += 1,
                Order::Return(parcel) => match parcel.home {
                    crate::routing::Home::Offline { key, .. } => *self.fates.get_mut(&key).unwrap() += 1,
                    home => panic!("{home:?} was never given"),
                },
                Order::Announce { revision, .. } => self.revision = revision,
                Order::Route { number: Some(number), .. } => self.routed = self.routed.max(number.0),
                _ => {}
            }
        }
        let heard = self.client.heard();
        self.errors += heard.matches("<stream:error>").count();
        assert!(self.errors <= self.transports, "{heard} {:?}", self.trace);
    }
}
