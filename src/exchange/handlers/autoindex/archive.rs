//! `autoindex_archive`: all below a folder as one file. Where every path below has the folder's own rules it is begun
//! at once; else all of them are asked first, in slices of the turn, and what the client may not read stays out.
//!
//! Invariant: a file is in the archive only if a GET of its own URI by this client would answer with it, and only of
//! folders whose listing this client may see.

use super::place::Place;
use crate::config::model::Level;
use crate::exchange::Exchange;
use crate::exchange::archive::walk::{Walk, WalkStep};
use crate::exchange::archive::{Archive, ArchiveForm, Spool};
use crate::exchange::body_encoder::Source;
use crate::exchange::flow::{Begun, Flow};
use crate::exchange::handlers::path_rules::{PathAction, PathRules, Target};
use crate::exchange::handlers::{failure, first_slice};
use crate::exchange::paths;
use crate::exchange::response::{Body, ContentType};
use crate::http::escape::escape_component;
use crate::http::status::Status;
use crate::services::Services;
use crate::sys::clock;
use crate::sys::file::{self, FileKind, O_DIRECTORY, O_RDONLY};
use std::collections::HashSet;
use std::os::fd::{AsFd, OwnedFd};

/// Maximum number of paths that are left out; a folder with more is not offered as an archive.
const MOST_REFUSED: usize = 100_000;

/// The form that the query asks for: `archive=zip` or `archive=tar`.
pub fn asked(query: &[u8]) -> Option<ArchiveForm> {
    query.split(|b| *b == b'&').find_map(|argument| match argument {
        b"archive=zip" => Some(ArchiveForm::Zip),
        b"archive=tar" => Some(ArchiveForm::Tar),
        _ => None,
    })
}

/// Begins the archive of `dir`, the folder that the request names.
///
/// # Errors
/// The flow that answers: the archive itself if the rules are the same for all below, else why there is none.
pub fn begin(ex: &mut Exchange, cx: &mut Services, dir: OwnedFd, form: ArchiveForm) -> Begun<Gathering> {
    let rules = judge(ex, cx)?;
    let uri = ex.route.uri.clone();
    let is_uniform = rules.are_same_below(ex, &uri, PathAction::Read);
    let hidden = paths::hidden_below(ex, cx, &ex.route.path.clone());
    let hidden = hidden.map_err(|e| failure::failed(ex, cx, "open()", e))?;
    let walk =
        |dir: &OwnedFd| Walk::new(file::open_at(Some(dir.as_fd()), c".", O_RDONLY | O_DIRECTORY, 0)?, hidden.clone());
    let first = match walk(&dir) {
        Ok(first) => first,
        Err(e) => return Err(failure::failed(ex, cx, "opendir()", e)),
    };
    // From here on it has no more of them than now: that of the folder is kept for the files in it.
    failure::check_room(ex, cx, first.newest())?;
    if is_uniform {
        let archive = Archive::new((first, dir), (form, spool(ex, cx)), HashSet::new(), None);
        respond(ex, archive, form);
        return Err(Flow::Respond);
    }
    let again = match walk(&dir) {
        Ok(again) => again,
        Err(e) => return Err(failure::failed(ex, cx, "opendir()", e)),
    };
    failure::check_room(ex, cx, again.newest())?;
    let gathering = Gathering {
        rules,
        form,
        uri,
        path: ex.route.path.clone(),
        walk: first,
        again: Some((again, dir)),
        refused: HashSet::new(),
        judged: 0,
        place: Place::default(),
        since: clock::realtime(),
    };
    let gathering = first_slice::begin(Box::new(gathering), ex, cx, Gathering::work)?;
    Ok(gathering)
}

/// The rules of the paths below.
///
/// # Errors
/// 403: they cannot be known. An archive or a search that has nothing in it would say that there is nothing.
pub fn judge(ex: &mut Exchange, cx: &mut Services) -> Result<PathRules, Flow> {
    let rules = PathRules::of(ex, cx);
    if rules.are_unknown_below() {
        let text = "auth_request was asked for the folder alone, not for what is in it (auth_request_below)";
        ex.report(cx, Level::Error, format_args!("{text}"));
        return Err(Flow::Status(Status::FORBIDDEN));
    }
    Ok(rules)
}

/// Every path below is asked whether the client may read it.
pub struct Gathering {
    rules: PathRules,
    form: ArchiveForm,
    uri: Vec<u8>,
    path: Vec<u8>,
    walk: Walk,
    /// For the archive itself: its walk, and the folder's descriptor.
    again: Option<(Walk, OwnedFd)>,
    refused: HashSet<Vec<u8>>,
    /// Entries that were judged.
    judged: usize,
    pub place: Place,
    /// When the first entry was judged, by the clock that dates files.
    since: (i64, u32),
}

impl Gathering {
    /// The next slice.
    pub fn work(&mut self, ex: &mut Exchange, cx: &mut Services) -> Flow {
        loop {
            if let Err(flow) = self.place.ask(self.judged, ex, cx) {
                return flow;
            }
            match self.walk.step() {
                Ok(WalkStep::On) => {}
                // The archive names what cannot be read, where the client might have read it.
                Ok(WalkStep::Unreadable(path)) => _ = self.judge_one(ex, cx, path, PathAction::Read),
                Ok(WalkStep::Found(found)) => {
                    let is_dir = found.stat.kind == FileKind::Dir;
                    let action = if is_dir { PathAction::List } else { PathAction::Read };
                    if !self.judge_one(ex, cx, found.path, action) && is_dir {
                        self.walk.skip();
                    }
                }
                Ok(WalkStep::End) => return self.finish(ex, cx),
                Err(e) => return failure::failed(ex, cx, "readdir()", e),
            }
            if self.refused.len() > MOST_REFUSED {
                ex.report(cx, Level::Error, format_args!("too much of the folder may not be read for an archive"));
                return Flow::Status(Status::FORBIDDEN);
            }
            if cx.slice.is_over() {
                return Flow::Wait;
            }
        }
    }

    /// Whether the client may read or list what has this path; if not, it is left out.
    fn judge_one(&mut self, ex: &mut Exchange, cx: &mut Services, path: Vec<u8>, action: PathAction) -> bool {
        self.judged += 1;
        ex.route.effort.renew();
        let may = may(ex, cx, &self.rules, (&self.uri, &self.path), (&path, action));
        if !may {
            self.refused.insert(path);
        }
        may
    }

    fn finish(&mut self, ex: &mut Exchange, cx: &Services) -> Flow {
        let Some(again) = self.again.take() else { return Flow::Status(Status::INTERNAL_SERVER_ERROR) };
        let refused = std::mem::take(&mut self.refused);
        let archive = Archive::new(again, (self.form, spool(ex, cx)), refused, Some(self.since));
        respond(ex, archive, self.form);
        Flow::Respond
    }
}

/// Whether the client may read or see an entry by its own URI. What is in a folder is asked one by one. `top`: URI and
/// path of the directory that the entry is below.
pub fn may(
    ex: &mut Exchange,
    cx: &mut Services,
    rules: &PathRules,
    top: (&[u8], &[u8]),
    (below, action): (&[u8], PathAction),
) -> bool {
    let (uri, path) = ([top.0, below].concat(), [top.1, below].concat());
    rules.check(ex, cx, Target { uri: &uri, path: Some(&path) }, action).is_ok()
}

fn spool(ex: &Exchange, cx: &Services) -> Spool {
    Spool { temp: ex.location().settings.body.temp.clone(), descriptors: cx.descriptors }
}

fn respond(ex: &mut Exchange, archive: Archive, form: ArchiveForm) {
    let name = ex.route.uri.split(|b| *b == b'/').rfind(|part| !part.is_empty()).unwrap_or(b"files");
    // RFC 6266: an ASCII name for old clients, the exact name for others.
    let plain: String = name
        .iter()
        .map(|b| if b.is_ascii_alphanumeric() || b"-_. ".contains(b) { char::from(*b) } else { '_' })
        .collect();
    let extension = form.extension();
    let mut value = format!("attachment; filename=\"{plain}.{extension}\"; filename*=UTF-8''").into_bytes();
    escape_component(name, &mut value);
    value.extend_from_slice(format!(".{extension}").as_bytes());
    ex.response.line(b"Content-Disposition", &value);
    ex.response.line(b"X-Content-Type-Options", b"nosniff");
    if ex.location().settings.output.expires.is_none() {
        ex.response.line(b"Cache-Control", b"no-cache");
    }
    ex.response.status = Status::OK;
    ex.route.kept.content_type = None;
    ex.response.content_type = ContentType::Static(form.content_type());
    ex.response.ranges = false;
    // What clients wrote into their files is no command.
    ex.response.is_inert = true;
    ex.response.body = Body::Made(Box::new(Source::archive(archive)));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exchange::testing::{OUTSIDE, Site};
    use std::ffi::CString;
    use std::os::unix::ffi::OsStrExt;

    /// Only files and folders that can be looked at were bounded.
    #[test]
    fn a_folder_of_many_names_that_cannot_be_looked_at_is_no_one_to_give_away() {
        let mut site = Site::new("", "location / { autoindex on; } location ~ ^/x { deny all; }");
        let root = site.root();
        let mut ex = site.at("GET /", &[], OUTSIDE);
        ex.route.path = [root.as_os_str().as_bytes(), b"/"].concat();
        let top = || OwnedFd::from(std::fs::File::open(&root).expect("opened"));
        let walk = || Walk::new(top(), Vec::new()).expect("begun");
        let mut gathering = Gathering {
            rules: judge(&mut ex, &mut site.cx).expect("they are known"),
            form: ArchiveForm::Tar,
            uri: b"/".to_vec(),
            path: ex.route.path.clone(),
            walk: walk(),
            again: Some((walk(), top())),
            refused: (0..MOST_REFUSED).map(|n| n.to_string().into_bytes()).collect(),
            judged: 0,
            place: Place::default(),
            since: clock::realtime(),
        };
        // The kernel refuses to look at a name of that length.
        gathering.walk.meet(vec![CString::new(vec![b'x'; 300]).expect("no NUL")]);
        let mut flow = Flow::Wait;
        while flow == Flow::Wait {
            flow = gathering.work(&mut ex, &mut site.cx);
        }
        assert_eq!(flow, Flow::Status(Status::FORBIDDEN));
    }
}
