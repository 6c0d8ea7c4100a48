//! Verdicts on chains of certificates, compared with OpenSSL's.

use super::*;
use crate::tls::testing::{self, Made};
use rcgen::{BasicConstraints, ExtendedKeyUsagePurpose, GeneralSubtree, IsCa, NameConstraints};

const NOW: i64 = 1_800_000_000;

fn trust(roots: &[&Made], depth: u64) -> Trust {
    Trust::new(roots.iter().map(|made| made.certificate()).collect(), None, depth)
}

fn chain(sent: &[&Made]) -> Vec<CertificateDer<'static>> {
    sent.iter().map(|made| made.certificate()).collect()
}

#[test]
fn chains_are_judged_as_openssl_judges_them() {
    let (root, other) = (testing::ca("root"), testing::ca("other"));
    let middle = testing::make(testing::ca_params("middle"), Some(&root));
    let leaf = testing::client("leaf", &middle);
    let direct = testing::client("direct", &root);
    let selfmade = testing::leaf("selfmade", &[]);
    let server_only = {
        let mut params = testing::params("server", &[]);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        testing::make(params, Some(&root))
    };
    // Its issuer is not a CA.
    let below = testing::client("below", &direct);
    // Name, trusted roots, depth, what is sent, verdict.
    type Case<'a> = (&'a str, &'a [&'a Made], u64, &'a [&'a Made], Result<(), CertificateFault>);
    let table: &[Case<'_>] = &[
        ("direct", &[&root], 1, &[&direct], Ok(())),
        ("by an intermediate that is sent", &[&root], 1, &[&leaf, &middle], Ok(())),
        ("by an intermediate that is trusted", &[&root, &middle], 1, &[&leaf], Ok(())),
        ("direct, with no depth", &[&root], 0, &[&direct], Ok(())),
        ("too deep", &[&root], 0, &[&leaf, &middle], Err(CertificateFault::LocalIssuerMissing)),
        ("too deep, though known", &[&root, &middle], 0, &[&leaf], Err(CertificateFault::IssuerMissing)),
        ("without the intermediate", &[&root], 2, &[&leaf], Err(CertificateFault::LeafUnverifiable)),
        ("another root", &[&other], 2, &[&leaf, &middle], Err(CertificateFault::LocalIssuerMissing)),
        (
            "the root is sent, but not trusted",
            &[&other],
            3,
            &[&leaf, &middle, &root],
            Err(CertificateFault::SelfSignedInChain),
        ),
        ("an intermediate alone is no root", &[&middle], 2, &[&leaf], Err(CertificateFault::IssuerMissing)),
        ("signed by itself", &[&root], 1, &[&selfmade], Err(CertificateFault::SelfSigned)),
        ("signed by itself and trusted", &[&selfmade], 1, &[&selfmade], Ok(())),
        ("for servers only", &[&root], 1, &[&server_only], Err(CertificateFault::WrongPurpose)),
        ("issued by no CA", &[&root], 2, &[&below, &direct], Err(CertificateFault::InvalidCa)),
        ("nothing", &[&root], 1, &[], Err(CertificateFault::LeafUnverifiable)),
    ];
    for (name, roots, depth, sent, want) in table {
        assert_eq!(trust(roots, *depth).verify(&chain(sent), Purpose::Client, NOW), *want, "{name}");
    }
    assert_eq!(trust(&[&root], 1).verify(&chain(&[&server_only]), Purpose::Server, NOW), Ok(()));
}

#[test]
fn dates_and_path_lengths_count() {
    let root = testing::ca("root");
    let mut params = testing::params("leaf", &[]);
    params.not_before = rcgen::date_time_ymd(2026, 1, 1);
    params.not_after = rcgen::date_time_ymd(2027, 1, 1);
    let leaf = testing::make(params, Some(&root));
    let judge = |now| trust(&[&root], 1).verify(&chain(&[&leaf]), Purpose::Client, now);
    assert_eq!(judge(1_767_225_600), Ok(()));
    assert_eq!(judge(1_767_225_599), Err(CertificateFault::NotYetValid));
    assert_eq!(judge(1_798_761_601), Err(CertificateFault::Expired));

    let mut params = testing::ca_params("short");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    let short = testing::make(params, None);
    let middle = testing::make(testing::ca_params("middle"), Some(&short));
    let leaf = testing::client("leaf", &middle);
    assert_eq!(
        trust(&[&short], 2).verify(&chain(&[&leaf, &middle]), Purpose::Client, NOW),
        Err(CertificateFault::PathLength)
    );
}

#[test]
fn a_changed_certificate_is_refused() {
    let root = testing::ca("root");
    let leaf = testing::client("leaf", &root);
    let trust = trust(&[&root], 1);
    for at in (0..leaf.der.len()).step_by(7) {
        let mut changed = leaf.der.clone();
        changed[at] ^= 1;
        let verdict = trust.verify(&[CertificateDer::from(changed)], Purpose::Client, NOW);
        assert!(verdict.is_err(), "a byte at {at} was changed");
    }
}

#[test]
fn many_issuers_of_one_name_are_not_all_tried() {
    let root = testing::ca("root");
    let leaf = testing::client("leaf", &testing::ca("evil"));
    let others: Vec<Made> = (0..100).map(|_| testing::ca("evil")).collect();
    let mut sent = vec![leaf.certificate()];
    sent.extend(others.iter().map(Made::certificate));
    assert_eq!(trust(&[&root], 1).verify(&sent, Purpose::Client, NOW), Err(CertificateFault::LeafUnverifiable));
}

/// A CRL that revokes nothing, issued on January 1 of that year.
fn list(year: &str) -> Crl {
    let tbs = [b"\x30\x16\x02\x01\x01\x30\x00\x30\x00\x17\x0d", year.as_bytes(), b"0101000000Z"].concat();
    Crl::parse(&[&b"\x30\x1d"[..], &tbs, b"\x30\x00\x03\x01\x00"].concat()).expect("a list")
}

#[test]
fn a_client_verified_by_one_revocation_list_is_not_verified_by_another() {
    let root = testing::ca("root");
    let by = |lists: Option<Vec<Crl>>| Trust::new(vec![root.certificate()], lists, 1);
    let (none, one, same, other) =
        (by(None), by(Some(vec![list("26")])), by(Some(vec![list("26")])), by(Some(vec![list("27")])));
    assert!(none.is_same(&by(None)) && one.is_same(&same));
    assert!(!one.is_same(&other) && !one.is_same(&none));
}

/// Each of its names is compared with each constraint of its issuer.
#[test]
fn a_certificate_with_thousands_of_names_does_not_hold_up_others() {
    let verdict = |names: usize, subtrees: usize| {
        let mut params = testing::ca_params("root");
        let excluded = (0..subtrees).map(|at| GeneralSubtree::DnsName(format!("x{at}.example")));
        let constraints = NameConstraints { permitted_subtrees: Vec::new(), excluded_subtrees: excluded.collect() };
        params.name_constraints = Some(constraints);
        let root = testing::make(params, None);
        let names: Vec<String> = (0..names).map(|at| format!("y{at}.example")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let leaf = testing::make(testing::params("leaf", &names), Some(&root));
        trust(&[&root], 1).verify(&chain(&[&leaf]), Purpose::Client, NOW)
    };
    assert_eq!(verdict(200, 200), Ok(()));
    assert_eq!(verdict(300, 300), Err(CertificateFault::ConstraintUnknown));
}

/// Of issuers with one name, the key identifiers tell which one it was.
#[test]
fn an_issuer_with_another_key_identifier_is_not_tried() {
    let (root, other) = (testing::ca("root"), testing::ca("root"));
    let mut params = testing::params("leaf", &[]);
    params.use_authority_key_identifier_extension = true;
    let leaf = testing::make(params, Some(&root));
    let parse = |made: &Made| Certificate::parse(made.der.clone().leak()).expect("a certificate");
    let (leaf, root, other) = (parse(&leaf), parse(&root), parse(&other));
    assert!(has_key_of(&root, &leaf) && !has_key_of(&other, &leaf));
    assert!(has_key_of(&root, &other), "it holds no identifier of its issuer");
}
