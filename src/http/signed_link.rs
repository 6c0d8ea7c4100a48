//! Links that carry a right of their own: what one allows is in its arguments, signed with HMAC-SHA-256 by a key that
//! the server and the maker of links share. Text and arithmetic; no files, no answers.
//!
//! What is signed, one line each without an end: `webserv-link-1`, then the values of `link-place`, `link-expires`,
//! `link-methods`, `link-size` and `link-types`, an absent one empty. `link-sig` is base64url without padding.
//!
//! Invariant: nothing of a link counts before its signature was found right, in a time that does not depend on where it
//! is wrong.

use crate::http::escape::{escape_component, to_base64, unescape};
use crate::http::method::{Method, MethodSet};
use sha2::{Digest, Sha256};

const FIRST: &[u8] = b"webserv-link-1";
const SIGNATURE: &[u8] = b"link-sig";
/// The arguments that are signed, in this order.
const NAMES: [&[u8]; 5] = [b"link-place", b"link-expires", b"link-methods", b"link-size", b"link-types"];

/// What a link allows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// A URI path; one that ends in a slash covers everything below it.
    pub place: Vec<u8>,
    /// Unix seconds; None: for ever.
    pub expires: Option<i64>,
    /// Methods that it allows.
    pub methods: MethodSet,
    /// What holds for the files that it may upload.
    pub limits: Limits,
}

/// What a link says of files that are uploaded by it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a file.
    pub least: u64,
    /// 0: any size.
    pub most: u64,
    /// Media types in lower case, with `*` for a family's; empty: any.
    pub types: Vec<Box<[u8]>>,
}

/// Why a link does not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkError {
    /// The request has no signature argument.
    Missing,
    /// No key makes this signature of these arguments.
    Signature,
    /// An argument occurs twice or cannot be parsed, for this reason.
    Malformed(&'static str),
}

/// The keys of a file, one a line.
///
/// # Errors
/// There is none, or one is too short to protect anything.
pub fn keys_of(text: &[u8]) -> Result<Vec<Box<[u8]>>, &'static str> {
    let lines = text.split(|b| *b == b'\n').map(<[u8]>::trim_ascii);
    let keys: Vec<Box<[u8]>> =
        lines.filter(|line| !line.is_empty() && !line.starts_with(b"#")).map(Into::into).collect();
    match keys.iter().find(|key| key.len() < 16) {
        Some(_) => Err("a key has fewer than 16 characters: openssl rand -hex 32 makes one"),
        None if keys.is_empty() => Err("the file has no key: openssl rand -hex 32 makes one"),
        None => Ok(keys),
    }
}

/// HMAC (RFC 2104) with SHA-256.
pub fn hmac(key: &[u8], text: &[u8]) -> [u8; 32] {
    let mut block = [0u8; 64];
    match key.len() > block.len() {
        true => block[..32].copy_from_slice(&Sha256::digest(key)),
        false => block[..key.len()].copy_from_slice(key),
    }
    let inner = Sha256::new().chain_update(block.map(|b| b ^ 0x36)).chain_update(text).finalize();
    Sha256::new().chain_update(block.map(|b| b ^ 0x5c)).chain_update(inner).finalize().into()
}

/// Compares without telling by time where the difference is.
pub fn same(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.iter().zip(b).fold(0, |diff, (a, b)| diff | (a ^ b)) == 0
}

/// `link-sig` of the values, in the order of [`NAMES`].
fn signature(key: &[u8], values: &[Vec<u8>; 5]) -> Vec<u8> {
    let mut text = FIRST.to_vec();
    for value in values {
        text.push(b'\n');
        text.extend_from_slice(value);
    }
    let mut coded = Vec::new();
    to_base64(&hmac(key, &text), &mut coded);
    coded.retain(|b| *b != b'=');
    coded.iter_mut().for_each(|b| match b {
        b'+' => *b = b'-',
        b'/' => *b = b'_',
        _ => {}
    });
    coded
}

/// The arguments of a link: `link-place=…&…&link-sig=…`.
pub fn sign(key: &[u8], values: &[Vec<u8>; 5]) -> Vec<u8> {
    let mut out = Vec::new();
    for (name, value) in NAMES.iter().zip(values).filter(|(_, value)| !value.is_empty()) {
        out.extend_from_slice(name);
        out.push(b'=');
        escape_component(value, &mut out);
        out.push(b'&');
    }
    [&out[..], SIGNATURE, b"=", &signature(key, values)].concat()
}

/// The link in a request's arguments, signed by one of the keys.
///
/// # Errors
/// What is wrong with it.
pub fn read(keys: &[Box<[u8]>], args: &[u8]) -> Result<Link, LinkError> {
    let given = |name: &[u8]| {
        let mut found = args.split(|b| *b == b'&').filter_map(|pair| {
            let (key, value) = pair.split_at(memchr::memchr(b'=', pair)?);
            (key == name).then_some(&value[1..])
        });
        let value = found.next().map(|coded| {
            let mut value = Vec::with_capacity(coded.len());
            unescape(coded, &mut value);
            value
        });
        // Of an argument twice, one could be read here and the other elsewhere.
        if found.next().is_some() {
            Err(LinkError::Malformed("an argument of the link stands twice"))
        } else {
            Ok(value)
        }
    };
    let sig = given(SIGNATURE)?.ok_or(LinkError::Missing)?;
    let mut values: [Vec<u8>; 5] = Default::default();
    for (name, value) in NAMES.iter().zip(&mut values) {
        *value = given(name)?.unwrap_or_default();
    }
    let is_right = keys.iter().fold(false, |right, key| right | same(&signature(key, &values), &sig));
    if is_right { parse(&values).map_err(LinkError::Malformed) } else { Err(LinkError::Signature) }
}

/// What the values mean. Also for the maker of a link: one that could not be used is not signed.
///
/// # Errors
/// The value that has no meaning.
pub fn parse(values: &[Vec<u8>; 5]) -> Result<Link, &'static str> {
    let [place, expires, methods, size, types] = values;
    if !place.starts_with(b"/") || values.iter().any(|value| value.contains(&b'\n')) {
        return Err("link-place is not a URI path");
    }
    let number = |text: &[u8]| std::str::from_utf8(text).ok().and_then(|text| text.parse::<u64>().ok());
    let expires = match &expires[..] {
        b"" => None,
        text => Some(number(text).and_then(|at| i64::try_from(at).ok()).ok_or("link-expires is not a Unix time")?),
    };
    let mut set = MethodSet::EMPTY;
    for name in methods.split(|b| *b == b',') {
        match Method::parse(name) {
            Method::Get => set = set.with(Method::Get).with(Method::Head),
            method @ (Method::Head | Method::Post | Method::Put | Method::Delete) => set = set.with(method),
            // Others have a second place, which a link does not name.
            _ => return Err("link-methods may be GET, HEAD, POST, PUT and DELETE"),
        }
    }
    let (least, most) = match &size[..] {
        b"" => (0, 0),
        text => {
            let dash = memchr::memchr(b'-', text).ok_or("link-size is not a range MIN-MAX")?;
            let end = |text: &[u8]| if text.is_empty() { Some(0) } else { number(text) };
            if number(&text[dash + 1..]) == Some(0) {
                // What is left of a quota, perhaps; it must not come to mean any size.
                return Err("link-size ends in 0, which lets no file in; without an end any size is allowed");
            }
            let ends = end(&text[..dash]).zip(end(&text[dash + 1..]));
            ends.filter(|(least, most)| *most == 0 || least <= most).ok_or("link-size is not a range MIN-MAX")?
        }
    };
    let types =
        types.split(|b| *b == b',').filter(|kind| !kind.is_empty()).map(|kind| kind.to_ascii_lowercase().into());
    Ok(Link { place: place.clone(), expires, methods: set, limits: Limits { least, most, types: types.collect() } })
}

impl Link {
    /// Whether the link is for this URI, which must be decoded and normalized.
    pub fn is_of(&self, uri: &[u8]) -> bool {
        match self.place.ends_with(b"/") {
            true => uri.starts_with(&self.place),
            false => uri == self.place,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(place: &str, expires: &str, methods: &str, size: &str, types: &str) -> [Vec<u8>; 5] {
        [place, expires, methods, size, types].map(|text| text.as_bytes().to_vec())
    }

    #[test]
    fn the_code_is_that_of_rfc_4231() {
        let hex = |bytes: [u8; 32]| bytes.iter().map(|b| format!("{b:02x}")).collect::<String>();
        let table = [
            (&[0x0b; 20][..], &b"Hi There"[..], "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"),
            (
                b"Jefe",
                b"what do ya want for nothing?",
                "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
            ),
            (
                &[0xaa; 131],
                b"Test Using Larger Than Block-Size Key - Hash Key First",
                "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54",
            ),
            // Of Python's hmac: a key as long as a block is none to hash first.
            (&[b'k'; 64], b"text", "0414bb1d8c0c4556cdb2028727b16610ae377b1a194b6db1f853d4297f2329bc"),
        ];
        for (key, text, expected) in table {
            assert_eq!(hex(hmac(key, text)), expected);
        }
    }

    #[test]
    fn a_link_reads_back_and_no_byte_of_it_may_change() {
        let keys: Vec<Box<[u8]>> = vec![b"another key".as_slice().into(), b"the key".as_slice().into()];
        let values = values("/in box/é/", "1764230400", "POST,PUT", "1-1000", "image/*,Text/plain");
        let args = sign(b"the key", &values);
        let link = read(&keys, &args).expect("it is right");
        assert!(link.is_of("/in box/é/x".as_bytes()) && !link.is_of(b"/in box"));
        assert_eq!((link.expires, link.limits.least, link.limits.most), (Some(1_764_230_400), 1, 1000));
        assert!(link.methods.contains(Method::Put) && !link.methods.contains(Method::Get));
        assert_eq!(link.limits.types, [Box::from(&b"image/*"[..]), Box::from(&b"text/plain"[..])]);
        assert_eq!(read(&keys, &[&b"a=b&"[..], &args, b"&webserv-upload=1"].concat()), Ok(link));
        for at in 0..args.len() {
            let mut other = args.clone();
            other[at] = if other[at] == b'0' { b'1' } else { b'0' };
            assert!(read(&keys, &other).is_err(), "byte {at}");
        }
        assert_eq!(read(&keys[..1], &args), Err(LinkError::Signature));
        assert!(read(&[keys[1].clone(), keys[1].clone()], &args).is_ok(), "a key that stands twice");
        assert_eq!(read(&keys, b"link-place=/"), Err(LinkError::Missing));
        assert!(read(&keys, &[&args[..], b"&link-size=0-"].concat()).is_err(), "an argument twice");
    }

    /// Known answers of Python's hmac and base64: other makers of links write the alphabet of base64url, too.
    #[test]
    fn a_signature_is_what_another_maker_of_links_computes() {
        let keys: Vec<Box<[u8]>> = vec![b"0123456789abcdef".as_slice().into()];
        for (place, expected) in [
            ("/in/22/", "f8qo8l_ZOH--ySBdy_vWlHtq5O1a_OAKveYZE5RFV5w"),
            ("/in/149/", "-qGcHMxN7GvSPzQgJHNN-8_dfpxMxSrap6E_gQTF400"),
        ] {
            let args = sign(&keys[0], &values(place, "", "PUT", "", ""));
            assert!(args.ends_with(format!("&link-sig={expected}").as_bytes()), "{}", args.escape_ascii());
            assert!(read(&keys, &args).is_ok(), "{place}");
        }
    }

    #[test]
    fn keys_stand_one_a_line() {
        let keys = keys_of(b"# links\n0123456789abcdef0\n\nfedcba9876543210f\n").expect("keys");
        assert_eq!(keys.len(), 2);
        assert!(keys_of(b"short\n").is_err() && keys_of(b"\n#x\n").is_err());
        assert!(keys_of(b"0123456789abcdef").is_ok() && keys_of(b"0123456789abcde").is_err());
    }

    #[test]
    fn values_without_a_meaning_are_named() {
        let table = [
            (values("x", "", "GET", "", ""), Some("link-place is not a URI path")),
            (values("/x", "soon", "GET", "", ""), Some("link-expires is not a Unix time")),
            (values("/x", "", "", "", ""), Some("link-methods may be GET, HEAD, POST, PUT and DELETE")),
            (values("/x", "", "GET", "5", ""), Some("link-size is not a range MIN-MAX")),
            (values("/x", "", "GET", "5-4", ""), Some("link-size is not a range MIN-MAX")),
            (
                values("/x", "", "GET", "0-0", ""),
                Some("link-size ends in 0, which lets no file in; without an end any size is allowed"),
            ),
            (values("/x", "", "GET", "-4", ""), None),
            (values("/x", "", "GET", "4-4", ""), None),
            (values("/x", "", "GET", "4-", ""), None),
        ];
        for (values, expected) in table {
            assert_eq!(parse(&values).err(), expected, "{values:?}");
        }
    }
}
