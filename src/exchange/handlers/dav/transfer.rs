//! COPY and MOVE: nginx's order of checks and its statuses (204 for a file, 201 for a collection); with dav_ext_methods
//! RFC 4918's (201 for a new name, 204 for one that was taken), and collections with or without their slash.

use super::copying::{FileCopy, Staged};
use super::guard::{self, Change};
use super::job::{After, Job, Stage, Was};
use super::judging::{Judging, Paths};
use super::refuse::{failed, refuse};
use super::target::Spot;
use super::terms::{Depth, depth, is_webdav};
use crate::config::model::Level;
use crate::exchange::flow::{Begun, Flow};
use crate::exchange::handlers::listing::Deed;
use crate::exchange::handlers::{delete, upload};
use crate::exchange::{Exchange, origin};
use crate::http::header::HeaderId;
use crate::http::method::Method;
use crate::http::status::Status;
use crate::http::uri;
use crate::route::{NoTrace, location};
use crate::services::Services;
use crate::services::judged_trees::Watch;
use crate::services::remove_tree::Going;
use crate::services::syncs::{Sync, all_ended};
use crate::services::temp_names::{self, TempNames, What};
use crate::sys::Errno;
use crate::sys::file::{self, FileKind, Follow, Stat};
use crate::util::bytes;
use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, BorrowedFd};

pub fn run(ex: &mut Exchange, cx: &mut Services) -> Begun<Transfer> {
    let Some(target) = destination(ex) else {
        let text = "client sent no or an invalid \"Destination\" header";
        return Err(refuse(ex, cx, Status::BAD_REQUEST, format_args!("{text}")));
    };
    let is_webdav = is_webdav(ex);
    if !is_webdav && ex.route.uri.ends_with(b"/") != target.ends_with(b"/") {
        let text = "both URI and \"Destination\" URI should be either collections or non-collections";
        return Err(refuse(ex, cx, Status::CONFLICT, format_args!("{text}")));
    }
    if temp_names::is_hidden(&target) {
        let text = "\"Destination\": names that start so are this server's own";
        return Err(refuse(ex, cx, Status::BAD_REQUEST, format_args!("{text}")));
    }
    let name = target.split(|b| *b == b'/').rfind(|part| !part.is_empty());
    if let Some(Err(why)) = name.map(|name| upload::Names::of(ex).judge(name)) {
        return Err(refuse(ex, cx, Status::BAD_REQUEST, format_args!("\"Destination\": {why}")));
    }
    // nginx writes wherever the root reaches: into locations that allow no such thing.
    let place = |uri: &[u8]| location::find(&ex.config, ex.route.server, uri, &mut NoTrace).map(|found| found.location);
    if place(&ex.route.uri).is_err() || place(&ex.route.uri) != place(&target) {
        let text = "\"Destination\" lies in another location";
        return Err(refuse(ex, cx, Status::FORBIDDEN, format_args!("{text}")));
    }
    let depth = match (depth(ex, Depth::Infinity), ex.route.method) {
        (Some(Depth::Infinity), _) => Depth::Infinity,
        (Some(Depth::Zero), Method::Copy) => Depth::Zero,
        (_, Method::Copy) => {
            return Err(refuse(ex, cx, Status::BAD_REQUEST, format_args!("\"Depth\" header must be 0 or infinity")));
        }
        _ => return Err(refuse(ex, cx, Status::BAD_REQUEST, format_args!("\"Depth\" header must be infinity"))),
    };
    let overwrite = match ex.header(HeaderId::Overwrite) {
        _ if ex.route.deed.is_some() => false,
        None | Some(b"T" | b"t") => true,
        Some(b"F" | b"f") => false,
        Some(_) => {
            return Err(refuse(ex, cx, Status::BAD_REQUEST, format_args!("client sent invalid \"Overwrite\" header")));
        }
    };
    let bare = |uri: &[u8]| [uri, b"/"].concat().replace_slashes();
    let (from, to) = (bare(&ex.route.uri), bare(&target));
    if to.starts_with(&from) || from.starts_with(&to) {
        return Err(refuse(ex, cx, Status::FORBIDDEN, format_args!("source and destination hold each other")));
    }
    let source = match Spot::of(ex, cx) {
        Ok(source) => source,
        Err(Errno::EBUSY) => return Err(Flow::Status(Status::FORBIDDEN)),
        Err(e) => return Err(failed(ex, cx, "open()", e)),
    };
    let source_is_area = delete::keeps_area(ex);
    let from_path = ex.route.path.clone();
    let uri = std::mem::replace(&mut ex.route.uri, target);
    let target = Spot::of(ex, cx);
    let target_is_area = delete::keeps_area(ex);
    let to_path = ex.route.path.clone();
    let to_uri = std::mem::replace(&mut ex.route.uri, uri);
    let target = match target {
        Ok(target) => target,
        // RFC 4918 §9.8.5: a collection above it must be made first.
        Err(Errno::ENOENT | Errno::ENOTDIR) => return Err(Flow::Status(Status::CONFLICT)),
        Err(Errno::EBUSY) => return Err(Flow::Status(Status::FORBIDDEN)),
        Err(e) => return Err(failed(ex, cx, "open()", e)),
    };
    let there = match file::stat_at(Some(target.dir.as_fd()), &target.name, Follow::No) {
        Ok(there) => Some(there),
        Err(Errno::ENOENT) => None,
        Err(e) => return Err(failed(ex, cx, "lstat()", e)),
    };
    let kind = file::stat_at(Some(source.dir.as_fd()), &source.name, Follow::No).map(|stat| stat.kind);
    let collection = if is_webdav { kind == Ok(FileKind::Dir) } else { ex.route.uri.ends_with(b"/") };
    if let Some(there) = &there {
        if there.kind == FileKind::Dir && !collection && !is_webdav {
            return Err(refuse(ex, cx, Status::CONFLICT, format_args!("the destination is a collection")));
        }
        if !overwrite {
            let status = if ex.route.deed.is_some() { Status::CONFLICT } else { Status::PRECONDITION_FAILED };
            return Err(refuse(ex, cx, status, format_args!("the destination exists")));
        }
        if there.kind == FileKind::Dir && target_is_area {
            return Err(refuse(
                ex,
                cx,
                Status::FORBIDDEN,
                format_args!("the destination is the directory of a location"),
            ));
        }
    }
    if ex.route.method == Method::Move && source_is_area {
        return Err(refuse(
            ex,
            cx,
            Status::FORBIDDEN,
            format_args!("the source is or holds the directory of a location"),
        ));
    }
    let kind = match kind {
        Ok(kind) => kind,
        Err(e) => return Err(failed(ex, cx, "lstat()", e)),
    };
    if kind == FileKind::Dir && !collection {
        return Err(refuse(ex, cx, Status::BAD_REQUEST, format_args!("the source is a collection")));
    }
    if kind != FileKind::Dir && ex.route.uri.ends_with(b"/") {
        return Err(failed(ex, cx, "open()", Errno::ENOTDIR));
    }
    let moves = ex.route.method == Method::Move;
    let is_taken_by_dir = there.is_some_and(|there| there.kind == FileKind::Dir);
    let change = match there {
        None => Change::Made,
        Some(_) if collection || is_taken_by_dir => Change::Gone,
        Some(_) => Change::Content,
    };
    let checked = match moves {
        true => guard::check(ex, cx, source.dir.as_fd(), source.name.to_bytes(), Change::Gone),
        false => Ok(()),
    };
    checked
        .and_then(|()| guard::check(ex, cx, target.dir.as_fd(), target.name.to_bytes(), change))
        .map_err(Flow::Status)?;
    let is_made = if is_webdav { there.is_none() } else { collection };
    let status = if is_made { Status::CREATED } else { Status::NO_CONTENT };
    let deep = depth == Depth::Infinity;
    let sync = ex.here().settings.upload.sync;
    let job = Job { source, target, deep, moves, overwrite, status, swaps: is_taken_by_dir, sync };
    let paths = Paths { from: from_path, to: (to_uri, to_path) };
    let judging = match Judging::new(ex, cx, &job, paths, collection, there) {
        Ok(judging) => Box::new(judging),
        Err(refusal) => return Err(upload::refuse(ex, cx, &refusal)),
    };
    let mut transfer =
        Box::new(Transfer { job, stage: Stage::Judging, judging, syncs: Vec::new(), came: None, copied: None });
    match transfer.work(ex, cx) {
        Flow::Wait => Ok(transfer),
        flow => Err(flow),
    }
}

/// A COPY or MOVE under way, a slice each turn of the loop. It is finished even if its client goes away.
pub struct Transfer {
    job: Job,
    stage: Stage,
    /// Whether it may be done; holds its part of upload_quota until it is over.
    judging: Box<Judging>,
    /// upload_sync: what of a whole tree is on its way to the disk.
    syncs: Vec<Sync>,
    /// MOVE of a tree by copying: whether something came into it since, which is not in the copy.
    came: Option<Watch>,
    /// MOVE of a file by copying: what the copy was made of.
    copied: Option<Stat>,
}

/// The source of a MOVE goes, as long as nothing comes into it.
struct Leaving<'a>(&'a mut TempNames, Option<&'a Watch>);

impl Going for Leaving<'_> {
    fn hide(&mut self, dir: BorrowedFd<'_>) -> CString {
        self.0.hidden_in(dir, What::Delete)
    }

    fn may(&mut self, _: &[u8], _: &CStr, _: bool) -> Result<(), Errno> {
        match self.1 {
            Some(came) if came.is_set() => Err(Errno::EBUSY),
            _ => Ok(()),
        }
    }
}

/// Files of a tree that are on their way to the disk at most.
const SYNCS: usize = 64;

impl Transfer {
    /// The next slice.
    pub fn work(&mut self, ex: &mut Exchange, cx: &mut Services) -> Flow {
        if !matches!(self.stage, Stage::Judging) {
            // What was there may go. A copy under its hidden name counts nowhere yet.
            cx.quotas.less();
        }
        loop {
            match self.step(ex, cx) {
                Ok(()) if ex.pause.is_none() && !cx.slice.is_over() => {}
                Ok(()) => return Flow::Wait,
                Err(flow) => {
                    // What was true this turn is no longer.
                    cx.now.changed();
                    cx.stored_places.moved();
                    return flow;
                }
            }
        }
    }

    /// Goes on a little. Err: how it ended.
    fn step(&mut self, ex: &mut Exchange, cx: &mut Services) -> Result<(), Flow> {
        let next = match &mut self.stage {
            Stage::Judging => match self.judging.step(ex, cx, &self.job) {
                Ok(true) => return Ok(()),
                Ok(false) if self.judging.is_tree => self.begin_tree(cx),
                Ok(false) => self.job.begin_file(&mut cx.temp_names),
                Err(refusal) => return Err(upload::refuse(ex, cx, &refusal)),
            },
            Stage::Done(status) => {
                ex.response.status = *status;
                if self.job.moves {
                    guard::forget(cx, self.job.from(), self.job.source.name.to_bytes());
                }
                if ex.route.deed.is_some() {
                    return Err(delete::back(ex));
                }
                return Err(Flow::Respond);
            }
            Stage::Syncing(syncs, next) => match all_ended(syncs) {
                Ok(false) => return Err(Flow::Wait),
                Ok(true) => {
                    self.stage = std::mem::replace(&mut **next, Stage::Judging);
                    return self.go_on(ex, cx);
                }
                Err(e) => self.unsynced(e),
            },
            Stage::Unsure(call, e) => return Err(upload::resumed::unsure(ex, cx, call, *e)),
            Stage::File(copy) => match copy.step(&mut cx.scratch) {
                Ok(true) => return Ok(()),
                Ok(false) => self.file_is_whole(),
                Err(e) => Err(e),
            },
            Stage::Tree(copy, syncs) => {
                syncs.retain(|sync| sync.outcome() != Some(Ok(())));
                match all_ended(syncs) {
                    Err(e) => {
                        let next = self.copied(Err(e));
                        return self.change(ex, cx, next);
                    }
                    Ok(_) if syncs.len() >= SYNCS => return Err(Flow::Wait),
                    Ok(_) => {}
                }
                let mut scratch = std::mem::take(&mut cx.scratch);
                let judging = &mut self.judging;
                let outcome = copy
                    .step(&mut scratch, |way, name, kind, size| judging.judge_copied(ex, cx, way, name, (kind, size)));
                cx.scratch = scratch;
                let whole = std::mem::take(&mut copy.whole);
                if self.job.sync {
                    syncs.extend(whole.iter().map(|fd| cx.syncs.begin(fd.as_fd())));
                }
                match outcome {
                    Ok(true) => return Ok(()),
                    outcome => self.copied(outcome.map(|_| ())),
                }
            }
            Stage::Clearing { removal, .. } => match removal.step(&mut cx.temp_names) {
                Ok(true) => return Ok(()),
                Ok(false) => Ok(self.cleared()),
                Err(stuck) => {
                    let path = String::from_utf8_lossy(&stuck.path).into_owned();
                    let text = format_args!("{} \"{path}\" of a hidden directory failed {}", stuck.call, stuck.errno);
                    ex.report(cx, Level::Crit, text);
                    Ok(self.cleared())
                }
            },
            Stage::Leaving(removal) => match removal.step(Leaving(&mut cx.temp_names, self.came.as_ref())) {
                Ok(true) => return Ok(()),
                Ok(false) => Ok(Stage::Done(self.job.status)),
                Err(stuck) => {
                    let removed = removal.removed;
                    return Err(delete::stopped(ex, cx, &stuck, removed));
                }
            },
            Stage::Placing(_) | Stage::Swapping(_) | Stage::Old { .. } | Stage::Cleared(_) => {
                return self.go_on(ex, cx);
            }
        };
        self.change(ex, cx, next)
    }

    fn begin_tree(&mut self, cx: &mut Services) -> Result<Stage, Errno> {
        let stage = self.job.begin_tree(&mut cx.temp_names)?;
        if let (true, Stage::Tree(copy, _)) = (self.job.moves, &stage)
            && let Some(source) = copy.source()
        {
            self.came = Some(cx.judged_trees.watch(source)?);
        }
        Ok(stage)
    }

    /// A step that changes names, now that all before it is on the disk.
    fn go_on(&mut self, ex: &mut Exchange, cx: &mut Services) -> Result<(), Flow> {
        let next = match std::mem::replace(&mut self.stage, Stage::Judging) {
            // It gets no name yet that counts.
            Stage::Placing(copy) if self.job.swaps => self.place_file(copy, &mut cx.temp_names),
            Stage::Placing(copy) => match self.judging.lock(ex, cx) {
                Ok(true) => self.place_file(copy, &mut cx.temp_names),
                Ok(false) => {
                    self.stage = Stage::Placing(copy);
                    return Ok(());
                }
                Err(refusal) => return Err(upload::refuse(ex, cx, &refusal)),
            },
            Stage::Swapping(staged) => match self.judging.may_swap(ex, cx) {
                Ok(false) => {
                    self.stage = Stage::Swapping(staged);
                    return Ok(());
                }
                Ok(true) => self.swapped(staged, &mut cx.temp_names),
                Err(then) => Ok(Stage::Old { old: staged, then }),
            },
            Stage::Old { old, then } => self.job.clear(old, then),
            Stage::Cleared(After::Refused(refusal)) => return Err(upload::refuse(ex, cx, &refusal)),
            // Another file has the name by now: that one was not copied.
            Stage::Cleared(After::Leave) if self.has_source_changed() => Err(Errno::EBUSY),
            Stage::Cleared(then) => self.job.after(then),
            stage => {
                self.stage = stage;
                return Ok(());
            }
        };
        self.change(ex, cx, next)
    }

    /// The next stage; under upload_sync the disk has what it builds on first: before a name is given what is in the file,
    /// before anything that was there goes, and before it is answered, the names.
    fn change(&mut self, ex: &mut Exchange, cx: &mut Services, next: Result<Stage, Errno>) -> Result<(), Flow> {
        let mut next = next;
        let is_named = match &next {
            Ok(Stage::Old { then, .. }) => matches!(then, After::Leave | After::Done),
            Ok(stage) => matches!(stage, Stage::Cleared(_) | Stage::Done(_)),
            Err(_) => false,
        };
        if is_named {
            cx.judged_trees.came(self.job.to());
        }
        let is_copying = matches!(next, Ok(Stage::File(_) | Stage::Tree(..)));
        if !is_copying && !matches!(next, Ok(Stage::Placing(_) | Stage::Swapping(_))) {
            // Files have come, their number is not known.
            cx.quotas.more();
        }
        self.judging.unlock(is_copying);
        if self.job.sync {
            let syncs = match &mut next {
                Ok(Stage::Placing(copy)) => {
                    copy.durable = true;
                    Ok(vec![cx.syncs.begin(copy.fd())])
                }
                Ok(Stage::Swapping(_)) => Ok(std::mem::take(&mut self.syncs)),
                Ok(
                    Stage::Old { then: After::Leave | After::Done, .. } | Stage::Cleared(After::Leave) | Stage::Done(_),
                ) => {
                    if self.judging.is_tree {
                        cx.syncs.made_directory();
                    }
                    let source = Some(&self.job.source.dir).filter(|_| self.job.moves);
                    cx.syncs.begin_names([&self.job.target.dir].into_iter().chain(source))
                }
                _ => Ok(Vec::new()),
            };
            next = match (syncs, next) {
                (Ok(syncs), Ok(stage)) if !syncs.is_empty() => Ok(Stage::Syncing(syncs, Box::new(stage))),
                (Ok(_), next) => next,
                (Err(e), Ok(stage)) => self.without_sync(stage, "open()", e),
                (Err(_), Err(e)) => Err(e),
            };
        }
        match next {
            Ok(stage) => {
                self.stage = stage;
                Ok(())
            }
            Err(Errno::EEXIST) => {
                let text = format_args!("the destination exists by now");
                Err(refuse(ex, cx, Status::PRECONDITION_FAILED, text))
            }
            Err(e) => Err(failed(ex, cx, "copy", e)),
        }
    }

    fn has_source_changed(&self) -> bool {
        let Some(copied) = &self.copied else { return false };
        let there = file::stat_at(Some(self.job.from()), &self.job.source.name, Follow::No);
        there.is_ok_and(|there| (there.ino, there.size, there.mtime) != (copied.ino, copied.size, copied.mtime))
    }

    /// The disk did not take what is built on next.
    fn unsynced(&mut self, e: Errno) -> Result<Stage, Errno> {
        match std::mem::replace(&mut self.stage, Stage::Judging) {
            Stage::Syncing(_, next) => self.without_sync(*next, "fsync()", e),
            _ => Err(e),
        }
    }

    /// Ends it in place of `next`: where nothing has its name yet, as if nothing had been done.
    fn without_sync(&self, next: Stage, call: &'static str, e: Errno) -> Result<Stage, Errno> {
        match next {
            // A file without a name goes by itself.
            Stage::Placing(_) => Err(e),
            Stage::Swapping(staged) => Ok(Stage::Old { old: staged, then: After::Failed(e) }),
            // The source of a MOVE stays.
            Stage::Old { old, .. } => self.job.clear(old, After::Unsure(call, e)),
            _ => Ok(Stage::Unsure(call, e)),
        }
    }

    /// The copy of a file is whole.
    fn file_is_whole(&mut self) -> Result<Stage, Errno> {
        match std::mem::replace(&mut self.stage, Stage::Judging) {
            Stage::File(copy) => {
                self.copied = Some(*copy.source());
                self.judging.file_was_copied(copy.source().size);
                Ok(Stage::Placing(copy))
            }
            _ => Err(Errno::EINVAL),
        }
    }

    fn place_file(&mut self, mut copy: FileCopy, litter: &mut TempNames) -> Result<Stage, Errno> {
        if self.job.swaps {
            return copy.stage(litter).map(Stage::Swapping);
        }
        copy.place(&self.job.target.name, self.job.how(), litter)?;
        Ok(if self.job.moves { Stage::Cleared(After::Leave) } else { Stage::Done(self.job.status) })
    }

    /// The copy of a tree is whole, or has failed.
    fn copied(&mut self, outcome: Result<(), Errno>) -> Result<Stage, Errno> {
        let Stage::Tree(copy, syncs) = std::mem::replace(&mut self.stage, Stage::Judging) else {
            return Err(Errno::EINVAL);
        };
        self.syncs = syncs;
        match outcome {
            Ok(()) => Ok(Stage::Swapping(copy.staged)),
            Err(e) => Ok(Stage::Old { old: copy.staged, then: After::Failed(e) }),
        }
    }

    /// The whole copy takes the place of what stood there.
    fn swapped(&mut self, staged: Staged, litter: &mut TempNames) -> Result<Stage, Errno> {
        let then = if self.job.moves { After::Leave } else { After::Done };
        match self.job.swap(self.job.to(), &staged.name, litter) {
            Ok(Was::Free) => {
                staged.keep();
                Ok(Stage::Cleared(then))
            }
            Ok(Was::Taken) => Ok(Stage::Old { old: staged, then }),
            Err(e) => Ok(Stage::Old { old: staged, then: After::Failed(e) }),
        }
    }

    fn cleared(&mut self) -> Stage {
        match std::mem::replace(&mut self.stage, Stage::Judging) {
            Stage::Clearing { then, .. } => Stage::Cleared(then),
            stage => stage,
        }
    }

    /// It goes on when the disk has answered.
    pub fn waits(&self) -> bool {
        match &self.stage {
            Stage::Syncing(syncs, _) => all_ended(syncs) == Ok(false),
            Stage::Tree(_, syncs) => syncs.len() >= SYNCS && all_ended(syncs) == Ok(false),
            _ => false,
        }
    }
}

trait Slashes {
    fn replace_slashes(self) -> Vec<u8>;
}

impl Slashes for Vec<u8> {
    /// Several slashes become one.
    fn replace_slashes(mut self) -> Vec<u8> {
        self.dedup_by(|a, b| *a == b'/' && *b == b'/');
        self
    }
}

/// The path of the Destination header: `/path` or an absolute URL of this host.
fn destination(ex: &Exchange) -> Option<Vec<u8>> {
    if let Some(Deed::Move(to)) = &ex.route.deed {
        return Some(to.clone()).filter(|to| !bytes::has_control(to));
    }
    let value = ex.header(HeaderId::Destination)?;
    let path = if value.starts_with(b"/") { value } else { origin::own_path(ex, value)? };
    let mut normal = Vec::new();
    uri::normalize(path, true, &mut normal).ok().filter(|_| !bytes::has_control(&normal))?;
    // A name below the alias, or nothing of the location.
    let len = match ex.here().settings.files.alias {
        Some(u32::MAX) | None => 0,
        Some(len) => len as usize,
    };
    (normal.len() >= len && normal.get(..len) == ex.route.uri.get(..len)).then_some(normal)
}
