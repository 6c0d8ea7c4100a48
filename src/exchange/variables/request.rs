//! Variables of the request: its line, its fields, its body, and what was decided about it.

use super::put::{Is, number, put, seconds, set, when};
use super::{referer, script_name};
use crate::config::template::Builtin;
use crate::exchange::{Exchange, Rx, Tx, counters};
use crate::http::body_length::BodyLength;
use crate::http::header::HeaderId;
use crate::http::host;
use crate::services::Services;
use crate::util::decimal;
use std::io::Write;
use std::rc::Rc;

/// The value of a variable of the request. None: it is of another family.
pub fn value(builtin: Builtin, ex: &mut Exchange, cx: &mut Services, out: &mut Vec<u8>) -> Option<Is> {
    use Builtin as B;
    Some(match builtin {
        B::Args | B::QueryString => {
            let args = &ex.route.args;
            put((ex.route.args_set || !args.is_empty()).then_some(&args[..]), out)
        }
        B::IsArgs => put(Some(if ex.route.args.is_empty() { b"" } else { b"?" }), out),
        // Of a target that is refused it is empty; without one there is none (nginx).
        B::Uri | B::DocumentUri if ex.route.uri.is_empty() && ex.request.head.origin.is_empty() => Is::Unset,
        B::Uri | B::DocumentUri => put(Some(&ex.route.uri), out),
        B::FastcgiScriptName => {
            script_name::name(ex, out);
            Is::Set
        }
        B::FastcgiPathInfo => {
            script_name::path_info(ex, out);
            Is::Set
        }
        // Of what is no request line there is nothing to tell.
        B::RequestUri | B::RequestMethod | B::ServerProtocol if ex.request.head.target.is_empty() => Is::Unset,
        B::RequestUri => {
            ex.route.subrequest_saw_uri |= ex.nesting.subrequest.is_some();
            if let Some(target) = supposed(ex) {
                return Some(put(Some(target), out));
            }
            // Without scheme and host, whatever form the target had.
            let origin = ex.request.head.origin.of(ex.buf());
            if origin.is_empty() || origin.starts_with(b"?") {
                out.push(b'/');
            }
            put(Some(origin), out)
        }
        B::Request => {
            ex.route.subrequest_saw_uri |= ex.nesting.subrequest.is_some();
            let Some(target) = supposed(ex).cloned() else {
                return Some(put(Some(ex.request.head.request_line.of(ex.buf())), out));
            };
            value(B::RequestMethod, ex, cx, out);
            let version = ex.request.head.version.name().as_bytes();
            set(&[b" ", &target[..], b" ", version].concat(), out)
        }
        // An error page, or what an upstream leads to, is asked for by GET.
        B::RequestMethod => {
            // A subrequest has that of the request it is made for (nginx).
            let mut main = &*ex;
            while let Some(sub) = &main.nesting.subrequest {
                main = &sub.parent;
            }
            match main.route.method != main.request.head.method {
                true => put(Some(main.route.method.name().as_bytes()), out),
                false => put(Some(main.request.head.method_name.of(main.buf())), out),
            }
        }
        B::Host => put(Some(if ex.route.host.is_empty() { &ex.server().name } else { &ex.route.host }), out),
        B::ServerProtocol => put(Some(ex.request.head.version.name().as_bytes()), out),
        B::Http2 => put(Some(ex.http2().unwrap_or_default()), out),
        B::RemoteUser => remote_user(ex, out),
        // Of a body in chunks, once it was read.
        B::ContentLength if ex.request.head.body_length == BodyLength::Unknown && ex.progress.rx == Rx::Done => {
            number(ex.progress.body_received, out)
        }
        B::ContentLength => put(ex.header(HeaderId::ContentLength), out),
        // Programs trust it: not what a client wrote with `_` (nginx).
        B::ContentType => field(ex, b"content-type", out),
        B::RequestLength => number(ex.log.request_length, out),
        B::RequestTime => seconds(cx.now.ms.saturating_sub(ex.log.started), out),
        B::RequestId => {
            ex.log.request_id().iter().for_each(|b| write!(out, "{b:02x}").expect("a Vec takes all that is written"));
            Is::Set
        }
        B::RequestCompletion => {
            put(Some(if ex.progress.tx == Tx::Done && !ex.progress.abort && !ex.log.is_cut { b"OK" } else { b"" }), out)
        }
        B::RequestPort | B::IsRequestPort => {
            let port = host::split(ex.request.head.host.of(ex.buf())).1;
            match (port, builtin) {
                (Some(port), B::RequestPort) => {
                    decimal::push(u64::from(port), 0, out);
                    Is::Set
                }
                (Some(_), _) => put(Some(b":"), out),
                (None, _) => Is::Set,
            }
        }
        B::LimitRate => number(ex.progress.limit_rate.unwrap_or(0), out),
        B::Pipe => put(Some(if ex.client.requests > 1 && ex.request.pipelined { b"p" } else { b"." }), out),
        B::InvalidReferer => {
            // The first location that asks decides for the request (nginx): the log and the error page know it too.
            let invalid = ex.log.invalid_referer.unwrap_or_else(|| {
                referer::is_invalid(ex).unwrap_or_else(|failed| {
                    ex.pattern_gave_up(cx, &failed);
                    true
                })
            });
            ex.log.invalid_referer = Some(invalid);
            put(Some(if invalid { b"1" } else { b"" }), out)
        }
        B::LimitReqStatus => put(ex.log.limit_req.map(|verdict| verdict.name()), out),
        B::LimitConnStatus => put(ex.log.limit_conn.map(|verdict| verdict.name()), out),
        B::UploadFileName | B::UploadFileExt | B::UploadFileSize | B::UploadFilePath | B::UploadFiles => {
            when(ex.log.upload.as_ref().is_some_and(|record| record.value(builtin, out)))
        }
        B::UploadStatus => match &ex.log.upload {
            Some(record) => when(record.value(builtin, out)),
            None => put(counters::is_upload_refused(ex).then_some(&b"refused"[..]), out),
        },
        B::RequestBody => match body(ex) {
            Some(body) if ex.progress.rx == Rx::Done => put(Some(body), out),
            // It is known as soon as the head has come (nginx).
            None if ex.log.upstream.is_some() && ex.request.head.body_length == BodyLength::Known(0) => Is::Set,
            _ => Is::Unset,
        },
        B::RequestBodyFile => put(ex.progress.body.as_ref().and_then(|body| Some(body.file()?.path())), out),
        _ => return None,
    })
}

/// The body as far as it is in memory: None if it is in a file or too large.
fn body(ex: &Exchange) -> Option<&[u8]> {
    match &ex.progress.body {
        Some(body) => body.bytes(),
        None => ex.log.upstream.as_ref()?.streamed_bytes(),
    }
}

/// The target that rules are to see instead of the client's; a subrequest is made for its parent's.
fn supposed(ex: &Exchange) -> Option<&Rc<[u8]>> {
    match (&ex.route.supposed, &ex.nesting.subrequest) {
        (Some(target), _) => Some(target),
        (None, Some(sub)) => supposed(&sub.parent),
        (None, None) => None,
    }
}

/// The first argument of that name; names ignore case (nginx).
pub fn argument<'a>(args: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    if name.is_empty() {
        return None;
    }
    // By the `=`, of which a request of many `&` has none: each piece would cost a search.
    memchr::memchr_iter(b'=', args).find_map(|equals| {
        let (before, value) = (args.get(..equals)?, args.get(equals + 1..)?);
        let (above, found) = before.split_at_checked(before.len().checked_sub(name.len())?)?;
        let begins = above.last().is_none_or(|b| *b == b'&');
        let end = || memchr::memchr(b'&', value).unwrap_or(value.len());
        (begins && found.eq_ignore_ascii_case(name)).then(|| &value[..end()])
    })
}

/// Header fields of that name (`_` matches `-` too), joined by commas.
pub fn field(ex: &Exchange, name: &[u8], out: &mut Vec<u8>) -> Is {
    let buf = ex.buf();
    let mut is = Is::Unset;
    for field in &ex.request.head.fields {
        let written = field.name.of(buf);
        // From the end: names of many fields begin alike.
        let mut letters = written.iter().rev().zip(name.iter().rev());
        let same = written.len() == name.len()
            && letters.all(|(a, b)| a.to_ascii_lowercase() == *b || *a == b'-' && *b == b'_');
        if same {
            if is == Is::Set {
                out.extend_from_slice(if name == b"cookie" { b"; " } else { b", " });
            }
            out.extend_from_slice(field.value.of(buf));
            is = Is::Set;
        }
    }
    is
}

/// `$cookie_NAME`: the first cookie of that name, over all lines of Cookie. None: there is none.
pub fn cookie<'a>(ex: &'a Exchange, name: &[u8]) -> Option<&'a [u8]> {
    let buf = ex.buf();
    ex.request.head.all(HeaderId::Cookie).find_map(|field| cookie_of(field.value.of(buf), name))
}

/// nginx's reading: a name begins the line or follows a `;`, its value ends at the next, and blanks around `=` are
/// passed.
fn cookie_of<'a>(line: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let mut rest = line;
    loop {
        if let Some((word, after @ [b'=' | b' ', ..])) = rest.split_at_checked(name.len())
            && word.eq_ignore_ascii_case(name)
            && let [b'=', value @ ..] = blanks_off(after)
        {
            return blanks_off(value).split(|b| *b == b';').next();
        }
        let end = memchr::memchr(b';', rest)?;
        rest = blanks_off(rest.get(end + 1..).unwrap_or_default());
    }
}

fn blanks_off(text: &[u8]) -> &[u8] {
    let blanks = text.iter().take_while(|b| **b == b' ').count();
    text.get(blanks..).unwrap_or_default()
}

/// See [`remote_user`]; for the combined log line, which has its own writer.
pub fn remote_user_of(ex: &Exchange, out: &mut Vec<u8>) {
    remote_user(ex, out);
}

/// The user name of Basic credentials, whether or not they were checked (nginx).
fn remote_user(ex: &Exchange, out: &mut Vec<u8>) -> Is {
    match ex.request.basic_credentials() {
        Some((user, _)) => put(Some(&user), out),
        None => Is::Unset,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_argument_is_the_first_of_its_name() {
        let table: [(&str, Option<&str>); 14] = [
            ("", None),
            ("a", None),
            ("a=", Some("")),
            ("a=1", Some("1")),
            ("A=1&a=2", Some("1")),
            ("b=1&a=2", Some("2")),
            ("ba=1&a=2", Some("2")),
            ("b=a=1&a=2", Some("2")),
            ("a&a=2", Some("2")),
            ("a=1=2&b", Some("1=2")),
            ("&&&a=x&", Some("x")),
            ("=1&a=2", Some("2")),
            ("aa=1", None),
            ("a==", Some("=")),
        ];
        for (args, expected) in table {
            assert_eq!(argument(args.as_bytes(), b"a"), expected.map(str::as_bytes), "{args}");
        }
        assert_eq!(argument(b"=1", b""), None);
    }
}
