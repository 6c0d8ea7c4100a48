//! A TLS connection without I/O: bytes from the socket go in, plaintext and bytes for the socket come out. The only
//! user of rustls' unbuffered API, which changes between its versions.
//!
//! Invariants: an idle connection holds no buffer, and one in the middle of a record or handshake message holds only
//! that; the peer's data counts as complete ([`SessionState::Ended`]) only after its close_notify.

use super::ciphers;
use rustls::client::{ClientConfig, UnbufferedClientConnection};
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::server::{ServerConfig, ServerConnectionData, UnbufferedServerConnection};
use rustls::unbuffered::{ConnectionState, EncodeError, EncryptError, ReadEarlyData, UnbufferedStatus};
use rustls::{CommonState, Error, HandshakeKind};
use std::sync::Arc;

/// Maximum plaintext sealed in one call, and the room that suffices for its records.
pub const MAX_PLAINTEXT: usize = 64 << 10;
pub const SEALED: usize = MAX_PLAINTEXT + MAX_PLAINTEXT / 2;
/// Maximum bytes that a peer may send without application data: messages of the protocol itself, which nothing else
/// bounds. In a handshake client certificates are the largest part, later a few session tickets.
const SILENT: u32 = 128 << 10;

enum Side {
    Server(UnbufferedServerConnection),
    Client(UnbufferedClientConnection),
}

/// How far a connection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SessionState {
    /// Neither side may send data yet, but for early data.
    Handshaking,
    /// Data goes both ways.
    Open,
    /// The peer has sent close_notify.
    Ended,
    /// The connection can no longer be used.
    Failed,
}

/// Why a connection cannot continue. Bytes already queued for the peer (an alert) must still be sent.
#[derive(Clone, Debug)]
pub enum SessionFault {
    /// The peer broke a rule, or has sent an alert.
    Tls(Error),
    /// More messages without application data than any legitimate handshake has.
    TooLong,
}

impl std::fmt::Display for SessionFault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            SessionFault::Tls(error) => error.fmt(f),
            SessionFault::TooLong => f.write_str("there are too many messages of the protocol itself"),
        }
    }
}

/// One side of a TLS connection, without a socket: bytes in, bytes out.
pub struct Session {
    side: Side,
    state: SessionState,
    /// Input not processed yet. rustls continues from it, and parses it again on each call.
    input: Vec<u8>,
    /// Bytes received since application data came last.
    silent: u32,
    /// The client sent early data, and it was accepted.
    early: bool,
}

impl Session {
    /// The server's side, which waits for a ClientHello.
    ///
    /// # Errors
    /// The settings cannot be used.
    pub fn server(config: Arc<ServerConfig>) -> Result<Session, SessionFault> {
        let side = Side::Server(UnbufferedServerConnection::new(config).map_err(SessionFault::Tls)?);
        Ok(Session { side, state: SessionState::Handshaking, input: Vec::new(), silent: 0, early: false })
    }

    /// The client's side; `name` is sent if the settings say so.
    ///
    /// # Errors
    /// The settings cannot be used.
    pub fn client(config: Arc<ClientConfig>, name: ServerName<'static>) -> Result<Session, SessionFault> {
        let side = Side::Client(UnbufferedClientConnection::new(config, name).map_err(SessionFault::Tls)?);
        Ok(Session { side, state: SessionState::Handshaking, input: Vec::new(), silent: 0, early: false })
    }

    /// As of the last bytes.
    pub fn state(&self) -> SessionState {
        self.state
    }

    /// The client has not finished the handshake: its data may be a replay.
    pub fn is_early(&self) -> bool {
        self.early && self.common().is_handshaking()
    }

    /// The handshake was completed, whatever happened afterwards.
    pub fn is_established(&self) -> bool {
        !self.common().is_handshaking()
    }

    /// Processes received bytes; plaintext is appended to `plain`, bytes for the peer to `out`.
    pub fn receive(&mut self, bytes: &mut [u8], plain: &mut Vec<u8>, out: &mut Vec<u8>) -> Result<(), SessionFault> {
        if self.state == SessionState::Failed {
            return Err(SessionFault::Tls(Error::General("the connection has failed".into())));
        }
        self.silent = self.silent.saturating_add(u32::try_from(bytes.len()).unwrap_or(u32::MAX));
        if self.silent > SILENT {
            self.state = SessionState::Failed;
            return Err(SessionFault::TooLong);
        }
        let before = plain.len();
        // Usually nothing is left over, and the received bytes are processed in place.
        let mut joined = std::mem::take(&mut self.input);
        let in_place = joined.is_empty();
        let input = if in_place {
            bytes
        } else {
            joined.extend_from_slice(bytes);
            &mut joined[..]
        };
        let mut at = 0;
        let result = self.advance(input, &mut at, plain, out);
        if result.is_err() {
            self.state = SessionState::Failed;
            // Flush the alert that rustls queued. Only while something is queued: rustls panics if it is given input
            // after it has raised an alert.
            let input = input.get_mut(at..).unwrap_or_default();
            while self.common().wants_write() && matches!(self.step(input, &mut Vec::new(), out), (_, Ok(_))) {}
        }
        if plain.len() > before {
            self.silent = 0;
        }
        let rest = input.len().saturating_sub(at);
        if rest > 0 && result.is_ok() {
            self.input = if in_place {
                input[at..].to_vec()
            } else {
                joined.drain(..at);
                joined
            };
        }
        result
    }

    fn step(
        &mut self,
        input: &mut [u8],
        plain: &mut Vec<u8>,
        out: &mut Vec<u8>,
    ) -> (usize, Result<Next, SessionFault>) {
        match &mut self.side {
            Side::Server(conn) => step(conn.process_tls_records(input), plain, out, take_early),
            Side::Client(conn) => step(conn.process_tls_records(input), plain, out, |_, _| {}),
        }
    }

    /// Processes the input from `at` until rustls can do nothing more with it.
    fn advance(
        &mut self,
        input: &mut [u8],
        at: &mut usize,
        plain: &mut Vec<u8>,
        out: &mut Vec<u8>,
    ) -> Result<(), SessionFault> {
        loop {
            let (discard, next) = self.step(input.get_mut(*at..).unwrap_or_default(), plain, out);
            *at += discard;
            match next? {
                // No input is left and nothing is to be written: another call would return the same state.
                Next::Traffic
                    if *at == input.len() && self.state == SessionState::Open && !self.common().wants_write() =>
                {
                    return Ok(());
                }
                Next::Again | Next::Traffic => {}
                Next::Ended => self.state = SessionState::Ended,
                Next::Early => self.early = true,
                Next::Open => {
                    // A server that allows early data may write before the client has finished, but only in response to
                    // early data.
                    if self.state == SessionState::Handshaking && (self.early || !self.common().is_handshaking()) {
                        self.state = SessionState::Open;
                    }
                    return Ok(());
                }
                Next::Blocked => return Ok(()),
            }
        }
    }

    /// Seals at most [`MAX_PLAINTEXT`] bytes into `room`, which must hold [`SEALED`]. Returns the number of bytes
    /// written.
    pub fn seal(&mut self, plain: &[u8], room: &mut [u8]) -> Result<usize, SessionFault> {
        self.write(Write::Data(plain), room)
    }

    /// Writes the close_notify, which tells the peer that it has received everything. Writes nothing before the
    /// handshake.
    pub fn close(&mut self, room: &mut [u8]) -> Result<usize, SessionFault> {
        match self.state {
            SessionState::Handshaking | SessionState::Failed => Ok(0),
            SessionState::Open | SessionState::Ended => self.write(Write::Close, room),
        }
    }

    fn write(&mut self, what: Write<'_>, room: &mut [u8]) -> Result<usize, SessionFault> {
        if self.state == SessionState::Failed {
            return Err(SessionFault::Tls(Error::General("the connection has failed".into())));
        }
        let mut used = 0;
        // Queued bytes (such as a response to KeyUpdate) must go first; there are few.
        for _ in 0..64 {
            let room = room.get_mut(used..).unwrap_or_default();
            let (written, done) = match &mut self.side {
                Side::Server(conn) => write(conn.process_tls_records(&mut self.input), what, room)?,
                Side::Client(conn) => write(conn.process_tls_records(&mut self.input), what, room)?,
            };
            used += written;
            if done {
                return Ok(used);
            }
        }
        Err(SessionFault::Tls(Error::General("nothing can be written".into())))
    }

    fn common(&self) -> &CommonState {
        match &self.side {
            Side::Server(conn) => conn,
            Side::Client(conn) => conn,
        }
    }

    /// The certificates that the peer sent, the leaf first.
    pub fn peer_certificates(&self) -> &[CertificateDer<'static>] {
        self.common().peer_certificates().unwrap_or_default()
    }

    /// What was agreed on (RFC 7301); None: nothing yet, or one side has no ALPN.
    pub fn alpn(&self) -> Option<&[u8]> {
        self.common().alpn_protocol()
    }

    /// As in `$ssl_protocol`; empty until it is agreed on.
    pub fn version(&self) -> &'static str {
        self.common().protocol_version().map_or("", ciphers::version)
    }

    /// The cipher suite's code point.
    pub fn cipher(&self) -> u16 {
        self.common().negotiated_cipher_suite().map_or(0, |suite| u16::from(suite.suite()))
    }

    /// The key exchange group's code point; 0 if there was no key exchange.
    pub fn group(&self) -> u16 {
        self.common().negotiated_key_exchange_group().map_or(0, |group| u16::from(group.name()))
    }

    /// It was resumed: no certificates were exchanged.
    pub fn is_resumed(&self) -> bool {
        self.common().handshake_kind() == Some(HandshakeKind::Resumed)
    }
}

enum Next {
    /// There may be more in the input.
    Again,
    /// As `Again`, after application data was read.
    Traffic,
    /// Nothing more without input.
    Blocked,
    Open,
    /// Early data has arrived.
    Early,
    Ended,
}

/// Handles one state of rustls. Returns how many bytes of input it processed.
fn step<Data>(
    status: UnbufferedStatus<'_, '_, Data>,
    plain: &mut Vec<u8>,
    out: &mut Vec<u8>,
    early: impl FnOnce(ReadEarlyData<'_, '_, Data>, &mut Vec<u8>),
) -> (usize, Result<Next, SessionFault>) {
    let UnbufferedStatus { mut discard, state } = status;
    let next = match state {
        Err(error) => Err(SessionFault::Tls(error)),
        Ok(ConnectionState::ReadTraffic(mut traffic)) => loop {
            match traffic.next_record() {
                None => break Ok(Next::Traffic),
                Some(Err(error)) => break Err(SessionFault::Tls(error)),
                Some(Ok(record)) => {
                    plain.extend_from_slice(record.payload);
                    discard += record.discard;
                }
            }
        },
        Ok(ConnectionState::ReadEarlyData(data)) => {
            early(data, plain);
            Ok(Next::Early)
        }
        Ok(ConnectionState::EncodeTlsData(mut data)) => {
            let start = out.len();
            // The first call has no room, so that it reports how much it needs.
            let mut room = 0;
            loop {
                out.resize(start + room, 0);
                match data.encode(&mut out[start..]) {
                    Ok(written) => {
                        out.truncate(start + written);
                        break Ok(Next::Again);
                    }
                    Err(EncodeError::InsufficientSize(e)) if e.required_size > room => room = e.required_size,
                    Err(_) => break Err(SessionFault::Tls(Error::General("a message cannot be encoded".into()))),
                }
            }
        }
        Ok(ConnectionState::TransmitTlsData(data)) => {
            data.done();
            Ok(Next::Again)
        }
        Ok(ConnectionState::PeerClosed) => Ok(Next::Ended),
        Ok(ConnectionState::WriteTraffic(_)) => Ok(Next::Open),
        // Waiting for the peer's handshake messages, or closed in both directions.
        Ok(_) => Ok(Next::Blocked),
    };
    (discard, next)
}

/// Takes the early data, which no later state includes in its `discard`.
fn take_early(mut data: ReadEarlyData<'_, '_, ServerConnectionData>, plain: &mut Vec<u8>) {
    while let Some(Ok(record)) = data.next_record() {
        plain.extend_from_slice(record.payload);
    }
}

#[derive(Clone, Copy)]
enum Write<'a> {
    Data(&'a [u8]),
    Close,
}

/// Writes into `room`, or takes a step towards that. Returns the bytes written and whether it is done.
fn write<Data>(
    status: UnbufferedStatus<'_, '_, Data>,
    what: Write<'_>,
    room: &mut [u8],
) -> Result<(usize, bool), SessionFault> {
    let no_room = || SessionFault::Tls(Error::General("no room for a record".into()));
    match status.state.map_err(SessionFault::Tls)? {
        ConnectionState::WriteTraffic(mut traffic) => {
            let written = match what {
                Write::Data(plain) => traffic.encrypt(plain, room),
                Write::Close => traffic.queue_close_notify(room),
            };
            match written {
                Ok(written) => Ok((written, true)),
                Err(EncryptError::InsufficientSize(_)) => Err(no_room()),
                Err(EncryptError::EncryptExhausted) => Err(SessionFault::Tls(Error::EncryptError)),
            }
        }
        ConnectionState::EncodeTlsData(mut data) => Ok((data.encode(room).map_err(|_| no_room())?, false)),
        ConnectionState::TransmitTlsData(data) => {
            data.done();
            Ok((0, false))
        }
        ConnectionState::PeerClosed => Ok((0, false)),
        // The close_notify was already sent.
        ConnectionState::Closed if matches!(what, Write::Close) => Ok((0, true)),
        _ => Err(SessionFault::Tls(Error::HandshakeNotComplete)),
    }
}

#[cfg(test)]
mod tests;
