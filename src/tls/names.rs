//! The text forms of certificate fields, for people and headers: names (RFC 2253, and OpenSSL's old one-line form),
//! serial numbers, times. They are OpenSSL's forms, since they appear in `$ssl_client_s_dn` and other variables.

use super::der::{self, Malformed, Value};
use super::x509::attributes;
use crate::util::date::Civil;
use std::fmt::Write;

/// OpenSSL's short names of attributes, by the content of their OID.
const SHORT: &[(&[u8], &str)] = &[
    (&[0x55, 4, 3], "CN"),
    (&[0x55, 4, 4], "SN"),
    (&[0x55, 4, 5], "serialNumber"),
    (&[0x55, 4, 6], "C"),
    (&[0x55, 4, 7], "L"),
    (&[0x55, 4, 8], "ST"),
    (&[0x55, 4, 9], "street"),
    (&[0x55, 4, 10], "O"),
    (&[0x55, 4, 11], "OU"),
    (&[0x55, 4, 12], "title"),
    (&[0x55, 4, 13], "description"),
    (&[0x55, 4, 15], "businessCategory"),
    (&[0x55, 4, 17], "postalCode"),
    (&[0x55, 4, 41], "name"),
    (&[0x55, 4, 42], "GN"),
    (&[0x55, 4, 43], "initials"),
    (&[0x55, 4, 46], "dnQualifier"),
    (&[0x55, 4, 65], "pseudonym"),
    (&[0x55, 4, 97], "organizationIdentifier"),
    (&[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 9, 1], "emailAddress"),
    (&[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 9, 2], "unstructuredName"),
    (&[9, 0x92, 0x26, 0x89, 0x93, 0xf2, 0x2c, 0x64, 1, 1], "UID"),
    (&[9, 0x92, 0x26, 0x89, 0x93, 0xf2, 0x2c, 0x64, 1, 25], "DC"),
];

fn short(oid: &[u8]) -> Option<&'static str> {
    SHORT.iter().find(|(known, _)| *known == oid).map(|(_, name)| *name)
}

fn dotted(oid: &[u8]) -> String {
    let (mut out, mut number, mut first) = (String::new(), 0u64, true);
    for byte in oid {
        number = number << 7 | u64::from(byte & 0x7f);
        if byte & 0x80 == 0 {
            if first {
                let top = (number / 40).min(2);
                let _ = write!(out, "{top}.{}", number - top * 40);
                first = false;
            } else {
                let _ = write!(out, ".{number}");
            }
            number = 0;
        }
    }
    out
}

/// A string value as UTF-8; None if the type is not a string.
fn text(value: Value<'_>) -> Option<String> {
    match value.tag {
        der::BMP => {
            let units = value.content.chunks_exact(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]]));
            Some(char::decode_utf16(units).map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER)).collect())
        }
        der::UNIVERSAL => {
            let units =
                value.content.chunks_exact(4).map(|four| u32::from_be_bytes([four[0], four[1], four[2], four[3]]));
            Some(units.map(|unit| char::from_u32(unit).unwrap_or(char::REPLACEMENT_CHARACTER)).collect())
        }
        der::UTF8 => Some(String::from_utf8_lossy(value.content).into_owned()),
        // Numeric, printable, T61, videotex, IA5, graphic, visible, general: one byte per character, read as Latin-1.
        0x12..=0x16 | 0x19..=0x1b => Some(value.content.iter().map(|byte| char::from(*byte)).collect()),
        _ => None,
    }
}

/// `CN=name,O=organisation`: the last attribute first, special characters escaped.
pub fn rfc2253(name: &[u8]) -> Result<String, Malformed> {
    let mut out = String::new();
    let attributes = attributes(name)?;
    let mut end = attributes.len();
    while end > 0 {
        let start = attributes[..end].iter().rposition(|(_, _, first)| *first).unwrap_or(0);
        if !out.is_empty() {
            out.push(',');
        }
        // Like OpenSSL, also list the attributes of a multi-valued RDN from the last to the first.
        for (at, (oid, value, _)) in attributes[start..end].iter().rev().enumerate() {
            if at > 0 {
                out.push('+');
            }
            attribute(oid, *value, &mut out);
        }
        end = start;
    }
    Ok(out)
}

fn attribute(oid: &[u8], value: Value<'_>, out: &mut String) {
    let (name, text) = (short(oid), text(value));
    match name {
        Some(name) => out.push_str(name),
        None => out.push_str(&dotted(oid)),
    }
    out.push('=');
    let Some(text) = text.filter(|_| name.is_some()) else {
        out.push('#');
        for byte in value.whole {
            let _ = write!(out, "{byte:02X}");
        }
        return;
    };
    let last = text.chars().count().saturating_sub(1);
    for (at, c) in text.chars().enumerate() {
        match c {
            ',' | '+' | '"' | '\\' | '<' | '>' | ';' => {
                out.push('\\');
                out.push(c);
            }
            '#' if at == 0 => out.push_str("\\#"),
            ' ' if at == 0 || at == last => out.push_str("\\ "),
            ' '..='~' => out.push(c),
            c => {
                for byte in c.encode_utf8(&mut [0; 4]).bytes() {
                    let _ = write!(out, "\\{byte:02X}");
                }
            }
        }
    }
}

/// `/CN=name`: OpenSSL's form before 1.0, which `$ssl_client_s_dn_legacy` keeps.
pub fn oneline(name: &[u8]) -> Result<String, Malformed> {
    let mut out = String::new();
    for (oid, value, _) in attributes(name)? {
        out.push('/');
        match short(oid) {
            Some(name) => out.push_str(name),
            None => out.push_str(&dotted(oid)),
        }
        out.push('=');
        for byte in value.content {
            match byte {
                b' '..=b'~' => out.push(char::from(*byte)),
                // OpenSSL omits the zero upper bytes of wide characters.
                0 if matches!(value.tag, der::BMP | der::UNIVERSAL) => {}
                byte => {
                    let _ = write!(out, "\\x{byte:02X}");
                }
            }
        }
    }
    Ok(out)
}

/// A serial number in capital hexadecimal digits.
pub fn serial(content: &[u8]) -> String {
    let digits = match content {
        [0, rest @ ..] if !rest.is_empty() => rest,
        all => all,
    };
    digits.iter().fold(String::new(), |mut out, byte| {
        let _ = write!(out, "{byte:02X}");
        out
    })
}

/// `Nov 27 00:59:40 2026 GMT`.
pub fn time(seconds: i64) -> String {
    const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let c = Civil::from_unix(seconds);
    let month = MONTHS.get(usize::from(c.month).wrapping_sub(1)).copied().unwrap_or("Bad");
    format!("{month} {:2} {:02}:{:02}:{:02} {} GMT", c.day, c.hour, c.minute, c.second, c.year)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A name of attributes, each an RDN of its own.
    fn name(attributes: &[(&[u8], u8, &[u8])]) -> Vec<u8> {
        let wrap = |tag: u8, content: Vec<u8>| [vec![tag, content.len() as u8], content].concat();
        let mut all = Vec::new();
        for (oid, tag, value) in attributes {
            let pair = [wrap(der::OID, oid.to_vec()), wrap(*tag, value.to_vec())].concat();
            all.extend(wrap(der::SET, wrap(der::SEQUENCE, pair)));
        }
        wrap(der::SEQUENCE, all)
    }

    #[test]
    fn names_are_written_as_openssl_writes_them() {
        let der = name(&[
            (&[0x55, 4, 6], 0x13, b"DE"),
            (&[0x55, 4, 10], der::UTF8, "Ä, Co".as_bytes()),
            (&[0x55, 4, 3], der::UTF8, b" #x "),
            (&[0x2a, 3, 4], der::UTF8, b"q"),
        ]);
        assert_eq!(rfc2253(&der).as_deref(), Ok("1.2.3.4=#0C0171,CN=\\ #x\\ ,O=\\C3\\84\\, Co,C=DE"));
        assert_eq!(oneline(&der).as_deref(), Ok("/C=DE/O=\\xC3\\x84, Co/CN= #x /1.2.3.4=q"));
        assert_eq!(rfc2253(b"x"), Err(Malformed));
    }

    #[test]
    fn serial_numbers_and_times() {
        assert_eq!(serial(&[0, 0x9a, 1]), "9A01");
        assert_eq!(serial(&[0]), "00");
        assert_eq!(time(0), "Jan  1 00:00:00 1970 GMT");
        assert_eq!(time(1_772_323_199), "Feb 28 23:59:59 2026 GMT");
    }
}
