//! Authentication: groups B and C of the hostile input.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

use super::client::{Client, HEADER, SERVER_HEADER, keys, settings};
use crate::limits::AUTHENTICATION_FAILURES_MAX;
use crate::node::Answer;
use crate::sasl::{Hash, KeyShape, Mechanism, Password, SCRAM_ITERATIONS, SaslError, ScramKeys};
use crate::session::{CredentialsAnswer, LoginFailure, LoginName, Order, TlsPolicy};

const SASL: &str = "urn:ietf:params:xml:ns:xmpp-sasl";

fn auth(mechanism: &str, message: &str) -> String {
    format!("<auth xmlns='{SASL}' mechanism='{mechanism}'>{}</auth>", BASE64_STANDARD.encode(message))
}

fn response(message: &str) -> String {
    format!("<response xmlns='{SASL}'>{}</response>", BASE64_STANDARD.encode(message))
}

fn failure(condition: &str) -> String {
    format!("<failure xmlns='{SASL}'><{condition}/></failure>")
}

/// The account that is looked up.
#[track_caller]
fn looked_up(romeo: &mut Client) -> String {
    match romeo.order() {
        Some(Order::LookUpCredentials { account, .. }) => account.to_string(),
        order => panic!("expected a look-up, not {order:?}"),
    }
}

fn challenge(romeo: &mut Client) -> String {
    let heard = romeo.heard();
    let text =
        heard.strip_prefix(&format!("<challenge xmlns='{SASL}'>")).unwrap().strip_suffix("</challenge>").unwrap();
    String::from_utf8(BASE64_STANDARD.decode(text).unwrap()).unwrap()
}

/// The client's last message for a challenge, with one round of PBKDF2 or as many as the challenge says.
fn proof(password: &str, first: &str, challenge: &str) -> (String, String) {
    let part = |name: &str| challenge.split(',').find_map(|part| part.strip_prefix(name)).unwrap();
    let salt = BASE64_STANDARD.decode(part("s=")).unwrap();
    let mut salted = [0; 32];
    pbkdf2::pbkdf2::<Hmac<Sha256>>(password.as_bytes(), &salt, part("i=").parse().unwrap(), &mut salted).unwrap();
    let mac = |key: &[u8], text: &str| {
        let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
        mac.update(text.as_bytes());
        mac.finalize().into_bytes().to_vec()
    };
    let client_key = mac(&salted, "Client Key");
    let without_proof = format!("c=biws,r={}", part("r="));
    let signed = format!("{first},{challenge},{without_proof}");
    let signature = mac(&Sha256::digest(&client_key), &signed);
    let proof: Vec<u8> = client_key.iter().zip(&signature).map(|(key, signature)| key ^ signature).collect();
    let server = BASE64_STANDARD.encode(mac(&mac(&salted, "Server Key"), &signed));
    (format!("{without_proof},p={}", BASE64_STANDARD.encode(proof)), format!("v={server}"))
}

#[test]
fn romeo_logs_in_with_scram() {
    let mut romeo = Client::encrypted();

    romeo.says(&auth("SCRAM-SHA-256", "n,,n=romeo,r=rOprNGfw"));
    assert_eq!(looked_up(&mut romeo), "romeo@example.org");
    romeo.session.handle_credentials(romeo.now, CredentialsAnswer::Known(vec![keys()]));
    let challenge = challenge(&mut romeo);
    assert!(challenge.starts_with("r=rOprNGfw"), "{challenge}");
    let (last, server) = proof("r0m30", "n=romeo,r=rOprNGfw", &challenge);
    romeo.says(&response(&last));
    romeo.hears(&format!("<success xmlns='{SASL}'>{}</success>", BASE64_STANDARD.encode(server)));

    romeo.says(HEADER);
    romeo.hears(&format!(
        "{SERVER_HEADER}<stream:features><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/>\
         <session xmlns='urn:ietf:params:xml:ns:xmpp-session'><optional/></session><sm xmlns='urn:xmpp:sm:3'/>\
         </stream:features>"
    ));
}

#[test]
fn romeo_logs_in_with_plain_in_one_breath() {
    let mut romeo = Client::encrypted();

    romeo.says(&format!("{}{HEADER}", auth("PLAIN", "romeo@example.org\0romeo\0r0m30")));
    assert_eq!(looked_up(&mut romeo), "romeo@example.org");
    romeo.session.handle_credentials(romeo.now, CredentialsAnswer::Known(vec![keys()]));
    let Some(Order::DeriveKeys(derivation)) = romeo.order() else { panic!("no derivation") };
    romeo.session.handle_derived(romeo.now, derivation.run());

    romeo.hears(&format!("<success xmlns='{SASL}'/>{SERVER_HEADER}<stream:features>{{any}}</stream:features>"));
}

#[test]
fn a_client_may_name_the_mechanism_first_and_speak_when_it_is_asked() {
    let mut romeo = Client::encrypted();

    romeo.says(&format!("<auth xmlns='{SASL}' mechanism='PLAIN'/>"));
    romeo.hears(&format!("<challenge xmlns='{SASL}'/>"));
    romeo.says(&response("\0romeo\0r0m30"));

    assert_eq!(looked_up(&mut romeo), "romeo@example.org");
}

#[test]
fn an_attempt_that_is_wrong_is_refused_by_name_and_the_next_one_is_heard() {
    let long = format!("\0{}\0x", "a".repeat(1024));
    let cases = [
        ("C1", auth("X-UNKNOWN", "x"), "invalid-mechanism"),
        ("C1 none", format!("<auth xmlns='{SASL}'/>"), "invalid-mechanism"),
        ("C2", format!("<auth xmlns='{SASL}' mechanism='PLAIN'>!!!</auth>"), "incorrect-encoding"),
        ("C2 blanks", format!("<auth xmlns='{SASL}' mechanism='PLAIN'> AHIAcg== </auth>"), "incorrect-encoding"),
        ("C5", auth("PLAIN", "juliet@example.org\0romeo\0r0m30"), "invalid-authzid"),
        ("C5 SCRAM", auth("SCRAM-SHA-1", "n,a=juliet@example.org,n=romeo,r=abc"), "invalid-authzid"),
        ("C5 no JID", auth("PLAIN", "@\0romeo\0r0m30"), "invalid-authzid"),
        ("C7", auth("PLAIN", "\0romeo\0r0m30\0"), "malformed-request"),
        ("C8", auth("PLAIN", "\0romeo\0"), "malformed-request"),
        ("C8 nothing", format!("<auth xmlns='{SASL}' mechanism='PLAIN'>=</auth>"), "malformed-request"),
        ("C9", response("x"), "malformed-request"),
        ("C10", format!("<abort xmlns='{SASL}'/>"), "aborted"),
        ("C13", auth("SCRAM-SHA-256", "n,,n=romeo,r="), "malformed-request"),
        ("C14", auth("SCRAM-SHA-256", "n,,m=x,n=romeo,r=abc"), "malformed-request"),
        ("C15", auth("SCRAM-SHA-256", "p=tls-exporter,,n=romeo,r=abc"), "not-authorized"),
        ("C19", auth("SCRAM-SHA-256", "n,,n=ro=meo,r=abc"), "malformed-request"),
        ("C20 @", auth("PLAIN", "\0ro@meo\0x"), "not-authorized"),
        ("C20 /", auth("PLAIN", "\0ro/meo\0x"), "not-authorized"),
        ("C20 <", auth("SCRAM-SHA-1", "n,,n=ro<meo,r=abc"), "not-authorized"),
        ("C20 quote", auth("PLAIN", "\0ro'meo\0x"), "not-authorized"),
        ("C20 long", auth("PLAIN", &long), "not-authorized"),
        ("T18 another's domain", auth("PLAIN", "\0romeo@example.net\0r0m30"), "not-authorized"),
        ("T18 no localpart", auth("PLAIN", "\0@example.org\0r0m30"), "not-authorized"),
        ("T18 two domains", auth("PLAIN", "\0romeo@example.org@example.org\0r0m30"), "not-authorized"),
        ("T18 a resource", auth("PLAIN", "\0romeo@example.org/x\0r0m30"), "not-authorized"),
        ("T18 no domain", auth("SCRAM-SHA-256", "n,,n=romeo@,r=abc"), "not-authorized"),
        ("unknown", format!("<hello xmlns='{SASL}'/>"), "malformed-request"),
    ];
    for (name, said, condition) in cases {
        let mut romeo = Client::encrypted();
        romeo.says(&said);

        assert_eq!(romeo.heard(), failure(condition), "{name}");
        romeo.says(&auth("PLAIN", "\0romeo\0r0m30"));
        assert_eq!(looked_up(&mut romeo), "romeo@example.org", "{name}");
    }
}

/// C3 and C4: that an account does not exist shows in nothing.
#[test]
fn a_wrong_password_and_an_unknown_name_are_refused_alike() {
    let mut refusals = Vec::new();
    for (name, answer) in
        [("romeo", CredentialsAnswer::Known(vec![real_keys()])), ("nobody", CredentialsAnswer::Unknown(Vec::new()))]
    {
        let mut romeo = Client::encrypted();
        romeo.says(&auth("SCRAM-SHA-256", &format!("n,,n={name},r=abc")));
        romeo.orders();
        romeo.session.handle_credentials(romeo.now, answer.clone());
        let challenge = challenge(&mut romeo);
        let shape: Vec<usize> = challenge.split(',').map(str::len).collect();
        romeo.says(&response(&proof("wrong", &format!("n={name},r=abc"), &challenge).0));
        let scram = romeo.heard();

        romeo.says(&auth("PLAIN", &format!("\0{name}\0wrong")));
        romeo.orders();
        romeo.session.handle_credentials(romeo.now, answer);
        let Some(Order::DeriveKeys(derivation)) = romeo.order() else { panic!("no derivation") };
        let cost = (derivation.hash, derivation.iterations, derivation.salt.len());
        romeo.session.handle_derived(romeo.now, derivation.run());

        refusals.push((shape, scram, cost, romeo.heard()));
    }
    assert_eq!(refusals[0], refusals[1]);
    assert_eq!(refusals[0].1, failure("not-authorized"));
    assert_eq!(refusals[0].3, failure("not-authorized"));
}

#[test]
fn a_name_that_does_not_exist_has_one_salt_on_all_nodes() {
    let salt = |name: &str| {
        let mut romeo = Client::encrypted();
        romeo.says(&auth("SCRAM-SHA-1", &format!("n,,n={name},r=abc")));
        romeo.session.handle_credentials(romeo.now, CredentialsAnswer::Unknown(Vec::new()));
        challenge(&mut romeo).split(',').nth(1).unwrap().to_owned()
    };

    assert_eq!(salt("nobody"), salt("nobody"));
    assert_eq!(salt("nobody"), salt("NOBODY"));
    assert_ne!(salt("nobody"), salt("noone"));
}

/// O4: nobody is drawn like an account that exists, in rounds, salt and hash functions, and one who lacks the keys of a
/// mechanism is answered for it like nobody who is drawn like him.
#[test]
fn nobody_looks_like_the_account_that_was_drawn() {
    let imported = |hash| ScramKeys::derive(hash, &Password::new("r0m30").unwrap(), vec![9; 24], 4096);
    for hashes in [&[Hash::Sha256, Hash::Sha1][..], &[Hash::Sha1], &[Hash::Sha256]] {
        let keys: Vec<ScramKeys> = hashes.iter().map(|hash| imported(*hash)).collect();
        let shapes = keys.iter().map(KeyShape::of).collect();
        let mut seen = Vec::new();
        for answer in [CredentialsAnswer::Known(keys), CredentialsAnswer::Unknown(shapes)] {
            let mut shown = Vec::new();
            for mechanism in ["SCRAM-SHA-256", "SCRAM-SHA-1"] {
                let mut client = Client::encrypted();
                client.says(&auth(mechanism, "n,,n=romeo,r=abc"));
                client.orders();
                client.session.handle_credentials(client.now, answer.clone());
                let challenge = challenge(&mut client);
                let fields: Vec<&str> = challenge.split(',').collect();
                shown.push((fields[1].len(), fields[2].to_owned()));
            }
            let mut client = Client::encrypted();
            client.says(&auth("PLAIN", "\0romeo\0wrong"));
            client.orders();
            client.session.handle_credentials(client.now, answer);
            let Some(Order::DeriveKeys(derivation)) = client.order() else { panic!("no derivation") };
            let cost = (derivation.hash, derivation.iterations, derivation.salt.len());
            client.session.handle_derived(client.now, derivation.run());
            seen.push((shown, cost, client.heard()));
        }
        assert_eq!(seen[0], seen[1], "{hashes:?}");
    }
}

/// O4: which account is drawn depends on the name and the secret and on nothing else.
#[test]
fn a_name_draws_the_same_account_each_time() {
    let draw = |name: &str| {
        let mut client = Client::encrypted();
        client.says(&auth("PLAIN", &format!("\0{name}\0wrong")));
        match client.order() {
            Some(Order::LookUpCredentials { draw, .. }) => draw,
            order => panic!("expected a look-up, not {order:?}"),
        }
    };

    assert_eq!(draw("nobody"), draw("NOBODY@example.org"));
    assert_ne!(draw("nobody"), draw("noone"));
}

/// T19: each attempt is reported once, with what is known of it.
#[test]
fn every_attempt_is_reported_with_its_reason() {
    let romeo = LoginName::Account("romeo@example.org".parse().unwrap());
    let refused = |error| Err(LoginFailure::Refused(error));
    let known = || CredentialsAnswer::Known(vec![keys()]);
    let cases = [
        (auth("PLAIN", "\0romeo\0r0m30"), Some(known()), (&romeo, Some(Mechanism::Plain), Ok(()))),
        (
            auth("PLAIN", "\0romeo\0wrong"),
            Some(known()),
            (&romeo, Some(Mechanism::Plain), Err(LoginFailure::WrongPassword)),
        ),
        (
            auth("PLAIN", "\0romeo\0wrong"),
            Some(CredentialsAnswer::Unknown(Vec::new())),
            (&romeo, Some(Mechanism::Plain), Err(LoginFailure::UnknownAccount)),
        ),
        (
            auth("PLAIN", "\0romeo\0r0m30"),
            Some(CredentialsAnswer::Known(Vec::new())),
            (&romeo, Some(Mechanism::Plain), Err(LoginFailure::NoKeys)),
        ),
        (
            auth("SCRAM-SHA-1", "n,,n=romeo,r=abc"),
            Some(CredentialsAnswer::TooManyTries),
            (&romeo, Some(Mechanism::ScramSha1), Err(LoginFailure::TooManyTries)),
        ),
        (
            auth("SCRAM-SHA-1", "n,,n=romeo,r=abc"),
            Some(CredentialsAnswer::Unavailable),
            (&romeo, Some(Mechanism::ScramSha1), refused(SaslError::TemporaryAuthFailure)),
        ),
        (
            auth("PLAIN", "juliet@example.org\0romeo\0x"),
            None,
            (&romeo, Some(Mechanism::Plain), refused(SaslError::InvalidAuthzid)),
        ),
        (
            auth("PLAIN", "\0ro meo\0x"),
            None,
            (&LoginName::Nobodys("ro meo".to_owned()), Some(Mechanism::Plain), refused(SaslError::NotAuthorized)),
        ),
        (auth("X", "x"), None, (&LoginName::Unsaid, None, refused(SaslError::InvalidMechanism))),
    ];
    for (said, answer, (login, mechanism, result)) in cases {
        let mut client = Client::encrypted();
        client.says(&said);
        if let Some(answer) = answer {
            client.session.handle_credentials(client.now, answer);
        }
        if let Some(Order::DeriveKeys(derivation)) = client.orders().into_iter().next_back() {
            client.session.handle_derived(client.now, derivation.run());
        }
        client.heard();

        let [report] = &client.reports[..] else { panic!("{said}: {:?}", client.reports) };
        assert_eq!((&report.login, report.mechanism, report.result), (login, mechanism, result), "{said}");
    }
}

/// T19: a wrong proof of SCRAM, and an exchange that is given up.
#[test]
fn a_wrong_proof_is_a_wrong_password_and_an_exchange_that_is_given_up_is_none() {
    for (answer, failure) in [
        (CredentialsAnswer::Known(vec![keys()]), LoginFailure::WrongPassword),
        (CredentialsAnswer::Unknown(Vec::new()), LoginFailure::UnknownAccount),
    ] {
        let mut client = Client::encrypted();
        client.says(&auth("SCRAM-SHA-256", "n,,n=romeo,r=abc"));
        client.session.handle_credentials(client.now, answer.clone());
        let challenge = challenge(&mut client);
        client.says(&response(&proof("wrong", "n=romeo,r=abc", &challenge).0));
        client.says(&auth("SCRAM-SHA-256", "n,,n=romeo,r=abc"));
        client.session.handle_credentials(client.now, answer);
        client.says(&format!("<abort xmlns='{SASL}'/>"));
        client.heard();

        let results: Vec<_> = client.reports.iter().map(|report| report.result).collect();
        assert_eq!(results, [Err(failure), Err(LoginFailure::Refused(SaslError::Aborted))]);
        assert!(failure.is_wrong_secret() && !LoginFailure::TooManyTries.is_wrong_secret());
    }
}

#[test]
fn too_many_tries_are_a_reason_to_try_later() {
    let mut romeo = Client::encrypted();
    romeo.says(&auth("SCRAM-SHA-256", "n,,n=romeo,r=abc"));

    romeo.session.handle_credentials(romeo.now, CredentialsAnswer::TooManyTries);

    romeo.hears(&failure("temporary-auth-failure"));
}

#[test]
fn twins_of_a_name_are_one_account() {
    for twin in ["ROMEO", "\u{ff32}omeo"] {
        let mut romeo = Client::encrypted();
        romeo.says(&auth("SCRAM-SHA-256", &format!("n,,n={twin},r=abc")));
        assert_eq!(looked_up(&mut romeo), "romeo@example.org", "{twin}");
    }
}

/// T18: a client that sends the whole JID of an account means that account.
#[test]
fn a_whole_jid_of_the_own_domain_is_a_user_name() {
    for name in ["romeo@example.org", "Romeo@EXAMPLE.org", "romeo@example.org."] {
        for said in [
            auth("SCRAM-SHA-256", &format!("n,,n={name},r=abc")),
            auth("PLAIN", &format!("\0{name}\0r0m30")),
            auth("PLAIN", &format!("romeo@example.org\0{name}\0r0m30")),
        ] {
            let mut romeo = Client::encrypted();
            romeo.says(&said);
            assert_eq!(looked_up(&mut romeo), "romeo@example.org", "{name}");
        }
    }
}

/// T18: what is signed is what the client has said.
#[test]
fn the_proof_of_a_client_that_sends_its_whole_jid_is_good() {
    let mut romeo = Client::encrypted();
    romeo.says(&auth("SCRAM-SHA-256", "n,,n=romeo@example.org,r=abc"));
    romeo.orders();
    romeo.session.handle_credentials(romeo.now, CredentialsAnswer::Known(vec![keys()]));
    let challenge = challenge(&mut romeo);

    romeo.says(&response(&proof("r0m30", "n=romeo@example.org,r=abc", &challenge).0));

    assert!(romeo.heard().starts_with("<success "));
}

#[test]
fn a_second_attempt_within_the_first_ends_both() {
    let mut romeo = Client::encrypted();
    romeo.says(&auth("SCRAM-SHA-256", "n,,n=romeo,r=abc"));
    romeo.session.handle_credentials(romeo.now, CredentialsAnswer::Known(vec![keys()]));
    let challenge = challenge(&mut romeo);

    romeo.says(&auth("SCRAM-SHA-256", "n,,n=romeo,r=abc"));
    romeo.hears(&failure("malformed-request"));

    romeo.says(&response(&proof("r0m30", "n=romeo,r=abc", &challenge).0));
    romeo.hears(&failure("malformed-request"));
}

#[test]
fn a_proof_is_good_for_one_exchange() {
    let mut romeo = Client::encrypted();
    romeo.says(&auth("SCRAM-SHA-256", "n,,n=romeo,r=abc"));
    romeo.session.handle_credentials(romeo.now, CredentialsAnswer::Known(vec![keys()]));
    let old = proof("r0m30", "n=romeo,r=abc", &challenge(&mut romeo)).0;
    romeo.says(&format!("<abort xmlns='{SASL}'/>"));
    romeo.hears(&failure("aborted"));

    romeo.says(&auth("SCRAM-SHA-256", "n,,n=romeo,r=abc"));
    romeo.session.handle_credentials(romeo.now, CredentialsAnswer::Known(vec![keys()]));
    romeo.heard();
    romeo.says(&response(&old));

    romeo.hears(&failure("not-authorized"));
}

#[test]
fn nobody_authenticates_in_the_clear_where_tls_is_required() {
    let mut romeo = Client::connected(settings(TlsPolicy::Required));
    romeo.says(HEADER);
    romeo.heard();

    romeo.says(&auth("PLAIN", "\0romeo\0r0m30"));

    romeo.hears(&failure("encryption-required"));
    assert!(romeo.order().is_none());
}

#[test]
fn plain_in_the_clear_is_for_those_who_ask_for_it() {
    for (plain_without_tls, is_taken) in [(false, false), (true, true)] {
        let settings = crate::session::SessionSettings { plain_without_tls, ..settings(TlsPolicy::Disabled) };
        let mut romeo = Client::connected(settings);
        romeo.says(&format!("{HEADER}{}", auth("PLAIN", "\0romeo\0r0m30")));

        assert_eq!(romeo.order().is_some(), is_taken);
        assert_eq!(romeo.heard().ends_with(&failure("invalid-mechanism")), !is_taken);
    }
}

#[test]
fn a_stream_has_a_bounded_number_of_attempts() {
    let mut romeo = Client::encrypted();
    for _ in 0..AUTHENTICATION_FAILURES_MAX {
        romeo.says(&auth("X", "x"));
        romeo.hears(&failure("invalid-mechanism"));
    }

    romeo.says(&auth("X", "x"));

    romeo.hears(&format!(
        "{}<stream:error><policy-violation {{any}}</stream:error></stream:stream>",
        failure("invalid-mechanism")
    ));
}

#[test]
fn accounts_that_cannot_be_reached_are_a_reason_to_try_again() {
    let mut romeo = Client::encrypted();
    romeo.says(&auth("SCRAM-SHA-256", "n,,n=romeo,r=abc"));

    romeo.session.handle_credentials(romeo.now, CredentialsAnswer::Unavailable);

    romeo.hears(&failure("temporary-auth-failure"));
}

#[test]
fn what_is_sent_during_a_look_up_is_read_after_it() {
    let mut romeo = Client::encrypted();
    romeo.says(&format!("{}{}", auth("SCRAM-SHA-256", "n,,n=romeo,r=abc"), response("c=biws")));
    assert!(!romeo.session.wants_bytes());
    romeo.hears("");

    romeo.session.handle_credentials(romeo.now, CredentialsAnswer::Known(vec![keys()]));

    romeo.hears(&format!("<challenge xmlns='{SASL}'>{{any}}</challenge>{}", failure("malformed-request")));
}

#[test]
fn who_has_authenticated_cannot_become_somebody_else() {
    for (name, said, condition) in [
        ("C22", HEADER.replace("example.org", "other.example"), "not-authorized"),
        ("C24", format!("{HEADER}{}", auth("PLAIN", "\0juliet\0x")), "unsupported-stanza-type"),
    ] {
        let mut romeo = Client::encrypted();
        romeo.says(&auth("PLAIN", "\0romeo\0r0m30"));
        romeo.session.handle_credentials(romeo.now, CredentialsAnswer::Known(vec![keys()]));
        romeo.session.handle_derived(romeo.now, keys());
        romeo.heard();

        romeo.says(&said);

        let heard = romeo.heard();
        assert!(heard.contains(&format!("<stream:error><{condition} ")), "{name}: {heard}");
    }
}

#[test]
fn what_a_client_shows_is_not_in_a_log() {
    let mut romeo = Client::encrypted();
    romeo.says(&auth("PLAIN", "\0romeo\0r0m30"));
    romeo.session.handle_credentials(romeo.now, CredentialsAnswer::Known(vec![keys()]));

    let log = format!("{:?} {:?}", romeo.orders(), romeo.session);

    assert!(!log.contains("r0m30") && !log.contains(&BASE64_STANDARD.encode("r0m30")), "{log}");
}

/// Answers that nobody waits for, as when the driver is late.
#[test]
fn answers_out_of_turn_change_nothing() {
    let mut romeo = Client::encrypted();

    romeo.session.handle_credentials(romeo.now, CredentialsAnswer::Known(vec![keys()]));
    romeo.session.handle_derived(romeo.now, keys());
    romeo.session.handle_resume_failed(romeo.now);
    romeo.session.handle_answer(romeo.now, Answer::Announced { revision: 1 });
    romeo.session.handle_offline(romeo.now, Ok(Vec::new()));
    romeo.session.handle_written(romeo.now);
    romeo.session.handle_nudge(romeo.now);
    romeo.session.handle_timeout(romeo.now);

    romeo.hears("");
    assert!(romeo.order().is_none() && romeo.session.account().is_none());
}

fn real_keys() -> ScramKeys {
    ScramKeys::derive(Hash::Sha256, &Password::new("r0m30").unwrap(), vec![9; 16], SCRAM_ITERATIONS)
}
