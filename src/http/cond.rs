//! Conditional requests: RFC 9110 §13.2.2, in its order.
//!
//! Differs from nginx where nginx differs from the RFC: If-Match wins over If-Unmodified-Since and If-None-Match over
//! If-Modified-Since; several lines of one field are one list; a date that is invalid or repeated is ignored; a
//! resource without a modification date ignores date conditions.

use super::date;
use super::etag::{Strength, is_same, matches};
use super::header::HeaderId;
use super::method::Method;
use super::request_head::RequestHead;

/// What the selected representation is right now.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Validators<'a> {
    /// With its quotes, as in the ETag field; None: the response will have none.
    pub etag: Option<&'a [u8]>,
    /// Last-Modified, in Unix seconds.
    pub modified: Option<i64>,
    /// A representation exists: what `*` asks for.
    pub exists: bool,
    /// `modified` is of this second or the last: another content may have, or get, the same date. It is no strong
    /// validator then (RFC 9110 §8.8.2.2).
    pub is_fresh: bool,
}

impl<'a> Validators<'a> {
    /// `now`: Unix seconds.
    pub fn new(etag: Option<&'a [u8]>, modified: Option<i64>, exists: bool, now: i64) -> Validators<'a> {
        let is_fresh = modified.is_some_and(|modified| is_fresh(modified, now));
        Validators { etag, modified, exists, is_fresh }
    }
}

/// [`Validators::is_fresh`], in Unix seconds. A file's time may lag behind the clock by a few milliseconds, and the
/// time of a turn of the loop behind the file's.
fn is_fresh(modified: i64, now: i64) -> bool {
    (-1..2).contains(&now.saturating_sub(modified))
}

/// The directive `if_modified_since`.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub enum ImsMode {
    /// `off`: If-Modified-Since is ignored.
    Off,
    /// Not modified only if the dates are equal; nginx's default.
    #[default]
    Exact,
    /// Not modified if the file is not newer.
    Before,
}

/// What the preconditions say.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Precondition {
    /// Answer as if there were no preconditions.
    Proceed,
    /// 304
    NotModified,
    /// 412
    Failed,
}

/// Evaluates the preconditions of a request. Call it when everything else would be a 2xx, and for writes again when
/// the change is committed.
pub fn evaluate(head: &RequestHead, buf: &[u8], method: Method, now: &Validators<'_>, ims: ImsMode) -> Precondition {
    // §13.2.1: methods that select no representation ignore preconditions.
    if matches!(method, Method::Connect | Method::Options | Method::Trace) {
        return Precondition::Proceed;
    }
    let is_read = matches!(method, Method::Get | Method::Head);
    if head.get(HeaderId::IfMatch).is_some() {
        if !any_matches(head, buf, HeaderId::IfMatch, now, Strength::Strong) {
            return Precondition::Failed;
        }
    } else if let (Some(since), Some(modified)) = (only_date(head, buf, HeaderId::IfUnmodifiedSince), now.modified)
        && (modified > since || !is_read && modified == since && now.is_fresh)
    {
        return Precondition::Failed;
    }
    if head.get(HeaderId::IfNoneMatch).is_some() {
        return match any_matches(head, buf, HeaderId::IfNoneMatch, now, Strength::Weak) {
            false => Precondition::Proceed,
            true if is_read => Precondition::NotModified,
            true => Precondition::Failed,
        };
    }
    if is_read
        && ims != ImsMode::Off
        && let (Some(since), Some(modified)) = (only_date(head, buf, HeaderId::IfModifiedSince), now.modified)
        && (modified == since || ims == ImsMode::Before && modified < since)
    {
        return Precondition::NotModified;
    }
    Precondition::Proceed
}

/// True if Range may be honoured: there is no If-Range, or it names this very representation (RFC 9110 §13.1.5: a
/// strong tag, or exactly the modification date, once no other content can get it).
pub fn if_range(head: &RequestHead, buf: &[u8], now: &Validators<'_>) -> bool {
    let mut fields = head.all(HeaderId::IfRange);
    let Some(field) = fields.next() else { return true };
    if fields.next().is_some() {
        return false;
    }
    let value = field.value.of(buf);
    if value.ends_with(b"\"") {
        return now.etag.is_some_and(|etag| is_same(value, etag, Strength::Strong));
    }
    !now.is_fresh && date::parse(value).is_some_and(|date| now.modified == Some(date))
}

fn any_matches(head: &RequestHead, buf: &[u8], id: HeaderId, now: &Validators<'_>, strength: Strength) -> bool {
    head.all(id).any(|field| match field.value.of(buf) {
        b"*" => now.exists,
        list => now.exists && now.etag.is_some_and(|etag| matches(list, etag, strength)),
    })
}

/// The date of a field that stands once and holds a valid date (RFC 9110 §13.1.3, §13.1.4: otherwise it is ignored).
fn only_date(head: &RequestHead, buf: &[u8], id: HeaderId) -> Option<i64> {
    let mut fields = head.all(id);
    let field = fields.next()?;
    if fields.next().is_some() { None } else { date::parse(field.value.of(buf)) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::h1::head::{HeadParser, HeadProgress};
    use crate::http::request_head::HeadLimits;

    const OLD: &str = "Sun, 06 Nov 1994 08:49:36 GMT";
    const SAME: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
    const NEW: &str = "Sun, 06 Nov 1994 08:49:38 GMT";

    fn with_head<T>(fields: &str, run: impl FnOnce(&RequestHead, &[u8]) -> T) -> T {
        let text = format!("GET / HTTP/1.1\r\nHost: a\r\n{fields}\r\n")
            .replace("OLD", OLD)
            .replace("SAME", SAME)
            .replace("NEW", NEW);
        let mut parser = HeadParser::default();
        assert_eq!(parser.parse(text.as_bytes(), &HeadLimits::default()), Ok(HeadProgress::Complete), "{fields}");
        run(&parser.head, text.as_bytes())
    }

    #[test]
    fn a_date_of_the_present_second_is_no_strong_validator() {
        let ages: Vec<bool> = (-3..4).map(|age| is_fresh(1000, 1000 + age)).collect();
        assert_eq!(ages, [false, false, true, true, true, false, false]);
    }

    fn verdict(fields: &str, method: Method, now: &Validators<'_>, ims: ImsMode) -> Precondition {
        with_head(fields, |head, buf| evaluate(head, buf, method, now, ims))
    }

    #[test]
    fn preconditions_are_evaluated_in_the_order_of_the_rfc() {
        use Method::{Get, Put};
        use Precondition::*;
        let file = Validators { etag: Some(b"\"a\""), modified: Some(784_111_777), exists: true, is_fresh: false };
        let none = Validators::default();
        let fresh = Validators { is_fresh: true, ..file };
        let table = [
            ("", Get, file, Proceed),
            ("If-Match: \"a\"\r\n", Put, file, Proceed),
            ("If-Match: \"b\"\r\n", Put, file, Failed),
            ("If-Match: W/\"a\"\r\n", Get, file, Failed),
            ("If-Match: \"b\"\r\nIf-Match: \"a\"\r\n", Put, file, Proceed),
            ("If-Match: *\r\n", Put, file, Proceed),
            ("If-Match: *\r\n", Put, none, Failed),
            ("If-Match: \"a\"\r\n", Put, none, Failed),
            ("If-Match: \"a\"\r\nIf-Unmodified-Since: OLD\r\n", Get, file, Proceed),
            ("If-Unmodified-Since: OLD\r\n", Get, file, Failed),
            ("If-Unmodified-Since: SAME\r\n", Put, file, Proceed),
            ("If-Unmodified-Since: OLD\r\n", Put, file, Failed),
            ("If-Unmodified-Since: SAME\r\n", Put, fresh, Failed),
            ("If-Unmodified-Since: NEW\r\n", Put, fresh, Proceed),
            ("If-Unmodified-Since: SAME\r\n", Get, fresh, Proceed),
            ("If-Match: \"a\"\r\nIf-Unmodified-Since: SAME\r\n", Put, fresh, Proceed),
            ("If-Unmodified-Since: OLD\r\n", Put, none, Proceed),
            ("If-Unmodified-Since: junk\r\n", Put, file, Proceed),
            ("If-Unmodified-Since: OLD\r\nIf-Unmodified-Since: OLD\r\n", Put, file, Proceed),
            ("If-None-Match: \"a\"\r\n", Get, file, NotModified),
            ("If-None-Match: W/\"a\"\r\n", Method::Head, file, NotModified),
            ("If-None-Match: \"b\"\r\nIf-None-Match: \"a\"\r\n", Get, file, NotModified),
            ("If-None-Match: \"a\"\r\n", Put, file, Failed),
            ("If-None-Match: *\r\n", Put, file, Failed),
            ("If-None-Match: *\r\n", Put, none, Proceed),
            ("If-None-Match: *\r\n", Get, file, NotModified),
            ("If-None-Match: \"b\"\r\nIf-Modified-Since: SAME\r\n", Get, file, Proceed),
            ("If-None-Match: \"a\"\r\nIf-Modified-Since: OLD\r\n", Get, file, NotModified),
            ("If-Modified-Since: SAME\r\n", Get, file, NotModified),
            ("If-Modified-Since: SAME\r\n", Put, file, Proceed),
            ("If-Modified-Since: OLD\r\n", Get, file, Proceed),
            ("If-Modified-Since: SAME, SAME\r\n", Get, file, Proceed),
            ("If-Modified-Since: SAME\r\nIf-Modified-Since: SAME\r\n", Get, file, Proceed),
            ("If-Modified-Since: SAME\r\n", Get, none, Proceed),
            ("If-Match: \"b\"\r\nIf-None-Match: \"a\"\r\n", Get, file, Failed),
            ("If-Match: \"b\"\r\n", Method::Options, file, Proceed),
        ];
        for (fields, method, now, expected) in table {
            assert_eq!(verdict(fields, method, &now, ImsMode::Exact), expected, "{method:?} {fields}");
        }
        let modes = [(ImsMode::Off, Proceed), (ImsMode::Exact, Proceed), (ImsMode::Before, NotModified)];
        for (mode, expected) in modes {
            assert_eq!(verdict("If-Modified-Since: NEW\r\n", Get, &file, mode), expected, "{mode:?}");
        }
    }

    #[test]
    fn if_range_needs_the_very_same_representation() {
        let file = Validators { etag: Some(b"\"a\""), modified: Some(784_111_777), exists: true, is_fresh: false };
        let weak = Validators { etag: Some(b"W/\"a\""), ..file };
        let fresh = Validators { is_fresh: true, ..file };
        let table = [
            ("", file, true),
            ("If-Range: \"a\"\r\n", file, true),
            ("If-Range: \"b\"\r\n", file, false),
            ("If-Range: W/\"a\"\r\n", file, false),
            ("If-Range: W/\"a\"\r\n", weak, false),
            ("If-Range: SAME\r\n", file, true),
            ("If-Range: SAME\r\n", fresh, false),
            ("If-Range: \"a\"\r\n", fresh, true),
            ("If-Range: NEW\r\n", file, false),
            ("If-Range: wrong\r\n", file, false),
            ("If-Range: SAME\r\n", Validators::default(), false),
        ];
        for (fields, now, expected) in table {
            assert_eq!(with_head(fields, |head, buf| if_range(head, buf, &now)), expected, "{fields}");
        }
    }
}
