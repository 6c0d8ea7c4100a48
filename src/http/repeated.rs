//! Header fields that may stand only once in a request, and what becomes of one that does not.
//!
//! nginx refuses a second line of each of these with 400, since two readers might go by different ones. So do we, but
//! for what the RFC has decided:
//!
//! | field | a second line |
//! |---|---|
//! | Host, Content-Length, Transfer-Encoding | 400, by what reads the head: where the request ends and whom it is for |
//! | Authorization, Content-Range, If-Range | 400 |
//! | Expect | 400, unless every line is `100-continue`: then they say one thing |
//! | If-Match, If-None-Match | one list (RFC 9110 §5.3), but 400 where no line has an entity tag or is `*` |
//! | If-Modified-Since, If-Unmodified-Since | ignored (RFC 9110 §13.1.3, §13.1.4), but 400 where no line is a date |

use crate::http::date;
use crate::http::etag;
use crate::http::field::Field;
use crate::http::field_syntax::list;
use crate::http::header::HeaderId;
use crate::http::reject::Reject;

/// A set of header names, a bit each.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Names([u64; 2]);

const _: () = assert!((HeaderId::XAccelCharset as u8) < 128, "a bit for each name");

/// Those this module judges.
const CHECKED: [HeaderId; 8] = [
    HeaderId::Authorization,
    HeaderId::ContentRange,
    HeaderId::IfRange,
    HeaderId::Expect,
    HeaderId::IfMatch,
    HeaderId::IfNoneMatch,
    HeaderId::IfModifiedSince,
    HeaderId::IfUnmodifiedSince,
];

impl Names {
    /// Adds a name. True where it was there already, and a second line of it is to be judged.
    pub fn add(&mut self, id: HeaderId) -> bool {
        const WATCHED: [u64; 2] = {
            let (mut set, mut at) = ([0; 2], 0);
            while at < CHECKED.len() {
                let (word, bit) = place(CHECKED[at]);
                set[word] |= bit;
                at += 1;
            }
            set
        };
        let (word, bit) = place(id);
        let again = self.0[word] & bit & WATCHED[word] != 0;
        self.0[word] |= bit;
        again
    }

    /// Adds a name. True where it was not there.
    pub fn insert(&mut self, id: HeaderId) -> bool {
        let (word, bit) = place(id);
        let is_new = self.0[word] & bit == 0;
        self.0[word] |= bit;
        is_new
    }

    /// Whether a field of this name was seen.
    pub fn has(self, id: HeaderId) -> bool {
        let (word, bit) = place(id);
        self.0[word] & bit != 0
    }
}

/// The word and the bit of a name.
const fn place(id: HeaderId) -> (usize, u64) {
    let id = id as u8;
    ((id / 64) as usize, 1 << (id % 64))
}

/// Checks the fields of a head in which one of [`CHECKED`] stands more than once.
///
/// # Errors
/// 400 by the table above.
pub fn check(fields: &[Field], buf: &[u8]) -> Result<(), Reject> {
    for id in CHECKED {
        let values = fields.iter().filter(|field| field.id == id).map(|field| field.value.of(buf));
        if values.clone().nth(1).is_none() {
            continue;
        }
        let mut values = values;
        let (is_clear, rule) = match id {
            HeaderId::IfMatch => (values.any(etag::has_member), "more than one If-Match without an entity tag"),
            HeaderId::IfNoneMatch => {
                (values.any(etag::has_member), "more than one If-None-Match without an entity tag")
            }
            HeaderId::IfModifiedSince => {
                (values.any(|v| date::parse(v).is_some()), "more than one If-Modified-Since without a date")
            }
            HeaderId::IfUnmodifiedSince => {
                (values.any(|v| date::parse(v).is_some()), "more than one If-Unmodified-Since without a date")
            }
            HeaderId::Expect => (values.all(is_continue), "more than one Expect"),
            HeaderId::Authorization => (false, "more than one Authorization"),
            HeaderId::ContentRange => (false, "more than one Content-Range"),
            _ => (false, "more than one If-Range"),
        };
        if !is_clear {
            return Err(Reject::BadField(rule));
        }
    }
    Ok(())
}

/// Whether an Expect line says `100-continue` and nothing else.
fn is_continue(value: &[u8]) -> bool {
    list(value).filter(|member| !member.is_empty()).all(|member| member.eq_ignore_ascii_case(b"100-continue"))
}

#[cfg(test)]
mod tests {
    use super::Names;
    use crate::http::h1::head::HeadParser;
    use crate::http::header::HeaderId;
    use crate::http::request_head::HeadLimits;

    const DATE: &str = "Sun, 06 Nov 1994 08:49:37 GMT";

    #[test]
    fn only_a_second_line_of_a_judged_name_is_told() {
        let mut names = Names::default();
        let table = [
            (HeaderId::Cookie, false),
            (HeaderId::Authorization, false),
            (HeaderId::Cookie, false),
            (HeaderId::IfRange, false),
            (HeaderId::Authorization, true),
            (HeaderId::IfRange, true),
        ];
        for (id, expected) in table {
            assert_eq!(names.add(id), expected, "{id:?}");
            assert!(names.has(id) && !names.has(HeaderId::Range), "{id:?}");
        }
    }

    #[test]
    fn what_stands_twice_is_named() {
        for field in ["Authorization", "Content-Range", "If-Range"] {
            let text = format!("GET / HTTP/1.1\r\nHost: a\r\n{field}: a\r\n{field}: a\r\n\r\n");
            let got = HeadParser::default().parse(text.as_bytes(), &HeadLimits::default()).map(|_| ());
            assert_eq!(got.map_err(|reject| reject.to_string().contains(field)), Err(true), "{field}");
        }
    }

    #[test]
    fn a_second_line_is_judged_by_its_field() {
        let table = [
            ("Authorization: a", "Authorization: a", 400),
            ("Authorization: a", "Authorization: b\r\nAuthorization: c", 400),
            ("Authorization: a", "Authorization: b\r\nIf-Match: \"a\"\r\nIf-Match: \"b\"", 400),
            ("authorization: a", "AUTHORIZATION: b", 400),
            ("Content-Range: bytes 0-1/2", "Content-Range: bytes 0-1/2", 400),
            ("If-Range: \"a\"", "If-Range: \"a\"", 400),
            ("Host: b", "X: y", 400),
            ("Content-Length: 0", "Content-Length: 0", 400),
            ("Transfer-Encoding: chunked", "Transfer-Encoding: chunked", 400),
            ("Expect: foo", "X: y", 417),
            ("Expect: foo", "Expect: bar", 400),
            ("Expect: 100-continue", "Expect: bar", 400),
            ("Expect: bar", "Expect: 100-continue", 400),
            ("Expect: 100-continue", "Expect: 100-Continue", 0),
            ("If-Match: foo", "If-Match: bar", 400),
            ("If-Match: foo", "If-Match: \"bar\"", 0),
            ("If-Match: *", "If-Match: bar", 0),
            ("If-Match: foo", "If-None-Match: bar", 0),
            ("If-None-Match: \"a", "If-None-Match: w/\"b\"", 400),
            ("If-None-Match: x, W/\"a\"", "If-None-Match: b", 0),
            ("If-Modified-Since: foo", "If-Modified-Since: bar", 400),
            ("If-Modified-Since: foo", "If-Modified-Since: {}", 0),
            ("If-Unmodified-Since: foo", "If-Unmodified-Since: foo", 400),
            ("If-Unmodified-Since: {}", "If-Unmodified-Since: {}", 0),
            ("Cookie: a", "Cookie: b", 0),
            ("X: a", "X: a", 0),
        ];
        for (first, second, status) in table {
            let text = format!("GET / HTTP/1.1\r\nHost: a\r\n{first}\r\nY: z\r\n{second}\r\n\r\n").replace("{}", DATE);
            let got = HeadParser::default().parse(text.as_bytes(), &HeadLimits::default());
            assert_eq!(got.map_or_else(|reject| reject.status().0, |_| 0), status, "{first} | {second}");
        }
    }
}
