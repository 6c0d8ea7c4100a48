//! HTTP dates: the three forms of RFC 9110 §5.6.7 read, the first one written. Pure arithmetic, always GMT.

use crate::util::date::Civil;

/// The last second that dates of HTTP have: the end of the year 9999.
pub const LAST: i64 = 253_402_300_799;

const DAYS: [&[u8; 3]; 7] = [b"Sun", b"Mon", b"Tue", b"Wed", b"Thu", b"Fri", b"Sat"];
const LONG_DAYS: [&[u8]; 7] = [b"Sunday", b"Monday", b"Tuesday", b"Wednesday", b"Thursday", b"Friday", b"Saturday"];
const MONTHS: [&[u8; 3]; 12] =
    [b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec"];

/// Unix seconds of an IMF-fixdate, RFC 850 or asctime date; `None` for anything else. The day of the week must be a
/// day's name but, as in nginx, need not be the right one.
pub fn parse(text: &[u8]) -> Option<i64> {
    match text {
        // Sun, 06 Nov 1994 08:49:37 GMT
        [a, b, c, b',', b' ', d1, d0, b' ', m @ .., b' ', b'G', b'M', b'T'] if m.len() == 17 => {
            known(&DAYS, &[*a, *b, *c])?;
            let [b' ', y @ .., b' ', h1, h0, b':', i1, i0, b':', s1, s0] = m.get(3..)? else { return None };
            if y.len() != 4 {
                return None;
            }
            let time = clock([*h1, *h0, *i1, *i0, *s1, *s0])?;
            unix(number(y)?, known(&MONTHS, m.get(..3)?)?, number(&[*d1, *d0])?, time)
        }
        // Sun Nov  6 08:49:37 1994
        [a, b, c, b' ', m2, m1, m0, b' ', d1, d0, b' ', h1, h0, b':', i1, i0, b':', s1, s0, b' ', y @ ..]
            if y.len() == 4 =>
        {
            known(&DAYS, &[*a, *b, *c])?;
            let day = if *d1 == b' ' { number(&[*d0])? } else { number(&[*d1, *d0])? };
            let time = clock([*h1, *h0, *i1, *i0, *s1, *s0])?;
            unix(number(y)?, known(&MONTHS, &[*m2, *m1, *m0])?, day, time)
        }
        // Sunday, 06-Nov-94 08:49:37 GMT
        [
            day @ ..,
            b',',
            b' ',
            d1,
            d0,
            b'-',
            m2,
            m1,
            m0,
            b'-',
            y1,
            y0,
            b' ',
            h1,
            h0,
            b':',
            i1,
            i0,
            b':',
            s1,
            s0,
            b' ',
            b'G',
            b'M',
            b'T',
        ] => {
            LONG_DAYS.iter().find(|name| **name == day)?;
            let short = number(&[*y1, *y0])?;
            // Two digits: the reading nginx takes, since no clock is at hand to find the nearest century.
            let year = if short < 70 { 2000 + short } else { 1900 + short };
            let time = clock([*h1, *h0, *i1, *i0, *s1, *s0])?;
            unix(year, known(&MONTHS, &[*m2, *m1, *m0])?, number(&[*d1, *d0])?, time)
        }
        _ => None,
    }
}

/// Unix seconds in decimal, those of dates before 1970 and after 9999 excepted.
pub fn parse_unix(text: &str) -> Option<i64> {
    text.parse().ok().filter(|time| (0..=LAST).contains(time))
}

/// `Sun, 06 Nov 1994 08:49:37 GMT` of Unix seconds; years outside 0 to 9999 are clamped.
pub fn format(unix: i64) -> [u8; 29] {
    let unix = unix.clamp(-62_167_219_200, LAST);
    let c = Civil::from_unix(unix);
    let year = c.year.clamp(0, 9999);
    let mut out = *b"Sun, 06 Nov 1994 08:49:37 GMT";
    out[..3].copy_from_slice(DAYS[usize::from(c.weekday) % 7]);
    out[8..11].copy_from_slice(MONTHS[usize::from(c.month - 1) % 12]);
    let (century, of_century) = ((year / 100) as u8, (year % 100) as u8);
    for (at, n) in [(5, c.day), (12, century), (14, of_century), (17, c.hour), (20, c.minute), (23, c.second)] {
        out[at] = b'0' + n / 10;
        out[at + 1] = b'0' + n % 10;
    }
    out
}

fn known(names: &[&[u8; 3]], name: &[u8]) -> Option<i64> {
    names.iter().position(|n| *n == name).map(|i| i as i64)
}

fn number(digits: &[u8]) -> Option<i64> {
    digits.iter().try_fold(0i64, |n, d| d.is_ascii_digit().then(|| n * 10 + i64::from(d - b'0')))
}

/// Hour, minute and second from `hhmmss`.
fn clock(d: [u8; 6]) -> Option<[i64; 3]> {
    Some([number(&d[..2])?, number(&d[2..4])?, number(&d[4..])?])
}

/// `month` from 0, `day` from 1; None for a date or a time that does not exist.
fn unix(year: i64, month: i64, day: i64, [hour, minute, second]: [i64; 3]) -> Option<i64> {
    let small = |n: i64| u8::try_from(n).ok();
    Civil {
        year: i32::try_from(year).ok()?,
        month: small(month + 1)?,
        day: small(day)?,
        hour: small(hour)?,
        minute: small(minute)?,
        second: small(second)?,
        weekday: 0,
    }
    .to_unix()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_three_forms_are_read() {
        let table = [
            ("Sun, 06 Nov 1994 08:49:37 GMT", 784_111_777),
            ("Sunday, 06-Nov-94 08:49:37 GMT", 784_111_777),
            ("Sun Nov  6 08:49:37 1994", 784_111_777),
            ("Sun Nov 16 08:49:37 1994", 784_975_777),
            ("Thu, 01 Jan 1970 00:00:00 GMT", 0),
            ("Wed, 31 Dec 1969 23:59:59 GMT", -1),
            ("Thu, 29 Feb 2024 12:00:00 GMT", 1_709_208_000),
            ("Fri, 31 Dec 1999 23:59:60 GMT", 946_684_800),
            ("Wednesday, 01-Jan-69 00:00:00 GMT", 3_124_224_000),
            ("Fri, 31 Dec 9999 23:59:59 GMT", 253_402_300_799),
        ];
        for (text, unix) in table {
            assert_eq!(parse(text.as_bytes()), Some(unix), "{text}");
        }
    }

    #[test]
    fn what_is_no_date_is_none() {
        let table = [
            "",
            "0",
            "junk",
            "Sun, 06 Nov 1994 08:49:37",
            "Sun, 06 Nov 1994 08:49:37 UTC",
            "Sun, 06 Nov 94 08:49:37 GMT",
            "Sun, 30 Feb 2024 00:00:00 GMT",
            "Wed, 29 Feb 2023 00:00:00 GMT",
            "Sun, 00 Nov 1994 08:49:37 GMT",
            "Sun, 06 Nov 1994 24:00:00 GMT",
            "Sun, 06 Nov 1994 08:60:00 GMT",
            "Sun, 06 Nov 1994 08:00:61 GMT",
            "Xyz, 06 Nov 1994 08:49:37 GMT",
            "Sun, 06 Nox 1994 08:49:37 GMT",
            "Sun, 6 Nov 1994 08:49:37 GMT",
            "sun, 06 nov 1994 08:49:37 gmt",
            "Sun, 06 Nov 1994 08:49:37 GMT, Sun, 06 Nov 1994 08:49:37 GMT",
            "Sun, 06 Nov 1994 08:49:37 GMT ",
            "Sun, +6 Nov 1994 08:49:37 GMT",
            "Sonntag, 06-Nov-94 08:49:37 GMT",
        ];
        for text in table {
            assert_eq!(parse(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn unix_seconds_are_those_of_dates_since_1970() {
        let table = [
            ("0", Some(0)),
            ("784111777", Some(784_111_777)),
            ("253402300799", Some(253_402_300_799)),
            ("253402300800", None),
            ("9223372036854775808", None),
            ("-1", None),
            ("1.5", None),
            (" 1", None),
            ("", None),
        ];
        for (text, expected) in table {
            assert_eq!(parse_unix(text), expected, "{text:?}");
        }
    }

    #[test]
    fn a_formatted_date_reads_back() {
        assert_eq!(&format(784_111_777), b"Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(&format(i64::MAX), b"Fri, 31 Dec 9999 23:59:59 GMT");
        assert_eq!(&format(i64::MIN), b"Sat, 01 Jan 0000 00:00:00 GMT");
        let mut at = -62_167_219_200i64;
        while at <= 253_402_300_799 {
            assert_eq!(parse(&format(at)), Some(at));
            at += 86_400 * 13 + 40_507;
        }
    }
}
