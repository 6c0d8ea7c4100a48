//! Replays the fuzz corpora in plain `cargo test`: every file, and every beginning of the short ones, through the same
//! entry that libFuzzer drives. What a fuzzer once found stays found.

#[path = "fuzz/entries.rs"]
mod entries;

use std::fs;
use std::path::Path;

/// Files up to this many bytes are replayed from every beginning as well.
const SHORT: usize = 512;

#[test]
fn the_corpora_hold_every_property() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/corpus");
    for (name, entry) in entries::TARGETS {
        let directory = corpus.join(name);
        let mut files = 0;
        for file in fs::read_dir(&directory).expect("each target has a corpus") {
            let path = file.expect("a readable directory").path();
            let bytes = fs::read(&path).expect("a readable seed");
            let shortest = if bytes.len() <= SHORT { 0 } else { bytes.len() };
            for end in shortest..=bytes.len() {
                let case = std::panic::AssertUnwindSafe(|| entry(&bytes[..end]));
                assert!(std::panic::catch_unwind(case).is_ok(), "{} up to byte {end}", path.display());
            }
            files += 1;
        }
        assert!(files > 0, "{} is empty", directory.display());
    }
}
