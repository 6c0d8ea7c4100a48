//! Accounts across reloads, and names of challenges.

use super::*;
use crate::acme::Terms;
use crate::acme::jose::AccountKey;
use crate::acme::wire::Url;
use crate::config::acme::AccountKey as From;
use crate::config::directives::resolver;
use crate::config::value::Millis;
use crate::sys::scratch::Scratch;
use crate::tls::client::Options;
use crate::tls::issue::KeyKind;
use std::fs;

/// An account that exists only in this process, and one whose key is on disk.
fn two_accounts(scratch: &Scratch) -> (Settings, String) {
    let client = Options::with_defaults(8, Vec::new());
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

fn account_of(acme: &Acme) -> String {
    acme.authorities[0].account.as_ref().expect("an account").key().thumbprint()
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
    let makeshift = account_of(&acme);
    assert!(!acme.adopt(&settings, 0), "as it was");
    assert_eq!(account_of(&acme), makeshift);
    scratch.write("account.key", key.as_bytes());
    assert!(acme.adopt(&settings, 0), "what was under way was the other account's");
    assert_eq!(account_of(&acme), thumbprint(&key));
    assert!(!acme.adopt(&settings, 0));
}

#[test]
fn an_account_key_that_another_process_made_first_is_used_and_stays() {
    let scratch = Scratch::new();
    let (settings, key) = two_accounts(&scratch);
    let path = scratch.path().join("account.key");
    let mut acme = Acme::default();
    acme.adopt(&settings, 0);
    let own = account_of(&acme);
    assert_eq!(thumbprint(&fs::read_to_string(&path).expect("kept")), own);
    // As if the disk had been full, and another process had stored a key first.
    acme.authorities[0].unsaved_key = issue::new_key(KeyKind::P256).ok();
    scratch.write("account.key", key.as_bytes());
    acme.keep_account(0, 0);
    assert_eq!(account_of(&acme), thumbprint(&key));
    assert!(acme.authorities[0].unsaved_key.is_none());
    assert_eq!(fs::read_to_string(&path).expect("there"), key);
}

#[test]
fn a_pause_that_an_authority_wanted_is_kept_until_the_certificate_comes() {
    let scratch = Scratch::new();
    let (mut settings, _) = two_accounts(&scratch);
    let certificate = Certificate { issuer: 0, names: vec!["a.test".into()], key: KeyKind::P256 };
    settings.certificates.push(certificate.clone());
    let issuer = settings.issuers[0].clone();
    assert_eq!(store::pause(&issuer, &certificate), None);
    let now = 1_800_000_000;
    store::keep_pause(&issuer, &certificate, now + 7200, "slow\ndown").expect("written");
    let mut acme = Acme::default();
    acme.adopt(&settings, now);
    let lines = acme.lines();
    let said = lines.iter().find(|(_, text)| text.contains("is not ordered before")).expect("a line");
    assert!(said.1.contains("slow down; remove \"") && said.1.contains(".retry\" to try at once"), "{}", said.1);
    let moment = |unix: i64| Moment { ms: 1_000, unix };
    assert!(acme.step(moment(now)).is_empty(), "not yet");
    assert_eq!(acme.step(moment(now + 7200)).len(), 1, "the time has come");
    // A pause from another authority is ignored.
    let (mut other, _) = two_accounts(&scratch);
    let other = other.issuers.swap_remove(0);
    let mut other = Rc::into_inner(other).expect("held here alone");
    other.terms.uri = Url::parse("https://other.test/dir").expect("a URL");
    assert_eq!(store::pause(&other, &certificate), None);
    store::forget_pause(&issuer, &certificate);
    assert_eq!(store::pause(&issuer, &certificate), None);
}

/// The directory belongs to the serving user, as do CGI programs: a FIFO there would stop all clients.
#[test]
fn a_fifo_in_the_place_of_a_certificate_is_not_waited_for() {
    let scratch = Scratch::new();
    let (settings, _) = two_accounts(&scratch);
    let certificate = Certificate { issuer: 0, names: vec!["a.test".into()], key: KeyKind::P256 };
    let issuer = &settings.issuers[0];
    store::keep_pause(issuer, &certificate, 1_800_000_000, "slow").expect("written");
    let pause = store::pause(issuer, &certificate).expect("kept").path;
    fs::remove_file(&pause).expect("removed");
    let name = pause.file_stem().expect("a name").to_str().expect("UTF-8").to_owned();
    for name in [format!("{name}.retry"), format!("{name}.pem"), "account.url".into(), "account.key".into()] {
        let _ = fs::remove_file(scratch.path().join(&name));
        crate::sys::file::make_fifo(&scratch.join(&name), 0o600).expect("mkfifo");
    }
    assert_eq!(store::pause(issuer, &certificate), None);
    assert!(store::load(issuer, &certificate).is_err_and(|why| why.contains("cannot be read (22:")));
    assert!(store::account(issuer).is_err_and(|why| why.contains("cannot be read (22:")));
}

/// Each took a second and a half, in which no client was served.
#[test]
fn rsa_keys_are_made_one_after_the_other_beside_the_loop() {
    let scratch = Scratch::new();
    let (mut settings, _) = two_accounts(&scratch);
    for name in ["a.test", "b.test"] {
        settings.certificates.push(Certificate { issuer: 0, names: vec![name.into()], key: KeyKind::Rsa(2048) });
    }
    let mut acme = Acme::default();
    let mut now = Moment { ms: 1_000, unix: 1_800_000_000 };
    acme.adopt(&settings, now.unix);
    let mut ordered = 0;
    for round in 0..100 {
        let requests = acme.step(now);
        assert!(round > 0 || requests.is_empty(), "there is no key yet");
        ordered += requests.len();
        if ordered == 2 {
            break;
        }
        match requests.is_empty() {
            true => acme.new_keys.wait(),
            // An answer that ends the job, so that the next certificate has its turn.
            false => acme.answered(0, Err("no route".into()), now),
        }
        now.ms = acme.next_due(now).expect("a time").max(now.ms + 1);
    }
    assert_eq!(ordered, 2, "both were ordered");
}

/// One certificate to order, for an account whose key of RSA is yet to be made.
fn with_rsa_account(scratch: &Scratch) -> (Settings, Acme, Moment) {
    let (mut settings, _) = two_accounts(scratch);
    settings.certificates.push(Certificate { issuer: 0, names: vec!["a.test".into()], key: KeyKind::P256 });
    let issuer = Rc::get_mut(&mut settings.issuers[0]).expect("held here alone");
    issuer.account_key = From::Made(KeyKind::Rsa(2048));
    let mut acme = Acme::default();
    let now = Moment { ms: 1_000, unix: 1_800_000_000 };
    acme.adopt(&settings, now.unix);
    (settings, acme, now)
}

/// `account_key rsa:4096` took a second and a half of the loop, at the start and at a reload.
#[test]
fn the_rsa_key_of_an_account_is_made_beside_the_loop_and_kept() {
    let scratch = Scratch::new();
    let (settings, mut acme, mut now) = with_rsa_account(&scratch);
    assert!(acme.authorities[0].account.is_none() && acme.lines().is_empty());
    let path = scratch.path().join("account.key");
    assert!(acme.step(now).is_empty() && !path.exists(), "it is being made");
    acme.new_keys.wait();
    now.ms = acme.next_due(now).expect("a time").max(now.ms + 1);
    assert_eq!(acme.step(now).len(), 1, "the account has its key");
    assert_eq!(thumbprint(&fs::read_to_string(&path).expect("kept")), account_of(&acme));
    let mut other = Acme::default();
    other.adopt(&settings, now.unix);
    assert_eq!(account_of(&other), account_of(&acme), "the next process has it");
}

#[test]
fn an_account_whose_key_cannot_be_made_is_tried_again_and_says_so() {
    let scratch = Scratch::new();
    let (_, mut acme, mut now) = with_rsa_account(&scratch);
    for _ in 0..2 {
        acme.new_keys.fail(KeyOwner::Account(0));
        assert!(acme.step(now).is_empty());
        let lines = acme.lines();
        assert!(lines.len() == 1 && lines[0].1.contains("the process that makes the key ended"), "{lines:?}");
        let again = acme.next_due(now).expect("a time") - now.ms;
        assert!(again >= 1_000, "{again}");
        (now.ms, now.unix) = (now.ms + again, now.unix + again.div_ceil(1000) as i64);
    }
    assert!(acme.step(now).is_empty(), "it is being made");
    acme.new_keys.wait();
    now.ms += new_keys::POLL;
    assert_eq!(acme.step(now).len(), 1);
}

#[test]
fn a_clock_that_is_set_back_puts_no_attempt_years_away() {
    let scratch = Scratch::new();
    let (mut settings, _) = two_accounts(&scratch);
    settings.certificates.push(Certificate { issuer: 0, names: vec!["a.test".into()], key: KeyKind::P256 });
    let mut acme = Acme::default();
    let (now, year) = (1_800_000_000, 365 * 86_400);
    let late = Moment { ms: 1_000, unix: now + year };
    acme.adopt(&settings, late.unix);
    assert_eq!(acme.step(late).len(), 1);
    acme.answered(0, Err("no route".into()), late);
    assert!(acme.step(late).is_empty(), "a pause");
    let next = acme.next_due(late).expect("a time");
    let back = Moment { ms: next, unix: now + 10 };
    assert!(acme.step(back).is_empty(), "counted from a clock that was wrong");
    acme.clock_set_back(year, back.unix);
    assert_eq!(acme.step(back).len(), 1);
}

#[test]
fn addresses_are_called_by_their_reverse_names() {
    assert_eq!(server_name("192.0.2.1"), "1.2.0.192.in-addr.arpa");
    assert!(
        server_name("2001:db8::1").starts_with("1.0.0.0.") && server_name("2001:db8::1").ends_with("1.0.0.2.ip6.arpa")
    );
    assert_eq!(server_name("a.test"), "a.test");
}
