//! random_index: a URI that ends in a slash answers with one of the directory's files.

use super::directory;
use super::entries::stat_entry;
use crate::exchange::Exchange;
use crate::exchange::flow::{Flow, Phase, Then};
use crate::exchange::handlers::failure;
use crate::exchange::random_draw::Draw;
use crate::services::Services;
use crate::sys::random;

/// Milliseconds between two slices, so that others get their turns.
const PAUSE: u64 = 1;

/// The redirect to the file. None: the directory contains none, and index files and listings are tried next (nginx).
/// A large directory is read in slices: the content phase then runs again.
pub fn random(ex: &mut Exchange, cx: &mut Services) -> Option<Flow> {
    let begun = match ex.nesting.random_index.take() {
        Some(draw) => Ok(draw),
        None => directory::open(ex, cx).and_then(|dir| Draw::of(dir, directory::links(ex, cx), random::number()?)),
    };
    let drawn = begun.and_then(|mut draw| {
        // `explain` has no others to wait for.
        let is_alone = cx.trace.is_some();
        Ok(if draw.read(stat_entry, || !is_alone && cx.slice.is_over())? { Ok(draw.name()) } else { Err(draw) })
    });
    match drawn {
        Ok(Ok(name)) => {
            ex.route.uri.extend_from_slice(&name?);
            Some(Flow::Redirect)
        }
        Ok(Err(draw)) => {
            ex.nesting.random_index = Some(draw);
            Some(Flow::Delay { until: cx.now.ms + PAUSE, then: Then::Phase(Phase::Content) })
        }
        Err(e) => {
            // The directory decided, not a file in it; its path is logged without the slash (nginx).
            ex.basis.depends_on_other_names();
            if ex.route.path.len() > 1 && ex.route.path.ends_with(b"/") {
                ex.route.path.pop();
            }
            Some(failure::failed_dir(ex, cx, "opendir()", e))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exchange::random_draw::Links;
    use std::collections::HashSet;
    use std::fs::{self, File};
    use std::os::fd::OwnedFd;

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
            while !draw.read(stat_entry, &mut is_over).expect("read") {}
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
