//! `fastcgi_*`, `scgi_*` and `uwsgi_*`: directives that they share with `proxy_*`, and those of each protocol. The pass
//! directives are in `gateway_pass`.
//!
//! Invariant: each of the three has its own settings, of the same type as proxying, so that one implementation serves
//! all.

use super::proxy::{Of, add_words, bind};
use super::proxy_response::{
    buffers, busy_buffers, ignore_headers, limit_rate, names, temp_most, temp_path, temp_write_size,
};
use crate::config::argument::number;
use crate::config::ast::Directive;
use crate::config::build::{Build, Scope};
use crate::config::context::{Args, Contexts};
use crate::config::fault::{Fault, Outcome};
use crate::config::model::Settings;
use crate::config::pattern::{Case, Pattern};
use crate::config::row::{Effect, Row, row};
use crate::config::settings::gateway::Param;
use crate::config::settings::programs;
use crate::config::settings::proxy::{NextUpstream, ProxySettings};
use crate::util::bytes::begins_with;
use std::rc::Rc;

/// The settings of a level, copied from the outer level at the first change.
pub(super) fn fastcgi(s: &mut Settings) -> &mut ProxySettings {
    Rc::make_mut(&mut s.fastcgi)
}

/// As [`fastcgi`].
pub(super) fn scgi(s: &mut Settings) -> &mut ProxySettings {
    Rc::make_mut(&mut s.scgi)
}

/// As [`fastcgi`].
pub(super) fn uwsgi(s: &mut Settings) -> &mut ProxySettings {
    Rc::make_mut(&mut s.uwsgi)
}

const HSL: Contexts = Contexts::HSL;

/// Rows of all three; `$of` selects the settings.
macro_rules! common {
    ($prefix:literal, $of:ident) => {
        &[
            row(
                concat!($prefix, "_param"),
                HSL,
                Args::TAKE23,
                "",
                Effect::Many(|s, b, d| param($of, s, b, d)),
                "Passes a parameter to the application, variables allowed; with if_not_empty only where it has a value. Lines of a level replace all that were inherited. A name that begins with HTTP_ takes the place of the client's header of that name, and with an empty text it only keeps that one out.",
            ),
            row(
                concat!($prefix, "_pass_request_headers"),
                HSL,
                Args::FLAG,
                "on",
                Effect::Flag(|s| &mut $of(s).pass_request_headers),
                "Whether the client's header lines are passed, as HTTP_… parameters. `Proxy` never is: programs take HTTP_PROXY for a setting of theirs.",
            ),
            row(
                concat!($prefix, "_pass_request_body"),
                HSL,
                Args::FLAG,
                "on",
                Effect::Flag(|s| &mut $of(s).pass_request_body),
                "Whether the client's body is passed.",
            ),
            row(
                concat!($prefix, "_connect_timeout"),
                HSL,
                Args::TAKE1,
                "60s",
                Effect::Time(|s| &mut $of(s).connect_timeout),
                "Time for a connection to be made; then the next server, or 504.",
            ),
            row(
                concat!($prefix, "_send_timeout"),
                HSL,
                Args::TAKE1,
                "60s",
                Effect::Time(|s| &mut $of(s).send_timeout),
                "Time between two writes of the request; then the next server, or 504.",
            ),
            row(
                concat!($prefix, "_read_timeout"),
                HSL,
                Args::TAKE1,
                "60s",
                Effect::Time(|s| &mut $of(s).read_timeout),
                "Time between two reads of the response; then the next server, or 504.",
            ),
            row(
                concat!($prefix, "_bind"),
                HSL,
                Args::TAKE12,
                "off",
                Effect::Once(|s, b, d| bind($of, s, b, d)),
                "Address that connections to the application come from: an address, address:port, a value with variables, or off.",
            ),
            row(
                concat!($prefix, "_socket_keepalive"),
                HSL,
                Args::FLAG,
                "off",
                Effect::Flag(|s| &mut $of(s).socket_keepalive),
                "Whether the system probes connections to the application that are silent (SO_KEEPALIVE).",
            ),
            row(
                concat!($prefix, "_request_buffering"),
                HSL,
                Args::FLAG,
                "on",
                Effect::Flag(|s| &mut $of(s).request_buffering),
                "on: the body is read before an application is asked. off: it is passed on as it comes, but for a chunked one where the application is told its length (CONTENT_LENGTH).",
            ),
            row(
                concat!($prefix, "_next_upstream"),
                HSL,
                Args::ONE_OR_MORE,
                "error timeout",
                Effect::Many(|s, _, d| add_words(s.first, &mut $of(&mut s.settings).next, d, NextUpstream::OF_GATEWAYS)),
                "What makes a request go to the next server: error, timeout, invalid_header, http_500, http_503, http_403, http_404, http_429, non_idempotent, off.",
            ),
            row(
                concat!($prefix, "_next_upstream_tries"),
                HSL,
                Args::TAKE1,
                "0",
                Effect::Number(|s| &mut $of(s).next_tries),
                "How many servers are tried; 0 is all of them.",
            ),
            row(
                concat!($prefix, "_next_upstream_timeout"),
                HSL,
                Args::TAKE1,
                "0",
                Effect::Time(|s| &mut $of(s).next_timeout),
                "For how long further servers are tried; 0 is no limit.",
            ),
            row(
                concat!($prefix, "_ignore_client_abort"),
                HSL,
                Args::FLAG,
                "off",
                Effect::Flag(|s| &mut $of(s).ignore_client_abort),
                "Whether a request goes on at the application when its client has left.",
            ),
            row(
                concat!($prefix, "_hide_header"),
                HSL,
                Args::TAKE1,
                "",
                Effect::Many(|s, b, d| names($of, s, b, d, |proxy| &mut proxy.hide_headers)),
                "A header of the response that the client does not get. Status and X-Accel-… are hidden anyway.",
            ),
            row(
                concat!($prefix, "_pass_header"),
                HSL,
                Args::TAKE1,
                "",
                Effect::Many(|s, b, d| names($of, s, b, d, |proxy| &mut proxy.pass_headers)),
                "A header of the response that the client gets although it is hidden.",
            ),
            row(
                concat!($prefix, "_buffering"),
                HSL,
                Args::FLAG,
                "on",
                Effect::Flag(|s| &mut $of(s).buffering),
                "Responses are always passed on as they come; on: what the client does not take waits in buffers, and beyond them in a temporary file.",
            ),
            row(
                concat!($prefix, "_buffer_size"),
                HSL,
                Args::TAKE1,
                "4k",
                Effect::Size(|s| &mut $of(s).buffer_size),
                "Largest head of a response; a larger one is a 502.",
            ),
            row(
                concat!($prefix, "_buffers"),
                HSL,
                Args::TAKE2,
                "8 4k",
                Effect::Once(|s, b, d| buffers($of, s, b, d)),
                "Number and size: their product is how much of a response may wait for the client, at least 64k.",
            ),
            row(
                concat!($prefix, "_busy_buffers_size"),
                HSL,
                Args::TAKE1,
                "8k",
                Effect::Once(|s, b, d| busy_buffers($of, s, b, d)),
                "Accepted, within nginx's bounds: what has arrived is sent at once.",
            ),
            row(
                concat!($prefix, "_max_temp_file_size"),
                HSL,
                Args::TAKE1,
                "1024m",
                Effect::Once(|s, b, d| temp_most($of, s, b, d)),
                "How much of a response goes to a temporary file where its client is slower than the application: as proxy_max_temp_file_size.",
            ),
            row(
                concat!($prefix, "_temp_file_write_size"),
                HSL,
                Args::TAKE1,
                "256k",
                Effect::Once(|s, b, d| temp_write_size($of, s, b, d)),
                "How much of a response is written to its temporary file at a time.",
            ),
            row(
                concat!($prefix, "_temp_path"),
                HSL,
                Args::TAKE1234,
                "",
                Effect::Once(|s, b, d| temp_path($of, s, b, d)),
                "Directory for temporary files of responses: as proxy_temp_path.",
            ),
            row(
                concat!($prefix, "_force_ranges"),
                HSL,
                Args::FLAG,
                "off",
                Effect::Flag(|s| &mut $of(s).force_ranges),
                "Whether one range of a response is cut out here, whatever its Accept-Ranges says.",
            ),
            row(
                concat!($prefix, "_limit_rate"),
                HSL,
                Args::TAKE1,
                "0",
                Effect::Once(|s, b, d| limit_rate($of, s, b, d)),
                "Bytes per second of a response, variables allowed; 0 is no limit.",
            ),
            row(
                concat!($prefix, "_intercept_errors"),
                HSL,
                Args::FLAG,
                "off",
                Effect::Flag(|s| &mut $of(s).intercept_errors),
                "Whether error_page applies to statuses of the application.",
            ),
            row(
                concat!($prefix, "_ignore_headers"),
                HSL,
                Args::ONE_OR_MORE,
                "",
                Effect::Many(|s, b, d| ignore_headers($of, s, b, d)),
                "Headers of the response that the server itself does not obey. It obeys X-Accel-Redirect, X-Accel-Limit-Rate, X-Accel-Buffering and X-Accel-Charset; the others are accepted.",
            ),
        ]
    };
}

/// The directives that the three protocols share, with the prefix `fastcgi_`.
pub const FASTCGI: &[Row] = common!("fastcgi", fastcgi);

/// The same with `scgi_`.
pub const SCGI: &[Row] = common!("scgi", scgi);

/// The same with `uwsgi_`.
pub const UWSGI: &[Row] = common!("uwsgi", uwsgi);

/// The directives that only one of them has.
pub const ROWS: &[Row] = &[
    row(
        "fastcgi_index",
        HSL,
        Args::TAKE1,
        "",
        Effect::Once(|s, _, d| {
            fastcgi(&mut s.settings).gateway.index = d.args[0].bytes().into();
            Ok(())
        }),
        "What $fastcgi_script_name gets appended where it ends in a slash.",
    ),
    row(
        "fastcgi_split_path_info",
        HSL,
        Args::TAKE1,
        "",
        Effect::Many(split_path_info),
        "A regex with two groups that cuts the URI into $fastcgi_script_name and $fastcgi_path_info; the last of a block counts. A URI that it does not match is the name as a whole, without path info.",
    ),
    row(
        "fastcgi_catch_stderr",
        HSL,
        Args::TAKE1,
        "",
        Effect::Many(catch_stderr),
        "A text that makes a response a failure (invalid_header of fastcgi_next_upstream, else 502) when the application writes it to STDERR before its head is complete.",
    ),
    row(
        "fastcgi_keep_conn",
        HSL,
        Args::FLAG,
        "off",
        Effect::Flag(|s| &mut fastcgi(s).gateway.keep_conn),
        "Asks the application to leave the connection open, for the next request of the group's `keepalive`. Each such connection occupies one of php-fpm's children.",
    ),
    row(
        "uwsgi_modifier1",
        HSL,
        Args::TAKE1,
        "0",
        Effect::Once(|s, _, d| {
            uwsgi(&mut s.settings).gateway.modifiers.0 = byte(d)?;
            Ok(())
        }),
        "The first modifier of uwsgi requests: which of its plugins the application server asks.",
    ),
    row(
        "uwsgi_modifier2",
        HSL,
        Args::TAKE1,
        "0",
        Effect::Once(|s, _, d| {
            uwsgi(&mut s.settings).gateway.modifiers.1 = byte(d)?;
            Ok(())
        }),
        "The second modifier of uwsgi requests.",
    ),
];

fn param(of: Of, s: &mut Scope, b: &mut Build, d: &Directive) -> Outcome {
    let if_not_empty = match d.args.get(2) {
        None => false,
        Some(word) if word.is("if_not_empty") => true,
        Some(word) => return Err(Fault::new(word.span, format!("invalid parameter \"{}\"", word.str()))),
    };
    let name = d.args[0].bytes();
    let (role, is_field) = (programs::role(name), begins_with(name, b"HTTP_"));
    let param = Param { name: name.into(), value: b.template(d, 1)?, if_not_empty, role, is_field };
    of(&mut s.settings).gateway.params.add(s.first, param);
    Ok(())
}

fn split_path_info(s: &mut Scope, b: &mut Build, d: &Directive) -> Outcome {
    let word = &d.args[0];
    let pattern = Pattern::of_word(word, word.bytes(), Case::Sensitive, &mut b.variables)?;
    if pattern.groups() != 3 {
        let text = format!("pattern \"{}\" must have 2 captures", word.str());
        return Err(Fault::new(word.span, text).help("fastcgi_split_path_info ^(.+\\.php)(/.*)$;"));
    }
    fastcgi(&mut s.settings).gateway.split_path_info = Some(Rc::new(pattern));
    Ok(())
}

fn catch_stderr(s: &mut Scope, _: &mut Build, d: &Directive) -> Outcome {
    fastcgi(&mut s.settings).gateway.catch_stderr.add(s.first, d.args[0].bytes().into());
    Ok(())
}

fn byte(d: &Directive) -> Result<u64, Fault> {
    let value = number(d, 0)?;
    match value {
        0..=255 => Ok(value),
        _ => Err(Fault::new(d.args[0].span, "value must be between 0 and 255")),
    }
}
