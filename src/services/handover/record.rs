//! Handover records as bytes: a kind, then its fields; numbers as eight bytes, texts with a length prefix. A message
//! contains complete records.

use crate::http::dav::lock::Token;
use crate::services::dav_locks::Lock;
use crate::services::stats::PeerCounts;
use std::rc::Rc;

/// One record; times are monotonic milliseconds unless stated otherwise, which two processes of a machine share.
#[derive(Clone, Debug, PartialEq)]
pub enum Record<'a> {
    /// limit_req: thousandths of a request in excess of the rate, as of `last`.
    Requests { zone: &'a str, key: &'a [u8], excess: i64, last: u64 },
    /// limit_conn: slots of the sender's requests.
    Connections { zone: &'a str, key: &'a [u8], count: u32 },
    /// upload_quota: what the sender's uploads have claimed in an area.
    Claim { area: &'a [u8], bytes: u64, files: u64 },
    /// A WebDAV lock and its zone.
    Lock { zone: &'a str, lock: Lock },
    /// A WebDAV lock has ended before its time.
    Unlocked { path: &'a [u8], token: Token },
    /// ssl_session_cache. `made`: Unix seconds.
    Session { zone: &'a str, key: &'a [u8], made: u64, value: &'a [u8] },
    /// A key of session tickets. `made`: Unix seconds.
    TicketKey { name: [u8; 16], secret: [u8; 32], made: u64 },
    /// The counters of a server.
    Upstream { upstream: &'a str, peer: &'a str, counts: PeerCounts },
    /// The state that existed at the beginning of the handover is complete.
    End,
}

const REQUESTS: u8 = b'r';
const PLACES: u8 = b'p';
const CLAIM: u8 = b'c';
/// A lock without a creator, as older versions know it; and one with a creator.
const LOCK: u8 = b'l';
const NAMED_LOCK: u8 = b'L';
const UNLOCKED: u8 = b'x';
const SESSION: u8 = b's';
const TICKET_KEY: u8 = b'k';
const UPSTREAM: u8 = b'u';
const END: u8 = b'e';

struct Out(Vec<u8>);

impl Out {
    fn number(&mut self, number: u64) -> &mut Out {
        self.0.extend_from_slice(&number.to_le_bytes());
        self
    }

    fn text(&mut self, text: &[u8]) -> &mut Out {
        self.number(text.len() as u64).0.extend_from_slice(text);
        self
    }
}

impl<'a> Record<'a> {
    /// The bytes of one record.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Out(Vec::with_capacity(64));
        match self {
            Record::Requests { zone, key, excess, last } => {
                out.0.push(REQUESTS);
                out.text(zone.as_bytes()).text(key).number(excess.cast_unsigned()).number(*last);
            }
            Record::Connections { zone, key, count } => {
                out.0.push(PLACES);
                out.text(zone.as_bytes()).text(key).number(u64::from(*count));
            }
            Record::Claim { area, bytes, files } => {
                out.0.push(CLAIM);
                out.text(area).number(*bytes).number(*files);
            }
            Record::Lock { zone, lock } => {
                out.0.push(if lock.creator.is_empty() { LOCK } else { NAMED_LOCK });
                out.text(zone.as_bytes()).text(lock.token.bytes()).text(&lock.path).text(&lock.href).text(&lock.owner);
                out.number(u64::from(lock.exclusive)).number(u64::from(lock.deep));
                out.number(lock.timeout).number(lock.until);
                if !lock.creator.is_empty() {
                    out.text(&lock.creator);
                }
            }
            Record::Unlocked { path, token } => {
                out.0.push(UNLOCKED);
                out.text(path).text(token.bytes());
            }
            Record::Session { zone, key, made, value } => {
                out.0.push(SESSION);
                out.text(zone.as_bytes()).text(key).number(*made).text(value);
            }
            Record::TicketKey { name, secret, made } => {
                out.0.push(TICKET_KEY);
                out.text(name).text(secret).number(*made);
            }
            Record::Upstream { upstream, peer, counts } => {
                out.0.push(UPSTREAM);
                out.text(upstream.as_bytes()).text(peer.as_bytes()).number(counts.selected);
                for count in counts.responses {
                    out.number(count);
                }
                out.number(counts.sent).number(counts.received).number(counts.fails);
            }
            Record::End => out.0.push(END),
        }
        out.0
    }

    /// Decodes the first record of a message and removes it from that. None: there is none, or it is invalid.
    pub fn decode(message: &mut &'a [u8]) -> Option<Record<'a>> {
        let (kind, rest) = message.split_first()?;
        *message = rest;
        Some(match *kind {
            REQUESTS => {
                let (zone, key) = (name(message)?, text(message)?);
                Record::Requests { zone, key, excess: number(message)?.cast_signed(), last: number(message)? }
            }
            PLACES => {
                let (zone, key) = (name(message)?, text(message)?);
                Record::Connections { zone, key, count: u32::try_from(number(message)?).ok()? }
            }
            CLAIM => Record::Claim { area: text(message)?, bytes: number(message)?, files: number(message)? },
            LOCK | NAMED_LOCK => {
                let (zone, token) = (name(message)?, Token::from_bytes(text(message)?.try_into().ok()?));
                let mut shared = || text(message).map(Rc::from);
                let (path, href, owner) = (shared()?, shared()?, shared()?);
                let (exclusive, deep) = (number(message)? != 0, number(message)? != 0);
                let (timeout, until) = (number(message)?, number(message)?);
                let creator = if *kind == NAMED_LOCK { Rc::from(text(message)?) } else { Rc::default() };
                Record::Lock { zone, lock: Lock { token, path, href, exclusive, deep, owner, creator, timeout, until } }
            }
            UNLOCKED => {
                Record::Unlocked { path: text(message)?, token: Token::from_bytes(text(message)?.try_into().ok()?) }
            }
            SESSION => {
                let (zone, key) = (name(message)?, text(message)?);
                Record::Session { zone, key, made: number(message)?, value: text(message)? }
            }
            TICKET_KEY => {
                let (name, secret) = (text(message)?.try_into().ok()?, text(message)?.try_into().ok()?);
                Record::TicketKey { name, secret, made: number(message)? }
            }
            UPSTREAM => {
                let (upstream, peer) = (name(message)?, name(message)?);
                let mut counts = PeerCounts { selected: number(message)?, ..PeerCounts::default() };
                for count in &mut counts.responses {
                    *count = number(message)?;
                }
                (counts.sent, counts.received, counts.fails) = (number(message)?, number(message)?, number(message)?);
                Record::Upstream { upstream, peer, counts }
            }
            END => Record::End,
            _ => return None,
        })
    }
}

fn number(message: &mut &[u8]) -> Option<u64> {
    let (number, rest) = message.split_first_chunk()?;
    *message = rest;
    Some(u64::from_le_bytes(*number))
}

fn text<'a>(message: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = usize::try_from(number(message)?).ok()?;
    let (text, rest) = message.split_at_checked(length)?;
    *message = rest;
    Some(text)
}

fn name<'a>(message: &mut &'a [u8]) -> Option<&'a str> {
    std::str::from_utf8(text(message)?).ok()
}
