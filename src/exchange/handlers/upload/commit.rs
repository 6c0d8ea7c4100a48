//! How a received file gets its name, and how that is taken back.

use super::name::{numbered, random_digits};
use super::target_dir::shown_at;
use super::temp_file::{ByName, Part};
use crate::config::settings::upload::Duplicate;
use crate::services::temp_names::TempNames;
use crate::sys::Errno;
use crate::sys::file::{self, CPath, FileKind};
use crate::util::seldom::Seldom;
use std::ffi::CStr;
use std::os::fd::{AsFd, OwnedFd};
use std::rc::Rc;

/// `name-1` to `name-200` are tried, then random digits.
const COUNTED: u32 = 200;

/// Why a file does not get its name.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NameFailure {
    /// The name is taken, and the policy replaces nothing.
    Taken,
    /// The name belongs to something that is not a file: it is not replaced.
    NoFile,
    /// The other name that the file would get is not allowed.
    Refused,
    /// A system call failed.
    Call(&'static str, Errno),
}

/// The numbers that files of one name have got: what is known to be taken is not tried again for each of them.
pub type Numbers = Seldom<ByName<u32>>;

/// What is known of the name before it is given.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Seen {
    /// It is the only file, and this has its name now.
    Alone(Option<FileKind>),
    /// It is one of several: what it replaces may have to be put back.
    Among,
}

/// Whether a part may have another name than its own.
pub type May<'m> = &'m mut dyn FnMut(&Part, &[u8]) -> bool;

/// Names a part, in `dir` or in the folder that its name contains. A renamed part has its new name in `name`.
pub fn name(
    dir: &Rc<OwnedFd>,
    part: &mut Part,
    (on_duplicate, seen): (Duplicate, Seen),
    numbers: &mut Numbers,
    temp_names: &mut TempNames,
    may: May<'_>,
) -> Result<(), NameFailure> {
    let home = home(dir, part);
    let key = (part.folder, if seen == Seen::Among { part.name.clone() } else { Vec::new() });
    let above = numbers.as_ref().and_then(|numbers| numbers.get(&key).copied()).unwrap_or_default();
    let number = give_name(&home, part, (on_duplicate, seen), above, temp_names, may)?;
    if number > 0 {
        numbers.get_or_insert_default().insert(key, number);
    }
    Ok(())
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
pub fn home(dir: &Rc<OwnedFd>, part: &Part) -> Rc<OwnedFd> {
    part.home.as_ref().unwrap_or(dir).clone()
}

/// Gives the number in the file's name: 0 if it got its own. The numbers up to `above` are taken.
fn give_name(
    dir: &Rc<OwnedFd>,
    part: &mut Part,
    (on_duplicate, seen): (Duplicate, Seen),
    above: u32,
    temp_names: &mut TempNames,
    may: May<'_>,
) -> Result<u32, NameFailure> {
    let name = c_name(&part.name)?;
    let name: &CStr = &name;
    if let (Seen::Alone(there @ Some(_)), Duplicate::Overwrite) = (seen, on_duplicate) {
        return overwrite(dir, part, name, (there, seen), temp_names).map(|()| 0);
    }
    match part.link(dir, name, temp_names) {
        Ok(()) => return Ok(0),
        Err(Errno::EEXIST) => {}
        Err(e) => return Err(NameFailure::Call("linkat()", e)),
    }
    match on_duplicate {
        Duplicate::Error => Err(match kind(dir, name) {
            Some(FileKind::Dir | FileKind::Other) => NameFailure::NoFile,
            _ => NameFailure::Taken,
        }),
        Duplicate::Rename => rename(dir, part, above, temp_names, may),
        Duplicate::Overwrite => {
            let there = kind(dir, name);
            overwrite(dir, part, name, (there, seen), temp_names).map(|()| 0)
        }
    }
}

/// Gives the number that it got. [`COUNTED`] stands for random digits.
fn rename(
    dir: &Rc<OwnedFd>,
    part: &mut Part,
    above: u32,
    names: &mut TempNames,
    may: May<'_>,
) -> Result<u32, NameFailure> {
    for n in above + 1..=COUNTED + 3 {
        let number = if n <= COUNTED { n.to_string() } else { random_digits(8) };
        let other = numbered(&part.name, &number);
        let name = c_name(&other)?;
        if !may(part, &other) {
            return Err(NameFailure::Refused);
        }
        match part.link(dir, &name, names) {
            Ok(()) => {
                part.name = other;
                return Ok(n.min(COUNTED));
            }
            Err(Errno::EEXIST) => {}
            Err(e) => return Err(NameFailure::Call("linkat()", e)),
        }
    }
    Err(NameFailure::Taken)
}

fn overwrite(
    dir: &Rc<OwnedFd>,
    part: &mut Part,
    name: &CStr,
    (there, seen): (Option<FileKind>, Seen),
    temp_names: &mut TempNames,
) -> Result<(), NameFailure> {
    // A link to a file is replaced itself; a directory, a link to one, or a device never is.
    if matches!(there, Some(FileKind::Dir | FileKind::Other)) {
        return Err(NameFailure::NoFile);
    }
    let outcome = if seen != Seen::Among {
        part.replace(dir, name, temp_names)
    } else {
        match part.exchange(dir, name, temp_names) {
            // It has gone meanwhile, or the file system cannot exchange: replaced for good.
            Err(e) if e == Errno::ENOENT || file::is_missing(e) => part.replace(dir, name, temp_names),
            outcome => outcome,
        }
    };
    outcome.map_err(|e| match e {
        Errno::EISDIR | Errno::ENOTEMPTY => NameFailure::NoFile,
        e => NameFailure::Call("rename()", e),
    })
}

fn kind(dir: &Rc<OwnedFd>, name: &CStr) -> Option<FileKind> {
    shown_at(dir.as_fd(), name).ok().map(|stat| stat.kind)
}

fn c_name(name: &[u8]) -> Result<CPath, NameFailure> {
    CPath::new(name).map_err(|e| NameFailure::Call("linkat()", e))
}

#[cfg(test)]
mod tests {
    use super::super::temp_file::Birth;
    use super::super::tests::Scratch;
    use super::*;
    use crate::util::seed::Seed;
    use std::collections::BTreeMap;

    /// The part that got no name, and why.
    #[derive(PartialEq, Eq, Debug)]
    struct Failed {
        part: usize,
        why: NameFailure,
    }

    /// Names all, or none. Gives whether their names were free.
    fn commit(dir: &Rc<OwnedFd>, parts: &mut [Part], how: Duplicate) -> Result<Vec<bool>, Failed> {
        let (mut numbers, mut names) = (Numbers::default(), TempNames::default());
        let seen = if parts.len() == 1 { Seen::Alone(None) } else { Seen::Among };
        for at in 0..parts.len() {
            if let Err(why) = name(dir, &mut parts[at], (how, seen), &mut numbers, &mut names, &mut |_, _| true) {
                take_back(dir, &mut parts[..at], &mut names);
                return Err(Failed { part: at, why });
            }
        }
        Ok(parts.iter().map(Part::is_new).collect())
    }

    fn part(dir: &Rc<OwnedFd>, name: &str, content: &str) -> Part {
        let mut part = Part::held(name.into(), 0o600, 0);
        part.write(content.as_bytes()).expect("written");
        part.move_to_file(dir, &mut TempNames::default(), Birth::Nameless).expect("moved to a file");
        part
    }

    #[test]
    fn a_duplicate_is_refused_replaced_or_renamed() {
        let scratch = Scratch::new();
        let dir = scratch.dir();
        scratch.write("old.txt", b"old");
        scratch.make_dir("dir");
        scratch.link("link", "/nonexistent/target");
        scratch.link("folder", "dir");
        let run = |name: &str, how: Duplicate| {
            let mut parts = [part(&dir, name, "new")];
            commit(&dir, &mut parts, how).map(|new| (String::from_utf8_lossy(&parts[0].name).into_owned(), new[0]))
        };
        let failed = |why| Err(Failed { part: 0, why });
        assert_eq!(run("old.txt", Duplicate::Error), failed(NameFailure::Taken));
        assert_eq!(scratch.read("old.txt"), b"old");
        assert_eq!(run("dir", Duplicate::Error), failed(NameFailure::NoFile));
        assert_eq!(run("dir", Duplicate::Overwrite), failed(NameFailure::NoFile));
        assert_eq!(run("folder", Duplicate::Error), failed(NameFailure::NoFile));
        assert_eq!(run("folder", Duplicate::Overwrite), failed(NameFailure::NoFile));
        assert_eq!(run("link", Duplicate::Error), failed(NameFailure::Taken));
        assert_eq!(run("link", Duplicate::Overwrite), Ok(("link".into(), false)));
        assert_eq!(scratch.read("link"), b"new");
        assert_eq!(run("old.txt", Duplicate::Rename), Ok(("old-1.txt".into(), true)));
        assert_eq!(run("old.txt", Duplicate::Rename), Ok(("old-2.txt".into(), true)));
        assert_eq!(run("old.txt", Duplicate::Overwrite), Ok(("old.txt".into(), false)));
        assert_eq!(scratch.read("old.txt"), b"new");
        assert_eq!(run("fresh", Duplicate::Overwrite), Ok(("fresh".into(), true)));
        assert_eq!(scratch.names(), ["dir", "folder", "fresh", "link", "old-1.txt", "old-2.txt", "old.txt"]);
    }

    #[test]
    fn two_hundred_duplicates_are_counted_and_further_ones_get_random_digits() {
        let scratch = Scratch::new();
        let dir = scratch.dir();
        scratch.write("x", b"");
        for number in 1..COUNTED {
            scratch.write(&format!("x-{number}"), b"");
        }
        let stored = || {
            let mut parts = [part(&dir, "x", "")];
            commit(&dir, &mut parts, Duplicate::Rename).expect("stored");
            String::from_utf8(std::mem::take(&mut parts[0].name)).expect("text")
        };
        assert_eq!(stored(), format!("x-{COUNTED}"));
        let random = stored();
        assert!(random.len() == "x-12345678".len() && random.starts_with("x-"), "{random}");
    }

    /// Or each of many files of one name would try the numbers of all before it.
    #[test]
    fn a_number_that_was_given_is_where_the_next_one_begins() {
        let scratch = Scratch::new();
        let dir = scratch.dir();
        let (mut numbers, mut names) = (Numbers::default(), TempNames::default());
        let mut tried = Vec::new();
        for _ in 0..4 {
            let mut part = part(&dir, "x", "");
            let how = (Duplicate::Rename, Seen::Among);
            let given = name(&dir, &mut part, how, &mut numbers, &mut names, &mut |_, other| {
                tried.push(String::from_utf8_lossy(other).into_owned());
                true
            });
            assert_eq!(given, Ok(()));
        }
        assert_eq!(tried, ["x-1", "x-2", "x-3"]);
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
            let outcome = commit(&dir, &mut parts, how);
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
