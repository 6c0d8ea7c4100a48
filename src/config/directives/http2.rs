//! HTTP/2: whether it is enabled, and its limits.

use crate::config::argument::{invalid, number, size};
use crate::config::ast::Directive;
use crate::config::build::{Build, Scope};
use crate::config::context::{Args, Contexts};
use crate::config::fault::Outcome;
use crate::config::model::Settings;
use crate::config::row::{Effect, HS, Row, row};
use crate::config::settings::http2::Http2;
use crate::config::value::Size;
use std::rc::Rc;

/// nginx's maximum for http2_body_preread_size.
const PREREAD: u64 = 0x7fff_ffff;

/// The largest frame size; a larger http2_chunk_size is reduced to it (nginx).
const CHUNK: u64 = (1 << 24) - 1;

fn http2(s: &mut Settings) -> &mut Http2 {
    Rc::make_mut(&mut s.http2)
}

pub const ROWS: &[Row] = &[
    row(
        "http2",
        HS,
        Args::FLAG,
        "off",
        Effect::Flag(|s| &mut http2(s).enable),
        "HTTP/2 beside HTTP/1: by ALPN on TLS sockets, and on plain ones for clients that begin with its preface. The default server of an address decides for its connections; a request for a server that has it off gets 421.",
    ),
    row(
        "http2_max_concurrent_streams",
        HS,
        Args::TAKE1,
        "128",
        Effect::Once(max_concurrent_streams),
        "Requests that a client may have in progress on one connection; more are refused, and counted. One that is reset keeps its place until its work is given up.",
    ),
    row(
        "http2_body_preread_size",
        HS,
        Args::TAKE1,
        "64k",
        Effect::Once(body_preread_size),
        "How much of a request body a client may send before anything takes it.",
    ),
    row(
        "http2_chunk_size",
        Contexts::HSL,
        Args::TAKE1,
        "8k",
        Effect::Once(chunk_size),
        "The largest piece of a response in one frame. Smaller ones let streams take turns sooner, larger ones cost less.",
    ),
];

fn max_concurrent_streams(s: &mut Scope, _: &mut Build, d: &Directive) -> Outcome {
    let n = number(d, 0)?;
    http2(&mut s.settings).max_concurrent_streams = u32::try_from(n).unwrap_or(u32::MAX);
    Ok(())
}

fn body_preread_size(s: &mut Scope, _: &mut Build, d: &Directive) -> Outcome {
    let n = size(d, 0)?.0;
    http2(&mut s.settings).body_preread_size =
        u32::try_from(n).ok().filter(|n| u64::from(*n) <= PREREAD).ok_or_else(|| invalid(d, 0))?;
    Ok(())
}

fn chunk_size(s: &mut Scope, _: &mut Build, d: &Directive) -> Outcome {
    let n = size(d, 0)?.0;
    if n == 0 {
        return Err(invalid(d, 0));
    }
    http2(&mut s.settings).chunk_size = Size(n.min(CHUNK));
    Ok(())
}
