//! Reads the response: its head, then its body, which is passed on to the client piece by piece.

use super::early_hints::{self, Hints};
use super::fault::UpstreamFault;
use super::record::ReceivedHead;
use super::settings::settings;
use super::state::{Reading, UpstreamPhase, UpstreamRequest};
use super::timers::{UpstreamDeadline, UpstreamTimer};
use super::{respond, spool, store};
use crate::config::model::Level;
use crate::config::settings::proxy::Store;
use crate::config::value::Size;
use crate::exchange::flow::Flow;
use crate::exchange::pace::Pace;
use crate::exchange::{Exchange, Tx, variables};
use crate::http::body_length::BodyLength;
use crate::http::body_reader::BodyReader;
use crate::http::response_parser::ResponseHeadProgress;
use crate::http::upstream_head::Ending;
use crate::services::Services;
use crate::sys::process::Exit;
use std::ops::Range;
use std::rc::Rc;

/// Maximum number of interim responses (1xx) per request: each restarts proxy_read_timeout.
const MAX_INTERIM: u32 = 100;
/// Milliseconds that a program may take to exit after closing its output. One that was killed needs no time.
const EXIT_WAIT: u64 = 100;

/// A complete response head: the exchange's next step, and where the body begins in the bytes that completed the head.
pub struct Headed {
    /// What the exchange does next.
    pub flow: Flow,
    /// The range of the body's first bytes.
    pub(super) body: Range<usize>,
    /// Where the unread rest begins: further FastCGI records.
    pub(super) rest: usize,
}

impl Headed {
    /// The piece of the body that came with the head, and the unread rest.
    fn parts<'b>(&self, bytes: &'b [u8]) -> (&'b [u8], &'b [u8]) {
        (bytes.get(self.body.clone()).unwrap_or_default(), bytes.get(self.rest..).unwrap_or_default())
    }
}

impl UpstreamRequest {
    /// Bytes of the response that may be read now: 0 while the client's side has no room.
    pub fn room(&self, ex: &Exchange) -> usize {
        let settings = &settings(ex);
        match self.reading {
            Reading::Done | Reading::UntilExit => 0,
            // Body bytes that come with the head are passed on at once: if the rate is limited, read no more than the
            // head's buffer (nginx).
            Reading::Head if !settings.buffering || settings.limit_rate.is_some() => {
                (settings.buffer_size.0 as usize).saturating_sub(self.input.len()).max(1)
            }
            // Body bytes that have already arrived are read and sent together with the head.
            _ => self.body_room(ex),
        }
    }

    /// The head is incomplete.
    pub fn reads_head(&self) -> bool {
        matches!(self.reading, Reading::Head)
    }

    /// Whether everything has been read and only the exit of the program is awaited.
    pub fn awaits_exit(&self) -> bool {
        matches!(self.reading, Reading::UntilExit)
    }

    /// The response is complete.
    pub fn is_done(&self) -> bool {
        matches!(self.reading, Reading::Done)
    }

    /// Processes bytes of head and body, without the protocol's framing. Some: the head is complete: its flow, and how
    /// many of the bytes belong to it; the rest is body.
    pub(super) fn stream(
        &mut self,
        ex: &mut Exchange,
        cx: &mut Services,
        bytes: &[u8],
    ) -> Result<Option<(Flow, usize)>, UpstreamFault> {
        if !self.reads_head() {
            return self.body_bytes(ex, cx, bytes).map(|()| None);
        }
        let limit = settings(ex).buffer_size.0 as usize;
        // A head usually arrives in one piece: it is only copied otherwise, and then each byte once.
        let mut held = std::mem::take(&mut self.input);
        let before = held.len();
        if before > 0 {
            held.extend_from_slice(bytes);
        }
        let text = if before > 0 { &held } else { bytes };
        let mut at = 0;
        let end = loop {
            let rest = text.get(at..).unwrap_or_default();
            match self.parser.parse(rest, limit, self.asked) {
                Ok(ResponseHeadProgress::Partial) if before > 0 => {
                    held.drain(..at);
                    self.input = held;
                    return Ok(None);
                }
                Ok(ResponseHeadProgress::Partial) => {
                    self.input = rest.to_vec();
                    return Ok(None);
                }
                Ok(ResponseHeadProgress::Interim(n)) => {
                    self.interim(ex, cx, rest, n)?;
                    at += n;
                    self.parser.clear();
                }
                Ok(ResponseHeadProgress::Complete) => break at + self.parser.head.len,
                Err(bad) => {
                    let what = format_args!("{bad} while reading response header from upstream");
                    ex.report(cx, Level::Error, what);
                    return Err(UpstreamFault::InvalidHeader);
                }
            }
        };
        if let Some(one) = ex.log.upstream.as_mut().and_then(|record| record.last()) {
            one.header = Some(cx.now.ms.saturating_sub(one.started));
            one.status = self.parser.head.status;
        }
        if let Some(line) = &self.parser.head.left_out {
            let what = format_args!("upstream sent invalid header line: \"{line}\", left out");
            ex.report(cx, Level::Warn, format_args!("{what} while reading response header from upstream"));
        }
        self.keep = self.parser.head.keep_alive;
        self.ending = self.parser.head.ending;
        let received = self.keep_head(ex, cx, text.get(at..end).unwrap_or_default());
        let flow = respond::handle_head(self, ex, cx, &received)?;
        Ok(Some((flow, end.saturating_sub(before))))
    }

    /// Stores the head in the record, where variables find it.
    fn keep_head(&mut self, ex: &mut Exchange, cx: &mut Services, text: &[u8]) -> Rc<ReceivedHead> {
        let mut bytes = ex.spare.take_bytes();
        bytes.extend_from_slice(text);
        let received = respond::without_duplicates(self.parser.take(), bytes, ex, cx);
        let received = ex.spare.share_head(received);
        if let Some(record) = &mut ex.log.upstream {
            record.head = Some(received.clone());
        }
        received
    }

    /// Processes an interim response, the first `len` of the received bytes.
    fn interim(&mut self, ex: &mut Exchange, cx: &mut Services, bytes: &[u8], len: usize) -> Result<(), UpstreamFault> {
        self.interim += 1;
        if self.interim > MAX_INTERIM {
            let what = "upstream sent too many informational responses while reading response header";
            ex.report(cx, Level::Error, format_args!("{what} from upstream"));
            return Err(UpstreamFault::InvalidHeader);
        }
        let hints = Hints { head: &self.parser.head, bytes, len, protocol: self.protocol };
        if self.protocol.is_http() && !early_hints::pass(&hints, &mut self.hinted, ex, cx) {
            return Err(UpstreamFault::InvalidHeader);
        }
        Ok(())
    }

    /// The response to the client has begun: whatever follows the head in `bytes` is body.
    pub fn begin_body(
        &mut self,
        ex: &mut Exchange,
        cx: &mut Services,
        headed: &Headed,
        bytes: &[u8],
    ) -> Result<(), UpstreamFault> {
        self.reading = match self.ending {
            _ if self.phase == UpstreamPhase::Tunnel => Reading::UntilClose,
            // Nothing is sent to the client.
            Ending::Length(0) if ex.is_auth_subrequest() => self.after_body(false),
            _ if self.ending != Ending::None
                && ex.progress.tx == Tx::Done
                && (ex.nesting.subrequest.is_none() || ex.is_auth_subrequest()) =>
            {
                self.keep = false;
                self.reading = Reading::Done;
                return Ok(());
            }
            // Anything that follows is not waited for, and the connection cannot be reused (nginx).
            Ending::None => {
                self.keep &= self.protocol.is_http();
                Reading::Done
            }
            Ending::Length(0) => self.after_body(false),
            Ending::Length(length) => Reading::Length(BodyReader::of_response(BodyLength::Known(length))),
            Ending::Mark => Reading::Length(BodyReader::of_response(BodyLength::Unknown)),
            Ending::Close => Reading::UntilClose,
        };
        if settings(ex).store != Store::Off && self.ending != Ending::None {
            let head = ex.log.upstream.as_ref().and_then(|record| record.head.clone());
            self.copy = head.and_then(|head| store::begin(ex, cx, &head));
        }
        let (body, rest) = headed.parts(bytes);
        self.limit_rate(ex, cx, body.len());
        self.body_bytes(ex, cx, body)?;
        if !rest.is_empty() {
            self.records(ex, cx, rest)?;
        }
        Ok(())
    }

    /// Applies proxy_limit_rate. Responses without buffering are not limited (nginx).
    fn limit_rate(&mut self, ex: &mut Exchange, cx: &mut Services, read: usize) {
        let Some(rate) = settings(ex).limit_rate.clone() else { return };
        if ex.response.at_once || self.phase == UpstreamPhase::Tunnel {
            return;
        }
        let text = variables::text(&rate, ex, cx);
        let rate = Size::parse(&text).ok().filter(|rate| rate.0 > 0);
        self.pace = rate.map(|rate| Pace::new(rate.0, cx.now.ms));
        if let Some(pace) = &mut self.pace {
            pace.took(read);
        }
    }

    /// From now on, everything the server sends is passed to the client uninterpreted.
    pub fn begin_tunnel(&mut self) {
        self.reading = Reading::UntilClose;
    }

    /// The state after the whole body has arrived.
    fn after_body(&self, warned: bool) -> Reading {
        if self.protocol.ends_by_record() { Reading::Rest { warned } } else { Reading::Done }
    }

    /// [`UpstreamPhase::Tunnel`]: passes on bytes of the client.
    pub fn relay(&mut self, bytes: &[u8]) {
        self.replay = false;
        self.trim();
        self.out.extend_from_slice(bytes);
    }

    fn body_bytes(&mut self, ex: &mut Exchange, cx: &mut Services, bytes: &[u8]) -> Result<(), UpstreamFault> {
        let mut at = 0;
        let mut length = 0;
        match &mut self.reading {
            Reading::UntilClose => {
                spool::pass(&mut self.spool, ex, cx, bytes);
                store::write(&mut self.copy, ex, cx, bytes);
                length = bytes.len();
                at = bytes.len();
            }
            Reading::Length(body) => {
                let decoded = body.pieces(bytes, |piece| {
                    spool::pass(&mut self.spool, ex, cx, piece);
                    store::write(&mut self.copy, ex, cx, piece);
                    length += piece.len();
                });
                match decoded {
                    Ok(n) => at = n,
                    Err(_) => {
                        let what = "upstream sent invalid chunked response while reading upstream";
                        ex.report(cx, Level::Error, format_args!("{what}"));
                        received(ex, length);
                        return Err(UpstreamFault::Error);
                    }
                }
                if body.is_done() {
                    let trailers = std::mem::take(&mut body.trailers);
                    self.reading = self.after_body(at < bytes.len());
                    respond::trailers(ex, trailers);
                }
            }
            Reading::Rest { warned: true } => at = bytes.len(),
            Reading::Rest { warned } => *warned = true,
            Reading::Head | Reading::Done | Reading::UntilExit => {}
        }
        if at < bytes.len() {
            // Excess bytes belong to no response (nginx: "more data than specified").
            self.keep = false;
            let what = match self.ending {
                Ending::None => None,
                Ending::Mark => Some("upstream sent data after final chunk while reading upstream"),
                _ => {
                    let what =
                        "upstream sent more data than specified in \"Content-Length\" header while reading upstream";
                    Some(what)
                }
            };
            if let Some(what) = what {
                ex.report(cx, Level::Warn, format_args!("{what}"));
            }
        }
        received(ex, length);
        Ok(())
    }

    /// The upstream has closed the connection.
    pub fn closed(&mut self, ex: &mut Exchange, cx: &mut Services) -> Result<(), UpstreamFault> {
        self.keep = false;
        match self.reading {
            // An application that keeps connections open must end its records (nginx).
            Reading::UntilClose | Reading::Rest { .. }
                if settings(ex).gateway.keep_conn && self.ending == Ending::Close =>
            {
                return Err(self.cut_short(ex, cx));
            }
            Reading::UntilClose if self.protocol.ends_by_record() => {
                // The end of the records is missing: an application that was killed had more to write.
                let what = "upstream prematurely closed FastCGI stdout while reading upstream";
                ex.report(cx, Level::Error, format_args!("{what}"));
                return Err(UpstreamFault::Error);
            }
            Reading::UntilClose if self.is_cut => {
                // It goes to the client as it is (nginx), but what may be incomplete is not stored for others.
                self.copy = None;
                self.reading = Reading::Done;
            }
            Reading::UntilClose | Reading::UntilExit | Reading::Rest { .. } => self.reading = Reading::Done,
            Reading::Done => {}
            Reading::Head => {
                let what = "upstream prematurely closed connection while reading response header from upstream";
                ex.report(cx, Level::Error, format_args!("{what}"));
                return Err(UpstreamFault::Error);
            }
            Reading::Length(_) => return Err(self.cut_short(ex, cx)),
        }
        Ok(())
    }

    /// A program has closed its output, and no length marked the end. A killed program may have had more to write; if
    /// it has not exited yet, its exit is awaited, since the kernel closes the pipes of a killed process first.
    pub fn output_ended(
        &mut self,
        ex: &mut Exchange,
        cx: &mut Services,
        exit: Option<Exit>,
    ) -> Result<(), UpstreamFault> {
        let is_open = matches!(self.reading, Reading::UntilClose | Reading::UntilExit);
        match exit {
            Some(Exit::Signal(signal)) if is_open => {
                let what = "CGI program was ended by signal";
                ex.report(cx, Level::Error, format_args!("{what} {signal}: its response may be incomplete"));
                Err(UpstreamFault::Error)
            }
            None if matches!(self.reading, Reading::UntilClose) => {
                self.reading = Reading::UntilExit;
                self.upstream_deadline = UpstreamDeadline::new(UpstreamTimer::Exit, cx.now.ms + EXIT_WAIT);
                Ok(())
            }
            _ => self.closed(ex, cx),
        }
    }

    /// Marks the response as complete.
    pub fn ended(&mut self) {
        self.reading = Reading::Done;
    }

    fn cut_short(&mut self, ex: &mut Exchange, cx: &mut Services) -> UpstreamFault {
        let what = "upstream prematurely closed connection while reading upstream";
        ex.report(cx, Level::Error, format_args!("{what}"));
        UpstreamFault::Error
    }
}

/// Counts bytes of the response body, for `$upstream_response_length`.
fn received(ex: &mut Exchange, length: usize) {
    if let Some(one) = ex.log.upstream.as_mut().and_then(|record| record.last()) {
        one.length += length as u64;
    }
}
