//! Limits for clients: sizes, timeouts, keep-alive.

use crate::config::argument::{invalid, number, size, time};
use crate::config::ast::{Directive, Word};
use crate::config::build::{Build, Scope};
use crate::config::context::{Args, Contexts};
use crate::config::fault::{Fault, Outcome};
use crate::config::model::Settings;
use crate::config::row::{Effect, HS, HSLI, Row, row};
use crate::config::settings::client::{ClientSettings, KeepaliveDisable, Lingering};
use crate::config::template::Template;
use crate::config::value::{Millis, Size};
use std::rc::Rc;

fn client(s: &mut Settings) -> &mut ClientSettings {
    Rc::make_mut(&mut s.client)
}

const HSL: Contexts = Contexts::HSL;

pub const ROWS: &[Row] = &[
    row(
        "client_max_body_size",
        HSL,
        Args::TAKE1,
        "1m",
        Effect::Offset(|s| &mut client(s).max_body_size),
        "Largest request body; a larger one gets 413. 0 is no limit.",
    ),
    row(
        "client_body_buffer_size",
        HSL,
        Args::TAKE1,
        "16k",
        Effect::Size(|s| &mut client(s).body_buffer_size),
        "How much of a body that proxy_pass reads stays in memory, and so in $request_body, 8m at most; more goes to a file of client_body_temp_path. A file of an upload that is smaller (64k at most) is held in memory until all of it is there, then written at once; larger ones do not depend on it: they are streamed by large reads.",
    ),
    row(
        "client_header_buffer_size",
        HS,
        Args::TAKE1,
        "1k",
        Effect::Size(|s| &mut client(s).header_buffer_size),
        "First buffer of a request head. webserv grows one buffer up to the sum with large_client_header_buffers.",
    ),
    row(
        "large_client_header_buffers",
        HS,
        Args::TAKE2,
        "4 8k",
        Effect::Once(large_buffers),
        "Number and size of buffers for a large head, together 64m at most: a request line longer than one gets 414, a header line or a head beyond them 431 (nginx: 400 with its own code 494).",
    ),
    row(
        "max_headers",
        HS,
        Args::TAKE1,
        "1000",
        Effect::Number(|s| &mut client(s).max_headers),
        "Most header lines of a request; more get 400, as a head that is too large does in nginx (`error_page 494`).",
    ),
    row(
        "client_header_timeout",
        HS,
        Args::TAKE1,
        "60s",
        Effect::Time(|s| &mut client(s).header_timeout),
        "Time for a whole request head; then 408. Bytes that arrive do not extend it.",
    ),
    row(
        "client_body_timeout",
        HSL,
        Args::TAKE1,
        "60s",
        Effect::Time(|s| &mut client(s).body_timeout),
        "Time between two reads of a request body; then 408 and nothing is stored.",
    ),
    row(
        "send_timeout",
        HSL,
        Args::TAKE1,
        "60s",
        Effect::Time(|s| &mut client(s).send_timeout),
        "Time between two writes of a response; then the connection is closed.",
    ),
    row(
        "reset_timedout_connection",
        HSL,
        Args::FLAG,
        "off",
        Effect::Flag(|s| &mut client(s).reset_timedout),
        "Whether a connection that timed out is reset, freeing its memory at once.",
    ),
    row(
        "ignore_invalid_headers",
        HS,
        Args::FLAG,
        "on",
        Effect::Flag(|s| &mut client(s).ignore_invalid_headers),
        "Whether header fields are dropped whose name has other bytes than letters, digits and dashes (and `_` where underscores_in_headers is on). Names that are not tokens are refused with 400 in any case (RFC 9110).",
    ),
    row(
        "underscores_in_headers",
        HS,
        Args::FLAG,
        "off",
        Effect::Flag(|s| &mut client(s).underscores),
        "Whether header names with an underscore count; otherwise such a line is ignored.",
    ),
    row(
        "merge_slashes",
        HS,
        Args::FLAG,
        "on",
        Effect::Flag(|s| &mut client(s).merge_slashes),
        "Whether several slashes in a URI count as one.",
    ),
    row(
        "keepalive_timeout",
        HSL,
        Args::TAKE12,
        "75s",
        Effect::Once(keepalive_timeout),
        "How long an idle connection is kept; the second value is sent as Keep-Alive: timeout. 0 keeps none.",
    ),
    row(
        "limit_rate",
        HSLI,
        Args::TAKE1,
        "0",
        Effect::Once(|s, b, d| rate(b, d).map(|t| client(&mut s.settings).limit_rate = Some(t))),
        "Bytes per second of a response, variables allowed; 0 is no limit. $limit_rate overrides it.",
    ),
    row(
        "limit_rate_after",
        HSLI,
        Args::TAKE1,
        "0",
        Effect::Once(|s, b, d| rate(b, d).map(|t| client(&mut s.settings).limit_rate_after = Some(t))),
        "Bytes of a response that limit_rate does not hold back.",
    ),
    row(
        "keepalive_disable",
        HSL,
        Args::TAKE12,
        "msie6",
        Effect::Many(keepalive_disable),
        "Old browsers whose connections are not kept: msie6 (after a POST), safari, none.",
    ),
    row(
        "keepalive_requests",
        HSL,
        Args::TAKE1,
        "1000",
        Effect::Number(|s| &mut client(s).keepalive_requests),
        "Requests on one connection, then it is closed.",
    ),
    row(
        "keepalive_glitches",
        HSL,
        Args::TAKE1,
        "100",
        Effect::Number(|s| &mut client(s).keepalive_glitches),
        "Number of faulty requests after which a connection is closed: those answered 400, 405, 408, 411, 413 to \
         417, 421, 431 or 501, and bodies with more chunk framing than content. At most 255; 0 is no limit. HTTP/2 \
         connections end with GOAWAY, after requests in progress; HTTP/2's own abuses have separate limits.",
    )
    .ours(),
    row(
        "keepalive_time",
        HSL,
        Args::TAKE1,
        "1h",
        Effect::Time(|s| &mut client(s).keepalive_time),
        "Age after which a connection is closed after the response in progress.",
    ),
    row(
        "lingering_close",
        HSL,
        Args::TAKE1,
        "on",
        Effect::Once(lingering),
        "Whether a connection that is closed while the client still sends is drained first, so that the client reads its answer: on, off or always. Over HTTP/2 the rest of a body whose answer came early is taken in the same way, up to 64 MiB, before its stream is reset; off, it is reset at once.",
    ),
    row(
        "lingering_time",
        HSL,
        Args::TAKE1,
        "30s",
        Effect::Time(|s| &mut client(s).lingering_time),
        "Longest time of a lingering close.",
    ),
    row(
        "lingering_timeout",
        HSL,
        Args::TAKE1,
        "5s",
        Effect::Time(|s| &mut client(s).lingering_timeout),
        "Time a lingering close waits for more from the client.",
    ),
    row(
        "tcp_nodelay",
        HSL,
        Args::FLAG,
        "on",
        Effect::Flag(|s| &mut client(s).tcp_nodelay),
        "TCP_NODELAY. Always on here: every answer leaves in as few packets as can be.",
    ),
    row(
        "tcp_nopush",
        HSL,
        Args::FLAG,
        "off",
        Effect::Flag(|s| &mut client(s).tcp_nopush),
        "Accepted: head and file always leave together here (MSG_MORE), without nginx's 40 ms stall of pipelined requests.",
    ),
];

fn large_buffers(s: &mut Scope, _: &mut Build, d: &Directive) -> Outcome {
    client(&mut s.settings).large_buffers = buffers(d, 64 << 20)?;
    Ok(())
}

fn keepalive_timeout(s: &mut Scope, _: &mut Build, d: &Directive) -> Outcome {
    let timeout = time(d, 0)?;
    let seconds = |word: &Word| Millis::parse_seconds(word.bytes()).map_err(|_| invalid(d, 1));
    let header = d.args.get(1).map(seconds).transpose()?.map(Millis::seconds);
    let client = client(&mut s.settings);
    client.keepalive_timeout = timeout;
    // The header's time is inherited separately (nginx).
    client.keepalive_header = header.or(client.keepalive_header);
    Ok(())
}

/// The number and size of buffers; together at most `most` bytes. nginx accepts more than any memory could hold, and
/// allocates only what is used.
pub(super) fn buffers(d: &Directive, most: u64) -> Result<(u64, Size), Fault> {
    let (count, bytes) = (number(d, 0)?, size(d, 1)?);
    if count == 0 || bytes.0 == 0 {
        return Err(invalid(d, 0));
    }
    let bytes = bytes.0.min(most / count.min(8));
    Ok((count.min(most / bytes), Size(bytes)))
}

/// Bytes per second, as a number or a template.
pub(super) fn rate(b: &mut Build, d: &Directive) -> Result<Template, Fault> {
    let template = b.template(d, 0)?;
    if let Some(text) = template.constant() {
        Size::parse(text).map_err(|_| invalid(d, 0))?;
    }
    Ok(template)
}

/// Several directives of one block add up (nginx).
fn keepalive_disable(s: &mut Scope, _: &mut Build, d: &Directive) -> Outcome {
    let before = s.settings.client.keepalive_disable;
    let mut set = if s.first { KeepaliveDisable { msie6: false, safari: false } } else { before };
    for (at, word) in d.args.iter().enumerate() {
        match &word.lower()[..] {
            b"none" => {}
            b"msie6" => set.msie6 = true,
            b"safari" => set.safari = true,
            _ => return Err(invalid(d, at)),
        }
    }
    client(&mut s.settings).keepalive_disable = set;
    Ok(())
}

fn lingering(s: &mut Scope, _: &mut Build, d: &Directive) -> Outcome {
    client(&mut s.settings).lingering = match &d.args[0].lower()[..] {
        b"off" => Lingering::Off,
        b"on" => Lingering::On,
        b"always" => Lingering::Always,
        _ => return Err(invalid(d, 0)),
    };
    Ok(())
}
