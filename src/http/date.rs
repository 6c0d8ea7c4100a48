//! HTTP dates: the three forms of RFC 9110 §5.6.7 read, the first one written. Pure arithmetic, always GMT.

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

/// `Sun, 06 Nov 1994 08:49:37 GMT` of Unix seconds; years outside 0 to 9999 are clamped.
pub fn format(unix: i64) -> [u8; 29] {
    let unix = unix.clamp(-62_167_219_200, 253_402_300_799);
    let (days, second) = (unix.div_euclid(86_400), unix.rem_euclid(86_400));
    let (year, month, day) = civil(days);
    let mut out = *b"Sun, 06 Nov 1994 08:49:37 GMT";
    // 1 January 1970 was a Thursday.
    out[..3].copy_from_slice(DAYS[(days + 4).rem_euclid(7) as usize]);
    out[8..11].copy_from_slice(MONTHS[month as usize]);
    for (at, n) in
        [(5, day), (12, year / 100), (14, year % 100), (17, second / 3600), (20, second / 60 % 60), (23, second % 60)]
    {
        out[at] = b'0' + (n / 10) as u8;
        out[at + 1] = b'0' + (n % 10) as u8;
    }
    out
}

fn known(names: &[&[u8; 3]], name: &[u8]) -> Option<i64> {
    names.iter().position(|n| *n == name).map(|i| i as i64)
}

fn number(digits: &[u8]) -> Option<i64> {
    digits.iter().try_fold(0i64, |n, d| d.is_ascii_digit().then(|| n * 10 + i64::from(d - b'0')))
}

/// Second of the day from `hhmmss`; 60 is a leap second.
fn clock(d: [u8; 6]) -> Option<i64> {
    let (h, m, s) = (number(&d[..2])?, number(&d[2..4])?, number(&d[4..])?);
    (h < 24 && m < 60 && s <= 60).then_some(h * 3600 + m * 60 + s)
}

/// `month` from 0, `day` from 1.
fn unix(year: i64, month: i64, day: i64, second: i64) -> Option<i64> {
    let days = days_since_epoch(year, month, day);
    // A 30 February turns up as another day.
    (day >= 1 && civil(days) == (year, month, day)).then_some(days * 86_400 + second)
}

/// Days from 1970-01-01. Years start in March here, so that the leap day is the last of its year, and come in cycles of
/// 400 with 146,097 days.
fn days_since_epoch(year: i64, month: i64, day: i64) -> i64 {
    let year = if month < 2 { year - 1 } else { year };
    let of_year = (153 * ((month + 10) % 12) + 2) / 5 + day - 1;
    let cycle = year.div_euclid(400);
    let of_cycle = year.rem_euclid(400);
    cycle * 146_097 + of_cycle * 365 + of_cycle / 4 - of_cycle / 100 + of_year - 719_468
}

/// Year, month from 0, day from 1: the inverse of [`days_since_epoch`].
fn civil(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let (cycle, of_cycle) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year = (of_cycle - of_cycle / 1460 + of_cycle / 36_524 - of_cycle / 146_096) / 365;
    let of_year = of_cycle - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = (month + 2) % 12;
    (cycle * 400 + year + i64::from(month < 2), month, day)
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
