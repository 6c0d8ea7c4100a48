//! The ClientHello, parsed before the TLS library sees it: its server name selects the configuration, and
//! `$ssl_ciphers` and other variables show its lists. It may arrive in any number of segments and records.
//!
//! Bounds: [`BYTES`] in [`RECORDS`] records; a longer one is refused.

use super::der::Malformed;
use aws_lc_rs::digest;

/// Maximum size of a ClientHello with its record headers. Post-quantum key shares and tickets take a few thousand
/// bytes.
pub const BYTES: usize = 32 << 10;
/// Maximum number of records that a ClientHello may be split into.
const RECORDS: usize = 32;

/// What a client offers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hello {
    /// As sent, in the client's spelling.
    pub server_name: Option<Box<str>>,
    /// ALPN protocols, the client's favourite first.
    pub alpn: Vec<Box<[u8]>>,
    /// Code points, the client's favourite first.
    pub ciphers: Vec<u16>,
    /// supported_groups, as `ciphers`.
    pub groups: Vec<u16>,
    /// signature_algorithms, as `ciphers`.
    pub signatures: Vec<u16>,
    /// The client random. It differs in each ClientHello, so in TLS 1.3 it serves as the id of a new session.
    pub random: [u8; 32],
    /// The id of the session that the client wants to resume, or a digest of its ticket.
    pub session: Option<[u8; 32]>,
    /// The client offers a pre-shared key of an earlier session (TLS 1.3).
    pub resumes: bool,
}

impl Hello {
    /// The server name in the form in which hosts of requests are looked up: in lower case, without a trailing dot.
    pub fn host(&self) -> Option<String> {
        self.server_name.as_deref().map(host)
    }
}

/// As [`Hello::host`], for a stored name.
pub fn host(name: &str) -> String {
    name.trim_end_matches('.').to_ascii_lowercase()
}

/// What the bytes so far are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HelloProgress {
    /// More bytes are needed.
    Partial,
    /// The whole hello has come.
    Complete(Box<Hello>),
}

/// Why the received bytes cannot be accepted as a ClientHello.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// It is not TLS.
    NotTls,
    /// It is TLS, and breaks its rules.
    Malformed,
    /// The name of the server is not one of a host.
    ServerName,
    /// It exceeds the bounds.
    TooLong,
}

/// Whether the first byte of a connection can begin TLS. (0x80 began SSLv2, which is no longer in use.)
pub fn is_tls(first: u8) -> bool {
    first == HANDSHAKE
}

const HANDSHAKE: u8 = 22;
const CLIENT_HELLO: u8 = 1;

/// A fatal alert as a record, for use before a connection exists.
pub fn alert(description: u8) -> [u8; 7] {
    [21, 3, 3, 0, 2, 2, description]
}

/// The alert of RFC 8446 §6.2; the others likewise.
pub const HANDSHAKE_FAILURE: u8 = 40;
pub const PROTOCOL_VERSION: u8 = 70;
pub const INTERNAL_ERROR: u8 = 80;
pub const DECODE_ERROR: u8 = 50;
pub const UNRECOGNIZED_NAME: u8 = 112;

/// Parses everything received so far.
pub fn parse(input: &[u8]) -> Result<HelloProgress, Refusal> {
    let mut message: Vec<u8> = Vec::new();
    let mut rest = input;
    let mut records = 0;
    loop {
        match rest {
            [] => break,
            [first, ..] if *first != HANDSHAKE => {
                return Err(if records == 0 { Refusal::NotTls } else { Refusal::Malformed });
            }
            [_, major, ..] if *major != 3 => return Err(Refusal::NotTls),
            [_, _, _, high, low, body @ ..] => {
                let length = usize::from(*high) << 8 | usize::from(*low);
                if length == 0 || length > 16384 {
                    return Err(Refusal::Malformed);
                }
                records += 1;
                let part = &body[..length.min(body.len())];
                message.extend_from_slice(part);
                rest = &body[part.len()..];
                if part.len() < length {
                    break;
                }
            }
            _ => break,
        }
        if message.len() >= 4 && message.len() >= size(&message) || records > RECORDS {
            break;
        }
    }
    match message.first() {
        Some(&CLIENT_HELLO) | None => {}
        Some(_) => return Err(Refusal::Malformed),
    }
    if message.len() >= 4 && size(&message) > BYTES || records > RECORDS {
        return Err(Refusal::TooLong);
    }
    if message.len() < 4 || message.len() < size(&message) {
        return if input.len() > BYTES { Err(Refusal::TooLong) } else { Ok(HelloProgress::Partial) };
    }
    let (hello, is_old) = hello(&message[4..size(&message)]).map_err(|_| Refusal::Malformed)?;
    if hello.server_name.as_deref().is_some_and(|name| !is_host_name(name)) {
        return Err(Refusal::ServerName);
    }
    // A client older than TLS 1.2 may omit the extensions that select everything else (RFC 8446 §4.2.1).
    if is_old {
        return Err(Refusal::NotTls);
    }
    Ok(HelloProgress::Complete(Box::new(hello)))
}

/// Size of the handshake message, including its header.
fn size(message: &[u8]) -> usize {
    4 + (usize::from(message[1]) << 16 | usize::from(message[2]) << 8 | usize::from(message[3]))
}

/// A vector preceded by its length.
fn vector<'a>(input: &mut &'a [u8], digits: usize) -> Result<&'a [u8], Malformed> {
    let (length, rest) = input.split_at_checked(digits).ok_or(Malformed)?;
    let length = length.iter().fold(0, |n, byte| n << 8 | usize::from(*byte));
    let (bytes, rest) = rest.split_at_checked(length).ok_or(Malformed)?;
    *input = rest;
    Ok(bytes)
}

fn numbers(bytes: &[u8]) -> Vec<u16> {
    bytes.chunks_exact(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]])).collect()
}

fn fingerprint(bytes: &[u8]) -> Option<[u8; 32]> {
    digest::digest(&digest::SHA256, bytes).as_ref().try_into().ok().filter(|_| !bytes.is_empty())
}

const TLS_1_2: [u8; 2] = [3, 3];

/// A hello, and whether the client supports nothing newer than TLS 1.1.
fn hello(mut body: &[u8]) -> Result<(Hello, bool), Malformed> {
    let mut hello = Hello::default();
    // legacy_version (2 bytes) precedes the random.
    let (first, rest) = body.split_at_checked(34).ok_or(Malformed)?;
    hello.random = first[2..].try_into().map_err(|_| Malformed)?;
    let mut is_old = first[..2] < TLS_1_2[..];
    body = rest;
    let id = vector(&mut body, 1)?;
    hello.session = id.try_into().ok().or_else(|| fingerprint(id));
    hello.ciphers = numbers(vector(&mut body, 2)?);
    vector(&mut body, 1)?;
    if body.is_empty() {
        return Ok((hello, is_old));
    }
    let mut extensions = vector(&mut body, 2)?;
    while !extensions.is_empty() {
        let (kind, rest) = extensions.split_at_checked(2).ok_or(Malformed)?;
        extensions = rest;
        let mut data = vector(&mut extensions, 2)?;
        match u16::from_be_bytes([kind[0], kind[1]]) {
            // server_name: a list of which only the host name is defined.
            0 if !data.is_empty() => {
                let mut list = vector(&mut data, 2)?;
                let (kind, rest) = list.split_first().ok_or(Malformed)?;
                list = rest;
                let name = vector(&mut list, 2)?;
                if *kind == 0 {
                    let name = std::str::from_utf8(name).map_err(|_| Malformed)?;
                    hello.server_name = Some(name.into());
                }
            }
            10 => hello.groups = numbers(vector(&mut data, 2)?),
            13 => hello.signatures = numbers(vector(&mut data, 2)?),
            16 => {
                let mut list = vector(&mut data, 2)?;
                while !list.is_empty() {
                    hello.alpn.push(vector(&mut list, 1)?.into());
                }
            }
            // A ticket of TLS 1.2; the first one of TLS 1.3 is in pre_shared_key.
            35 if !data.is_empty() => hello.session = fingerprint(data),
            // supported_versions: they replace the version before the random.
            43 => {
                let offered = numbers(vector(&mut data, 1)?);
                let spoken = [TLS_1_2, [3, 4]].map(u16::from_be_bytes);
                is_old = !offered.iter().any(|version| spoken.contains(version));
            }
            41 => {
                hello.resumes = true;
                let mut list = vector(&mut data, 2)?;
                hello.session = fingerprint(vector(&mut list, 2)?);
            }
            _ => {}
        }
    }
    Ok((hello, is_old))
}

/// Whether a name may be one of a host (RFC 6066 section 3; addresses and underscores are seen in practice). Where
/// names of certificates have `$ssl_server_name`, it chooses files: none of another directory.
fn is_host_name(name: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b':');
    !name.is_empty() && name.bytes().all(is_plain) && !name.starts_with('.') && !name.contains("..")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A hello with a name, two protocols and some numbers; the extension block can be cut short.
    fn sample() -> Vec<u8> {
        let name = b"Example.ORG";
        let mut sni = vec![0, (name.len() + 3) as u8, 0, 0, name.len() as u8];
        sni.extend_from_slice(name);
        let alpn = [&[0, 12, 2][..], b"h2", &[8], b"http/1.1"].concat();
        let mut extensions = Vec::new();
        for (kind, data) in [(0u8, sni), (16, alpn), (10, vec![0, 2, 0, 29]), (13, vec![0, 2, 4, 3])] {
            extensions.extend([0, kind, 0, data.len() as u8]);
            extensions.extend(data);
        }
        let mut body = vec![3, 3];
        body.extend([7; 32]);
        body.extend([0, 0, 4, 0x13, 1, 0xc0, 0x2f, 1, 0, 0, extensions.len() as u8]);
        body.extend(extensions);
        [&[CLIENT_HELLO, 0, 0, body.len() as u8][..], &body].concat()
    }

    /// As records of at most `most` bytes.
    fn records(message: &[u8], most: usize) -> Vec<u8> {
        message.chunks(most).flat_map(|part| [&[HANDSHAKE, 3, 1, 0, part.len() as u8][..], part].concat()).collect()
    }

    #[test]
    fn a_hello_is_read_however_it_is_cut() {
        for most in [200, 40, 7] {
            let bytes = records(&sample(), most);
            for cut in 0..bytes.len() {
                assert_eq!(parse(&bytes[..cut]), Ok(HelloProgress::Partial), "{most}: cut at {cut}");
            }
            let Ok(HelloProgress::Complete(hello)) = parse(&bytes) else { panic!("{most}: no hello") };
            assert_eq!(hello.host().as_deref(), Some("example.org"));
            assert_eq!(hello.alpn, [b"h2"[..].into(), b"http/1.1"[..].into()]);
            assert_eq!((&*hello.ciphers, &*hello.groups), (&[0x1301, 0xc02f][..], &[29][..]));
            assert_eq!((&*hello.signatures, hello.session), (&[0x0403][..], None));
        }
    }

    /// Where certificates are named by it, it would lead to another directory.
    #[test]
    fn a_server_name_with_slashes_is_no_name_of_a_host() {
        for name in ["example.org", "a_b.example", "xn--4-w1a.test.", "10.0.0.1", "::1", "a"] {
            assert!(is_host_name(name), "{name}");
        }
        for name in ["", ".", "../a", "a/b", "a..b", ".a", "a b", "a\nb", "a\0", "\u{e4}.test", "a\\b", "$a"] {
            assert!(!is_host_name(name), "{name}");
        }
    }

    #[test]
    fn what_is_no_hello_is_refused() {
        assert_eq!(parse(b"GET / HTTP/1.1\r\n"), Err(Refusal::NotTls));
        assert_eq!(parse(&[22, 2, 0]), Err(Refusal::NotTls));
        assert_eq!(parse(&[22, 3, 1, 0, 0]), Err(Refusal::Malformed));
        assert_eq!(parse(&[22, 3, 1, 0, 4, 2, 0, 0, 0]), Err(Refusal::Malformed));
        assert_eq!(parse(&[22, 3, 1, 0, 4, 1, 1, 0, 0]), Err(Refusal::TooLong));
        let name = sample().windows(11).position(|part| part == b"Example.ORG").expect("a name");
        let mut elsewhere = sample();
        elsewhere[name..name + 3].copy_from_slice(b"../");
        assert_eq!(parse(&records(&elsewhere, 200)), Err(Refusal::ServerName));
        let many = records(&[1, 0, 0, 200], 1).into_iter().chain(records(&[0; 100], 1)).collect::<Vec<_>>();
        assert_eq!(parse(&many), Err(Refusal::TooLong));
    }

    #[test]
    fn a_cut_hello_never_panics() {
        let message = sample();
        for end in 4..message.len() {
            let mut cut = message[..end].to_vec();
            cut[3] = (end - 4) as u8;
            let _ = parse(&records(&cut, 255));
        }
        for at in 4..message.len() {
            let mut changed = message.clone();
            changed[at] ^= 0xff;
            let _ = parse(&records(&changed, 255));
        }
    }
}
