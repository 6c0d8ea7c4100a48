//! A DELETE of a directory with all that is in it, a slice each turn of the loop. It is finished even if its client
//! goes away: a tree that is half removed is of no use.

use super::{Wanted, done, go, status};
use crate::exchange::Exchange;
use crate::exchange::flow::{Begun, Flow};
use crate::exchange::handlers::path_rules::{Deed, PathRules};
use crate::exchange::handlers::settling::{self, Settling};
use crate::exchange::handlers::tree_rules::{Base, TreeRules};
use crate::exchange::handlers::upload;
use crate::exchange::response::ContentType;
use crate::http::escape::escape_path;
use crate::http::status::Status;
use crate::services::Services;
use crate::services::remove_tree::{Going, Removal, Stuck};
use crate::services::temp_names::{What, is_hidden};
use crate::sys::Errno;
use crate::sys::file::FileKind;
use std::ffi::{CStr, CString};
use std::os::fd::{BorrowedFd, OwnedFd};
use std::rc::Rc;

/// Those of a tree in which other rules than the request's may hold.
type Rules = Box<(TreeRules, PathRules)>;

pub enum Removing {
    /// Whether all that is in it may be removed is being looked at: nothing has been.
    Judging(Rules, Box<Wanted>),
    /// With the directories that upload_sync writes to the disk at the end. The rules are asked again of each entry: it may
    /// have come since all were looked at.
    Going(Removal, Vec<Rc<OwnedFd>>, Option<Rules>),
    /// It is gone.
    Settling(Box<Settling>),
}

/// Of a directory, open for reading, in which other rules may hold.
pub fn judged(ex: &mut Exchange, cx: &mut Services, wanted: Wanted, dir: OwnedFd) -> Begun<Removing> {
    let rules = PathRules::of(ex, cx);
    let base = Base::new(&rules.uri, &ex.route.path);
    let tree = TreeRules::new(cx, dir, base, &[Deed::Remove], None)
        .map_err(|e| upload::refuse(ex, cx, &upload::Refusal::call("dup()", b"", e)))?;
    let mut removing = Box::new(Removing::Judging(Box::new((tree, rules)), Box::new(wanted)));
    match removing.work(ex, cx) {
        Flow::Wait => Ok(removing),
        flow => Err(flow),
    }
}

impl Removing {
    /// The next slice.
    pub fn work(&mut self, ex: &mut Exchange, cx: &mut Services) -> Flow {
        loop {
            match self {
                Removing::Judging(rules, wanted) => {
                    let (tree, paths) = &mut **rules;
                    match tree.step(ex, cx, paths) {
                        Ok(true) if !cx.slice.is_over() => {}
                        Ok(true) => return Flow::Wait,
                        Err(refusal) => return upload::refuse(ex, cx, &refusal),
                        Ok(false) => match go(ex, cx, wanted) {
                            Ok(going) => {
                                let judged = std::mem::replace(self, *going);
                                if let (Removing::Judging(rules, _), Removing::Going(.., asked)) = (judged, self) {
                                    *asked = Some(rules);
                                }
                                return Flow::Wait;
                            }
                            Err(flow) => return flow,
                        },
                    }
                }
                Removing::Going(removal, changed, rules) => {
                    let flow = match remove(removal, ex, cx, rules.as_deref()) {
                        Ok(flow) => flow,
                        Err(flow) => return flow,
                    };
                    match settling::begin(ex, cx, changed, flow) {
                        Ok(settling) => *self = Removing::Settling(settling),
                        Err(flow) => return flow,
                    }
                    return Flow::Wait;
                }
                Removing::Settling(settling) => return settling.work(ex, cx),
            }
        }
    }

    /// It goes on when the disk has answered.
    pub fn waits(&self) -> bool {
        matches!(self, Removing::Settling(_))
    }
}

/// Asks the rules of each entry as it goes.
struct Judged<'a> {
    ex: &'a mut Exchange,
    cx: &'a mut Services,
    rules: Option<&'a (TreeRules, PathRules)>,
}

impl Going for Judged<'_> {
    fn hide(&mut self, dir: BorrowedFd<'_>) -> CString {
        self.cx.temp_names.hidden_in(dir, What::Delete)
    }

    fn may(&mut self, way: &[u8], name: &CStr, is_dir: bool) -> Result<(), Errno> {
        let Some((tree, paths)) = self.rules else { return Ok(()) };
        // Of another request, on its way, or in such a directory.
        if is_hidden(way) || is_hidden(name.to_bytes()) {
            return Ok(());
        }
        let kind = if is_dir { FileKind::Dir } else { FileKind::Regular };
        tree.judge(self.ex, self.cx, paths, way, name, (kind, 0)).map_err(|_| Errno::EACCES)
    }
}

/// Ok: all of it is gone. Err: not yet, or it cannot go.
fn remove(
    removal: &mut Removal,
    ex: &mut Exchange,
    cx: &mut Services,
    rules: Option<&(TreeRules, PathRules)>,
) -> Result<Flow, Flow> {
    loop {
        let outcome = removal.step(Judged { ex, cx, rules });
        if outcome == Ok(true) && !cx.slice.is_over() {
            continue;
        }
        // What was true this turn is no longer: a pipelined GET must not be answered from the file cache.
        cx.now.changed();
        cx.quotas.less();
        return match outcome {
            Ok(true) => Err(Flow::Wait),
            Ok(false) => Ok(done(ex)),
            Err(stuck) => Err(stopped(ex, cx, &stuck, removal.removed)),
        };
    }
}

/// Something in the directory cannot be removed: what it is, and that the rest is left.
pub fn stopped(ex: &mut Exchange, cx: &mut Services, stuck: &Stuck, removed: u64) -> Flow {
    let Stuck { path, call, errno } = stuck;
    let (status, level) = match status(*errno) {
        // What is being removed is there: an entry of it has gone.
        (Status::NOT_FOUND, level) => (Status::CONFLICT, level),
        known => known,
    };
    let (base, inner) =
        (String::from_utf8_lossy(&ex.route.path).into_owned(), String::from_utf8_lossy(path).into_owned());
    let base = base.trim_end_matches('/');
    ex.report(
        cx,
        level,
        format_args!("{call} \"{base}/{inner}\" failed {errno}, {removed} entries were removed before"),
    );
    if removed == 0 {
        return Flow::Status(status);
    }
    // The name as in a URI: another client chose it.
    let mut text = b"This could not be removed: \"".to_vec();
    escape_path(path, &mut text);
    let why = errno.message();
    let line = format!("\" ({why}).\nIt and what is beside it is left; {removed} entries of the directory are gone.\n");
    text.extend_from_slice(line.as_bytes());
    ex.response.text(status, ContentType::Static("text/plain; charset=utf-8"), text);
    Flow::Respond
}
