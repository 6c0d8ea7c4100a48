//! An order against a scripted authority; the tests check the requests that it receives.

use super::*;
use crate::acme::jose::AccountKey;
use crate::tls::issue::{KeyKind, new_key};
use crate::tls::testing;

fn terms() -> Terms {
    Terms {
        uri: Url::parse("https://ca.test/dir").expect("a URL"),
        contacts: vec!["mailto:a@example.org".into()],
        agreed: true,
        external: None,
        challenge: ChallengeKind::Http01,
        preferred_chain: None,
        profile: None,
    }
}

fn account() -> Account {
    let key = new_key(KeyKind::P256).expect("a key");
    Account::new(AccountKey::from_pem(key.as_bytes()).expect("a key"), None)
}

fn reply(status: u16, body: &str, fields: &[(&str, &str)]) -> Response {
    let fields = [("replay-nonce", "n")].iter().chain(fields);
    let fields = fields.map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    Response { status, fields, body: body.as_bytes().to_vec(), keep_alive: true }
}

fn directory() -> Response {
    let text = r#"{"newNonce":"https://ca.test/nonce","newAccount":"https://ca.test/account",
        "newOrder":"https://ca.test/order","renewalInfo":"https://ca.test/ari"}"#;
    Response { fields: Vec::new(), ..reply(200, text, &[]) }
}

fn authorization(status: &str) -> Response {
    let text = format!(
        r#"{{"status":"{status}","identifier":{{"type":"dns","value":"a.test"}},"challenges":[
        {{"type":"dns-01","token":"d","url":"https://ca.test/d","status":"pending"}},
        {{"type":"http-01","token":"tok","url":"https://ca.test/h","status":"pending",
          "error":{{"type":"urn:ietf:params:acme:error:connection","detail":"refused"}}}}]}}"#
    );
    reply(200, &text, &[])
}

fn order(status: &str) -> Response {
    let text = format!(
        r#"{{"status":"{status}","finalize":"https://ca.test/fin","certificate":"https://ca.test/cert",
        "authorizations":["https://ca.test/authz"]}}"#
    );
    reply(200, &text, &[("location", "https://ca.test/order/1")])
}

/// Plays the responses in order. Returns the requests as `METHOD target` or `wait`, and the outcome.
fn play(
    terms: &Terms,
    account: &mut Account,
    answers: Vec<Response>,
) -> (Vec<String>, Result<String, AcmeFailure>, Order) {
    let mut order = Order::new(vec!["a.test".into()], b"csr".to_vec(), None);
    let mut asked = Vec::new();
    let mut answers = answers.into_iter();
    loop {
        match order.next(account, terms) {
            Err(failure) => return (asked, Err(failure), order),
            Ok(Action::Done(chain)) => return (asked, Ok(chain), order),
            Ok(Action::Wait(_)) => asked.push("wait".into()),
            Ok(Action::Ask(request)) => {
                asked.push(format!("{:?} {}", request.method, request.url.target));
                let answer = answers.next().unwrap_or_else(|| panic!("no answer is left for {asked:?}"));
                if let Err(failure) = order.receive(account, terms, &answer, 0) {
                    return (asked, Err(failure), order);
                }
            }
        }
    }
}

#[test]
fn an_order_goes_from_the_directory_to_the_chain() {
    let mut account = account();
    let answers = vec![
        directory(),
        reply(200, "", &[]),
        reply(201, "{}", &[("location", "https://ca.test/account/1")]),
        order("pending"),
        authorization("pending"),
        reply(200, "{}", &[]),
        authorization("pending"),
        authorization("valid"),
        order("ready"),
        order("processing"),
        order("valid"),
        reply(200, "the chain", &[]),
    ];
    let (asked, ended, order) = play(&terms(), &mut account, answers);
    assert_eq!(ended.as_deref(), Ok("the chain"));
    let want = [
        "Get /dir",
        "Head /nonce",
        "Post /account",
        "Post /order",
        "Post /authz",
        "Post /h",
        "wait",
        "Post /authz",
        "wait",
        "Post /authz",
        "Post /order/1",
        "Post /fin",
        "wait",
        "Post /order/1",
        "Post /cert",
    ];
    assert_eq!(asked, want);
    assert_eq!(account.kid(), Some("https://ca.test/account/1"));
    let challenge = order.challenges().first().expect("one");
    assert_eq!((challenge.token.as_str(), challenge.name.as_str()), ("tok", "a.test"));
    assert_eq!(challenge.answer, account.key().authorization("tok"));
}

#[test]
fn a_bad_nonce_and_a_forgotten_account_are_repeated() {
    let mut account = Account::new(
        AccountKey::from_pem(new_key(KeyKind::P256).expect("a key").as_bytes()).expect("a key"),
        Some("https://ca.test/old".into()),
    );
    let bad = |kind: &str| reply(400, &format!(r#"{{"type":"urn:ietf:params:acme:error:{kind}"}}"#), &[]);
    let answers = vec![
        directory(),
        reply(200, "", &[]),
        bad("badNonce"),
        bad("accountDoesNotExist"),
        reply(201, "{}", &[("location", "https://ca.test/account/2")]),
        order("valid"),
        authorization("valid"),
        order("valid"),
        reply(200, "chain", &[]),
    ];
    let (asked, ended, _) = play(&terms(), &mut account, answers);
    assert_eq!(ended.as_deref(), Ok("chain"), "{asked:?}");
    assert_eq!(asked.iter().filter(|asked| *asked == "Post /order").count(), 3);
    // Retries are bounded.
    let mut answers = vec![directory(), reply(200, "", &[])];
    answers.extend((0..REPEATS + 1).map(|_| bad("badNonce")));
    let (_, ended, _) = play(&terms(), &mut super::tests::account(), answers);
    assert!(ended.expect_err("given up").text.contains("badNonce"));
}

#[test]
fn a_refusal_says_what_and_of_which_kind() {
    let begun =
        || vec![directory(), reply(200, "", &[]), reply(201, "{}", &[("location", "https://ca.test/account/1")])];
    let mut answers = begun();
    answers.extend([order("pending"), authorization("invalid")]);
    let (_, ended, _) = play(&terms(), &mut account(), answers);
    let failure = ended.expect_err("invalid");
    assert_eq!(failure.text, "control over \"a.test\" was not shown by http-01: refused (connection)");
    assert_eq!(failure.kind, Kind::Refused);
    let mut answers = begun();
    answers.extend([order("pending"), authorization("pending")]);
    let alpn = Terms { challenge: ChallengeKind::TlsAlpn01, ..terms() };
    let (_, ended, _) = play(&alpn, &mut account(), answers);
    let failure = ended.expect_err("not offered");
    assert_eq!((failure.kind, failure.text.contains("offers no tls-alpn-01")), (Kind::Settings, true));
    let mut answers = begun();
    answers.push(order("pending"));
    answers.push(authorization("pending"));
    answers.push(reply(200, "{}", &[]));
    answers.extend((0..POLLS + 1).map(|_| authorization("pending")));
    let (_, ended, _) = play(&terms(), &mut account(), answers);
    assert!(ended.expect_err("never decided").text.contains("does not decide"));
}

#[test]
fn the_preferred_chain_is_looked_for_among_the_others() {
    let (one, other) = (testing::ca("One"), testing::ca("Other"));
    let leaf = |ca: &testing::Made| testing::client("leaf", ca).pem;
    let done = |chain: &str, links: &[(&str, &str)]| {
        let mut answers =
            vec![directory(), reply(200, "", &[]), reply(201, "{}", &[("location", "https://ca.test/a/1")])];
        answers.extend([order("valid"), authorization("valid"), order("valid"), reply(200, chain, links)]);
        answers
    };
    let links = [("link", "<https://ca.test/cert/1>;rel=\"alternate\", <https://ca.test/dir>;rel=\"index\"")];
    let wanted = Terms { preferred_chain: Some("Other".into()), ..terms() };
    let mut answers = done(&leaf(&one), &links);
    answers.push(reply(200, &leaf(&other), &[]));
    let (_, ended, _) = play(&wanted, &mut account(), answers);
    let chain = ended.expect("a chain");
    assert!(is_preferred(&chain, &wanted));
    let (asked, ended, _) = play(&wanted, &mut account(), done(&leaf(&other), &links));
    assert!(ended.is_ok() && asked.last().is_some_and(|asked| asked == "Post /cert"), "the first is the one");
}
