//! Archives of a real directory, read back by the layout that their formats prescribe.

use super::*;
use crate::config::settings::body::TempPath;
use crate::services::descriptors::Descriptors;
use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::rc::Rc;

fn directory(name: &str) -> PathBuf {
    let path = std::env::temp_dir().join(format!("webserv-archive-{name}-{}", std::process::id()));
    let _ = fs::remove_dir_all(&path);
    fs::create_dir_all(path.join("sub/deep")).expect("a fresh directory");
    fs::write(path.join("a.txt"), "alpha").expect("written");
    fs::write(path.join("empty"), "").expect("written");
    fs::write(path.join(".hidden"), "secret").expect("written");
    fs::write(path.join("sub/large"), vec![7; 200_000]).expect("written");
    fs::write(path.join("sub/deep/größe 文.txt"), "utf-8").expect("written");
    fs::write(path.join("sub/refused"), "refused").expect("written");
    symlink("/etc/passwd", path.join("link")).expect("linked");
    path
}

fn spool(temp: &Path) -> Spool {
    let temp = Rc::new(TempPath { path: temp.to_owned(), levels: Vec::new() });
    Spool { temp, descriptors: Descriptors::default() }
}

fn made(name: &str, form: ArchiveForm) -> Vec<u8> {
    let path = directory(name);
    let top = || OwnedFd::from(File::open(&path).expect("opened"));
    let walk = Walk::new(top(), Vec::new()).expect("begun");
    let refused = HashSet::from([b"sub/refused".to_vec()]);
    let mut archive = Archive::new((walk, top()), (form, spool(&path)), refused, None);
    let mut all = Vec::new();
    while !archive.is_ended() {
        let mut piece = Vec::new();
        archive.fill(&mut piece, PIECE).expect("filled");
        assert!(piece.len() < 128 << 10);
        all.extend(piece);
    }
    fs::remove_dir_all(path).expect("removed");
    all
}

#[test]
fn an_archive_with_a_file_that_cannot_be_read_is_cut() {
    for form in [ArchiveForm::Tar, ArchiveForm::Zip] {
        let path = directory("unread");
        let top = || OwnedFd::from(File::open(&path).expect("opened"));
        let walk = Walk::new(top(), Vec::new()).expect("begun");
        let mut archive = Archive::new((walk, top()), (form, spool(&path)), HashSet::new(), None);
        // Opened for writing alone: each read fails.
        let fd = OwnedFd::from(File::options().append(true).open(path.join("a.txt")).expect("opened"));
        archive.file = Some(Content { fd, at: 0, size: 5 });
        assert_eq!(archive.fill(&mut Vec::new(), PIECE), Err(Errno::EBADF), "{form:?}");
        fs::remove_dir_all(path).expect("removed");
    }
}

/// One entry on a file system that was gone made the whole folder impossible to fetch.
#[test]
fn what_could_not_be_opened_is_named_in_a_note_at_the_end_of_the_archive() {
    for form in [ArchiveForm::Tar, ArchiveForm::Zip] {
        let path = directory("missing");
        let top = || OwnedFd::from(File::open(&path).expect("opened"));
        let walk = Walk::new(top(), Vec::new()).expect("begun");
        let refused = HashSet::from([b"secret".to_vec(), b"closed/".to_vec()]);
        let mut archive = Archive::new((walk, top()), (form, spool(&path)), refused, None);
        [&b"sub/broken"[..], b"secret", b"closed"].iter().for_each(|path| archive.miss(path));
        let mut all = Vec::new();
        while !archive.is_ended() {
            archive.fill(&mut all, PIECE).expect("filled");
        }
        let text = String::from_utf8_lossy(&all);
        assert_eq!(text.matches("MISSING-FROM-THIS-ARCHIVE.txt").count(), if form == ArchiveForm::Zip { 2 } else { 1 });
        assert!(text.contains("not whole, in this archive:\nsub/broken\n") && text.contains("alpha"), "{form:?}");
        assert!(!text.contains("secret\n") && !text.contains("closed\n"), "the client may not read these");
        fs::remove_dir_all(path).expect("removed");
    }
    let path = directory("much");
    let top = || OwnedFd::from(File::open(&path).expect("opened"));
    let walk = Walk::new(top(), Vec::new()).expect("begun");
    let mut archive = Archive::new((walk, top()), (ArchiveForm::Tar, spool(&path)), HashSet::new(), None);
    (0..1000).for_each(|_| archive.miss(&[b'x'; 1000]));
    assert!(archive.missing.len() < MOST_NOTED + 100 && archive.missing.ends_with(b"x\n... and more\n"));
    fs::remove_dir_all(path).expect("removed");
}

/// After the last line, names that were short enough followed, and then the last line again.
#[test]
fn the_note_of_what_is_missing_ends_with_its_last_line() {
    let path = directory("last-line");
    let top = || OwnedFd::from(File::open(&path).expect("opened"));
    let walk = Walk::new(top(), Vec::new()).expect("begun");
    let mut archive = Archive::new((walk, top()), (ArchiveForm::Tar, spool(&path)), HashSet::new(), None);
    // It only looks like the last line.
    archive.miss(b"x... and more");
    (0..100).for_each(|_| [&[b'x'; 1000][..], b"short"].iter().for_each(|path| archive.miss(path)));
    let text = String::from_utf8_lossy(&archive.missing);
    assert_eq!(text.matches("\n... and more\n").count(), 1);
    assert!(text.ends_with("\n... and more\n") && text.matches("short\n").count() > 50);
    fs::remove_dir_all(path).expect("removed");
}

fn number(bytes: &[u8], at: usize, len: usize) -> usize {
    bytes[at..at + len].iter().rev().fold(0, |n, byte| n << 8 | usize::from(*byte))
}

#[test]
fn a_zip_names_in_its_directory_what_it_holds() {
    let zip = made("zip", ArchiveForm::Zip);
    let end = zip.len() - 22;
    assert_eq!(&zip[end..end + 4], b"PK\x05\x06");
    let (count, mut at) = (number(&zip, end + 10, 2), number(&zip, end + 16, 4));
    let mut names = Vec::new();
    for _ in 0..count {
        assert_eq!(&zip[at..at + 4], b"PK\x01\x02");
        let (packed, size) = (number(&zip, at + 20, 4), number(&zip, at + 24, 4));
        let (len, start) = (number(&zip, at + 28, 2), number(&zip, at + 42, 4));
        let name = String::from_utf8(zip[at + 46..at + 46 + len].to_vec()).expect("UTF-8");
        assert_eq!(&zip[start..start + 4], b"PK\x03\x04", "{name}");
        let data = &zip[start + 30 + len..start + 30 + len + packed];
        if !name.ends_with('/') {
            let mut content = Vec::new();
            let mut inflate = flate2::Decompress::new(false);
            content.reserve(size + 16);
            inflate.decompress_vec(data, &mut content, flate2::FlushDecompress::Finish).expect("inflated");
            assert_eq!(content.len(), size, "{name}");
            let mut crc = flate2::Crc::new();
            crc.update(&content);
            assert_eq!(crc.sum() as usize, number(&zip, at + 16, 4), "{name}");
        }
        names.push(name);
        at += 46 + len + number(&zip, at + 30, 2);
    }
    names.sort();
    assert_eq!(names, ["a.txt", "empty", "sub/", "sub/deep/", "sub/deep/größe 文.txt", "sub/large"]);
}

#[test]
fn a_zip_has_no_name_that_leads_out_of_the_folder_on_windows() {
    let path = directory("windows");
    let stat = file::fstat(File::open(path.join("empty")).expect("opened").as_fd()).expect("a file");
    let table = [
        ("C:x", "C%3Ax"),
        ("\\\\srv\\share", "%5C%5Csrv%5Cshare"),
        ("a\\..\\..\\x/y", "a%5C..%5C..%5Cx/y"),
        ("12:30", "12:30"),
        ("plain", "plain"),
    ];
    for (name, expected) in table {
        let mut zip = zip::Zip::new(spool(&path));
        let mut out = Vec::new();
        zip.begin(name.as_bytes(), &stat, &mut out);
        assert_eq!(&out[30..], expected.as_bytes(), "{name}");
        zip.end(&mut out);
        let data = out.len();
        zip.begin_closing();
        while !zip.close(&mut out, PIECE) {}
        assert_eq!(&out[data + 46..data + 46 + expected.len()], expected.as_bytes(), "{name}");
    }
    fs::remove_dir_all(path).expect("removed");
}

#[test]
fn a_tar_is_headers_and_blocks() {
    let tar = made("tar", ArchiveForm::Tar);
    assert_eq!(tar.len() % 512, 0);
    let (mut at, mut names, mut path) = (0, Vec::new(), None);
    while tar[at] != 0 {
        let text = |from: usize, len: usize| {
            let field = &tar[at + from..at + from + len];
            String::from_utf8_lossy(field.split(|b| *b == 0).next().unwrap_or_default()).into_owned()
        };
        assert_eq!(text(257, 5), "ustar");
        let size = usize::from_str_radix(&text(124, 11), 8).expect("octal");
        match tar[at + 156] {
            b'x' => {
                let record = String::from_utf8_lossy(&tar[at + 512..at + 512 + size]).into_owned();
                assert_eq!(record.split(' ').next(), Some(&*record.len().to_string()));
                path = record.trim_end().split_once("path=").map(|(_, path)| path.to_owned());
            }
            _ => names.push(format!("{} {size}", path.take().unwrap_or_else(|| text(0, 100)))),
        }
        at += 512 + size.div_ceil(512) * 512;
    }
    names.sort();
    let expected = ["a.txt 5", "empty 0", "sub/ 0", "sub/deep/ 0", "sub/deep/größe 文.txt 5", "sub/large 200000"];
    assert_eq!(names, expected);
}

/// It stayed in memory, whatever its size, where the system's directory for temporary files cannot be written.
#[test]
fn what_a_zip_keeps_for_its_end_goes_to_a_file_or_ends_it() {
    let path = directory("spool");
    let stat = file::fstat(File::open(path.join("empty")).expect("opened").as_fd()).expect("a file");
    let name = [b'n'; 1000];
    for (temp, is_stored) in [(path.clone(), true), (path.join("a.txt/none"), false)] {
        let mut zip = zip::Zip::new(spool(&temp));
        let mut out = Vec::new();
        for _ in 0..3000 {
            zip.begin(&name, &stat, &mut out);
            zip.end(&mut out);
        }
        assert_eq!(zip.failed().is_none(), is_stored);
        if !is_stored {
            continue;
        }
        let (data, entry) = (out.len(), 46 + name.len());
        zip.begin_closing();
        while !zip.close(&mut out, PIECE) {
            assert!(zip.failed().is_none());
        }
        assert_eq!(out.len() - data, 3000 * entry + 22);
        for at in (0..3000).map(|number| data + number * entry) {
            assert_eq!((&out[at..at + 4], &out[at + 46..at + entry]), (&b"PK\x01\x02"[..], &name[..]));
        }
    }
    assert!(fs::read_dir(&path).expect("listed").count() <= 6, "the file has no name");
    fs::remove_dir_all(path).expect("removed");
}
