//! Ways from the top of a tree to entries in it, as a walk through the tree asks about them: `in/trash`.

/// Whether one of these leads to the entry `name` of the directory at the end of `way`, which has a slash behind each of its
/// names and is empty at the top.
pub fn lead_to(ways: &[Box<[u8]>], way: &[u8], name: &[u8]) -> bool {
    ways.iter().any(|one| one.strip_prefix(way) == Some(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_way_leads_to_its_end_alone() {
        let ways = [Box::from(&b"trash"[..]), Box::from(&b"in/trash"[..])];
        let asked: [(&[u8], &[u8], bool); 6] = [
            (b"", b"trash", true),
            (b"in/", b"trash", true),
            (b"", b"in", false),
            (b"other/", b"trash", false),
            (b"", b"trashes", false),
            (b"in/trash/", b"", false),
        ];
        for (way, name, expected) in asked {
            assert_eq!(lead_to(&ways, way, name), expected, "{}", String::from_utf8_lossy(&[way, name].concat()));
        }
    }
}
