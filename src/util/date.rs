//! The calendar: seconds since 1970 to year, month, day and time of day, and back; proleptic Gregorian, UTC, no leap
//! seconds, as POSIX counts. How a date is written is the business of `http` and the logs.

/// A moment in UTC.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Civil {
    /// A negative year is before 1 BC.
    pub year: i32,
    /// 1 to 12.
    pub month: u8,
    /// 1 to 31.
    pub day: u8,
    /// 0 to 23.
    pub hour: u8,
    /// 0 to 59.
    pub minute: u8,
    /// 0 to 59; [`Civil::to_unix`] also takes 60, a leap second.
    pub second: u8,
    /// 0 is Sunday. Not looked at by [`Civil::to_unix`].
    pub weekday: u8,
}

const DAY: i64 = 86_400;
/// Days in 400 years: after that the calendar repeats.
const ERA: i64 = 146_097;
/// Days from 0000-03-01 to 1970-01-01. Years that begin in March have their odd day last.
const EPOCH: i64 = 719_468;
/// Far enough for any file time, near enough for years of 32 bits.
const FURTHEST: i64 = 60_000_000_000_000_000;

impl Civil {
    /// Moments two thousand million years away count as that far.
    pub fn from_unix(seconds: i64) -> Civil {
        let seconds = seconds.clamp(-FURTHEST, FURTHEST);
        let days = seconds.div_euclid(DAY);
        let time = seconds.rem_euclid(DAY);
        let (year, month, day) = from_days(days);
        Civil {
            year,
            month,
            day,
            hour: (time / 3600) as u8,
            minute: (time / 60 % 60) as u8,
            second: (time % 60) as u8,
            // 1970-01-01 was a Thursday.
            weekday: (days + 4).rem_euclid(7) as u8,
        }
    }

    /// `None` for a date that does not exist, such as 30 February. A leap second is the first of the next minute.
    pub fn to_unix(self) -> Option<i64> {
        let is_day = (1..=12).contains(&self.month) && (1..=days_in(self.year, self.month)).contains(&self.day);
        if !is_day || self.hour > 23 || self.minute > 59 || self.second > 60 {
            return None;
        }
        let time = i64::from(self.hour) * 3600 + i64::from(self.minute) * 60 + i64::from(self.second);
        Some(to_days(self.year, self.month, self.day) * DAY + time)
    }
}

/// By the Gregorian calendar, for every year.
pub fn is_leap(year: i32) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

/// Days in a month; 0 if there is no such month.
pub fn days_in(year: i32, month: u8) -> u8 {
    match month {
        2 if is_leap(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        _ => 0,
    }
}

/// The date `days` after 1970-01-01.
fn from_days(days: i64) -> (i32, u8, u8) {
    let days = days + EPOCH;
    let era = days.div_euclid(ERA);
    let of_era = days.rem_euclid(ERA);
    // Taking the leap days out (one in 4 years, but not the 100th, but the 400th) leaves years of 365 days.
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / (ERA - 1)) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    // From March on the months' lengths repeat 31 30 31 30 31: five are 153 days.
    let from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * from_march + 2) / 5 + 1;
    let (month, next) = if from_march < 10 { (from_march + 3, 0) } else { (from_march - 9, 1) };
    ((year + era * 400 + next) as i32, month as u8, day as u8)
}

/// Days from 1970-01-01 to a date that exists.
fn to_days(year: i32, month: u8, day: u8) -> i64 {
    let (month, day) = (i64::from(month), i64::from(day));
    let year = if month > 2 { i64::from(year) } else { i64::from(year) - 1 };
    let from_march = if month > 2 { month - 3 } else { month + 9 };
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let of_year = (153 * from_march + 2) / 5 + day - 1;
    era * ERA + of_era * 365 + of_era / 4 - of_era / 100 + of_year - EPOCH
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::util::seed::Seed;
    use chrono::{DateTime, Datelike, Timelike};

    fn civil(date: (i32, u8, u8), time: (u8, u8, u8), weekday: u8) -> Civil {
        let ((year, month, day), (hour, minute, second)) = (date, time);
        Civil { year, month, day, hour, minute, second, weekday }
    }

    #[test]
    fn known_moments_have_their_date_and_weekday() {
        let table = [
            ("the epoch", 0, civil((1970, 1, 1), (0, 0, 0), 4)),
            ("the second before it", -1, civil((1969, 12, 31), (23, 59, 59), 3)),
            ("RFC 9110's example", 784_111_777, civil((1994, 11, 6), (8, 49, 37), 0)),
            ("a leap day of a 400th year", 951_782_400, civil((2000, 2, 29), (0, 0, 0), 2)),
            ("the day after", 951_868_800, civil((2000, 3, 1), (0, 0, 0), 3)),
            ("the end of 32 bits", 2_147_483_647, civil((2038, 1, 19), (3, 14, 7), 2)),
            ("no leap day in 2100", 4_107_542_400, civil((2100, 3, 1), (0, 0, 0), 1)),
            ("the last of four digits", 253_402_300_799, civil((9999, 12, 31), (23, 59, 59), 5)),
        ];
        for (name, seconds, expected) in table {
            assert_eq!(Civil::from_unix(seconds), expected, "{name}");
            assert_eq!(expected.to_unix(), Some(seconds), "{name}");
        }
    }

    #[test]
    fn dates_that_do_not_exist_are_no_moment() {
        let table = [
            ("29 February of a common year", civil((2023, 2, 29), (0, 0, 0), 0), None),
            ("29 February of a leap year", civil((2024, 2, 29), (0, 0, 0), 0), Some(1_709_164_800)),
            ("29 February 1900", civil((1900, 2, 29), (0, 0, 0), 0), None),
            ("31 April", civil((2024, 4, 31), (0, 0, 0), 0), None),
            ("day 0", civil((2024, 4, 0), (0, 0, 0), 0), None),
            ("month 0", civil((2024, 0, 1), (0, 0, 0), 0), None),
            ("month 13", civil((2024, 13, 1), (0, 0, 0), 0), None),
            ("hour 24", civil((2024, 1, 1), (24, 0, 0), 0), None),
            ("minute 60", civil((2024, 1, 1), (0, 60, 0), 0), None),
            ("a leap second", civil((2016, 12, 31), (23, 59, 60), 6), Some(1_483_228_800)),
            ("second 61", civil((2016, 12, 31), (23, 59, 61), 6), None),
        ];
        for (name, date, expected) in table {
            assert_eq!(date.to_unix(), expected, "{name}");
        }
    }

    #[test]
    fn random_moments_agree_with_chrono_and_come_back() {
        let mut random = Seed::new(1);
        for _ in 0..20_000 {
            let seconds = (random.below(20_000_000_000_000) as i64 - 8_000_000_000_000) >> random.below(24);
            let ours = Civil::from_unix(seconds);
            assert_eq!(ours.to_unix(), Some(seconds));
            let Some(theirs) = DateTime::from_timestamp(seconds, 0) else { continue };
            assert_eq!((ours.year, ours.month.into(), ours.day.into()), (theirs.year(), theirs.month(), theirs.day()));
            assert_eq!(
                (ours.hour.into(), ours.minute.into(), ours.second.into()),
                (theirs.hour(), theirs.minute(), theirs.second())
            );
            assert_eq!(u32::from(ours.weekday), theirs.weekday().num_days_from_sunday());
        }
    }

    #[test]
    fn absurd_moments_stay_within_the_calendar() {
        for seconds in [i64::MIN, i64::MAX] {
            let civil = Civil::from_unix(seconds);
            assert_eq!(civil.to_unix(), Some(seconds.clamp(-FURTHEST, FURTHEST)));
        }
        for year in [i32::MIN, i32::MAX] {
            assert!(civil((year, 12, 31), (23, 59, 60), 0).to_unix().is_some());
        }
    }
}
