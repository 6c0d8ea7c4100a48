//! What the error log says of a request: the line, with nginx's trailer about the client and its request. Scanners
//! cause such lines by the thousand, so the parts that all of them have are written without the formatting machinery.
//!
//! Invariant: no byte of a request starts a line of its own or drives a terminal
//! ([`Printable`](crate::util::printable::Printable)).

use super::{Exchange, variables};
use crate::config::model::{Level, LineFormat};
use crate::http::header::HeaderId;
use crate::http::version::Version;
use crate::route::Trace;
use crate::services::Services;
use crate::services::error_line::{member, text_member};
use crate::services::logs::Who;
use crate::sys::socket::Peer;
use std::fmt;

/// Bytes that one request may add to the error log, with everything that its pages include.
const LONGEST: usize = 64 << 10;

impl Exchange {
    /// One line in the error log.
    pub fn report(&self, cx: &mut Services, level: Level, what: fmt::Arguments<'_>) {
        self.log.reports.set(self.log.reports.get() + 1);
        let before = self.log.reported.get();
        if before >= LONGEST {
            return;
        }
        cx.trace.say("log", None, || format!("[{}] {what}", level.name()));
        let log = &self.location().settings.logs.error;
        let who = Who {
            serial: self.client.serial,
            asked: &|format: LineFormat, line: &mut Vec<u8>| asked(self, format, line),
        };
        let written = cx.logs.error(log, level, &mut cx.now, Some(who), what);
        self.log.reported.set(before + written);
        if before + written >= LONGEST {
            let what = format_args!("more messages of this request are left out");
            cx.logs.error(
                log,
                level,
                &mut cx.now,
                Some(Who { serial: self.client.serial, asked: &|_: LineFormat, _: &mut Vec<u8>| {} }),
                what,
            );
        }
    }

    /// The part of the trailer about the request and its server.
    pub(super) fn asked_what(&self, format: LineFormat, line: &mut Vec<u8>) {
        let name = &self.server().name;
        match format {
            LineFormat::Text => {
                line.extend_from_slice(b", server: ");
                text_member("server", name, line);
            }
            LineFormat::Json => member("server", name, line),
        }
        let mut quoted = |name: &str, text: &[u8]| match format {
            LineFormat::Json => member(name, text, line),
            LineFormat::Text => {
                line.extend_from_slice(b", ");
                line.extend_from_slice(name.as_bytes());
                line.extend_from_slice(b": \"");
                text_member(name, text, line);
                line.push(b'"');
            }
        };
        if self.config.variables.request_id {
            let id: String = self.log.request_id().iter().map(|byte| format!("{byte:02x}")).collect();
            quoted("request_id", id.as_bytes());
        }
        let mut if_any = |name: &str, text: &[u8]| {
            if !text.is_empty() {
                quoted(name, text);
            }
        };
        if_any("request", self.request.head.request_line.of(self.buf()));
        // The URI of an include, or of auth_request's subrequest.
        if_any("subrequest", if self.nesting.subrequest.is_some() { &self.route.uri } else { b"" });
        if_any("upstream", &self.log.upstream.as_ref().map(|record| record.shown()).unwrap_or_default());
        // The client's Host field, whatever host an absolute target names (nginx).
        let head = &self.request.head;
        let field = head.get(HeaderId::Host).map(|field| field.value);
        let host = field.or((head.version == Version::Http2).then_some(head.host));
        if_any("host", host.map(|host| host.of(self.buf())).unwrap_or_default());
        // Also an empty one, as in nginx.
        if let Some(referrer) = self.request.head.get(HeaderId::Referer) {
            quoted("referrer", referrer.value.of(self.buf()));
        }
    }
}

/// nginx's trailer: the client and its request.
fn asked(ex: &Exchange, format: LineFormat, line: &mut Vec<u8>) {
    client(&ex.client.peer, format, line);
    ex.asked_what(format, line);
}

/// The part of the trailer that every connection has.
pub fn client(peer: &Peer, format: LineFormat, line: &mut Vec<u8>) {
    match format {
        LineFormat::Text => {
            line.extend_from_slice(b", client: ");
            variables::put_peer(peer, line);
        }
        LineFormat::Json => {
            let mut address = Vec::new();
            variables::put_peer(peer, &mut address);
            member("client", &address, line);
        }
    }
}
