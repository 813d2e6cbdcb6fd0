use super::*;
use crate::{Claim, Exchange, Mechanism, Progress, SaslError};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use chasqui_base::Secret;
use proptest::prelude::*;

fn secret(text: &str) -> Secret {
    Secret::new(text.to_owned())
}

fn channel(binding: bool) -> Channel {
    Channel { binding: binding.then(|| vec![7; 32]), plus_offered: binding }
}

// RFC 7677 §3.
const FIRST: &str = "n,,n=user,r=rOprNGfwEbeRWgbNEkqO";
const NONCE: &str = "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";
const SALT: &str = "W22ZaJ0SNY7soEsUEjb6gQ==";
const CHALLENGE: &str =
    "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";
const FINAL: &str = "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=";
const CONFIRMATION: &str = "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=";

fn verifier() -> Verifier {
    Verifier::derive(&secret("pencil"), STANDARD.decode(SALT).unwrap(), 4096).unwrap()
}

#[test]
fn the_server_says_what_the_example_of_rfc_7677_says() {
    let first = ClientFirst::parse(FIRST, Mechanism::ScramSha256, &Channel::default()).unwrap();
    assert_eq!(first.login(), "user");
    let verifier = verifier();
    let (waiting, text) = first.challenge_with(NONCE, verifier.salt(), verifier.iterations());
    assert_eq!(text, CHALLENGE);
    let last = waiting.answer(FINAL).unwrap();
    let signature = verifier.verify(last.auth_message(), last.proof()).unwrap();
    let (exchange, text) = last.confirm(&signature);
    assert_eq!(text, CONFIRMATION);
    assert!(
        matches!(exchange.respond(&secret("")), Ok(Progress::Done(Claim::Proved { login })) if login == "user")
    );
}

#[test]
fn the_client_says_what_the_example_of_rfc_7677_says() {
    let mut client = Client::with_nonce(
        "user",
        secret("pencil"),
        &Channel::default(),
        false,
        "rOprNGfwEbeRWgbNEkqO".to_owned(),
    );
    assert_eq!(client.first().expose(), FIRST);
    assert_eq!(client.answer(CHALLENGE).unwrap().expose(), FINAL);
    assert!(!client.is_confirmed());
    assert_eq!(client.answer(CONFIRMATION).unwrap().expose(), "");
    assert!(client.is_confirmed());
    let mut client = Client::new("user", secret("x"), &Channel::default(), false).unwrap();
    assert_eq!(client.answer(CHALLENGE).err(), Some(SaslError::Malformed));
}

#[test]
fn a_server_that_does_not_know_the_password_is_found_out() {
    let mut client = Client::with_nonce(
        "user",
        secret("pencil"),
        &Channel::default(),
        false,
        "rOprNGfwEbeRWgbNEkqO".to_owned(),
    );
    client.answer(CHALLENGE).unwrap();
    let other = STANDARD.encode([1; 32]);
    assert_eq!(client.answer(&format!("v={other}")).err(), Some(SaslError::WrongServer));
    assert!(!client.is_confirmed());
}

/// Runs both sides; whether the proof was right.
fn meet(
    login: &str,
    typed: &str,
    known: &str,
    client: &Channel,
    server: &Channel,
    plus: bool,
) -> Result<bool, SaslError> {
    let mechanism = if plus { Mechanism::ScramSha256Plus } else { Mechanism::ScramSha256 };
    let verifier = Verifier::derive(&secret(known), vec![3; 16], 4096).unwrap();
    let mut client = Client::new(login, secret(typed), client, plus).unwrap();
    let Progress::Salt(first) = Exchange::begin(mechanism, Some(client.first()), server)? else { panic!() };
    assert_eq!(first.login(), login);
    let (exchange, text) = first.challenge(verifier.salt(), verifier.iterations()).unwrap();
    let Progress::Proof(last) = exchange.respond(&client.answer(&text)?)? else { panic!() };
    let Some(signature) = verifier.verify(last.auth_message(), last.proof()) else { return Ok(false) };
    let (exchange, text) = last.confirm(&signature);
    let Progress::Done(Claim::Proved { .. }) = exchange.respond(&client.answer(&text)?)? else { panic!() };
    Ok(true)
}

#[test]
fn both_sides_meet_with_and_without_a_channel() {
    for (bound, plus) in [(false, false), (true, true), (true, false)] {
        let channel = channel(bound);
        assert_eq!(meet("ana@ejemplo.test", "llave", "llave", &channel, &channel, plus), Ok(true));
        assert_eq!(meet("a=b,c", "llave", "llavE", &channel, &channel, plus), Ok(false));
    }
    // The two are one password to SASLprep (RFC 4013 §3).
    let none = Channel::default();
    assert_eq!(meet("ana", "I\u{ad}X", "IX", &none, &none, false), Ok(true));
    assert_eq!(meet("ana", "contraseña", "contrasen\u{303}a", &none, &none, false), Ok(true));
}

#[test]
fn an_exchange_through_a_man_in_the_middle_fails() {
    let ours = channel(true);
    let theirs = Channel { binding: Some(vec![8; 32]), plus_offered: true };
    assert_eq!(meet("ana", "x", "x", &theirs, &ours, true), Err(SaslError::ChannelBinding));
    // -PLUS was taken out of the list that the client saw.
    let cut = Channel { plus_offered: false, ..ours.clone() };
    assert_eq!(meet("ana", "x", "x", &cut, &ours, false), Err(SaslError::ChannelBinding));
    // A server without -PLUS takes `y`.
    assert_eq!(meet("ana", "x", "x", &cut, &Channel::default(), false), Ok(true));
}

#[test]
fn malformed_first_messages_are_refused() {
    for (text, error) in [
        ("", SaslError::Malformed),
        ("n,,", SaslError::Malformed),
        ("x,,n=a,r=b", SaslError::Malformed),
        ("n,,n=,r=b", SaslError::Malformed),
        ("n,,n=a=2D,r=b", SaslError::Malformed),
        ("n,,n=a,r=", SaslError::Malformed),
        ("n,,n=a,r=\u{e9}", SaslError::Malformed),
        ("n,,m=x,n=a,r=b", SaslError::Malformed),
        ("n,b,n=a,r=b", SaslError::Malformed),
        ("n,a=b,n=a,r=b", SaslError::ForAnother),
        ("p=tls-exporter,,n=a,r=b", SaslError::ChannelBinding),
        ("p=tls-unique,,n=a,r=b", SaslError::ChannelBinding),
    ] {
        let result = ClientFirst::parse(text, Mechanism::ScramSha256, &channel(true));
        assert_eq!(result.err(), Some(error), "{text:?}");
    }
    for text in ["n,,n=a,r=b", "y,,n=a,r=b", "p=tls-unique,,n=a,r=b"] {
        let result = ClientFirst::parse(text, Mechanism::ScramSha256Plus, &channel(true));
        assert_eq!(result.err(), Some(SaslError::ChannelBinding), "{text:?}");
    }
    for long in
        [format!("n,,n={},r=b", "a".repeat(LONGEST + 1)), format!("n,,n=a,r={}", "b".repeat(LONGEST + 1))]
    {
        let result = ClientFirst::parse(&long, Mechanism::ScramSha256, &Channel::default());
        assert_eq!(result.err(), Some(SaslError::Malformed));
    }
    assert!(ClientFirst::parse("n,a=A,n=a,r=b,x=later", Mechanism::ScramSha256, &channel(true)).is_ok());
}

#[test]
fn malformed_final_messages_are_refused() {
    let proof = STANDARD.encode([0; 32]);
    for (text, error) in [
        (String::new(), SaslError::Malformed),
        ("c=biws,r=bN".to_owned(), SaslError::Malformed),
        (format!("c=biws,r=b,p={proof}"), SaslError::Malformed),
        (format!("c=biws,r=bM,p={proof}"), SaslError::Malformed),
        (format!("c=eSws,r=bN,p={proof}"), SaslError::ChannelBinding),
        ("c=biws,r=bN,p=AAAA".to_owned(), SaslError::Malformed),
        ("c=biws,r=bN,p=!".to_owned(), SaslError::Malformed),
    ] {
        let first = ClientFirst::parse("n,,n=a,r=b", Mechanism::ScramSha256, &Channel::default()).unwrap();
        let (waiting, _) = first.challenge_with("N", b"salt", 4096);
        assert_eq!(waiting.answer(&text).err(), Some(error), "{text}");
    }
}

#[test]
fn verifiers_are_kept_as_rfc_5803_says() {
    let verifier = verifier();
    let text = verifier.to_string();
    assert_eq!(
        text,
        "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU="
    );
    assert_eq!(text.parse(), Ok(verifier));
    assert_eq!(format!("{:?}", text.parse::<Verifier>().unwrap()), "Verifier(…)");
    for (bad, error) in [
        (String::new(), KeysError::Malformed),
        (text.replace("256$", "1$"), KeysError::Malformed),
        (text.replace("4096", "4095"), KeysError::Iterations),
        (text.replace("4096", "99999999"), KeysError::Iterations),
        (text.replace("gQ==", "gQ="), KeysError::Malformed),
        (format!("{text}x"), KeysError::Malformed),
    ] {
        assert_eq!(bad.parse::<Verifier>().err(), Some(error), "{bad}");
    }
}

proptest! {
    #[test]
    fn any_message_is_read_or_refused(text in "[nycpr=,!-~\u{1}é]{0,60}", plus in any::<bool>()) {
        let mechanism = if plus { Mechanism::ScramSha256Plus } else { Mechanism::ScramSha256 };
        if let Ok(first) = ClientFirst::parse(&text, mechanism, &channel(true)) {
            let (waiting, challenge) = first.challenge_with("N", b"salt", 4096);
            prop_assert!(challenge.starts_with("r="));
            let _ = waiting.answer(&text);
        }
        let _ = text.parse::<Verifier>();
        let mut client = Client::new("a", secret("b"), &channel(true), plus).unwrap();
        let _ = client.answer(&text);
    }

    #[test]
    fn names_survive_their_spelling(login in "[ -~é]{1,40}") {
        let spelt = login.replace('=', "=3D").replace(',', "=2C");
        prop_assert_eq!(name(&spelt), Some(login));
    }
}
