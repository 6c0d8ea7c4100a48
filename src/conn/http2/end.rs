//! How a stream ends whose request is answered; how it begins: [`super::begin`].

use crate::conn::io::{CloseReason, Step};
use crate::conn::request::log::Glitch;
use crate::conn::{Conn, ConnState, Turn, close};
use crate::http::status::Status;

/// The request is answered and logged ([`log`](crate::conn::request::log)): ends its stream.
pub fn end(conn: &mut Conn, turn: &mut Turn<'_>, glitch: Glitch) -> Step {
    let ConnState::Active(active) = &conn.state else { return Step::Again };
    let ex = &active.ex;
    if let Some(stream) = conn.transport.stream_mut() {
        // keepalive_glitches counts on the connection that carries the stream.
        let most = ex.location().settings.client.keepalive_glitches;
        stream.glitch = (glitch == Glitch::Yes).then_some(most);
        if ex.progress.abort && ex.response.status == Status::CLOSE {
            stream.refuse();
        } else if ex.out.is_cut() {
            stream.cut();
        }
    }
    close::leave_active(conn, turn);
    Step::Close(CloseReason::Served)
}
