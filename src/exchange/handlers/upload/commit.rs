//! The body is complete: the received files get their names, all of them, or none if one cannot.

use super::name::{numbered, random_digits};
use super::record::Stored;
use super::refusal::{Refusal, too_large};
use super::state::{Upload, Which, place};
use super::temp_file::{Birth, Part};
use super::{raw, rules};
use crate::config::settings::upload::Duplicate;
use crate::exchange::Exchange;
use crate::exchange::handlers::dav;
use crate::exchange::handlers::versions::Versions;
use crate::http::etag::ETag;
use crate::http::header::HeaderId;
use crate::http::status::Status;
use crate::services::Services;
use crate::services::open_files::version;
use crate::services::quotas::Usage;
use crate::services::quotas::shared::Lock;
use crate::services::temp_names::TempNames;
use crate::sys::Errno;
use crate::sys::file::{self, FileKind, Follow};
use std::collections::HashMap;
use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, OwnedFd};
use std::rc::Rc;

/// `name-1` to `name-200` are tried, then random digits.
const COUNTED: u32 = 200;

/// Why nothing was stored, and which file caused it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Failed {
    pub part: usize,
    pub why: Why,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Why {
    Taken,
    /// The name belongs to something that is not a file: it is not replaced.
    NoFile,
    /// The other name that the file would get is not allowed.
    Refused,
    Call(&'static str, Errno),
}

/// What a file's name was before.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Was {
    Free,
    Taken,
}

/// The version that each file has, and what its name was before.
type Named = (Vec<ETag>, Vec<Was>);

impl Upload {
    /// Gives names to parts whose names depend on fields of the form, all of which have arrived.
    fn name_parts(&mut self, ex: &mut Exchange, cx: &mut Services) -> Result<(), Refusal> {
        for (at, (given, kind)) in std::mem::take(&mut self.unnamed).into_iter().enumerate() {
            let fields = self.form.as_ref().map_or(&[][..], |form| &form.fields);
            let given = Some(&given[..]).filter(|name| !name.is_empty());
            let name = self.name(ex, cx, fields, given, &kind)?;
            let which = self.parts.get(at).and_then(|part| part.folder);
            self.check_place(ex, (which, &name), given)?;
            self.judge_path(ex, cx, (which, &name), Some(&kind))?;
            if let Some(part) = self.parts.get_mut(at) {
                if self.most > 0 && part.size() > self.most {
                    return Err(too_large().of(&name));
                }
                part.name = name;
            }
        }
        Ok(())
    }

    pub fn store(&mut self, ex: &mut Exchange, cx: &mut Services) -> Result<Vec<Stored>, Refusal> {
        if self.form.as_ref().is_some_and(|form| !form.is_complete()) {
            return Err(Refusal::new(Status::BAD_REQUEST, "the form ends before its last boundary"));
        }
        if self.parts.is_empty() {
            return match self.rules.answer {
                Some(_) => Ok(Vec::new()),
                None => Err(Refusal::new(Status::BAD_REQUEST, "the form holds no file")),
            };
        }
        let digests = self.check_digests(ex)?;
        self.name_parts(ex, cx)?;
        for part in &self.parts {
            rules::check_least(ex, part.size()).map_err(|e| e.of(&part.name))?;
        }
        // Checks again: chunked bodies and forms do not say in advance how much room they take.
        rules::check_room(self.place.dir.as_fd(), self.rules.min_free, 0)?;
        for at in 0..self.parts.len() {
            let (which, name) = (self.parts[at].folder, self.parts[at].name.clone());
            self.check_locks(ex, cx, (which, &name))?;
        }
        let _versions = self.lock_versions(ex, cx)?;
        let (etags, was) = match self.place_files(ex, cx) {
            Ok(placed) => placed,
            Err(refusal) => {
                self.checked = Some(digests);
                return Err(refusal);
            }
        };
        if self.made.is_any() {
            cx.syncs.made_directory();
        }
        let files = self.parts.iter().zip(etags).zip(was).zip(digests);
        Ok(files
            .map(|(((part, etag), was), digest)| Stored {
                name: self.path_of(part),
                size: part.size(),
                etag,
                replaced: was == Was::Taken,
                digest,
            })
            .collect())
    }

    /// Evaluates the request's conditions on the files that have the names now, and locks these until the new names
    /// are given.
    fn lock_versions(&self, ex: &mut Exchange, cx: &mut Services) -> Result<Versions, Refusal> {
        let mut locks = Versions::new(cx);
        for part in self.parts.iter().filter(|_| self.policy.conditional) {
            let place = place(&self.place, &self.folders, part.folder);
            if self.policy.names_version {
                place.lock(&part.name, &mut locks)?;
            }
            self.check_conditions(ex, place.stat(&part.name)?.as_ref(), &part.name)?;
        }
        // The first request of a resumable upload sent it.
        let held = match &self.conditions {
            Some(first) => {
                let value = first.0.value(&first.1, HeaderId::If).map(<[u8]>::to_vec);
                dav::guard::hold_of(ex, cx, value.as_deref(), &mut locks)
            }
            None => dav::guard::hold(ex, cx, &mut locks),
        };
        held?;
        Ok(locks)
    }

    /// Gives the files their names, within the quota, in directories that are made if they are missing.
    fn place_files(&mut self, ex: &mut Exchange, cx: &mut Services) -> Result<Named, Refusal> {
        let usage = self.claim_all(ex, cx)?;
        let outcome = self.place_locked(ex, cx, usage);
        // Directories that were made stay while time is up, or while a lock is waited for.
        if outcome.as_ref().is_err_and(|refusal| !refusal.later) {
            self.made.unmake();
        }
        outcome
    }

    fn place_locked(&mut self, ex: &mut Exchange, cx: &mut Services, usage: (Usage, Usage)) -> Result<Named, Refusal> {
        if self.lacks_area() {
            // The lock is a file in the area.
            self.make_places(cx)?;
        }
        let lock = self.lock_quota(ex, cx, usage)?;
        let outcome = self.make_places(cx).and_then(|()| self.commit(ex, cx, usage));
        if outcome.is_err() {
            // The lock's file may be in what was made.
            lock.into_iter().for_each(Lock::take_back);
        }
        outcome
    }

    /// The names could not be written to the disk: what had them before gets them back. False: not all of it did.
    pub fn take_back(&mut self, cx: &mut Services) -> bool {
        let dir = self.place.dir.clone();
        let is_whole = take_back(&dir, &mut self.parts, &mut cx.temp_names);
        if is_whole {
            self.made.unmake();
        }
        for part in &self.parts {
            cx.judged_trees.came(home(&dir, part).as_fd());
        }
        cx.now.changed();
        cx.quotas.less();
        is_whole
    }

    /// Turns parts that are still in memory into files, and gives all of them their names.
    fn commit(
        &mut self,
        ex: &mut Exchange,
        cx: &mut Services,
        (added, freed): (Usage, Usage),
    ) -> Result<Named, Refusal> {
        let modified = raw::date(ex);
        let seen = match &self.parts[..] {
            [part] if self.policy.on_duplicate == Duplicate::Overwrite => {
                let (which, name) = (part.folder, part.name.clone());
                self.place_mut(which).look(&name, cx)?
            }
            _ => None,
        };
        let replaces = seen.is_some_and(|stat| matches!(stat.kind, FileKind::Regular | FileKind::Symlink));
        // A hidden name that may be left behind is only made where it will be found.
        let birth = if replaces && cx.temp_names.is_kept() { Birth::Hidden } else { Birth::Nameless };
        // The versions that GET will name: those of the files as they are, before they have names.
        let mut etags = Vec::with_capacity(self.parts.len());
        for part in &mut self.parts {
            let dir = &place(&self.place, &self.folders, part.folder).dir;
            let settled = part.settle(dir, &mut cx.temp_names, birth).and_then(|()| part.flush());
            settled.map_err(|e| Refusal::call("write()", &self.place.path, e))?;
            if let (Some(modified), Some(fd)) = (modified, part.fd()) {
                // A file system that does not store such a time still stores the file.
                let _ = file::set_mtime(fd, (modified, 0));
            }
            etags.push(version(&part.stat().map_err(|e| Refusal::call("fstat()", &self.place.path, e))?));
        }
        let seen = seen.map(|stat| stat.kind);
        let was = self.give_names(ex, cx, seen)?;
        cx.quotas.stored(self.place.dir.as_fd(), added, freed);
        // If the client gave a modification time, it has no nanoseconds: the version then depends on the time
        // of the file's last change, and giving the name was one.
        // A file that had to be copied is another file, too.
        let is_other = |part: &Part| modified.is_some() || part.was_copied();
        for (etag, part) in etags.iter_mut().zip(&self.parts).filter(|(_, part)| is_other(part)) {
            if let Ok(stat) = part.stat() {
                *etag = version(&stat);
            }
        }
        Ok((etags, was))
    }

    /// Gives all files their names, or none.
    fn give_names(
        &mut self,
        ex: &mut Exchange,
        cx: &mut Services,
        seen: Option<FileKind>,
    ) -> Result<Vec<Was>, Refusal> {
        let (dir, on_duplicate) = (self.place.dir.clone(), self.policy.on_duplicate);
        let (mut parts, mut temp_names) = (std::mem::take(&mut self.parts), std::mem::take(&mut cx.temp_names));
        let (mut rules, mut refused) = (None, None);
        let mut may = |part: &Part, name: &[u8]| {
            refused = self.judge_renamed(&mut rules, ex, cx, part, name).err();
            refused.is_none()
        };
        let outcome = commit(&dir, &mut parts, on_duplicate, seen, &mut temp_names, &mut may);
        (self.parts, cx.temp_names) = (parts, temp_names);
        for part in &self.parts {
            cx.judged_trees.came(home(&dir, part).as_fd());
        }
        outcome.map_err(|failed| {
            let name = self.parts.get(failed.part).map_or(&b""[..], |part| &part.name);
            refused.unwrap_or_else(|| self.refusal(failed.why, name))
        })
    }

    pub fn refusal(&self, why: Why, name: &[u8]) -> Refusal {
        match why {
            Why::Taken if self.policy.create_only => Refusal::precondition(),
            Why::Taken | Why::Refused => {
                Refusal::new(Status::CONFLICT, "the name is taken").limit("upload_on_duplicate")
            }
            Why::NoFile => Refusal::new(Status::CONFLICT, "something that is no file has that name"),
            Why::Call(call, e) => Refusal::call(call, &self.place.path, e),
        }
        .of(name)
    }
}

/// Whether a part may have another name than its own.
type May<'m> = &'m mut dyn FnMut(&Part, &[u8]) -> bool;

/// Names every part in `dir`, and says what each name was before. A renamed part has its new name in `name`. `seen`:
/// the file that is known to have the name, if there is only one part.
pub fn commit(
    dir: &Rc<OwnedFd>,
    parts: &mut [Part],
    on_duplicate: Duplicate,
    seen: Option<FileKind>,
    temp_names: &mut TempNames,
    may: May<'_>,
) -> Result<Vec<Was>, Failed> {
    let alone = parts.len() == 1;
    // The numbers that files of one name have got: what is known to be taken is not tried again for each of them.
    let mut numbers: HashMap<(Which, Vec<u8>), u32> = HashMap::new();
    for at in 0..parts.len() {
        let (home, part) = (home(dir, &parts[at]), &mut parts[at]);
        let asked = (part.folder, if alone { Vec::new() } else { part.name.clone() });
        let above = numbers.get(&asked).copied().unwrap_or_default();
        match give_name(&home, part, (on_duplicate, alone, seen), above, temp_names, may) {
            Ok(0) => {}
            Ok(number) => _ = numbers.insert(asked, number),
            Err(why) => {
                // As far as possible: what cannot be taken back is a whole file.
                take_back(dir, parts.get_mut(..at).unwrap_or_default(), temp_names);
                return Err(Failed { part: at, why });
            }
        }
    }
    Ok(parts.iter().map(|part| if part.is_new() { Was::Free } else { Was::Taken }).collect())
}

/// Gives the names back to the files that had them. False: some keep what they have now.
pub fn take_back(dir: &Rc<OwnedFd>, parts: &mut [Part], temp_names: &mut TempNames) -> bool {
    let mut is_whole = true;
    // The last first: two parts may have had one name.
    for part in parts.iter_mut().rev() {
        let home = home(dir, part);
        is_whole &= part.take_back(&home, temp_names);
    }
    is_whole
}

/// The directory of the file's name: `dir`, or the folder that its own name contains.
fn home(dir: &Rc<OwnedFd>, part: &Part) -> Rc<OwnedFd> {
    part.home.as_ref().unwrap_or(dir).clone()
}

/// Gives the number in the file's name: 0 if it got its own. The numbers up to `above` are taken.
fn give_name(
    dir: &Rc<OwnedFd>,
    part: &mut Part,
    (on_duplicate, alone, seen): (Duplicate, bool, Option<FileKind>),
    above: u32,
    temp_names: &mut TempNames,
    may: May<'_>,
) -> Result<u32, Why> {
    let name = c_name(&part.name)?;
    if alone && seen.is_some() && on_duplicate == Duplicate::Overwrite {
        return overwrite(dir, part, name, seen, alone, temp_names).map(|()| 0);
    }
    match part.link(dir, &name, temp_names) {
        Ok(()) => return Ok(0),
        Err(Errno::EEXIST) => {}
        Err(e) => return Err(Why::Call("linkat()", e)),
    }
    match on_duplicate {
        Duplicate::Error => Err(match kind(dir, &name) {
            Some(FileKind::Dir | FileKind::Other) => Why::NoFile,
            _ => Why::Taken,
        }),
        Duplicate::Rename => rename(dir, part, above, temp_names, may),
        Duplicate::Overwrite => {
            let there = kind(dir, &name);
            overwrite(dir, part, name, there, alone, temp_names).map(|()| 0)
        }
    }
}

/// Gives the number that it got. [`COUNTED`] stands for random digits.
fn rename(dir: &Rc<OwnedFd>, part: &mut Part, above: u32, names: &mut TempNames, may: May<'_>) -> Result<u32, Why> {
    for n in above + 1..=COUNTED + 3 {
        let number = if n <= COUNTED { n.to_string() } else { random_digits(8) };
        let other = numbered(&part.name, &number);
        let name = c_name(&other)?;
        if !may(part, &other) {
            return Err(Why::Refused);
        }
        match part.link(dir, &name, names) {
            Ok(()) => {
                part.name = other;
                return Ok(n.min(COUNTED));
            }
            Err(Errno::EEXIST) => {}
            Err(e) => return Err(Why::Call("linkat()", e)),
        }
    }
    Err(Why::Taken)
}

fn overwrite(
    dir: &Rc<OwnedFd>,
    part: &mut Part,
    name: CString,
    there: Option<FileKind>,
    alone: bool,
    temp_names: &mut TempNames,
) -> Result<(), Why> {
    // A link is replaced itself; a directory or a device never is.
    if matches!(there, Some(FileKind::Dir | FileKind::Other)) {
        return Err(Why::NoFile);
    }
    let outcome = if alone {
        part.replace(dir, &name, temp_names)
    } else {
        match part.exchange(dir, &name, temp_names) {
            // It has gone meanwhile, or the file system cannot exchange: replaced for good.
            Err(e) if e == Errno::ENOENT || file::is_missing(e) => part.replace(dir, &name, temp_names),
            outcome => outcome,
        }
    };
    outcome.map_err(|e| match e {
        Errno::EISDIR | Errno::ENOTEMPTY => Why::NoFile,
        e => Why::Call("rename()", e),
    })
}

fn kind(dir: &Rc<OwnedFd>, name: &CStr) -> Option<FileKind> {
    file::stat_at(Some(dir.as_fd()), name, Follow::No).ok().map(|stat| stat.kind)
}

fn c_name(name: &[u8]) -> Result<CString, Why> {
    CString::new(name).map_err(|_| Why::Call("linkat()", Errno::EINVAL))
}

#[cfg(test)]
mod tests {
    use super::super::tests::Scratch;
    use super::*;
    use crate::util::seed::Seed;
    use std::collections::BTreeMap;

    fn part(dir: &Rc<OwnedFd>, name: &str, content: &str) -> Part {
        let mut part = Part::held(name.into(), 0o600, 0);
        part.write(content.as_bytes()).expect("written");
        part.settle(dir, &mut TempNames::default(), Birth::Nameless).expect("settled");
        part
    }

    #[test]
    fn a_duplicate_is_refused_replaced_or_renamed() {
        let scratch = Scratch::new();
        let dir = scratch.dir();
        scratch.write("old.txt", b"old");
        scratch.make_dir("dir");
        scratch.link("link", "/nonexistent/target");
        let run = |name: &str, how: Duplicate| {
            let mut parts = [part(&dir, name, "new")];
            commit(&dir, &mut parts, how, None, &mut TempNames::default(), &mut |_, _| true)
                .map(|was| (String::from_utf8_lossy(&parts[0].name).into_owned(), was[0]))
        };
        let failed = |why| Err(Failed { part: 0, why });
        assert_eq!(run("old.txt", Duplicate::Error), failed(Why::Taken));
        assert_eq!(scratch.read("old.txt"), b"old");
        assert_eq!(run("dir", Duplicate::Error), failed(Why::NoFile));
        assert_eq!(run("dir", Duplicate::Overwrite), failed(Why::NoFile));
        assert_eq!(run("link", Duplicate::Error), failed(Why::Taken));
        assert_eq!(run("link", Duplicate::Overwrite), Ok(("link".into(), Was::Taken)));
        assert_eq!(scratch.read("link"), b"new");
        assert_eq!(run("old.txt", Duplicate::Rename), Ok(("old-1.txt".into(), Was::Free)));
        assert_eq!(run("old.txt", Duplicate::Rename), Ok(("old-2.txt".into(), Was::Free)));
        assert_eq!(run("old.txt", Duplicate::Overwrite), Ok(("old.txt".into(), Was::Taken)));
        assert_eq!(scratch.read("old.txt"), b"new");
        assert_eq!(run("fresh", Duplicate::Overwrite), Ok(("fresh".into(), Was::Free)));
        assert_eq!(scratch.names(), ["dir", "fresh", "link", "old-1.txt", "old-2.txt", "old.txt"]);
    }

    /// Whatever the directory holds and the form sends: all files are stored, or everything is as it was.
    #[test]
    fn a_form_is_stored_as_a_whole_or_leaves_the_directory_as_it_was() {
        let mut seed = Seed::new(42);
        let names = ["a", "b", "c", "d", "e"];
        let (mut stored, mut refused) = (0, 0);
        for round in 0..200 {
            let scratch = Scratch::new();
            let dir = scratch.dir();
            for name in names {
                match seed.below(6) {
                    0 | 1 => scratch.write(name, format!("old {name}").as_bytes()),
                    2 if seed.below(3) == 0 => scratch.make_dir(name),
                    _ => {}
                }
            }
            let before: BTreeMap<String, Option<Vec<u8>>> = scratch.snapshot();
            let how = [Duplicate::Error, Duplicate::Overwrite, Duplicate::Rename][seed.below(3) as usize];
            let count = 1 + seed.below(4) as usize;
            let mut parts: Vec<Part> = (0..count)
                .map(|n| part(&dir, names[seed.below(names.len() as u64) as usize], &format!("new {n}")))
                .collect();
            let outcome = commit(&dir, &mut parts, how, None, &mut TempNames::default(), &mut |_, _| true);
            let named: Vec<Vec<u8>> = parts.iter().map(|part| part.name.clone()).collect();
            drop(parts);
            let after = scratch.snapshot();
            match outcome {
                Err(_) => {
                    refused += 1;
                    assert_eq!(before, after, "round {round}, {how:?}");
                }
                Ok(was) => {
                    stored += 1;
                    assert_eq!(was.len(), count);
                    for (n, name) in named.iter().enumerate() {
                        let last = named.iter().rposition(|other| other == name).expect("it is there");
                        let name = String::from_utf8_lossy(name).into_owned();
                        assert_eq!(
                            after[&name],
                            Some(format!("new {last}").into_bytes()),
                            "round {round}, {how:?}, {n}"
                        );
                    }
                    let others = after.iter().filter(|(name, _)| !named.contains(&name.as_bytes().to_vec()));
                    for (name, content) in others {
                        assert_eq!(before.get(name), Some(content), "round {round}, {how:?}: {name}");
                    }
                }
            }
        }
        assert!(stored > 40 && refused > 40, "both happen: {stored} stored, {refused} refused");
    }
}
