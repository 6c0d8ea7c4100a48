//! What the error log says of a request: the line, with nginx's trailer of who asked what. Scanners bring such lines by
//! the thousand, so what each of them has is put down without the machinery of formatting.
//!
//! Invariant: no byte of a request starts a line of its own or drives a terminal ([`Printable`]).

use super::{Exchange, Printable, variables};
use crate::config::model::Level;
use crate::http::header::HeaderId;
use crate::route::Trace;
use crate::services::Services;
use crate::services::logs::Who;
use std::fmt;

impl Exchange {
    /// One line in the error log.
    pub fn report(&self, cx: &mut Services, level: Level, what: fmt::Arguments<'_>) {
        self.log.reports.set(self.log.reports.get() + 1);
        cx.trace.say("log", None, || format!("[{}] {what}", level.name()));
        let log = &self.here().settings.logs.error;
        let who = Who { serial: self.client.serial, asked: &|line| asked(self, line) };
        cx.logs.error(log, level, &mut cx.now, Some(who), what);
    }

    /// What was asked, and of which server.
    pub(super) fn asked_what(&self, line: &mut Vec<u8>) {
        line.extend_from_slice(b", server: ");
        Printable(&self.server().name).put(line);
        let mut quoted = |name: &[u8], text: &[u8]| {
            if !text.is_empty() {
                line.extend_from_slice(name);
                Printable(text).put(line);
                line.push(b'"');
            }
        };
        quoted(b", request: \"", self.request.head.request_line.of(self.buf()));
        quoted(b", upstream: \"", self.log.upstream.as_ref().map_or(b"", |record| record.shown.as_bytes()));
        quoted(b", host: \"", self.request.head.host.of(self.buf()));
        let referrer = self.request.head.get(HeaderId::Referer).map(|field| field.value.of(self.buf()));
        quoted(b", referrer: \"", referrer.unwrap_or_default());
    }
}

/// nginx's trailer: who asked what.
fn asked(ex: &Exchange, line: &mut Vec<u8>) {
    line.extend_from_slice(b", client: ");
    variables::put_peer(&ex.client.peer, line);
    ex.asked_what(line);
}
