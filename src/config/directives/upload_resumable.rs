//! Resumable uploads: the protocols of a location, where unfinished uploads are stored, and for how long.

use crate::config::argument::{invalid, wrong};
use crate::config::ast::Directive;
use crate::config::build::{Build, Scope};
use crate::config::context::Args;
use crate::config::fault::Outcome;
use crate::config::model::Settings;
use crate::config::row::{Effect, Row, SL, row};
use crate::config::settings::upload_resumable::{Resumable, Speaks};
use crate::config::value;
use std::os::unix::ffi::OsStrExt;
use std::rc::Rc;

fn resumable(s: &mut Settings) -> &mut Resumable {
    &mut Rc::make_mut(&mut s.upload).resumable
}

pub const ROWS: &[Row] = &[
    row("upload_resumable", SL, Args::TAKE1, "off", Effect::Once(speaks), "Whether an interrupted upload can \
        continue where it stopped: on, off, tus (only tus 1.0.0) or rufh (only the IETF draft Resumable Uploads for \
        HTTP, interop versions 3 to 8). Applies where POST or PUT is allowed. The bytes received survive a restart. \
        An upload belongs to the user who began it. Several servers may share one store, \
        also by mounts whose locks end there (FUSE, 9p), which the log warns of.").ours(),
    row("upload_state_store", SL, Args::TAKE1, "", Effect::Once(state_store), "Directory for unfinished uploads, on \
        the same file system and mount as the store; a relative path starts at the prefix. Default: \
        .webserv-upload-state in upload_store or the location's directory, created when needed. URIs that lead into \
        it are 404. If given, it keeps the state of finished uploads until upload_resumable_max_age.").ours(),
    row("upload_resumable_max_age", SL, Args::TAKE1, "1d", Effect::Time(|s| &mut resumable(s).max_age), "How long after its last byte an unfinished upload is kept; responses announce it. 0 is for ever. By how much the system's clock is set meanwhile does not count, and for an hour after a start (or this time, if it is shorter) nothing is removed, since the clock may be wrong then.").ours(),
];

fn speaks(s: &mut Scope, _: &mut Build, d: &Directive) -> Outcome {
    let speaks = |tus, rufh| Speaks { tus, rufh };
    let choices = [
        ("off", speaks(false, false)),
        ("on", speaks(true, true)),
        ("tus", speaks(true, false)),
        ("rufh", speaks(false, true)),
    ];
    resumable(&mut s.settings).speaks = value::choice(d.args[0].bytes(), &choices).map_err(|e| wrong(d, 0, e))?;
    Ok(())
}

fn state_store(s: &mut Scope, b: &mut Build, d: &Directive) -> Outcome {
    let path = d.args[0].bytes();
    if path.contains(&b'$') || path.is_empty() {
        return Err(invalid(d, 0).help("a directory without variables: it is looked through at the start"));
    }
    resumable(&mut s.settings).state_store = Some(b.full_path(path).as_os_str().as_bytes().into());
    Ok(())
}
