//! The formats of times in listings, in UTC. No clock, no time zone database: the caller adds the offset.
//!
//! Invariant: any `i64` gives a date that nginx would print (times before 1970 become 1970, after 9999 the last
//! second of it).

use crate::http::date::{self, LAST};
use crate::util::date::Civil;

/// `Mon, 28 Sep 1970 12:00:00 GMT`, as in nginx's json.
pub fn push_http(unix: i64, out: &mut Vec<u8>) {
    out.extend_from_slice(&date::format(unix.max(0)));
}

/// `28-Sep-1970 12:00`, as in nginx's html.
pub fn push_short(unix: i64, out: &mut Vec<u8>) {
    let http = date::format(unix.max(0));
    for (part, end) in [(5..7, b'-'), (8..11, b'-'), (12..16, b' ')] {
        out.extend_from_slice(&http[part]);
        out.push(end);
    }
    out.extend_from_slice(&http[17..22]);
}

/// `1970-09-28T12:00:00Z`, as in nginx's xml and in `<time datetime>`.
pub fn push_iso(unix: i64, out: &mut Vec<u8>) {
    push_date(unix, out);
    out.push(b'T');
    out.extend_from_slice(&date::format(unix.max(0))[17..25]);
    out.push(b'Z');
}

/// `1970-09-28`.
pub fn push_date(unix: i64, out: &mut Vec<u8>) {
    let http = date::format(unix.max(0));
    let month = Civil::from_unix(unix.clamp(0, LAST)).month;
    out.extend_from_slice(&http[12..16]);
    out.extend_from_slice(&[b'-', b'0' + month / 10, b'0' + month % 10, b'-']);
    out.extend_from_slice(&http[5..7]);
}

/// `12:00`.
pub fn push_clock(unix: i64, out: &mut Vec<u8>) {
    out.extend_from_slice(&date::format(unix.max(0))[17..22]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_of_a_moment() {
        let table: &[(&str, i64, &str, &str, &str)] = &[
            ("the epoch", 0, "01-Jan-1970 00:00", "Thu, 01 Jan 1970 00:00:00 GMT", "1970-01-01T00:00:00Z"),
            ("before it", -5, "01-Jan-1970 00:00", "Thu, 01 Jan 1970 00:00:00 GMT", "1970-01-01T00:00:00Z"),
            ("a leap day", 951_827_696, "29-Feb-2000 12:34", "Tue, 29 Feb 2000 12:34:56 GMT", "2000-02-29T12:34:56Z"),
            (
                "the day after",
                951_868_800,
                "01-Mar-2000 00:00",
                "Wed, 01 Mar 2000 00:00:00 GMT",
                "2000-03-01T00:00:00Z",
            ),
            (
                "a new year's eve",
                536_407_200,
                "31-Dec-1986 10:00",
                "Wed, 31 Dec 1986 10:00:00 GMT",
                "1986-12-31T10:00:00Z",
            ),
            (
                "no leap in 2100",
                4_107_542_400,
                "01-Mar-2100 00:00",
                "Mon, 01 Mar 2100 00:00:00 GMT",
                "2100-03-01T00:00:00Z",
            ),
            ("the end", i64::MAX, "31-Dec-9999 23:59", "Fri, 31 Dec 9999 23:59:59 GMT", "9999-12-31T23:59:59Z"),
        ];
        for (name, seconds, short, http, iso) in table {
            let mut out = Vec::new();
            push_short(*seconds, &mut out);
            out.push(b'|');
            push_http(*seconds, &mut out);
            out.push(b'|');
            push_iso(*seconds, &mut out);
            out.push(b'|');
            push_date(*seconds, &mut out);
            out.push(b' ');
            push_clock(*seconds, &mut out);
            let local = format!("{} {}", &iso[..10], &iso[11..16]);
            assert_eq!(String::from_utf8_lossy(&out), format!("{short}|{http}|{iso}|{local}"), "{name}");
        }
    }
}
