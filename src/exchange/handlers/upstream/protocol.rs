//! How the protocols differ: how a request is written, how its body is framed, how the response is read, and what its
//! end means. The other files are independent of the protocol: where it matters, they use one of the properties below,
//! so that a new protocol is one line in each of these tables.
//!
//! These are matches on an enum, not callbacks as in nginx and lighttpd: the compiler finds every place that a new
//! protocol has to handle, and a property that several protocols share is written once.

use super::fault::UpstreamFault;
use super::reading::Headed;
use super::record::RequestTarget;
use super::settings::settings;
use super::state::{BodyFraming, Reading, UpstreamRequest};
use super::{gateway, http1, upgrade};
use crate::config::model::Level;
use crate::config::settings::proxy::ProxySettings;
use crate::config::settings::proxy_pass::Protocol;
use crate::exchange::{Exchange, Printable};
use crate::http::fastcgi::{self, Event};
use crate::http::header::HeaderId;
use crate::http::method::Method;
use crate::http::response_parser::ResponseFormat;
use crate::http::scgi;
use crate::http::status::Status;
use crate::http::version::Version;
use crate::services::Services;

/// What an application has ended.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stream {
    Stdout,
    Request,
}

/// What the upstream code needs to know about a protocol.
impl Protocol {
    /// HTTP semantics: the request has a URI, URLs have a default port, a reason phrase may be empty, interim responses
    /// (1xx) may be passed on, and a response without content leaves the connection reusable.
    pub(super) fn is_http(self) -> bool {
        self == Protocol::Http1
    }

    /// Whether the response ends with a message of its own (FastCGI's END_REQUEST), not with the last byte of the
    /// content or the end of the connection.
    pub(super) fn ends_by_record(self) -> bool {
        self == Protocol::FastCgi
    }

    /// Whether the request announces the length of its body, since it cannot be chunked.
    pub(super) fn announces_length(self) -> bool {
        matches!(self, Protocol::Scgi | Protocol::Uwsgi | Protocol::Cgi)
    }

    /// Whether the connection can be reused: HTTP since version 1.1 (nginx), otherwise as the application decides.
    pub(super) fn may_keep(self, version: Version) -> bool {
        !self.is_http() || version == Version::Http11
    }

    /// The parameters of all gateways are the same, and SCGI's are the plainest to read.
    pub(super) fn plainest(self) -> Protocol {
        match self {
            Protocol::FastCgi | Protocol::Uwsgi => Protocol::Scgi,
            other => other,
        }
    }

    /// The header fields or parameters of a request as it was written, `NAME: VALUE` each. None of a program, which has
    /// them in its environment.
    pub(super) fn written_fields(self, out: &[u8]) -> Vec<Vec<u8>> {
        match self {
            Protocol::Http1 => http1::written_fields(out),
            Protocol::Scgi => scgi::written_pairs(out),
            _ => Vec::new(),
        }
    }

    /// Response fields that are hidden from the client unless a pass_header names them.
    pub(super) fn hides(self, id: HeaderId) -> bool {
        match id {
            HeaderId::Date | HeaderId::Server | HeaderId::XPad => self.is_http(),
            // nginx hides it for FastCGI and SCGI only.
            HeaderId::Status => !self.is_http() && self != Protocol::Uwsgi,
            HeaderId::XAccelExpires
            | HeaderId::XAccelRedirect
            | HeaderId::XAccelLimitRate
            | HeaderId::XAccelBuffering
            | HeaderId::XAccelCharset => true,
            _ => false,
        }
    }

    /// Whether a field of an upstream's head, early hints or trailers is passed to the client: none that concerns the
    /// connection or the framing is, and none that is hidden, by the protocol or by a hide_header, unless a pass_header
    /// names it (nginx).
    pub(super) fn passes(self, settings: &ProxySettings, id: HeaderId, name: &[u8]) -> bool {
        let is = |names: &[Box<[u8]>]| names.iter().any(|n| n.eq_ignore_ascii_case(name));
        let is_of_connection = matches!(
            id,
            HeaderId::ContentLength
                | HeaderId::TransferEncoding
                | HeaderId::Connection
                | HeaderId::KeepAlive
                | HeaderId::Te
                | HeaderId::ProxyConnection
        );
        let is_hidden = self.hides(id) || is(&settings.hide_headers);
        !is_of_connection && (!is_hidden || is(&settings.pass_headers))
    }

    /// Whether bytes of the client may follow a request, after a 101. In FastCGI they would be taken for records of its
    /// own, and its STDIN has ended.
    fn may_switch(self) -> bool {
        self != Protocol::FastCgi
    }

    /// How the head of a response begins.
    pub(super) fn response_format(self) -> ResponseFormat {
        match self {
            Protocol::Http1 | Protocol::Tunnel => ResponseFormat::Http1,
            Protocol::FastCgi => ResponseFormat::Cgi { status_line: false },
            Protocol::Scgi | Protocol::Uwsgi | Protocol::Cgi => ResponseFormat::Cgi { status_line: true },
        }
    }

    /// Whether there is no request: bytes are copied in both directions once the connection is established.
    pub(super) fn is_tunnel(self) -> bool {
        self == Protocol::Tunnel
    }
}

impl UpstreamRequest {
    /// Writes the request for a server, followed by the part of the body that has arrived.
    pub(super) fn compose(
        &mut self,
        ex: &mut Exchange,
        cx: &mut Services,
        target: &RequestTarget,
    ) -> Result<(), Status> {
        self.asked.format = self.protocol.response_format();
        match self.protocol {
            Protocol::Http1 => http1::compose(self, ex, cx, target),
            // A program gets its environment at start; the server of a tunnel gets no request.
            Protocol::Cgi | Protocol::Tunnel => Ok(()),
            Protocol::FastCgi | Protocol::Scgi | Protocol::Uwsgi => {
                self.asked.head = ex.route.method == Method::Head;
                if self.protocol.may_switch() && upgrade::is_wanted(ex) {
                    self.protocols = upgrade::of_client(ex);
                }
                self.asked.upgrade = !self.protocols.is_empty();
                gateway::compose(self, ex, cx)
            }
        }
    }

    /// Appends a piece of the body, framed, to the pending request.
    pub(super) fn push(&mut self, piece: &[u8]) {
        match self.framing {
            _ if piece.is_empty() => {}
            BodyFraming::Plain => self.out.extend_from_slice(piece),
            BodyFraming::Chunked => http1::push_chunk(piece, &mut self.out),
            BodyFraming::Stdin => fastcgi::stdin(&mut self.out, piece),
        }
    }

    /// Appends the end of the body.
    pub(super) fn push_end(&mut self) {
        match self.framing {
            BodyFraming::Plain => {}
            BodyFraming::Chunked => http1::push_last_chunk(&mut self.out),
            BodyFraming::Stdin => fastcgi::stdin_end(&mut self.out),
        }
    }

    /// Processes bytes of the response. Some: the head is complete; the caller executes its flow and then passes the
    /// same bytes to [`UpstreamRequest::begin_body`].
    pub fn received(
        &mut self,
        ex: &mut Exchange,
        cx: &mut Services,
        bytes: &[u8],
    ) -> Result<Option<Headed>, UpstreamFault> {
        if let Some(one) = ex.log.upstream.as_mut().and_then(|record| record.last()) {
            one.received += bytes.len() as u64;
        }
        match self.protocol {
            Protocol::FastCgi => self.records(ex, cx, bytes),
            _ => self
                .stream(ex, cx, bytes)
                .map(|headed| headed.map(|(flow, at)| Headed { flow, body: at..bytes.len(), rest: bytes.len() })),
        }
    }

    /// Processes FastCGI records.
    pub(super) fn records(
        &mut self,
        ex: &mut Exchange,
        cx: &mut Services,
        bytes: &[u8],
    ) -> Result<Option<Headed>, UpstreamFault> {
        let mut at = 0;
        loop {
            let rest = bytes.get(at..).unwrap_or_default();
            let step = self.records.next(rest).map_err(|bad| {
                let doing = self.doing(ex);
                ex.report(cx, Level::Error, format_args!("{bad} while {doing}"));
                if self.reads_head() { UpstreamFault::InvalidHeader } else { UpstreamFault::Error }
            })?;
            let from = at;
            at += step.consumed;
            match step.event {
                Event::More => return Ok(None),
                Event::Stderr(range) => self.stderr(ex, cx, &rest[range])?,
                Event::Stdout(range) => {
                    let (start, end) = (from + range.start, from + range.end);
                    if let Some((flow, head)) = self.stream(ex, cx, &rest[range])? {
                        return Ok(Some(Headed { flow, body: start + head..end, rest: at }));
                    }
                }
                Event::StdoutEnd => self.stdout_ends(ex, cx, Stream::Stdout)?,
                Event::End(_) => {
                    self.stdout_ends(ex, cx, Stream::Request)?;
                    self.keep = settings(ex).gateway.keep_conn && at == bytes.len() && self.records.is_ended();
                    self.reading = Reading::Done;
                }
            }
        }
    }

    /// The application has closed its output. END_REQUEST is still awaited: an application that writes it a moment
    /// later would otherwise write to a closed connection.
    fn stdout_ends(&mut self, ex: &mut Exchange, cx: &mut Services, what: Stream) -> Result<(), UpstreamFault> {
        match self.reading {
            Reading::Head | Reading::Length(_) => {
                let doing = self.doing(ex);
                match what {
                    Stream::Request if self.reads_head() => {
                        ex.report(
                            cx,
                            Level::Error,
                            format_args!("upstream sent unexpected FastCGI record: 3 while {doing}"),
                        );
                    }
                    _ => {
                        let what = if what == Stream::Stdout { "stdout" } else { "request" };
                        let text = format_args!("upstream prematurely closed FastCGI {what} while {doing}");
                        ex.report(cx, Level::Error, text);
                    }
                }
                return Err(if self.reads_head() { UpstreamFault::InvalidHeader } else { UpstreamFault::Error });
            }
            Reading::UntilClose | Reading::Rest { .. } => self.reading = Reading::Rest { warned: true },
            Reading::Done | Reading::UntilExit => {}
        }
        Ok(())
    }

    /// Logs the text that an application wrote to STDERR.
    fn stderr(&mut self, ex: &mut Exchange, cx: &mut Services, text: &[u8]) -> Result<(), UpstreamFault> {
        let blank = |b: &u8| matches!(b, b'\n' | b'\r' | b'.' | b' ');
        let end = text.iter().rposition(|b| !blank(b)).map_or(1, |last| last + 1);
        let text = text.get(..end).unwrap_or_default();
        let doing = self.doing(ex);
        // A line each: PHP writes a stack trace at once.
        for line in text.split(|&byte| byte == b'\n').map(<[u8]>::trim_ascii_end).filter(|line| !line.is_empty()) {
            let line = Printable(line);
            ex.report(cx, Level::Error, format_args!("FastCGI sent in stderr: \"{line}\" while {doing}"));
        }
        let caught = |word: &[u8]| memchr::memmem::find(text, word).is_some();
        if self.reads_head() && settings(ex).gateway.catch_stderr.iter().any(|word| caught(word)) {
            return Err(UpstreamFault::InvalidHeader);
        }
        Ok(())
    }
}
