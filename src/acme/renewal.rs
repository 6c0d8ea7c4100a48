//! When to renew a certificate: in the window that its authority suggests (RFC 9773), otherwise when a third of its
//! lifetime is left; and when to retry after a failure. Times are seconds since 1970; `chance` is a random number.

use super::Terms;
use super::account::Account;
use super::problem::{AcmeFailure, Kind, refused, retry_after};
use super::wire::{Request, Response, Url};
use crate::http::escape;
use crate::tls::der::Reader;
use crate::tls::x509::Certificate;
use serde_json::Value;

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

const AUTHORITY_KEY_ID: &[u8] = &[0x55, 0x1d, 0x23];

/// The certificate's ARI identifier (RFC 9773 §4.1): its authority key identifier and serial number.
pub fn certificate_id(leaf: &Certificate<'_>) -> Option<String> {
    let extension = leaf.extension(AUTHORITY_KEY_ID).ok()??;
    let mut parts = Reader::new(extension.value).sequence().ok()?;
    let key = parts.optional(0x80).ok()??.content;
    Some(format!("{}.{}", escape::base64url(key), escape::base64url(leaf.serial)))
}

/// Parses `2026-11-27T03:00:00Z`, with or without fraction and offset.
fn rfc3339(text: &str) -> Option<i64> {
    let (date, rest) = text.split_once(['T', 't', ' '])?;
    let number = |text: &str| text.parse::<i64>().ok();
    let mut parts = date.splitn(3, '-');
    let (year, month, day) = (number(parts.next()?)?, number(parts.next()?)?, number(parts.next()?)?);
    let (clock, zone) = rest.split_at_checked(8)?;
    let mut parts = clock.splitn(3, ':');
    let (hour, minute, second) = (number(parts.next()?)?, number(parts.next()?)?, number(parts.next()?)?);
    let zone = zone.trim_start_matches(|c: char| c == '.' || c.is_ascii_digit());
    let offset = match zone {
        "Z" | "z" => 0,
        zone => {
            let sign = if zone.starts_with('-') { -1 } else { 1 };
            let (hours, minutes) = zone.get(1..)?.split_once(':')?;
            sign * (number(hours)? * 3600 + number(minutes)? * 60)
        }
    };
    let civil = crate::util::date::Civil {
        year: i32::try_from(year).ok()?,
        month: u8::try_from(month).ok()?,
        day: u8::try_from(day).ok()?,
        hour: u8::try_from(hour).ok()?,
        minute: u8::try_from(minute).ok()?,
        second: u8::try_from(second).ok()?,
        ..crate::util::date::Civil::from_unix(0)
    };
    Some(civil.to_unix()? - offset)
}

/// The renewal window that an authority suggests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// Seconds since 1970.
    pub start: i64,
    /// Seconds since 1970.
    pub end: i64,
    /// Seconds until the next query.
    pub ask_again: u64,
}

/// Bounds on the seconds between two queries.
const MIN_POLL: u64 = MINUTE;
const MAX_POLL: u64 = DAY;
/// Seconds between two queries if the authority sends no Retry-After.
const DEFAULT_POLL: u64 = 6 * HOUR;

impl Window {
    fn parse(response: &Response, now: i64) -> Option<Window> {
        let value: Value = serde_json::from_slice(&response.body).ok()?;
        let window = value.get("suggestedWindow")?;
        let time = |name: &str| rfc3339(window.get(name)?.as_str()?);
        let (start, end) = (time("start")?, time("end")?);
        let ask_again = retry_after(response, now).unwrap_or(DEFAULT_POLL).clamp(MIN_POLL, MAX_POLL);
        (start < end).then_some(Window { start, end, ask_again })
    }

    /// A random time within the window.
    pub fn moment(&self, chance: u64) -> i64 {
        let span = u64::try_from(self.end - self.start).unwrap_or(1).max(1);
        self.start.saturating_add_unsigned(chance % span)
    }
}

/// Without a suggested window: when a third of the lifetime is left, or a little earlier, to spread renewals.
pub fn by_lifetime(not_before: i64, not_after: i64, chance: u64) -> i64 {
    let life = u64::try_from(not_after - not_before).unwrap_or(0);
    let due = not_after.saturating_sub_unsigned(life / 3);
    due.saturating_sub_unsigned(chance % (life / 24).max(1))
}

/// The longest pause after a failure, in seconds.
pub const LONGEST_PAUSE: i64 = 7 * DAY as i64;

/// Seconds until the next attempt after this many consecutive failures.
pub fn pause(failures: u32, failure: &AcmeFailure, chance: u64) -> u64 {
    let (first, most) = match failure.kind {
        Kind::Unreachable => (2, 10 * MINUTE),
        // Let's Encrypt allows five failed validations per name and hour.
        Kind::Refused => (2 * MINUTE, 6 * HOUR),
        Kind::Settings => (HOUR, DAY),
    };
    let doubled = first.saturating_mul(1 << failures.saturating_sub(1).min(16)).min(most);
    let jitter = chance % (doubled / 4).max(1);
    (doubled + jitter).max(failure.wait.unwrap_or(0).min(LONGEST_PAUSE.unsigned_abs()))
}

/// Seconds to wait before a renewal right after the last one: an authority may request that once, but not repeatedly.
pub fn early_renewal_pause(times: u32) -> u64 {
    match times {
        0 => 0,
        times => (10 * MINUTE).saturating_mul(1 << times.min(8)).min(DAY),
    }
}

/// A query for the renewal information of a certificate.
#[derive(Debug)]
pub struct Inquiry {
    id: String,
    asked: bool,
}

/// What to do next.
#[derive(Debug)]
pub enum InquiryStep {
    /// Send this request.
    Ask(Request),
    /// The authority does not support renewal information.
    Unknown,
}

impl Inquiry {
    /// `id`: the certificate's identifier (RFC 9773 §4.1).
    pub fn new(id: String) -> Inquiry {
        Inquiry { id, asked: false }
    }

    /// The next request: the directory, if it is not known yet, then the certificate's renewal information.
    pub fn next(&mut self, account: &Account, terms: &Terms) -> InquiryStep {
        let Some(directory) = account.directory() else { return InquiryStep::Ask(Request::get(terms.uri.clone())) };
        let base = directory.renewal.as_deref().map(|url| url.trim_end_matches('/'));
        match base.and_then(|base| Url::parse(&format!("{base}/{}", self.id))) {
            Some(url) => {
                self.asked = true;
                InquiryStep::Ask(Request::get(url))
            }
            None => InquiryStep::Unknown,
        }
    }

    /// The window, if this response contains it. None: call [`Inquiry::next`] for the next request.
    ///
    /// # Errors
    /// The window could not be fetched or parsed.
    pub fn receive(
        &mut self,
        account: &mut Account,
        terms: &Terms,
        response: &Response,
        now: i64,
    ) -> Result<Option<Window>, AcmeFailure> {
        if !self.asked {
            account.take(super::account::Preliminary::Directory, terms, response, now)?;
            return Ok(None);
        }
        if response.status != 200 {
            return Err(refused(response, "renewalInfo", now));
        }
        Window::parse(response, now).map(Some).ok_or_else(|| AcmeFailure::invalid_response("renewalInfo"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_with_fraction_and_offset() {
        for (text, want) in [
            ("1970-01-01T00:00:00Z", Some(0)),
            ("1970-01-01T00:00:10.123456Z", Some(10)),
            ("1970-01-01T02:00:00+02:00", Some(0)),
            ("1970-01-01T00:00:00-00:30", Some(1800)),
            ("2026-02-28T23:59:59Z", Some(1_772_323_199)),
            ("2026-02-30T00:00:00Z", None),
            ("yesterday", None),
            ("2026-02-28", None),
            ("2026-02-28T23:59:59", None),
        ] {
            assert_eq!(rfc3339(text), want, "{text}");
        }
    }

    #[test]
    fn a_certificate_is_due_in_its_window_or_with_a_third_left() {
        let body = br#"{"suggestedWindow":{"start":"1970-01-01T00:00:10Z","end":"1970-01-01T00:00:20Z"}}"#;
        let fields = vec![("retry-after".to_owned(), "7200".to_owned())];
        let mut response = Response { status: 200, fields, body: body.to_vec(), keep_alive: true };
        let window = Window::parse(&response, 0).expect("a window");
        assert_eq!((window.start, window.end, window.ask_again), (10, 20, 7200));
        for chance in [0, 9, 10, u64::MAX] {
            assert!((10..20).contains(&window.moment(chance)), "{chance}");
        }
        response.fields[0].1 = "1".into();
        assert_eq!(Window::parse(&response, 0).map(|w| w.ask_again), Some(MINUTE), "not too often");
        response.body =
            br#"{"suggestedWindow":{"start":"1970-01-01T00:00:20Z","end":"1970-01-01T00:00:10Z"}}"#.to_vec();
        assert_eq!(Window::parse(&response, 0), None);
        let (begin, end) = (0, 90 * 86_400);
        for chance in [0, 1, u64::MAX] {
            let due = by_lifetime(begin, end, chance);
            assert!((56 * 86_400..=60 * 86_400).contains(&due), "{due}");
        }
    }

    #[test]
    fn pauses_grow_and_obey_the_authority() {
        let failure = |kind, wait| AcmeFailure { kind, text: String::new(), wait };
        let near = Kind::Unreachable;
        let of = |n, kind, wait| pause(n, &failure(kind, wait), 0);
        assert_eq!((of(1, near, None), of(2, near, None), of(40, near, None)), (2, 4, 600));
        assert_eq!((of(1, Kind::Refused, None), of(40, Kind::Refused, None)), (120, 6 * HOUR));
        assert_eq!(of(1, Kind::Refused, Some(5000)), 5000);
        assert_eq!(of(1, Kind::Settings, Some(5)), HOUR);
        assert!((1..40).all(|n| pause(n, &failure(Kind::Refused, None), u64::MAX) <= 6 * HOUR * 5 / 4));
        assert_eq!(
            (early_renewal_pause(0), early_renewal_pause(1), early_renewal_pause(2), early_renewal_pause(60)),
            (0, 1200, 2400, DAY)
        );
    }
}
