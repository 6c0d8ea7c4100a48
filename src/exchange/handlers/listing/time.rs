//! The formats of times in listings, in UTC. No clock, no time zone database: the caller adds the offset.
//!
//! Invariant: any `i64` gives a date that nginx would print (times before 1970 become 1970, after 9999 the last
//! second of it).

use crate::util::date;

const MONTHS: [&[u8; 3]; 12] =
    [b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec"];
const WEEKDAYS: [&[u8; 3]; 7] = [b"Sun", b"Mon", b"Tue", b"Wed", b"Thu", b"Fri", b"Sat"];

/// The last second of 9999: nginx prints years with four digits.
const LAST: i64 = 253_402_300_799;

/// A time split into its parts. `month` and `weekday` count from 0 (January, Sunday).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Civil {
    pub year: u32,
    pub month: u32,
    pub day: u32,
    pub weekday: u32,
    pub hour: u32,
    pub minute: u32,
    pub second: u32,
}

impl Civil {
    /// From seconds since 1970, clamped to what nginx prints.
    pub fn from_unix(seconds: i64) -> Civil {
        let c = date::Civil::from_unix(seconds.clamp(0, LAST));
        Civil {
            year: c.year.unsigned_abs(),
            month: u32::from(c.month) - 1,
            day: u32::from(c.day),
            weekday: u32::from(c.weekday),
            hour: u32::from(c.hour),
            minute: u32::from(c.minute),
            second: u32::from(c.second),
        }
    }

    /// `28-Sep-1970 12:00`, as in nginx's html.
    pub fn push_short(&self, out: &mut Vec<u8>) {
        two(self.day, out);
        out.push(b'-');
        out.extend_from_slice(MONTHS[self.month as usize % 12]);
        out.push(b'-');
        four(self.year, out);
        out.push(b' ');
        self.push_clock(out);
    }

    /// `Mon, 28 Sep 1970 12:00:00 GMT`, as in nginx's json.
    pub fn push_http(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(WEEKDAYS[self.weekday as usize % 7]);
        out.extend_from_slice(b", ");
        two(self.day, out);
        out.push(b' ');
        out.extend_from_slice(MONTHS[self.month as usize % 12]);
        out.push(b' ');
        four(self.year, out);
        out.push(b' ');
        self.push_time(out);
        out.extend_from_slice(b" GMT");
    }

    /// `1970-09-28T12:00:00Z`, as in nginx's xml and in `<time datetime>`.
    pub fn push_iso(&self, out: &mut Vec<u8>) {
        self.push_date(out);
        out.push(b'T');
        self.push_time(out);
        out.push(b'Z');
    }

    /// `1970-09-28`.
    pub fn push_date(&self, out: &mut Vec<u8>) {
        four(self.year, out);
        out.push(b'-');
        two(self.month + 1, out);
        out.push(b'-');
        two(self.day, out);
    }

    /// `12:00:00`.
    fn push_time(&self, out: &mut Vec<u8>) {
        self.push_clock(out);
        out.push(b':');
        two(self.second, out);
    }

    /// `12:00`.
    pub fn push_clock(&self, out: &mut Vec<u8>) {
        two(self.hour, out);
        out.push(b':');
        two(self.minute, out);
    }
}

fn digit(n: u32) -> u8 {
    b'0' + (n % 10) as u8
}

fn two(n: u32, out: &mut Vec<u8>) {
    out.extend_from_slice(&[digit(n / 10), digit(n)]);
}

fn four(n: u32, out: &mut Vec<u8>) {
    out.extend_from_slice(&[digit(n / 1000), digit(n / 100), digit(n / 10), digit(n)]);
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
            let civil = Civil::from_unix(*seconds);
            let mut out = Vec::new();
            civil.push_short(&mut out);
            out.push(b'|');
            civil.push_http(&mut out);
            out.push(b'|');
            civil.push_iso(&mut out);
            assert_eq!(String::from_utf8_lossy(&out), format!("{short}|{http}|{iso}"), "{name}");
        }
    }
}
