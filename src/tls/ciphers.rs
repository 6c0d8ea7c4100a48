//! Cipher suites, curves and protocol versions by OpenSSL's names: what `ssl_ciphers` and `ssl_ecdh_curve` choose from
//! and what variables show.

use rustls::crypto::SupportedKxGroup;
use rustls::crypto::aws_lc_rs::{ALL_CIPHER_SUITES, kx_group};
use rustls::{CipherSuite, NamedGroup, ProtocolVersion, SupportedCipherSuite};

/// The supported suites of TLS 1.2, in OpenSSL's order, with the words that select them.
const SUITES: [(CipherSuite, &str, &[&str]); 6] = {
    use CipherSuite::*;
    [
        (
            TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
            "ECDHE-ECDSA-AES256-GCM-SHA384",
            &["aECDSA", "ECDSA", "AES", "AES256", "AESGCM", "SHA384"],
        ),
        (
            TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
            "ECDHE-RSA-AES256-GCM-SHA384",
            &["aRSA", "RSA", "AES", "AES256", "AESGCM", "SHA384"],
        ),
        (
            TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
            "ECDHE-ECDSA-CHACHA20-POLY1305",
            &["aECDSA", "ECDSA", "CHACHA20"],
        ),
        (TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256, "ECDHE-RSA-CHACHA20-POLY1305", &["aRSA", "RSA", "CHACHA20"]),
        (
            TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
            "ECDHE-ECDSA-AES128-GCM-SHA256",
            &["aECDSA", "ECDSA", "AES", "AES128", "AESGCM", "SHA256"],
        ),
        (
            TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
            "ECDHE-RSA-AES128-GCM-SHA256",
            &["aRSA", "RSA", "AES", "AES128", "AESGCM", "SHA256"],
        ),
    ]
};

/// Words that select every suite. `RSA` alone would mean RSA key exchange, which no supported suite has.
const ALL: [&str; 12] = [
    "ALL",
    "DEFAULT",
    "HIGH",
    "ECDHE",
    "EECDH",
    "kECDHE",
    "kEECDH",
    "ECDH",
    "TLSv1.2",
    "AEAD",
    "FIPS",
    "PROFILE=SYSTEM",
];

fn selects(word: &str, at: usize) -> bool {
    let (_, name, tags) = &SUITES[at];
    word == *name || ALL.contains(&word) || word != "RSA" && tags.contains(&word)
}

/// The suites that a list in OpenSSL's syntax selects, in its order: those of TLS 1.3 always, then the selected ones.
/// None if the list selects no suite of TLS 1.2.
pub fn suites(list: &str) -> Option<Vec<SupportedCipherSuite>> {
    let mut chosen: Vec<usize> = Vec::new();
    let mut killed = [false; SUITES.len()];
    for element in list.split([':', ',', ' ', ';']).filter(|element| !element.is_empty()) {
        let (sign, words) = match element.split_at_checked(1) {
            Some((sign @ ("!" | "-" | "+"), words)) => (sign, words),
            _ => ("", element),
        };
        if words.starts_with('@') {
            // Every suite here satisfies every security level; by strength, longer keys come first.
            if words == "@STRENGTH" {
                chosen.sort_by_key(|at| SUITES[*at].2.contains(&"AES128"));
            }
            continue;
        }
        for (at, killed) in killed.iter_mut().enumerate() {
            if !words.split('+').all(|word| selects(word, at)) {
                continue;
            }
            let place = chosen.iter().position(|other| *other == at);
            match (sign, place) {
                ("!", _) => {
                    *killed = true;
                    chosen.retain(|other| *other != at);
                }
                ("-", _) => chosen.retain(|other| *other != at),
                ("+", Some(place)) => {
                    chosen.remove(place);
                    chosen.push(at);
                }
                ("", None) if !*killed => chosen.push(at),
                _ => {}
            }
        }
    }
    if chosen.is_empty() {
        return None;
    }
    let by = |suite: CipherSuite| ALL_CIPHER_SUITES.iter().find(|known| known.suite() == suite).copied();
    let newest = ALL_CIPHER_SUITES.iter().filter(|suite| suite.tls13().is_some()).copied();
    Some(newest.chain(chosen.into_iter().filter_map(|at| by(SUITES[at].0))).collect())
}

/// Moves TLS 1.3's suite with AES-128 and SHA-256 to the front of its suites: it is the cheapest.
pub fn cheap_first(mut suites: Vec<SupportedCipherSuite>) -> Vec<SupportedCipherSuite> {
    suites.sort_by_key(|suite| suite.suite() != CipherSuite::TLS13_AES_128_GCM_SHA256);
    suites
}

/// Names of suites that clients offer, by their numbers.
const NAMES: &[(u16, &str)] = &[
    (0x1301, "TLS_AES_128_GCM_SHA256"),
    (0x1302, "TLS_AES_256_GCM_SHA384"),
    (0x1303, "TLS_CHACHA20_POLY1305_SHA256"),
    (0x1304, "TLS_AES_128_CCM_SHA256"),
    (0x1305, "TLS_AES_128_CCM_8_SHA256"),
    (0xc02c, "ECDHE-ECDSA-AES256-GCM-SHA384"),
    (0xc030, "ECDHE-RSA-AES256-GCM-SHA384"),
    (0x009f, "DHE-RSA-AES256-GCM-SHA384"),
    (0xcca9, "ECDHE-ECDSA-CHACHA20-POLY1305"),
    (0xcca8, "ECDHE-RSA-CHACHA20-POLY1305"),
    (0xccaa, "DHE-RSA-CHACHA20-POLY1305"),
    (0xc02b, "ECDHE-ECDSA-AES128-GCM-SHA256"),
    (0xc02f, "ECDHE-RSA-AES128-GCM-SHA256"),
    (0x009e, "DHE-RSA-AES128-GCM-SHA256"),
    (0xc024, "ECDHE-ECDSA-AES256-SHA384"),
    (0xc028, "ECDHE-RSA-AES256-SHA384"),
    (0x006b, "DHE-RSA-AES256-SHA256"),
    (0xc023, "ECDHE-ECDSA-AES128-SHA256"),
    (0xc027, "ECDHE-RSA-AES128-SHA256"),
    (0x0067, "DHE-RSA-AES128-SHA256"),
    (0xc00a, "ECDHE-ECDSA-AES256-SHA"),
    (0xc014, "ECDHE-RSA-AES256-SHA"),
    (0x0039, "DHE-RSA-AES256-SHA"),
    (0xc009, "ECDHE-ECDSA-AES128-SHA"),
    (0xc013, "ECDHE-RSA-AES128-SHA"),
    (0x0033, "DHE-RSA-AES128-SHA"),
    (0x009d, "AES256-GCM-SHA384"),
    (0x009c, "AES128-GCM-SHA256"),
    (0x003d, "AES256-SHA256"),
    (0x003c, "AES128-SHA256"),
    (0x0035, "AES256-SHA"),
    (0x002f, "AES128-SHA"),
    (0x000a, "DES-CBC3-SHA"),
    (0xc012, "ECDHE-RSA-DES-CBC3-SHA"),
];

/// A suite's name as OpenSSL shows it, signalling values included; its number in hexadecimal if it has none here.
pub fn suite_name(number: u16) -> String {
    match number {
        0x00ff => "TLS_EMPTY_RENEGOTIATION_INFO_SCSV".into(),
        0x5600 => "TLS_FALLBACK_SCSV".into(),
        number => match NAMES.iter().find(|(known, _)| *known == number) {
            Some((_, name)) => (*name).to_owned(),
            None => format!("0x{number:04x}"),
        },
    }
}

/// Curves and groups by OpenSSL's names; the first name of a group is the one shown.
const GROUPS: &[(NamedGroup, &[&str])] = &[
    (NamedGroup::X25519MLKEM768, &["X25519MLKEM768"]),
    (NamedGroup::X25519, &["X25519"]),
    (NamedGroup::secp256r1, &["prime256v1", "P-256", "secp256r1"]),
    (NamedGroup::secp384r1, &["secp384r1", "P-384"]),
    (NamedGroup::secp521r1, &["secp521r1", "P-521"]),
    (NamedGroup::X448, &["X448"]),
    (NamedGroup::secp256r1MLKEM768, &["SecP256r1MLKEM768"]),
    (NamedGroup::MLKEM768, &["MLKEM768"]),
    (NamedGroup::MLKEM1024, &["MLKEM1024"]),
    (NamedGroup::FFDHE2048, &["ffdhe2048"]),
    (NamedGroup::FFDHE3072, &["ffdhe3072"]),
    (NamedGroup::FFDHE4096, &["ffdhe4096"]),
    (NamedGroup::FFDHE6144, &["ffdhe6144"]),
    (NamedGroup::FFDHE8192, &["ffdhe8192"]),
];

/// OpenSSL's name of a key exchange group; an unknown one as `0x` and its number.
pub fn group(number: u16) -> String {
    match GROUPS.iter().find(|(known, _)| u16::from(*known) == number) {
        Some((_, names)) => names[0].to_owned(),
        None => format!("0x{number:04x}"),
    }
}

const AVAILABLE: [&dyn SupportedKxGroup; 5] =
    [kx_group::X25519MLKEM768, kx_group::X25519, kx_group::SECP256R1, kx_group::SECP384R1, kx_group::SECP256R1MLKEM768];

/// The groups that are offered if the configuration names none.
pub fn default_groups() -> Vec<&'static dyn SupportedKxGroup> {
    AVAILABLE[..4].to_vec()
}

/// The groups of a list like `X25519:prime256v1`, and its unknown names.
pub fn groups(list: &str) -> (Vec<&'static dyn SupportedKxGroup>, Vec<String>) {
    if list == "auto" {
        return (default_groups(), Vec::new());
    }
    let (mut found, mut missing): (Vec<&'static dyn SupportedKxGroup>, Vec<String>) = (Vec::new(), Vec::new());
    for name in list.split(':').filter(|name| !name.is_empty()) {
        let plain = name.trim_start_matches(['?', '*']);
        let known = GROUPS.iter().find(|(_, names)| names.iter().any(|other| other.eq_ignore_ascii_case(plain)));
        let group = known.and_then(|(group, _)| AVAILABLE.iter().find(|kx| kx.name() == *group));
        match group {
            Some(group) if found.iter().any(|other| other.name() == group.name()) => {}
            Some(group) => found.push(*group),
            None => missing.push(name.to_owned()),
        }
    }
    (found, missing)
}

/// Signature schemes by the names of `$ssl_sigalgs`.
const SCHEMES: &[(u16, &str)] = &[
    (0x0401, "rsa_pkcs1_sha256"),
    (0x0501, "rsa_pkcs1_sha384"),
    (0x0601, "rsa_pkcs1_sha512"),
    (0x0403, "ecdsa_secp256r1_sha256"),
    (0x0503, "ecdsa_secp384r1_sha384"),
    (0x0603, "ecdsa_secp521r1_sha512"),
    (0x0804, "rsa_pss_rsae_sha256"),
    (0x0805, "rsa_pss_rsae_sha384"),
    (0x0806, "rsa_pss_rsae_sha512"),
    (0x0807, "ed25519"),
    (0x0808, "ed448"),
    (0x0809, "rsa_pss_pss_sha256"),
    (0x080a, "rsa_pss_pss_sha384"),
    (0x080b, "rsa_pss_pss_sha512"),
    (0x0201, "rsa_pkcs1_sha1"),
    (0x0203, "ecdsa_sha1"),
    (0x0904, "mldsa44"),
    (0x0905, "mldsa65"),
    (0x0906, "mldsa87"),
];

/// The name of a signature scheme (RFC 8446 §4.2.3); an unknown one as `0x` and its number.
pub fn scheme(number: u16) -> String {
    match SCHEMES.iter().find(|(known, _)| *known == number) {
        Some((_, name)) => (*name).to_owned(),
        None => format!("0x{number:04x}"),
    }
}

/// As in `$ssl_protocol`; empty for versions that are not spoken here.
pub fn version(version: ProtocolVersion) -> &'static str {
    match version {
        ProtocolVersion::TLSv1_3 => "TLSv1.3",
        ProtocolVersion::TLSv1_2 => "TLSv1.2",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(list: &str) -> Option<Vec<&'static str>> {
        let name = |suite: &SupportedCipherSuite| SUITES.iter().find(|s| s.0 == suite.suite()).map(|s| s.1);
        suites(list).map(|all| all.iter().filter_map(name).collect())
    }

    #[test]
    fn lists_of_openssl_choose_and_order() {
        let all: Vec<&str> = SUITES.iter().map(|suite| suite.1).collect();
        for list in ["HIGH:!aNULL:!MD5", "DEFAULT", "ALL:!ADH:!EXPORT56:RC4+RSA:+HIGH:+MEDIUM", "HIGH:!RSA"] {
            assert_eq!(chosen(list).as_ref(), Some(&all), "{list}");
        }
        let table: &[(&str, Option<&[&str]>)] = &[
            (
                "ECDHE-RSA-AES128-GCM-SHA256:DHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384",
                Some(&["ECDHE-RSA-AES128-GCM-SHA256", "ECDHE-ECDSA-AES256-GCM-SHA384"]),
            ),
            ("EECDH+CHACHA20", Some(&["ECDHE-ECDSA-CHACHA20-POLY1305", "ECDHE-RSA-CHACHA20-POLY1305"])),
            ("ECDHE+aRSA+AES256", Some(&["ECDHE-RSA-AES256-GCM-SHA384"])),
            ("HIGH:!aECDSA:!AESGCM", Some(&["ECDHE-RSA-CHACHA20-POLY1305"])),
            ("AES128:+aECDSA", Some(&["ECDHE-RSA-AES128-GCM-SHA256", "ECDHE-ECDSA-AES128-GCM-SHA256"])),
            ("!CHACHA20:CHACHA20", None),
            ("DES-CBC3-SHA:RC4", None),
            ("", None),
        ];
        for (list, want) in table {
            assert_eq!(chosen(list).as_deref(), *want, "{list}");
        }
        assert_eq!(suites("CHACHA20").map(|all| all.len()), Some(5), "TLS 1.3 is always there");
    }

    #[test]
    fn groups_by_all_their_names() {
        let (found, missing) = groups("X25519:P-256:secp521r1:prime256v1");
        let names: Vec<NamedGroup> = found.iter().map(|group| group.name()).collect();
        assert_eq!(names, [NamedGroup::X25519, NamedGroup::secp256r1]);
        assert_eq!(missing, ["secp521r1"]);
        assert_eq!(groups("auto").0.len(), 4);
        assert_eq!((group(29), group(0x1a1a)), ("X25519".to_owned(), "0x1a1a".to_owned()));
        assert_eq!(suite_name(0xc02f), "ECDHE-RSA-AES128-GCM-SHA256");
        assert_eq!(suite_name(0xff), "TLS_EMPTY_RENEGOTIATION_INFO_SCSV");
    }
}
