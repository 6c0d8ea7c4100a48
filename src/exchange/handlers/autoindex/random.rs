//! random_index: a URI that ends in a slash answers with one of the directory's files.

use super::directory;
use super::entries::{Links, look};
use crate::exchange::Exchange;
use crate::exchange::flow::Flow;
use crate::services::Services;
use crate::sys::file::{self, FileKind};
use crate::sys::{Errno, random};
use std::os::fd::OwnedFd;

/// The redirect to the file. None: the directory holds none, and index files and listings have their turn (nginx).
pub fn random(ex: &mut Exchange, cx: &mut Services) -> Option<Flow> {
    let drawn = directory::open(ex, cx).and_then(|dir| draw(dir, directory::links(ex), random::number()?));
    match drawn {
        Ok(name) => {
            ex.route.uri.extend_from_slice(&name?);
            Some(Flow::Redirect)
        }
        Err(e) => Some(directory::not_opened(ex, cx, e)),
    }
}

/// One regular file of the directory, by the number drawn.
fn draw(dir: OwnedFd, links: Links, number: u64) -> Result<Option<Vec<u8>>, Errno> {
    let mut names = Vec::new();
    let mut ends = vec![0];
    let mut dir = file::read_dir(dir);
    while dir.fill()? {
        for entry in dir.entries() {
            let name = entry.name.to_bytes();
            if name.starts_with(b".") {
                continue;
            }
            let is_regular = match entry.kind {
                Some(FileKind::Regular) => true,
                Some(FileKind::Dir | FileKind::Other) => false,
                // Only here must the file itself be asked.
                Some(FileKind::Symlink) | None => {
                    look(dir.dir(), entry.name, links).is_ok_and(|stat| stat.kind == FileKind::Regular)
                }
            };
            if is_regular {
                names.extend_from_slice(name);
                ends.push(names.len());
            }
        }
    }
    let files = ends.len() as u64 - 1;
    let Some(at) = number.checked_rem(files) else { return Ok(None) };
    let bounds = ends.get(at as usize..at as usize + 2).unwrap_or(&[0, 0]);
    Ok(names.get(bounds[0]..bounds[1]).map(<[u8]>::to_vec))
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
            draw(dir, Links::Followed, number).expect("read")
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
