//! `listen … proxy_protocol`: the PROXY header is read before a connection's first request.
//!
//! Invariant: it is read once a connection, and only where the listener wants it; a connection that does not begin with
//! one is closed without a response.

use super::head;
use crate::config::model::Level;
use crate::conn::io::{CloseReason, Step};
use crate::conn::{Active, Conn, ConnState, Turn};
use crate::exchange::Rx;
use crate::http::proxy_protocol::{Broken, ProxyHeader, ProxyHeaderProgress, parse};
use std::rc::Rc;

/// Whether the header is still to come.
pub fn is_awaited(conn: &Conn) -> bool {
    let ConnState::Active(active) = &conn.state else { return false };
    let ex = &active.ex;
    conn.served.awaits_proxy_header()
        && conn.proxy_header.is_none()
        && conn.served.requests() == 0
        && ex.progress.rx == Rx::Head
}

/// Takes the header off bytes that were read. The outer None: it has not come whole; the inner: it names no addresses.
pub fn take(bytes: &mut Vec<u8>) -> Result<Option<Option<ProxyHeader>>, String> {
    match parse(bytes) {
        Ok(ProxyHeaderProgress::Complete(len, header)) => {
            bytes.drain(..len);
            Ok(Some(header))
        }
        Ok(ProxyHeaderProgress::Partial) => Ok(None),
        Err(Broken(what)) => Err(what),
    }
}

/// Reads the header.
pub fn step(conn: &mut Conn, turn: &mut Turn<'_>) -> Step {
    let ConnState::Active(active) = &mut conn.state else { return Step::Again };
    let Active { ex, reader, .. } = &mut **active;
    match parse(reader.unread()) {
        Ok(ProxyHeaderProgress::Complete(len, header)) => {
            reader.at += len;
            let header = Rc::new(header);
            ex.client.proxy_header = Some(header.clone());
            conn.proxy_header = Some(header);
            Step::Again
        }
        Ok(ProxyHeaderProgress::Partial) => head::before_head(&mut conn.transport, reader),
        Err(Broken(what)) => {
            ex.report(turn.cx, Level::Error, format_args!("{what} while reading PROXY protocol"));
            Step::Close(CloseReason::NoProxyHeader)
        }
    }
}
