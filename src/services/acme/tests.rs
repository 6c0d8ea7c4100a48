//! Accounts over reloads, and names of challenges.

use super::*;
use crate::acme::Terms;
use crate::acme::wire::Url;
use crate::config::acme::AccountKey as From;
use crate::config::directives::resolver;
use crate::config::value::Millis;
use crate::sys::scratch::Scratch;
use crate::tls::client::Options;
use std::fs;

/// An account that only the process has, and one whose key is on disk.
fn two_accounts(scratch: &Scratch) -> (Settings, String) {
    let client = Options::usual(8, Vec::new());
    let terms = Terms {
        uri: Url::parse("https://ca.test/dir").expect("a URL"),
        contacts: Vec::new(),
        agreed: true,
        external: None,
        challenge: ChallengeKind::Http01,
        preferred_chain: None,
        profile: None,
    };
    let issuer = Issuer {
        name: "ca".into(),
        terms,
        account_key: From::Made(KeyKind::P256),
        client: client.build().expect("a client"),
        trust: None,
        state: Some(scratch.path().to_owned()),
        resolver: resolver::of_system(),
        resolver_timeout: Millis(1),
    };
    let key = issue::new_key(KeyKind::P256).expect("a key");
    (Settings { issuers: vec![Rc::new(issuer)], certificates: Vec::new() }, key)
}

fn thumbprint(key: &str) -> String {
    AccountKey::from_pem(key.as_bytes()).expect("a key").thumbprint()
}

#[test]
fn a_reload_looks_again_for_an_account_key_that_could_not_be_read() {
    let scratch = Scratch::new();
    let (settings, key) = two_accounts(&scratch);
    scratch.write("account.key", b"damaged");
    let mut acme = Acme::default();
    assert!(acme.adopt(&settings, 0));
    let makeshift = acme.authorities[0].account.key().thumbprint();
    assert!(!acme.adopt(&settings, 0), "as it was");
    assert_eq!(acme.authorities[0].account.key().thumbprint(), makeshift);
    scratch.write("account.key", key.as_bytes());
    assert!(acme.adopt(&settings, 0), "what was under way was the other account's");
    assert_eq!(acme.authorities[0].account.key().thumbprint(), thumbprint(&key));
    assert!(!acme.adopt(&settings, 0));
}

#[test]
fn an_account_key_that_another_process_made_first_is_used_and_stays() {
    let scratch = Scratch::new();
    let (settings, key) = two_accounts(&scratch);
    let path = scratch.path().join("account.key");
    let mut acme = Acme::default();
    acme.adopt(&settings, 0);
    let own = acme.authorities[0].account.key().thumbprint();
    assert_eq!(thumbprint(&fs::read_to_string(&path).expect("kept")), own);
    // As if the disk had been full, and then another process was faster.
    acme.authorities[0].unkept_key = issue::new_key(KeyKind::P256).ok();
    scratch.write("account.key", key.as_bytes());
    acme.keep_account(0, 0);
    assert_eq!(acme.authorities[0].account.key().thumbprint(), thumbprint(&key));
    assert!(acme.authorities[0].unkept_key.is_none());
    assert_eq!(fs::read_to_string(&path).expect("there"), key);
}

#[test]
fn addresses_are_called_by_their_reverse_names() {
    assert_eq!(server_name("192.0.2.1"), "1.2.0.192.in-addr.arpa");
    assert!(
        server_name("2001:db8::1").starts_with("1.0.0.0.") && server_name("2001:db8::1").ends_with("1.0.0.2.ip6.arpa")
    );
    assert_eq!(server_name("a.test"), "a.test");
}
