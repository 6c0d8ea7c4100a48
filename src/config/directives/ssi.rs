//! Server-side includes: which pages are parsed for commands, and how errors in them are shown.

use super::charset::take;
use crate::config::context::{Args, Contexts};
use crate::config::model::Settings;
use crate::config::row::{Effect, HSLI, Row, row};
use crate::config::settings::ssi::Ssi;
use std::rc::Rc;

fn ssi(s: &mut Settings) -> &mut Ssi {
    Rc::make_mut(&mut s.ssi)
}

const HSL: Contexts = Contexts::HSL;

pub const ROWS: &[Row] = &[
    row(
        "ssi",
        HSLI,
        Args::FLAG,
        "off",
        Effect::Flag(|s| &mut ssi(s).on),
        "Whether responses of ssi_types are read for SSI commands: include, echo, set, if, config, block. What an include names runs through the same locations as a request, upstreams included; includes of a page run one after the other (nginx: at once), 50 deep at most. A page that an upstream sends is read when it has come whole.",
    ),
    row(
        "ssi_silent_errors",
        HSL,
        Args::FLAG,
        "off",
        Effect::Flag(|s| &mut ssi(s).silent_errors),
        "Whether a command that fails leaves nothing instead of \"[an error occurred while processing the directive]\".",
    ),
    row(
        "ssi_types",
        HSL,
        Args::ONE_OR_MORE,
        "text/html",
        Effect::Many(|s, b, d| {
            take(&mut ssi(&mut s.settings).types, s.first, &d.args, b);
            Ok(())
        }),
        "Media types that are read for commands, beside text/html; * is any.",
    ),
    row(
        "ssi_value_length",
        HSL,
        Args::TAKE1,
        "255",
        Effect::Size(|s| &mut ssi(s).value_length),
        "Longest value of a command's parameter.",
    ),
    row(
        "ssi_last_modified",
        HSL,
        Args::FLAG,
        "off",
        Effect::Flag(|s| &mut ssi(s).last_modified),
        "Whether a page keeps its Last-Modified, and its ETag as a weak one; otherwise it has neither.",
    ),
    row(
        "ssi_min_file_chunk",
        HSL,
        Args::TAKE1,
        "1k",
        Effect::Size(|s| &mut ssi(s).min_file_chunk),
        "Accepted: a page and what it includes are sent from memory, piece by piece.",
    ),
    row(
        "ssi_ignore_recycled_buffers",
        HSL,
        Args::FLAG,
        "off",
        Effect::Flag(|s| &mut ssi(s).ignore_recycled_buffers),
        "Accepted: there are no such buffers here.",
    ),
    row(
        "subrequest_output_buffer_size",
        HSL,
        Args::TAKE1,
        "4k",
        Effect::Size(|s| &mut ssi(s).output_buffer),
        "Most bytes of a response that an include may put into a variable; a longer one is an error.",
    ),
];
