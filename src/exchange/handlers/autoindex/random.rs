//! random_index: a URI that ends in a slash answers with one of the directory's files.

use super::directory;
use super::entries::{Links, look};
use crate::exchange::Exchange;
use crate::exchange::flow::{Flow, Phase, Then};
use crate::exchange::handlers::failure;
use crate::services::Services;
use crate::sys::file::{self, FileKind, ReadDir};
use crate::sys::{Errno, random};
use std::os::fd::OwnedFd;

/// Milliseconds between two slices, so that others get their turns.
const PAUSE: u64 = 1;

/// The redirect to the file. None: the directory contains none, and index files and listings are tried next (nginx).
/// A large directory is read in slices: the content phase then runs again.
pub fn random(ex: &mut Exchange, cx: &mut Services) -> Option<Flow> {
    let begun = match ex.random_index.take() {
        Some(draw) => Ok(draw),
        None => directory::open(ex, cx).and_then(|dir| Draw::of(dir, directory::links(ex, cx), random::number()?)),
    };
    let drawn = begun.and_then(|mut draw| {
        // `explain` has no others to wait for.
        let is_alone = cx.trace.is_some();
        Ok(if draw.read(|| !is_alone && cx.slice.is_over())? { Ok(draw.name()) } else { Err(draw) })
    });
    match drawn {
        Ok(Ok(name)) => {
            ex.route.uri.extend_from_slice(&name?);
            Some(Flow::Redirect)
        }
        Ok(Err(draw)) => {
            ex.random_index = Some(draw);
            Some(Flow::Delay { until: cx.now.ms + PAUSE, then: Then::Phase(Phase::Content) })
        }
        Err(e) => {
            // The directory decided, not a file in it; its path is logged without the slash (nginx).
            ex.basis.depends_on_other_names();
            if ex.route.path.len() > 1 && ex.route.path.ends_with(b"/") {
                ex.route.path.pop();
            }
            Some(failure::failed(ex, cx, "opendir()", e))
        }
    }
}

/// The regular files of a directory, while they are read, and the number drawn.
pub struct Draw {
    dir: ReadDir,
    links: Links,
    number: u64,
    names: Vec<u8>,
    ends: Vec<usize>,
}

impl Draw {
    fn of(dir: OwnedFd, links: Links, number: u64) -> Result<Box<Draw>, Errno> {
        Ok(Box::new(Draw { dir: file::read_dir(dir), links, number, names: Vec::new(), ends: vec![0] }))
    }

    /// Reads on, a batch at a time. False: stopped before the end, since the time of the turn `is_over`.
    fn read(&mut self, mut is_over: impl FnMut() -> bool) -> Result<bool, Errno> {
        loop {
            if is_over() {
                return Ok(false);
            }
            if !self.dir.fill()? {
                return Ok(true);
            }
            for entry in self.dir.entries() {
                let name = entry.name.to_bytes();
                if name.starts_with(b".") {
                    continue;
                }
                let is_regular = match entry.kind {
                    Some(FileKind::Regular) => true,
                    Some(FileKind::Dir | FileKind::Other) => false,
                    // Only then must the file itself be looked at.
                    Some(FileKind::Symlink) | None => {
                        look(self.dir.dir(), entry.name, &self.links).is_ok_and(|stat| stat.kind == FileKind::Regular)
                    }
                };
                if is_regular {
                    self.names.try_reserve(name.len())?;
                    self.ends.try_reserve(1)?;
                    self.names.extend_from_slice(name);
                    self.ends.push(self.names.len());
                }
            }
        }
    }

    /// The name of the drawn file; None if there are no files.
    fn name(&self) -> Option<Vec<u8>> {
        let files = self.ends.len() as u64 - 1;
        let at = self.number.checked_rem(files)?;
        let bounds = self.ends.get(at as usize..at as usize + 2).unwrap_or(&[0, 0]);
        self.names.get(bounds[0]..bounds[1]).map(<[u8]>::to_vec)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;
    use std::fs::{self, File};

    #[test]
    fn every_file_is_drawn_and_nothing_else() {
        let path = std::env::temp_dir().join(format!("webserv-random-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(path.join("sub")).expect("a fresh directory");
        let drawn = |number| {
            let dir = OwnedFd::from(File::open(&path).expect("open"));
            let mut draw = Draw::of(dir, Links::Followed, number).expect("made");
            let mut asked = 0;
            // True every other time.
            let mut is_over = || {
                asked += 1;
                asked % 2 == 1
            };
            while !draw.read(&mut is_over).expect("read") {}
            draw.name()
        };
        fs::write(path.join(".hidden"), "").expect("write");
        assert_eq!(drawn(1), None);
        fs::write(path.join("a"), "").expect("write");
        fs::write(path.join("b"), "").expect("write");
        std::os::unix::fs::symlink("a", path.join("c")).expect("symlink");
        let all: HashSet<_> = (0..3).filter_map(drawn).collect();
        assert_eq!(all, HashSet::from([b"a".to_vec(), b"b".to_vec(), b"c".to_vec()]));
        fs::remove_dir_all(&path).expect("clean up");
    }
}
