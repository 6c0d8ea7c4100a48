//! The PROXY protocol, versions 1 and 2: the header by which a load balancer announces the client of a connection.
//! Sans-IO; which balancers are trusted is decided elsewhere.
//!
//! Invariant: no header is longer than [`MOST`]; a complete header is distinguished from the beginning of one.

use std::net::IpAddr;

/// Longest header, with all that a version 2 one carries behind its addresses.
pub const MOST: usize = 4096;
/// Longest line of version 1.
const LINE: usize = 107;
/// The header of a connection without a client behind it, such as a health check.
pub const UNKNOWN: &[u8] = b"PROXY UNKNOWN\r\n";
const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
/// Signature, command, family and length.
const FIXED: usize = 16;

/// What a header says of a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProxyHeader {
    /// The client's address and the one it connected to, as text.
    pub source: Box<str>,
    /// The address of the balancer that the client connected to, as text (`$proxy_protocol_server_addr`).
    pub target: Box<str>,
    pub source_port: u16,
    pub target_port: u16,
    /// Version 2's further values: type, length, value.
    tlvs: Box<[u8]>,
}

/// How far the parser has got.
#[derive(Debug, PartialEq, Eq)]
pub enum ProxyHeaderProgress {
    /// More bytes are needed.
    Partial,
    /// This many bytes; without addresses where the balancer speaks for itself.
    Complete(usize, Option<ProxyHeader>),
}

/// No PROXY header: the sentence for the log.
#[derive(Debug, PartialEq, Eq)]
pub struct Broken(pub String);

/// Reads the header that `bytes` begin with.
///
/// # Errors
/// They begin with none, or with one that is not understood.
pub fn parse(bytes: &[u8]) -> Result<ProxyHeaderProgress, Broken> {
    let so_far = bytes.len().min(SIGNATURE.len());
    if bytes[..so_far] == SIGNATURE[..so_far] {
        return if bytes.len() < FIXED { Ok(ProxyHeaderProgress::Partial) } else { version2(bytes) };
    }
    let broken = || {
        let end = bytes.iter().position(|b| matches!(b, b'\r' | b'\n')).unwrap_or(bytes.len());
        let shown = String::from_utf8_lossy(&bytes[..end.min(LINE)]).escape_debug().to_string();
        Broken(format!("broken header: \"{shown}\""))
    };
    let Some(end) = bytes.iter().take(LINE).position(|b| *b == b'\n') else {
        let named = bytes.len().min(6);
        let may_be = bytes.len() < LINE && bytes[..named] == b"PROXY "[..named];
        return if may_be { Ok(ProxyHeaderProgress::Partial) } else { Err(broken()) };
    };
    let line = bytes[..end].strip_suffix(b"\r").and_then(|line| line.strip_prefix(b"PROXY ")).ok_or_else(broken)?;
    let header = if line.starts_with(b"UNKNOWN") { None } else { Some(version1(line).ok_or_else(broken)?) };
    Ok(ProxyHeaderProgress::Complete(end + 1, header))
}

/// `TCP4 SOURCE TARGET PORT PORT`. The addresses are taken as they are written, as nginx does.
fn version1(line: &[u8]) -> Option<ProxyHeader> {
    let mut words = std::str::from_utf8(line).ok()?.split(' ');
    words.next().filter(|family| matches!(*family, "TCP4" | "TCP6"))?;
    let is_address = |word: &&str| word.bytes().all(|b| b.is_ascii_hexdigit() || matches!(b, b'.' | b':'));
    let (source, target) = (words.next().filter(is_address)?, words.next().filter(is_address)?);
    let mut port = || words.next().filter(|word| word.bytes().all(|b| b.is_ascii_digit()))?.parse().ok();
    let (source_port, target_port) = (port()?, port()?);
    let none_left = words.next().is_none();
    none_left.then(|| ProxyHeader {
        source: source.into(),
        target: target.into(),
        source_port,
        target_port,
        tlvs: Box::default(),
    })
}

fn version2(bytes: &[u8]) -> Result<ProxyHeaderProgress, Broken> {
    let (command, family) = (bytes[12], bytes[13]);
    if command >> 4 != 2 {
        return Err(Broken(format!("unknown PROXY protocol version: {}", command >> 4)));
    }
    let end = FIXED + usize::from(u16::from_be_bytes([bytes[14], bytes[15]]));
    if end > MOST {
        return Err(Broken("PROXY protocol header is too large".into()));
    }
    let Some(rest) = bytes.get(FIXED..end) else { return Ok(ProxyHeaderProgress::Partial) };
    // LOCAL, datagrams and Unix sockets: the connection's own addresses hold.
    let size = match (command & 15, family) {
        (1, 0x11) => 4,
        (1, 0x21) => 16,
        _ => return Ok(ProxyHeaderProgress::Complete(end, None)),
    };
    let short = || Broken("PROXY protocol header is too short for its addresses".into());
    let (addresses, tlvs) = rest.split_at_checked(2 * size + 4).ok_or_else(short)?;
    let (source, more) = addresses.split_at(size);
    let (target, ports) = more.split_at(size);
    let port = |at: usize| u16::from_be_bytes([ports[at], ports[at + 1]]);
    Ok(ProxyHeaderProgress::Complete(
        end,
        Some(ProxyHeader {
            source: address(source),
            target: address(target),
            source_port: port(0),
            target_port: port(2),
            tlvs: tlvs.into(),
        }),
    ))
}

/// 4 or 16 bytes as text.
fn address(octets: &[u8]) -> Box<str> {
    let v4 = <[u8; 4]>::try_from(octets).map(IpAddr::from);
    let v6 = <[u8; 16]>::try_from(octets).map(IpAddr::from);
    v4.or(v6).map(|ip| ip.to_string().into()).unwrap_or_default()
}

impl ProxyHeader {
    /// A further value by nginx's name for it (`alpn`, `ssl_cn`) or by its number (`0xea`).
    pub fn tlv(&self, name: &str) -> Option<Vec<u8>> {
        if name == "ssl_verify" {
            let verify = find(&self.tlvs, 0x20)?.get(1..5)?;
            return Some(u32::from_be_bytes(verify.try_into().ok()?).to_string().into_bytes());
        }
        if let Some(name) = name.strip_prefix("ssl_") {
            let kind = match name {
                "version" => 0x21,
                "cn" => 0x22,
                "cipher" => 0x23,
                "sig_alg" => 0x24,
                "key_alg" => 0x25,
                _ => number(name)?,
            };
            return find(find(&self.tlvs, 0x20)?.get(5..)?, kind).map(<[u8]>::to_vec);
        }
        let kind = match name {
            "alpn" => 1,
            "authority" => 2,
            "unique_id" => 5,
            "ssl" => 0x20,
            "netns" => 0x30,
            _ => number(name)?,
        };
        find(&self.tlvs, kind).map(<[u8]>::to_vec)
    }
}

fn number(name: &str) -> Option<u8> {
    u8::from_str_radix(name.strip_prefix("0x")?, 16).ok()
}

fn find(mut tlvs: &[u8], kind: u8) -> Option<&[u8]> {
    while let [found, high, low, rest @ ..] = tlvs {
        let (value, after) = rest.split_at_checked(usize::from(u16::from_be_bytes([*high, *low])))?;
        if *found == kind {
            return Some(value);
        }
        tlvs = after;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn v2(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
        let len = (rest.len() as u16).to_be_bytes();
        [&SIGNATURE[..], &[command, family], &len, rest].concat()
    }

    fn shown(bytes: &[u8]) -> String {
        match parse(bytes) {
            Ok(ProxyHeaderProgress::Partial) => "partial".into(),
            Ok(ProxyHeaderProgress::Complete(len, None)) => format!("{len}"),
            Ok(ProxyHeaderProgress::Complete(len, Some(h))) => {
                format!("{len} {} {} {} {}", h.source, h.source_port, h.target, h.target_port)
            }
            Err(Broken(_)) => "broken".into(),
        }
    }

    #[test]
    fn headers_are_read_whole_or_not_at_all() {
        let inet = [1, 2, 3, 4, 5, 6, 7, 8, 0, 80, 1, 187];
        let inet6 = [&[0; 15][..], &[1], &[0xfe, 0x80], &[0; 13], &[9, 0, 80, 1, 187]].concat();
        let table: [(&str, Vec<u8>, &str); 17] = [
            ("TCP4", b"PROXY TCP4 1.2.3.4 5.6.7.8 80 443\r\n".to_vec(), "35 1.2.3.4 80 5.6.7.8 443"),
            ("TCP6", b"PROXY TCP6 ::1 fe80::9 80 443\r\n".to_vec(), "31 ::1 80 fe80::9 443"),
            ("unknown", b"PROXY UNKNOWN whatever\r\n".to_vec(), "24"),
            ("unknown alone", b"PROXY UNKNOWN\r\n".to_vec(), "15"),
            ("another family", b"PROXY UDP4 1.2.3.4 5.6.7.8 80 443\r\n".to_vec(), "broken"),
            ("no ports", b"PROXY TCP4 1.2.3.4 5.6.7.8\r\n".to_vec(), "broken"),
            ("a port too large", b"PROXY TCP4 1.2.3.4 5.6.7.8 80 65536\r\n".to_vec(), "broken"),
            ("no address", b"PROXY TCP4 x 5.6.7.8 80 443\r\n".to_vec(), "broken"),
            ("a bare line feed", b"PROXY TCP4 1.2.3.4 5.6.7.8 80 443\n".to_vec(), "broken"),
            ("a request", b"GET / HTTP/1.1\r\n".to_vec(), "broken"),
            ("a line without end", [b"PROXY TCP4 ", &[b'1'; 100][..]].concat(), "broken"),
            ("version 2", v2(0x21, 0x11, &inet), "28 1.2.3.4 80 5.6.7.8 443"),
            ("version 2, IPv6", v2(0x21, 0x21, &inet6), "52 ::1 80 fe80::9 443"),
            ("local", v2(0x20, 0, &[]), "16"),
            ("a Unix socket", v2(0x21, 0x31, &[0; 216]), "232"),
            ("version 3", v2(0x31, 0x11, &inet), "broken"),
            ("too short", v2(0x21, 0x11, &inet[..11]), "broken"),
        ];
        for (name, bytes, expected) in table {
            assert_eq!(shown(&bytes), expected, "{name}");
            let more = [&bytes[..], b"GET / HTTP/1.1\r\n"].concat();
            assert_eq!(shown(&more), expected, "{name}, and a request");
            if expected != "broken" {
                for at in 0..bytes.len() {
                    assert_eq!(shown(&bytes[..at]), "partial", "{name}, split at {at}");
                }
            }
        }
        assert_eq!(shown(&v2(0x21, 0x11, &[0; MOST])), "broken", "too large");
    }

    #[test]
    fn further_values_are_found_by_name_and_number() {
        let ssl = [&[1, 0, 0, 0, 7][..], &[0x22, 0, 2], b"cn", &[0x21, 0, 0]].concat();
        let tlvs = [&[1, 0, 2], &b"h2"[..], &[0xea, 0, 1, b'x'], &[0x20, 0, ssl.len() as u8], &ssl].concat();
        let inet = [1, 2, 3, 4, 5, 6, 7, 8, 0, 80, 1, 187];
        let bytes = v2(0x21, 0x11, &[&inet[..], &tlvs].concat());
        let Ok(ProxyHeaderProgress::Complete(_, Some(header))) = parse(&bytes) else { panic!("a header") };
        for (name, expected) in [
            ("alpn", Some("h2")),
            ("0x01", Some("h2")),
            ("0xea", Some("x")),
            ("ssl", std::str::from_utf8(&ssl).ok()),
            ("ssl_cn", Some("cn")),
            ("ssl_0x22", Some("cn")),
            ("ssl_version", Some("")),
            ("ssl_verify", Some("7")),
            ("ssl_cipher", None),
            ("authority", None),
            ("0xzz", None),
            ("nonsense", None),
        ] {
            assert_eq!(header.tlv(name).as_deref(), expected.map(str::as_bytes), "{name}");
        }
        for at in 12..tlvs.len() + 12 {
            // Cut short anywhere, nothing is found that is not whole.
            let cut = v2(0x21, 0x11, &[&inet[..], &tlvs].concat()[..at]);
            let Ok(ProxyHeaderProgress::Complete(_, Some(header))) = parse(&cut) else { panic!("a header") };
            let _ = (header.tlv("ssl_cn"), header.tlv("ssl_verify"), header.tlv("netns"));
        }
    }
}
