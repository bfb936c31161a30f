//! The table is what clients are told of.

#![allow(clippy::unwrap_used)]

use super::*;
use crate::jid::{DomainPart, Jid};

const FACTS: Facts<'static> = Facts { wall: UnixMillis(0), software_version: "0" };

/// What answers when Romeo asks this of this address.
fn asked_of(to: &str, iq_type: IqType, name: &str, namespace: &str) -> Answer {
    let iq = Stanza {
        from: Some(Jid::new("romeo@capulet.example/orchard").unwrap()),
        to: Some(Jid::new(to).unwrap()),
        ..Stanza::new(Kind::Iq(iq_type)).with_child(&Element::new(name, namespace))
    };
    let recipient = Recipient::of(&DomainPart::new("capulet.example").unwrap(), &iq).unwrap();
    answer(recipient, &iq, &FACTS)
}

/// What disco says that the address can do.
fn told_by(to: &str) -> Vec<String> {
    let Answer::Result(Some(info)) = asked_of(to, IqType::Get, "query", names::DISCO_INFO) else { return Vec::new() };
    let features = info.children().filter(|child| child.name() == "feature");
    features.map(|feature| feature.open().attribute("var").unwrap().to_owned()).collect()
}

/// Those who are asked what they can do.
const TELLERS: [(&str, Recipient); 2] = [("capulet.example", DOMAIN), ("romeo@capulet.example", OWN)];

#[test]
fn a_feature_that_is_answered_is_told() {
    let told: Vec<String> = TELLERS.iter().flat_map(|(to, _)| told_by(to)).collect();
    let mut untold = Vec::new();
    for asked in TABLE.iter().filter_map(|line| line.asked.as_ref()) {
        for ((to, _), iq_type) in TELLERS.iter().flat_map(|teller| asked.types.iter().map(move |it| (teller, *it))) {
            let is_answered =
                matches!(asked_of(to, iq_type, asked.name, asked.namespace), Answer::Result(_) | Answer::Roster(_));
            if is_answered && !told.iter().any(|feature| feature == asked.namespace) {
                untold.push(asked.namespace);
            }
        }
    }
    untold.dedup();

    assert_eq!(untold, [names::SESSION], "which is told as a feature of the stream");
}

#[test]
fn what_is_told_is_answered_by_somebody() {
    let mut unanswered = Vec::new();
    for feature in TELLERS.iter().flat_map(|(to, _)| told_by(to)) {
        let is_of_feature = |asked: &&Asked| asked.namespace == feature;
        let is_answered = TABLE.iter().filter_map(|line| line.asked.as_ref()).filter(is_of_feature).any(|asked| {
            TELLERS.iter().any(|(to, _)| {
                let answer = asked_of(to, asked.types[0], asked.name, asked.namespace);
                matches!(answer, Answer::Result(_) | Answer::Roster(_))
            })
        });
        if !is_answered {
            unanswered.push(feature);
        }
    }

    assert_eq!(unanswered, [names::OFFLINE_FEATURE], "which nothing is asked of");
}

#[test]
fn each_feature_is_told_once_and_by_those_who_are_said_to_tell_it() {
    for (to, teller) in TELLERS {
        let told = told_by(to);

        assert_eq!(told, features_of(teller), "{to}");
        let mut once = told.clone();
        once.sort();
        once.dedup();
        assert_eq!(once.len(), told.len(), "{told:?}");
    }
}

/// Two lines for the same would hide one of them.
#[test]
fn a_request_has_one_line() {
    for line in TABLE {
        let Some(asked) = &line.asked else { continue };
        for (of, iq_type) in line.of.iter().flat_map(|of| asked.types.iter().map(move |iq_type| (of, iq_type))) {
            let is_same = |other: &&Line| {
                other.of.contains(of)
                    && other.asked.as_ref().is_some_and(|other| {
                        (other.name, other.namespace) == (asked.name, asked.namespace) && other.types.contains(iq_type)
                    })
            };
            assert_eq!(TABLE.iter().filter(is_same).count(), 1, "{} {} of {of:?}", asked.name, asked.namespace);
        }
    }
}

/// A session answers for itself, whatever has a line.
#[test]
fn what_a_session_is_asked_is_routed() {
    for asked in TABLE.iter().filter_map(|line| line.asked.as_ref()) {
        for iq_type in asked.types {
            let answer = asked_of("juliet@capulet.example/balcony", *iq_type, asked.name, asked.namespace);
            assert_eq!(answer, Answer::Route, "{}", asked.namespace);
        }
    }
}
