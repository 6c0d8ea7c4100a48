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
    row("upload_resumable", SL, Args::TAKE1, "off", Effect::Once(speaks), "Whether an interrupted upload can continue where it stopped: on, off, tus (only tus 1.0.0: core, creation, creation-with-upload, creation-defer-length, termination, checksum, checksum-trailer, expiration, concatenation; relativePath in the metadata keeps the directories of a folder where upload_create_path is on) or rufh (only the IETF draft Resumable Uploads for HTTP, interop versions 3 to 8, also for PUT of dav_methods). It applies where POST or PUT is allowed; plain uploads are accepted as before. An upload is complete when its declared length has been received, even if its client never says so; the file then appears, by the same step as that of a plain upload. All upload_* rules apply to the whole file, client_max_body_size to each request. The bytes received so far survive a restart. An upload's Location has the Host of the request (and https if X-Forwarded-Proto says so); behind a proxy that changes Host, absolute_redirect off sends the path alone. An upload belongs to the user who began it (whose password auth_basic checked, else the subject of a verified client certificate): for others it is 404, even if they know its URI; one that was begun without a user can be continued by any client that knows its URI. If two requests come for one upload, the newer goes on and the older is cut (409 for one that joins parts). A concatenation that is refused or cut leaves its parts, and nothing else. Several servers may share one store: an upload can be continued at any of them, even while another still waits for a client whose connection broke (it lets go within a second, else the answer is 423 after ten), and even where the store has another path (unless upload_state_store is set). They rely on the file system's locks (flock); where these may end at the mount (FUSE, 9p, NFS with local_lock) a warning is logged with the first upload.").ours(),
    row("upload_state_store", SL, Args::TAKE1, "", Effect::Once(state_store), "Directory for unfinished uploads: for each a file of its bytes and one that describes it. It must be on the file system and the mount of the store, since a finished file is moved, not copied; a directory on which something else is mounted accepts resumable uploads if it has a location of its own. A relative path is taken from the prefix; there are no variables. Without the directive it is .webserv-upload-state in upload_store (up to its first variable), or in the location's own directory; it is made when it is needed and removed when it is empty. URIs that lead to it or anything in it are 404, even if the directive names it, unless it holds an upload area itself. If the directive names it, the state of a finished upload stays there until upload_resumable_max_age, so that a client that missed the last response can get it even after a restart; the same holds where another server is seen at the same store (by a lock of the upload directory). Otherwise the last 1024 finished uploads are remembered until the server ends.").ours(),
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
