//! Parses a certificate from its DER without copying; `names` writes its names as text, `verify` verifies it.

use super::der::{self, Malformed, Reader, Value};
use std::net::IpAddr;

/// A parsed certificate.
#[derive(Clone, Copy, Debug)]
pub struct Certificate<'a> {
    /// The whole certificate.
    pub der: &'a [u8],
    /// The signed part.
    pub tbs: &'a [u8],
    /// 1 or 3; extensions exist in 3 only.
    pub version: u8,
    /// Content of the INTEGER.
    pub serial: &'a [u8],
    /// Issuer and subject as DER, SEQUENCE included.
    pub issuer: &'a [u8],
    /// The owner of the key.
    pub subject: &'a [u8],
    /// Seconds since 1970.
    pub not_before: i64,
    /// Inclusive.
    pub not_after: i64,
    /// SubjectPublicKeyInfo as DER, and its parts.
    pub spki: &'a [u8],
    /// Content of the key's AlgorithmIdentifier.
    pub key_algorithm: &'a [u8],
    /// Content of the BIT STRING.
    pub key: &'a [u8],
    /// Contents of the AlgorithmIdentifier and of the signature.
    pub signature_algorithm: &'a [u8],
    /// Content of the BIT STRING.
    pub signature: &'a [u8],
    extensions: Option<&'a [u8]>,
}

/// A name that a certificate is valid for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AltName<'a> {
    /// A host name as sent, perhaps with a wildcard.
    Dns(&'a [u8]),
    /// An address; in name constraints followed by its mask.
    Ip(&'a [u8]),
    /// A mailbox.
    Email(&'a [u8]),
    /// A distinguished name as DER.
    Directory(&'a [u8]),
    /// Another kind, with its tag.
    Other(u8),
}

/// One extension of a certificate.
#[derive(Clone, Copy, Debug)]
pub struct Extension<'a> {
    /// Content of the OID.
    pub id: &'a [u8],
    /// A certificate with such an extension is refused where that is unknown (RFC 5280 §4.2).
    pub critical: bool,
    /// Content of the OCTET STRING.
    pub value: &'a [u8],
}

/// Content of the OIDs of extensions.
const SUBJECT_KEY_ID: &[u8] = &[0x55, 0x1d, 0x0e];
const AUTHORITY_KEY_ID: &[u8] = &[0x55, 0x1d, 0x23];
pub const KEY_USAGE: &[u8] = &[0x55, 0x1d, 0x0f];
pub const SUBJECT_ALT_NAME: &[u8] = &[0x55, 0x1d, 0x11];
pub const BASIC_CONSTRAINTS: &[u8] = &[0x55, 0x1d, 0x13];
pub const NAME_CONSTRAINTS: &[u8] = &[0x55, 0x1d, 0x1e];
pub const EXT_KEY_USAGE: &[u8] = &[0x55, 0x1d, 0x25];

/// Bits of keyUsage, as in its first byte.
pub const DIGITAL_SIGNATURE: u8 = 0x80;
pub const KEY_AGREEMENT: u8 = 0x08;
pub const KEY_CERT_SIGN: u8 = 0x04;
pub const CRL_SIGN: u8 = 0x02;

/// Content of the OIDs of extended key usages.
pub const SERVER_AUTH: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 3, 1];
pub const CLIENT_AUTH: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 3, 2];
const ANY_USAGE: &[u8] = &[0x55, 0x1d, 0x25, 0];

impl<'a> Certificate<'a> {
    /// The structure only: neither dates nor signature are checked.
    ///
    /// # Errors
    /// It is no X.509 certificate in DER.
    pub fn parse(der: &'a [u8]) -> Result<Certificate<'a>, Malformed> {
        let mut outer = Reader::new(der).sequence()?;
        let tbs = outer.take(der::SEQUENCE)?;
        let signature_algorithm = outer.take(der::SEQUENCE)?.content;
        let signature = outer.bits()?;
        let mut r = tbs.reader();
        let version = match r.optional(0xa0)? {
            Some(value) => value.reader().number()? + 1,
            None => 1,
        };
        let serial = r.take(der::INTEGER)?.content;
        r.take(der::SEQUENCE)?;
        let issuer = r.take(der::SEQUENCE)?.whole;
        let mut validity = r.sequence()?;
        let (not_before, not_after) = (der::time(validity.any()?)?, der::time(validity.any()?)?);
        let subject = r.take(der::SEQUENCE)?.whole;
        let spki = r.take(der::SEQUENCE)?;
        let mut parts = spki.reader();
        let key_algorithm = parts.take(der::SEQUENCE)?.content;
        let key = parts.bits()?;
        // issuerUniqueID and subjectUniqueID.
        r.optional(0x81)?;
        r.optional(0x82)?;
        let extensions = match r.optional(0xa3)? {
            Some(value) => Some(value.reader().take(der::SEQUENCE)?.content),
            None => None,
        };
        Ok(Certificate {
            der,
            tbs: tbs.whole,
            version: u8::try_from(version).map_err(|_| Malformed)?,
            serial,
            issuer,
            subject,
            not_before,
            not_after,
            spki: spki.whole,
            key_algorithm,
            key,
            signature_algorithm,
            signature,
            extensions,
        })
    }

    /// The extensions; a malformed one ends the iteration with an error.
    pub fn extensions(&self) -> impl Iterator<Item = Result<Extension<'a>, Malformed>> + use<'a> {
        extensions(self.extensions)
    }

    /// The first extension with this OID.
    pub fn extension(&self, id: &[u8]) -> Result<Option<Extension<'a>>, Malformed> {
        for extension in self.extensions() {
            let extension = extension?;
            if extension.id == id {
                return Ok(Some(extension));
            }
        }
        Ok(None)
    }

    /// Whether subject and issuer are equal.
    pub fn is_self_issued(&self) -> bool {
        self.issuer == self.subject
    }

    /// `cA` and the path length constraint, if the extension is present.
    pub fn basic_constraints(&self) -> Result<Option<(bool, Option<u64>)>, Malformed> {
        let Some(extension) = self.extension(BASIC_CONSTRAINTS)? else { return Ok(None) };
        let mut r = Reader::new(extension.value).sequence()?;
        let ca = r.optional(der::BOOLEAN)?.is_some_and(|value| value.content != [0]);
        let length = if r.peek() == Some(der::INTEGER) { Some(r.number()?) } else { None };
        Ok(Some((ca, length)))
    }

    /// subjectKeyIdentifier. None: there is none, or it is malformed.
    pub fn key_id(&self) -> Option<&'a [u8]> {
        let extension = self.extension(SUBJECT_KEY_ID).ok()??;
        Some(Reader::new(extension.value).take(der::OCTET_STRING).ok()?.content)
    }

    /// The keyIdentifier of authorityKeyIdentifier. None: there is none, or it is malformed.
    pub fn issuer_key_id(&self) -> Option<&'a [u8]> {
        let extension = self.extension(AUTHORITY_KEY_ID).ok()??;
        Some(Reader::new(extension.value).sequence().ok()?.optional(0x80).ok()??.content)
    }

    /// The first byte of keyUsage, if it has one.
    pub fn key_usage(&self) -> Result<Option<u8>, Malformed> {
        let Some(extension) = self.extension(KEY_USAGE)? else { return Ok(None) };
        let bits = Reader::new(extension.value).take(der::BIT_STRING)?.content;
        Ok(Some(bits.get(1).copied().unwrap_or_default()))
    }

    /// Whether it may be used for a purpose: extKeyUsage lists it, or any purpose, or is absent.
    pub fn serves(&self, purpose: &[u8]) -> Result<bool, Malformed> {
        let Some(extension) = self.extension(EXT_KEY_USAGE)? else { return Ok(true) };
        let mut r = Reader::new(extension.value).sequence()?;
        while !r.is_empty() {
            let id = r.take(der::OID)?.content;
            if id == purpose || id == ANY_USAGE {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The names of subjectAltName.
    pub fn alt_names(&self) -> Result<Vec<AltName<'a>>, Malformed> {
        let Some(extension) = self.extension(SUBJECT_ALT_NAME)? else { return Ok(Vec::new()) };
        let mut r = Reader::new(extension.value).sequence()?;
        let mut names = Vec::new();
        while !r.is_empty() {
            names.push(alt_name(r.any()?));
        }
        Ok(names)
    }

    /// The last commonName of the subject.
    pub fn common_name(&self) -> Option<&'a [u8]> {
        common_name(self.subject)
    }

    /// CN of the issuer; None: it has none.
    pub fn issuer_common_name(&self) -> Option<&'a [u8]> {
        common_name(self.issuer)
    }

    /// Whether it is valid for a host name or address: by its subjectAltName or, for a host name if that lists no DNS
    /// name, by its common name (as OpenSSL's X509_check_host).
    pub fn is_for(&self, host: &[u8]) -> bool {
        let Ok(names) = self.alt_names() else { return false };
        let ip = std::str::from_utf8(host).ok().and_then(|text| text.parse::<IpAddr>().ok());
        if let Some(ip) = ip {
            let bytes = match ip {
                IpAddr::V4(ip) => ip.octets().to_vec(),
                IpAddr::V6(ip) => ip.octets().to_vec(),
            };
            return names.contains(&AltName::Ip(&bytes));
        }
        let mut dns = names.iter().filter_map(|name| if let AltName::Dns(name) = name { Some(*name) } else { None });
        let mut any = false;
        let found = dns.by_ref().inspect(|_| any = true).any(|name| matches(name, host));
        found || !any && self.common_name().is_some_and(|name| matches(name, host))
    }

    /// Whether one of its names has this suffix.
    pub fn is_below(&self, suffix: &[u8]) -> bool {
        let Ok(names) = self.alt_names() else { return false };
        let mut dns = names.iter().filter_map(|name| if let AltName::Dns(name) = name { Some(*name) } else { None });
        let ends = |name: &[u8]| {
            let cut = name.len().checked_sub(suffix.len()).filter(|cut| *cut > 0);
            cut.is_some_and(|cut| name[cut..].eq_ignore_ascii_case(suffix))
        };
        let mut any = false;
        let found = dns.by_ref().inspect(|_| any = true).any(ends);
        found || !any && self.common_name().is_some_and(ends)
    }
}

/// The entries of a list of extensions.
pub fn extensions<'a>(list: Option<&'a [u8]>) -> impl Iterator<Item = Result<Extension<'a>, Malformed>> + use<'a> {
    let mut r = Reader::new(list.unwrap_or_default());
    std::iter::from_fn(move || {
        if r.is_empty() {
            return None;
        }
        let read = |r: &mut Reader<'a>| {
            let mut e = r.sequence()?;
            let id = e.take(der::OID)?.content;
            let critical = e.optional(der::BOOLEAN)?.is_some_and(|value| value.content != [0]);
            let value = e.take(der::OCTET_STRING)?.content;
            Ok(Extension { id, critical, value })
        };
        let extension = read(&mut r);
        if extension.is_err() {
            r = Reader::new(&[]);
        }
        Some(extension)
    })
}

/// One GeneralName (RFC 5280 §4.2.1.6).
pub fn alt_name(value: Value<'_>) -> AltName<'_> {
    match value.tag {
        0x81 => AltName::Email(value.content),
        0x82 => AltName::Dns(value.content),
        0x87 => AltName::Ip(value.content),
        0xa4 => AltName::Directory(value.content),
        tag => AltName::Other(tag),
    }
}

/// Whether a name in a certificate, whose first label may be `*`, matches this host.
pub fn matches(name: &[u8], host: &[u8]) -> bool {
    let host = host.strip_suffix(b".").unwrap_or(host);
    match name.strip_prefix(b"*.") {
        // A wildcard never covers a whole top-level domain.
        Some(rest) if rest.contains(&b'.') => match host.iter().position(|byte| *byte == b'.') {
            Some(at) if at > 0 => host[at + 1..].eq_ignore_ascii_case(rest),
            _ => false,
        },
        _ => name.eq_ignore_ascii_case(host),
    }
}

/// An attribute of a name: its OID, its value, and whether it begins a new RDN.
pub type Attribute<'a> = (&'a [u8], Value<'a>, bool);

fn common_name(name: &[u8]) -> Option<&[u8]> {
    const COMMON_NAME: &[u8] = &[0x55, 4, 3];
    let attributes = attributes(name).ok()?;
    attributes.iter().rev().find(|attribute| attribute.0 == COMMON_NAME).map(|attribute| attribute.1.content)
}

/// The attributes of a name in their order.
pub fn attributes(name: &[u8]) -> Result<Vec<Attribute<'_>>, Malformed> {
    let mut found = Vec::new();
    let mut sets = Reader::new(name).sequence()?;
    while !sets.is_empty() {
        let mut set = sets.take(der::SET)?.reader();
        let mut first = true;
        while !set.is_empty() {
            let mut pair = set.sequence()?;
            found.push((pair.take(der::OID)?.content, pair.any()?, first));
            first = false;
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tls::testing;

    #[test]
    fn a_certificate_is_read() {
        let made = testing::leaf("example.org", &["example.org", "*.example.net"]);
        let c = Certificate::parse(&made.der).expect("a certificate");
        assert_eq!(c.version, 3);
        assert_eq!(c.common_name(), Some(&b"example.org"[..]));
        assert!(c.is_for(b"Example.org") && c.is_for(b"a.example.net"));
        assert!(!c.is_for(b"example.net") && !c.is_for(b"a.b.example.net"));
        assert!(c.not_before < c.not_after);
        for cut in 0..made.der.len() {
            assert!(Certificate::parse(&made.der[..cut]).is_err(), "cut at {cut}");
        }
    }

    #[test]
    fn wildcards_stand_for_one_label_below_a_domain() {
        for (name, host, want) in [
            ("*.example.org", "www.example.org", true),
            ("*.example.org", "example.org", false),
            ("*.example.org", ".example.org", false),
            ("*.org", "example.org", false),
            ("w*.example.org", "www.example.org", false),
            ("example.org", "example.org.", true),
        ] {
            assert_eq!(matches(name.as_bytes(), host.as_bytes()), want, "{name} {host}");
        }
    }
}
