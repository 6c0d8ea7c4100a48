//! A lookup in progress: its questions, name server and sockets. After a truncated answer the question is repeated over
//! TCP; if a server does not answer within [`RESEND`], the next one is asked.

use super::answer::{LookupError, Records, Ticket, Want};
use crate::config::settings::resolver::ResolverSettings;
use crate::services::fair_share::Sharer;
use crate::sys::Errno;
use crate::sys::epoll::{self, Epoll};
use crate::sys::random;
use crate::sys::socket::{self, Addr, More};
use crate::util::dns::{self, Kind};
use crate::util::wake::Wake;
use std::collections::VecDeque;
use std::fmt;
use std::os::fd::{AsFd, OwnedFd};
use std::rc::Rc;

/// Milliseconds until a question is repeated (nginx).
const RESEND: u64 = 5_000;
/// Maximum number of datagrams read at once, for fairness.
const DATAGRAMS: usize = 64;
/// Maximum number of CNAMEs followed.
const HOPS: u8 = 16;
/// Maximum size of a TCP message with its length prefix. A connection that has sent as much for each question is
/// closed: it answers something else.
const LARGEST: usize = 65_537;
/// Maximum reads of a TCP connection at once, for fairness.
const READS: usize = 16;
/// Maximum number of messages that answer none of our questions: then the socket is closed, and the questions are sent
/// from a new port.
const MAX_STRAY_MESSAGES: usize = 64;
/// Additional count for a message with the right id whose records are malformed.
const MALFORMED: usize = 7;
/// RCODEs up to "refused" are answers; others are ignored (RFC 1035).
const FORMAT_ERROR: u8 = 1;
const REFUSED: u8 = 5;
const NOT_FOUND: u16 = 3;
/// Seconds for which an answer without a TTL is valid.
const NO_TTL: u32 = 10;

/// One caller of a lookup.
pub(super) struct Waiter {
    /// By which it takes its answer.
    pub(super) ticket: Ticket,
    /// What to wake; None: its ticket is noted as answered.
    pub(super) owner: Option<Wake>,
    /// The client whose request it is.
    pub(super) client: Option<Sharer>,
    /// When it times out (monotonic milliseconds).
    pub(super) until: u64,
}

/// The state of a lookup after reading answers.
pub(super) enum LookupProgress {
    /// Further answers are needed.
    Waiting,
    /// Another name must be looked up (CNAME).
    Again,
    /// The result and its TTL in seconds, or an RCODE.
    Done(Result<(Records, u32), u16>),
}

enum State {
    Open,
    Answered(dns::Answer),
    Failed(u8),
}

struct SentQuery {
    kind: Kind,
    id: u16,
    state: State,
    /// It was repeated over TCP.
    over_tcp: bool,
}

struct Tcp {
    fd: OwnedFd,
    out: Vec<u8>,
    input: Vec<u8>,
    /// Bytes received.
    received: usize,
}

/// One question that several callers may wait for.
pub(super) struct Lookup {
    /// Name servers, families and the validity of answers.
    pub(super) settings: Rc<ResolverSettings>,
    /// The name that was asked for.
    pub(super) name: Box<str>,
    /// Addresses or services.
    pub(super) want: Want,
    /// The current name: the end of a chain of CNAMEs.
    asked: Box<str>,
    hops: u8,
    /// The lowest TTL in the chain.
    ttl: u32,
    server: usize,
    /// Number of name servers that refused since the last timed attempt.
    refused: usize,
    questions: Vec<SentQuery>,
    /// Messages since they were sent that answer none of them.
    misfits: usize,
    /// What is wrong with the first of these, for the error log.
    complaint: Option<Box<str>>,
    udp: Option<OwnedFd>,
    tcp: Option<Tcp>,
    /// When the question is repeated (monotonic milliseconds); 0: at once.
    pub(super) resend_at: u64,
    /// Never empty while the lookup runs; those that time out first come first.
    pub(super) waiters: VecDeque<Waiter>,
}

impl Lookup {
    /// Nothing is sent before it is driven. `server`: the index of the name server to ask first.
    pub(super) fn new(
        settings: Rc<ResolverSettings>,
        name: Box<str>,
        want: Want,
        server: usize,
        waiter: Waiter,
    ) -> Lookup {
        let mut lookup = Lookup {
            settings,
            asked: name.clone(),
            name,
            want,
            hops: 0,
            ttl: u32::MAX,
            server,
            refused: 0,
            questions: Vec::new(),
            misfits: 0,
            complaint: None,
            udp: None,
            tcp: None,
            resend_at: 0,
            waiters: VecDeque::from([waiter]),
        };
        lookup.open_questions();
        lookup
    }

    /// Adds a caller. Most have the same timeout, so that a new one usually comes last.
    pub(super) fn join(&mut self, waiter: Waiter) {
        let later = self.waiters.iter().rev().take_while(|other| other.until > waiter.until).count();
        self.waiters.insert(self.waiters.len() - later, waiter);
    }

    /// Removes a caller that has timed out.
    pub(super) fn take_late(&mut self, now: u64) -> Option<Waiter> {
        if self.waiters.front()?.until <= now { self.waiters.pop_front() } else { None }
    }

    /// When to drive it without an answer: to repeat the question, or because a caller times out.
    pub(super) fn due(&self) -> u64 {
        self.waiters.front().map_or(0, |waiter| waiter.until).min(self.resend_at)
    }

    fn open_questions(&mut self) {
        let kinds = match self.want {
            Want::Services => vec![Kind::Srv],
            Want::Addresses => [(Kind::A, self.settings.ipv4), (Kind::Aaaa, self.settings.ipv6)]
                .into_iter()
                .filter_map(|(kind, wanted)| wanted.then_some(kind))
                .collect(),
        };
        let ask = |kind| SentQuery { kind, id: 0, state: State::Open, over_tcp: false };
        self.questions = kinds.into_iter().map(ask).collect();
    }

    /// The next question goes to the next server, in turn.
    pub(super) fn next_server(&mut self) {
        if self.resend_at > 0 {
            self.refused = 0;
        }
        self.server = self.server.wrapping_add(1);
    }

    fn address(&self) -> Addr {
        let servers = &self.settings.servers;
        Addr::from(servers[self.server % servers.len()])
    }

    /// Sends the unanswered questions, from a new port and with new ids.
    pub(super) fn send(&mut self, epoll: &Epoll, token: u64, now: u64) {
        self.resend_at = now + RESEND;
        self.tcp = None;
        self.udp = None;
        self.misfits = 0;
        match self.ask(epoll, token) {
            Ok(fd) => self.udp = Some(fd),
            Err(_) => self.refuse(),
        }
    }

    fn ask(&mut self, epoll: &Epoll, token: u64) -> Result<OwnedFd, Errno> {
        let address = self.address();
        let fd = socket::datagram(address.family())?;
        // A connected socket receives no datagrams from other addresses.
        socket::connect(fd.as_fd(), &address)?;
        epoll.add(fd.as_fd(), epoll::IN, token)?;
        for question in self.questions.iter_mut().filter(|question| matches!(question.state, State::Open)) {
            question.id = random::number()? as u16;
            question.over_tcp = false;
            // The second send may report an ICMP error for the first.
            socket::send(fd.as_fd(), &dns::query(question.id, &self.asked, question.kind), More::No)?;
        }
        Ok(fd)
    }

    fn is_open(&self) -> bool {
        self.questions.iter().any(|question| matches!(question.state, State::Open))
    }

    /// The server is unreachable, or does not answer what it is asked: asks the next one at once. If all are, all are
    /// asked again later.
    fn refuse(&mut self) {
        self.udp = None;
        self.refused += 1;
        if self.refused < self.settings.servers.len() {
            self.resend_at = 0;
        }
    }

    /// Handles an event: data arrived, or a connection was established.
    pub(super) fn receive(&mut self, epoll: &Epoll, token: u64) -> LookupProgress {
        let mut buffer = [0; 4096];
        for _ in 0..DATAGRAMS {
            let Some(fd) = self.udp.as_ref().filter(|_| self.is_open()) else { break };
            match socket::recv(fd.as_fd(), &mut buffer) {
                Ok(n) => {
                    if !self.answer(buffer.get(..n).unwrap_or_default(), Some((epoll, token))) && self.is_misled() {
                        self.refuse();
                    }
                }
                Err(e) if is_harmless(e) => break,
                Err(_) => self.refuse(),
            }
        }
        self.talk(epoll, token);
        self.progress()
    }

    /// Over TCP: sends as much as possible, and receives up to [`READS`] times.
    fn talk(&mut self, epoll: &Epoll, token: u64) {
        let Some(mut tcp) = self.tcp.take() else { return };
        while !tcp.out.is_empty() {
            match socket::send(tcp.fd.as_fd(), &tcp.out, More::No) {
                Ok(n) => drop(tcp.out.drain(..n)),
                Err(e) if is_harmless(e) => break,
                Err(_) => return,
            }
        }
        if tcp.out.is_empty() {
            let _ = epoll.modify(tcp.fd.as_fd(), epoll::IN, token);
        }
        let mut buffer = [0; 4096];
        for _ in 0..READS {
            match socket::recv(tcp.fd.as_fd(), &mut buffer) {
                Ok(0) => return,
                Ok(n) => {
                    tcp.received += n;
                    tcp.input.extend_from_slice(buffer.get(..n).unwrap_or_default());
                }
                Err(e) if is_harmless(e) => break,
                Err(_) => return,
            }
            let mut rest = &tcp.input[..];
            while let Some((message, next)) = split_message(rest) {
                if !self.answer(message, None) && self.is_misled() {
                    self.refuse();
                    return;
                }
                rest = next;
            }
            let handled = tcp.input.len() - rest.len();
            tcp.input.drain(..handled);
            if tcp.received > LARGEST * self.questions.len() {
                return;
            }
        }
        self.tcp = Some(tcp);
    }

    /// Counts a message that answers none of our questions. Returns whether they are too many.
    fn is_misled(&mut self) -> bool {
        self.misfits += 1;
        self.misfits >= MAX_STRAY_MESSAGES
    }

    /// Records what is wrong with the first message that answers none of our questions: one log line each time they are
    /// sent, however many messages an attacker sends.
    fn complain(&mut self, of: impl fmt::Display) -> bool {
        if self.misfits == 0 {
            self.complaint = Some(of.to_string().into());
        }
        false
    }

    /// Takes what is to be logged.
    pub(super) fn take_complaint(&mut self) -> Option<Box<str>> {
        self.complaint.take()
    }

    /// What is wrong with a response that matches no open question, in nginx's words. None: it is a duplicate.
    fn mismatch(&self, response: &dns::Response<'_>) -> Option<String> {
        let name = &response.name;
        let same_kind = self.questions.iter().find(|question| question.kind == response.kind);
        let Some(question) = same_kind.filter(|_| **name == *self.asked) else {
            return Some(format!("unexpected DNS response for {name}"));
        };
        let (got, asked) = (response.id, question.id);
        (got != asked).then(|| format!("wrong ident {got} in DNS response for {name}, expect {asked}"))
    }

    /// Handles one message; false: it answers none of our open questions. `udp`: for repeating the question over TCP if
    /// it is truncated.
    fn answer(&mut self, message: &[u8], udp: Option<(&Epoll, u64)>) -> bool {
        let response = match dns::parse(message) {
            Ok(response) => response,
            Err(why) => return self.complain(why),
        };
        let address = self.address();
        let mine = |question: &&mut SentQuery| {
            question.id == response.id && question.kind == response.kind && matches!(question.state, State::Open)
        };
        let Some(question) = self.questions.iter_mut().find(mine).filter(|_| *response.name == *self.asked) else {
            return self.mismatch(&response).is_some_and(|why| self.complain(why));
        };
        if response.truncated {
            let Some((epoll, token)) = udp else { return false };
            // The truncated answer may arrive more than once.
            if std::mem::replace(&mut question.over_tcp, true) && self.tcp.is_some() {
                return false;
            }
            let query = dns::query(question.id, &self.asked, question.kind);
            if self.tcp.is_none() {
                self.tcp = connect(&address, epoll, token);
            }
            if let Some(tcp) = &mut self.tcp {
                tcp.out.extend_from_slice(&(query.len() as u16).to_be_bytes());
                tcp.out.extend_from_slice(&query);
            }
            return true;
        }
        question.state = match response.code {
            0 => match response.answer() {
                Ok(answer) => State::Answered(answer),
                Err(why) => {
                    self.complain(why);
                    self.misfits += MALFORMED;
                    return false;
                }
            },
            code if code == FORMAT_ERROR || code > REFUSED => {
                let (why, id, name) = (LookupError(u16::from(code)), response.id, &response.name);
                return self.complain(format_args!("DNS error {why}, query id:{id}, name:\"{name}\""));
            }
            code => State::Failed(code),
        };
        true
    }

    /// The result, once all answers have arrived.
    fn progress(&mut self) -> LookupProgress {
        let (mut addresses, mut services) = (Vec::new(), Vec::new());
        let (mut alias, mut code, mut ttl) = (None, None, self.ttl);
        for question in &self.questions {
            match &question.state {
                State::Open => return LookupProgress::Waiting,
                State::Failed(failed) => code = Some(u16::from(*failed)),
                State::Answered(answer) => {
                    addresses.extend_from_slice(&answer.addresses);
                    services.extend_from_slice(&answer.services);
                    ttl = ttl.min(answer.ttl);
                    alias = alias.or(answer.alias.clone());
                }
            }
        }
        let lasts = if ttl == u32::MAX { NO_TTL } else { ttl };
        let found = match self.want {
            Want::Addresses if !addresses.is_empty() => Some(Records::Addresses(addresses.into())),
            Want::Services if !services.is_empty() => Some(Records::Services(services.into())),
            _ => None,
        };
        match (found, alias, code) {
            (Some(found), ..) => LookupProgress::Done(Ok((found, lasts))),
            (None, Some(alias), None) if self.hops < HOPS && !alias.is_empty() => {
                self.hops += 1;
                (self.asked, self.ttl) = (alias, ttl);
                self.open_questions();
                LookupProgress::Again
            }
            (None, _, code) => LookupProgress::Done(Err(code.unwrap_or(NOT_FOUND))),
        }
    }
}

fn connect(address: &Addr, epoll: &Epoll, token: u64) -> Option<Tcp> {
    let fd = socket::socket(address.family()).ok()?;
    socket::connect(fd.as_fd(), address).ok()?;
    epoll.add(fd.as_fd(), epoll::IN | epoll::OUT, token).ok()?;
    Some(Tcp { fd, out: Vec::new(), input: Vec::new(), received: 0 })
}

/// The first message of a TCP stream and what follows it (RFC 1035 §4.2.2). None: it is incomplete.
fn split_message(input: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = input.split_first_chunk()?;
    rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))
}

/// A failed system call says nothing about the name, so it is retried.
fn is_harmless(errno: Errno) -> bool {
    errno == Errno::EAGAIN
}
