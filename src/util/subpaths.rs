//! Relative paths of entries in a tree (`in/trash`), as a walk through the tree looks them up: whatever their case,
//! since a file system may ignore it.

use super::fold_case::is_same;

/// Whether one of these is that of the entry `name` in the directory `parent`, a relative path with a slash behind each
/// name, empty at the top.
pub fn contains(paths: &[Box<[u8]>], parent: &[u8], name: &[u8]) -> bool {
    paths.iter().any(|path| {
        let (above, last) = path.split_at(memchr::memrchr(b'/', path).map_or(0, |at| at + 1));
        is_same(last, name) && is_same(above, parent)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_names_its_end_alone() {
        let paths = [Box::from(&b"trash"[..]), Box::from(&b"in/trash"[..])];
        let asked: [(&[u8], &[u8], bool); 7] = [
            (b"In/", b"TRASH", true),
            (b"", b"trash", true),
            (b"in/", b"trash", true),
            (b"", b"in", false),
            (b"other/", b"trash", false),
            (b"", b"trashes", false),
            (b"in/trash/", b"", false),
        ];
        for (parent, name, expected) in asked {
            assert_eq!(
                contains(&paths, parent, name),
                expected,
                "{}",
                String::from_utf8_lossy(&[parent, name].concat())
            );
        }
    }
}
