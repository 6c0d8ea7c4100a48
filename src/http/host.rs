//! Host names as a client writes them: validation and splitting of `Host` and of an authority.
//!
//! A host that passes here is safe as one component of a path (`root /srv/$host`): no slash, no `..`, no leading dot.

/// True for `reg-name`, IPv4 or `[IPv6]`, each with an optional `:port` (RFC 3986 §3.2.2). Stricter than the grammar
/// where that breaks no client: no commas (a list of hosts), no empty label (nginx refuses `..`, we a leading dot
/// too), a port is at most 65535 and may be empty. The empty value is the caller's question.
pub fn is_valid(value: &[u8]) -> bool {
    let (name, port) = if value.first() == Some(&b'[') {
        let Some(end) = memchr::memchr(b']', value) else { return false };
        let (literal, rest) = value.split_at(end + 1);
        if !is_ipv6_literal(&literal[1..end]) && !is_future_literal(&literal[1..end]) {
            return false;
        }
        (None, rest)
    } else {
        let end = value.iter().position(|b| *b == b':').unwrap_or(value.len());
        let (name, rest) = value.split_at(end);
        (Some(name), rest)
    };
    name.is_none_or(is_reg_name) && (port.is_empty() || port[0] == b':' && port_of(&port[1..]).is_some())
}

/// A value that [`is_valid`] as name and port. The name keeps its brackets and case; a trailing dot is cut, as nginx
/// does for `$host`.
pub fn split(value: &[u8]) -> (&[u8], Option<u16>) {
    let colon = colon(value);
    let port = colon.and_then(|at| port_of(&value[at + 1..]).filter(|_| at + 1 < value.len()));
    (without_dot(&value[..colon.unwrap_or(value.len())]), port)
}

/// The name of [`split`] alone.
pub fn name(value: &[u8]) -> &[u8] {
    without_dot(&value[..colon(value).unwrap_or(value.len())])
}

/// Where the port is parted from the name.
fn colon(value: &[u8]) -> Option<usize> {
    // Names are short: a loop is cheaper than setting up a search.
    let search = |from: usize, byte: u8| value[from..].iter().position(|b| *b == byte).map(|at| at + from);
    match value.first() {
        Some(b'[') => search(0, b']').and_then(|end| search(end, b':')),
        _ => search(0, b':'),
    }
}

fn without_dot(name: &[u8]) -> &[u8] {
    name.strip_suffix(b".").unwrap_or(name)
}

/// A port number; 0 for the empty one.
fn port_of(digits: &[u8]) -> Option<u16> {
    digits.iter().try_fold(0u16, |n, d| {
        if !d.is_ascii_digit() {
            return None;
        }
        n.checked_mul(10)?.checked_add(u16::from(d - b'0'))
    })
}

/// RFC 3986 §2.3, but for the dot, which has rules of its own.
const UNRESERVED: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        let b = byte as u8;
        table[byte] = b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'~');
        byte += 1;
    }
    table
};

fn is_reg_name(name: &[u8]) -> bool {
    let mut at = 0;
    let mut before = b'.';
    while let Some(&b) = name.get(at) {
        match b {
            _ if UNRESERVED[usize::from(b)] => {}
            b'.' if before == b'.' => return false,
            b'.' => {}
            b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'*' | b'+' | b';' | b'=' => {}
            b'%' => match name.get(at + 1..at + 3) {
                Some([h, l]) if h.is_ascii_hexdigit() && l.is_ascii_hexdigit() => at += 2,
                _ => return false,
            },
            _ => return false,
        }
        before = b;
        at += 1;
    }
    !name.is_empty()
}

/// `IPvFuture` (RFC 3986 §3.2.2): `v`, hexadecimal digits, a dot, and what a name may have or a colon.
fn is_future_literal(address: &[u8]) -> bool {
    let Some([b'v' | b'V', rest @ ..]) = Some(address) else { return false };
    let Some(dot) = memchr::memchr(b'.', rest) else { return false };
    let (version, rest) = (&rest[..dot], &rest[dot + 1..]);
    let plain = |b: &u8| b.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:".contains(b);
    !version.is_empty() && version.iter().all(u8::is_ascii_hexdigit) && !rest.is_empty() && rest.iter().all(plain)
}

/// Zones (RFC 6874) are refused.
fn is_ipv6_literal(address: &[u8]) -> bool {
    std::str::from_utf8(address).is_ok_and(|text| text.parse::<core::net::Ipv6Addr>().is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_accepted_and_refused_as_the_table_says() {
        let good = [
            "l",
            "a.test",
            "A.Test:80",
            "a.test:",
            "a.test.",
            "a.test.:88",
            "123.40.56.78:9000",
            "[::1]",
            "[::1]:80",
            "[::ffff:12.30.67.89]:1",
            "[v1.a:b]",
            "under_score",
            "x--y",
            "a%41",
            "a!$&'()*+;=",
            "a:65535",
        ];
        let bad = [
            ":80",
            ".",
            "..",
            "..a",
            "a..b",
            "abcd%41%xy",
            "a..",
            ".a",
            "a b",
            "a/b",
            "a\\b",
            "a,b",
            "user@a",
            "a%zz",
            "a%4",
            "a%",
            "[zz]",
            "[v1]",
            "[v.a]",
            "[v1.a/b]",
            "[::1",
            "[::1].",
            "[::1]x",
            "[::1]:x",
            "x[::1]",
            "a:65536",
            "a:1.2",
            "a:80:80",
            "a:-1",
            "a:+1",
            "a#",
            "a?",
            "a\"",
            "a<",
            "\u{e9}",
            "[]",
            "[fe80::1%25eth0]",
            "a\0",
            "a\t",
        ];
        for host in good {
            assert!(is_valid(host.as_bytes()), "{host}");
        }
        for host in bad {
            assert!(!is_valid(host.as_bytes()), "{host}");
        }
    }

    #[test]
    fn a_valid_host_is_split_into_name_and_port() {
        let table: [(&str, &str, Option<u16>); 7] = [
            ("a.test", "a.test", None),
            ("a.test:8080", "a.test", Some(8080)),
            ("a.test:", "a.test", None),
            ("a.test.:1", "a.test", Some(1)),
            ("[::1]", "[::1]", None),
            ("[::1]:80", "[::1]", Some(80)),
            ("", "", None),
        ];
        for (value, name, port) in table {
            assert_eq!(
                (split(value.as_bytes()), super::name(value.as_bytes())),
                ((name.as_bytes(), port), name.as_bytes()),
                "{value}"
            );
        }
    }
}
