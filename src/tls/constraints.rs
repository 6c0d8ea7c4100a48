//! Name constraints (RFC 5280 section 4.2.1.10): which names a CA may issue certificates for. A constraint on a kind
//! of name that cannot be compared here is a fault: such names are never silently allowed.

use super::der::{Malformed, Reader};
use super::fault::CertificateFault;
use super::x509::{AltName, alt_name};

/// Checks names against the value of the extension. `left`: how many comparisons may still be made; beyond that, the
/// names are not allowed.
pub fn check(extension: &[u8], names: &[AltName<'_>], left: &mut usize) -> Result<(), CertificateFault> {
    let unreadable = |_: Malformed| CertificateFault::ConstraintUnknown;
    let mut lists = Reader::new(extension).sequence().map_err(unreadable)?;
    let permitted = subtrees(lists.optional(0xa0).map_err(unreadable)?.map(|v| v.content)).map_err(unreadable)?;
    let excluded = subtrees(lists.optional(0xa1).map_err(unreadable)?.map(|v| v.content)).map_err(unreadable)?;
    let comparisons = names.len().saturating_mul(permitted.len() + excluded.len());
    *left = left.checked_sub(comparisons).ok_or(CertificateFault::ConstraintUnknown)?;
    for name in names {
        let mut of_kind = 0;
        let mut inside = false;
        for base in &permitted {
            if kind(base) == kind(name) {
                of_kind += 1;
                inside |= is_inside(name, base)?;
            }
        }
        if of_kind > 0 && !inside {
            return Err(CertificateFault::NotPermitted);
        }
        for base in excluded.iter().filter(|base| kind(base) == kind(name)) {
            if is_inside(name, base)? {
                return Err(CertificateFault::Excluded);
            }
        }
    }
    Ok(())
}

fn subtrees(list: Option<&[u8]>) -> Result<Vec<AltName<'_>>, Malformed> {
    let mut r = Reader::new(list.unwrap_or_default());
    let mut found = Vec::new();
    while !r.is_empty() {
        found.push(alt_name(r.sequence()?.any()?));
    }
    Ok(found)
}

fn kind(name: &AltName<'_>) -> u8 {
    match name {
        AltName::Email(_) => 1,
        AltName::Dns(_) => 2,
        AltName::Directory(_) => 4,
        AltName::Ip(_) => 7,
        AltName::Other(tag) => *tag,
    }
}

fn is_inside(name: &AltName<'_>, base: &AltName<'_>) -> Result<bool, CertificateFault> {
    match (name, base) {
        (AltName::Dns(name), AltName::Dns(base)) => Ok(is_below(name, base)),
        (AltName::Ip(address), AltName::Ip(base)) if base.len() == 2 * address.len() => {
            let (network, mask) = base.split_at(address.len());
            Ok(address.iter().zip(mask).zip(network).all(|((a, m), n)| a & m == n & m))
        }
        (AltName::Ip(_), AltName::Ip(_)) => Ok(false),
        (AltName::Email(name), AltName::Email(base)) => {
            let host = name.rsplit(|byte| *byte == b'@').next().unwrap_or_default();
            let whole = base.contains(&b'@');
            Ok(if whole { name.eq_ignore_ascii_case(base) } else { is_host(host, base) })
        }
        (AltName::Directory(name), AltName::Directory(base)) => {
            // A name lies in the subtree if it begins with the base's RDNs.
            let base = if base.first() == Some(&super::der::SEQUENCE) { content(base) } else { base };
            Ok(content(name).starts_with(base))
        }
        _ => Err(CertificateFault::ConstraintUnknown),
    }
}

/// The RDNs of a name; empty if it is none.
fn content(name: &[u8]) -> &[u8] {
    Reader::new(name).take(super::der::SEQUENCE).map(|value| value.content).unwrap_or_default()
}

/// `www.example.org` is below `example.org` and `.example.org`; everything is below the empty name.
fn is_below(name: &[u8], base: &[u8]) -> bool {
    let base_host = base.strip_prefix(b".").unwrap_or(base);
    let Some(at) = name.len().checked_sub(base_host.len()) else { return false };
    let ends = name[at..].eq_ignore_ascii_case(base_host);
    base_host.is_empty() || ends && (at == 0 && !base.starts_with(b".") || at > 0 && name[at - 1] == b'.')
}

fn is_host(host: &[u8], base: &[u8]) -> bool {
    if base.starts_with(b".") { is_below(host, base) } else { host.eq_ignore_ascii_case(base) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_below_a_domain() {
        for (name, base, want) in [
            ("www.example.org", "example.org", true),
            ("example.org", "example.org", true),
            ("example.org", ".example.org", false),
            ("www.example.org", ".example.org", true),
            ("badexample.org", "example.org", false),
            ("anything", "", true),
            ("org", "example.org", false),
        ] {
            assert_eq!(is_below(name.as_bytes(), base.as_bytes()), want, "{name} below {base}");
        }
    }

    #[test]
    fn permitted_and_excluded_names() {
        // permitted: DNS example.org; excluded: IP 10.0.0.0/8
        let permitted = [&[0x30, 13, 0x82, 11][..], b"example.org"].concat();
        let excluded = [&[0x30, 10, 0x87, 8][..], &[10, 0, 0, 0, 255, 0, 0, 0]].concat();
        let lists = [&[0xa0, 15][..], &permitted, &[0xa1, 12], &excluded].concat();
        let value = [&[0x30, lists.len() as u8][..], &lists].concat();
        let check = |value: &[u8], names: &[AltName<'_>]| check(value, names, &mut 2);
        assert_eq!(check(&value, &[AltName::Dns(b"a.example.org")]), Ok(()));
        assert_eq!(check(&value, &[AltName::Dns(b"example.net")]), Err(CertificateFault::NotPermitted));
        assert_eq!(check(&value, &[AltName::Ip(&[10, 1, 2, 3])]), Err(CertificateFault::Excluded));
        assert_eq!(check(&value, &[AltName::Ip(&[11, 1, 2, 3])]), Ok(()));
        assert_eq!(check(b"nonsense", &[]), Err(CertificateFault::ConstraintUnknown));
        // Two names and two subtrees are four comparisons.
        let two = [AltName::Ip(&[11, 1, 2, 3]); 2];
        assert_eq!(check(&value, &two), Err(CertificateFault::ConstraintUnknown));
    }
}
