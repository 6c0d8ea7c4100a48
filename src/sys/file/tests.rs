//! Real files in a temporary directory per test.

use std::collections::BTreeSet;
use std::io::Read;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;

use super::*;
use crate::sys::process;
use crate::sys::scratch::{Scratch, c_path};

fn create(scratch: &Scratch, name: &CStr) -> OwnedFd {
    let dir = scratch.fd();
    open_at(Some(dir.as_fd()), name, O_RDWR | O_CREAT | O_EXCL, 0o644).expect("a new file")
}

#[test]
fn a_name_leads_to_the_open_file_until_another_has_it() {
    let scratch = Scratch::new();
    let (file, dir) = (create(&scratch, c"file"), scratch.fd());
    let at = Some(dir.as_fd());
    symlink_at(c"file", at, c"link").expect("symlink");
    let table = [
        (c"file", Follow::No, Ok(true)),
        (c"link", Follow::Yes, Ok(true)),
        (c"link", Follow::No, Ok(false)),
        (c"absent", Follow::No, Ok(false)),
        (c"file/below", Follow::No, Err(Errno::ENOTDIR)),
    ];
    for (name, follow, expected) in table {
        assert_eq!(has_name(file.as_fd(), at, name, follow), expected, "{name:?} {follow:?}");
    }
    unlink_at(at, c"file", Unlink::File).expect("unlink");
    let other = create(&scratch, c"file");
    let has = |file: &OwnedFd| has_name(file.as_fd(), at, c"link", Follow::Yes);
    assert_eq!((has(&file), has(&other)), (Ok(false), Ok(true)));
}

/// Adds an access control list that gives user 1 more rights than the group; false if the file system does not support
/// such lists.
fn give_acl(scratch: &Scratch, name: &str) -> bool {
    // Version, then tag, rights and id of: the owner, user 1, the group, the mask, all others.
    let any = u32::MAX;
    let entries = [(1u16, 6u16, any), (2, 6, 1), (4, 4, any), (0x10, 6, any), (0x20, 4, any)];
    let mut list = 2u32.to_ne_bytes().to_vec();
    for (tag, rights, id) in entries {
        list.extend([tag.to_ne_bytes(), rights.to_ne_bytes()].concat());
        list.extend(id.to_ne_bytes());
    }
    let file = std::fs::File::open(scratch.path().join(name)).expect("it is there");
    set_acl(file.as_fd(), &list).is_ok()
}

#[test]
fn a_file_with_an_access_control_list_keeps_it_when_it_is_rewritten() {
    let scratch = Scratch::new();
    let path = |name: &str| scratch.path().join(name);
    scratch.write("plain", b"old");
    scratch.write("listed", b"old");
    assert!(acl(&path("plain")).is_none() && acl(&path("none")).is_none());
    if !give_acl(&scratch, "listed") {
        println!("SKIPPED: this file system keeps no access control lists");
        return;
    }
    use std::os::unix::fs::MetadataExt;
    let facts = || std::fs::metadata(path("listed")).map(|file| (file.mode(), file.uid())).expect("it is there");
    let (list, before) = (acl(&path("listed")), facts());
    // Whoever reads it has the old text or the new one, never a part: a full disk leaves the old one.
    let mut reader = std::fs::File::open(path("listed")).expect("it is there");
    crate::io::replace::rewrite(&path("listed"), b"new").expect("written");
    assert_eq!((acl(&path("listed")), facts()), (list, before));
    assert_eq!(std::fs::read(path("listed")).expect("readable"), b"new");
    let mut old = String::new();
    std::io::Read::read_to_string(&mut reader, &mut old).expect("readable");
    assert_eq!(old, "old", "it was written in place");
}

#[test]
fn stat_tells_what_a_file_is() {
    let scratch = Scratch::new();
    scratch.write("file", b"12345");
    let dir = scratch.fd();
    let at = Some(dir.as_fd());
    mkdir_at(at, c"dir", 0o755).expect("mkdir");
    symlink_at(c"file", at, c"link").expect("symlink");
    symlink_at(c"nowhere", at, c"broken").expect("symlink");
    let table = [
        (c"file", Follow::Yes, Ok(FileKind::Regular)),
        (c"dir", Follow::Yes, Ok(FileKind::Dir)),
        (c"link", Follow::Yes, Ok(FileKind::Regular)),
        (c"link", Follow::No, Ok(FileKind::Symlink)),
        (c"broken", Follow::Yes, Err(Errno::ENOENT)),
        (c"broken", Follow::No, Ok(FileKind::Symlink)),
        (c"absent", Follow::No, Err(Errno::ENOENT)),
        (c"file/below", Follow::Yes, Err(Errno::ENOTDIR)),
    ];
    for (name, follow, expected) in table {
        assert_eq!(stat_at(at, name, follow).map(|stat| stat.kind), expected, "{name:?} {follow:?}");
    }
    assert_eq!(stat(c"/dev/null").map(|stat| stat.kind), Ok(FileKind::Other));
    assert_eq!(lstat(&scratch.join("link")).map(|stat| stat.kind), Ok(FileKind::Symlink));

    let file = open_at(at, c"file", O_RDWR, 0).expect("open");
    set_mtime(file.as_fd(), (-5, 7)).expect("futimens");
    chmod_fd(file.as_fd(), 0o4751).expect("fchmod");
    link_at(at, c"file", at, c"twin").expect("link");
    let found = fstat(file.as_fd()).expect("fstat");
    assert_eq!((found.size, found.mtime, found.mode, found.nlink), (5, (-5, 7), 0o4751, 2));
    assert_eq!(found.uid, process::geteuid());
    assert!(found.ctime.0 > 0);
    let twin = stat(&scratch.join("twin")).expect("stat");
    assert_eq!((twin.ino, twin.dev), (found.ino, found.dev));
    chown_fd(file.as_fd(), None, Some(found.gid)).expect("fchown");
    assert_eq!(readlink_at(at, c"link"), Ok(b"file".to_vec()));
    assert_eq!(readlink_at(at, c"file"), Err(Errno::EINVAL));
    let long = "x/".repeat(300);
    symlink_at(&c_path(long.as_ref()), at, c"long").expect("symlink");
    assert_eq!(readlink_at(at, c"long"), Ok(long.into_bytes()));
    assert_eq!(access(&scratch.path().join("file"), R_OK), Ok(()));
    assert_eq!(access(&scratch.path().join("absent"), R_OK), Err(Errno::ENOENT));
    let (available, total) = free_space(dir.as_fd()).expect("fstatvfs");
    assert!(available <= total && total > 0);
}

#[test]
fn nothing_opened_beneath_a_directory_is_outside_it() {
    let scratch = Scratch::new();
    scratch.write("secret", b"s");
    let top = scratch.fd();
    mkdir_at(Some(top.as_fd()), c"root", 0o755).expect("mkdir");
    scratch.write("root/file", b"f");
    let root = open_at(Some(top.as_fd()), c"root", O_PATH | O_DIRECTORY, 0).expect("open");
    let at = root.as_fd();
    for (target, name) in [(c"../secret", c"out"), (c"file", c"in"), (c"/file", c"absolute")] {
        symlink_at(target, Some(at), name).expect("symlink");
    }
    let beneath = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS;
    let table = [
        (c"file", beneath, Ok(())),
        (c"in", beneath, Ok(())),
        (c"in", beneath | RESOLVE_NO_SYMLINKS, Err(Errno::ELOOP)),
        (c"out", beneath, Err(Errno::EXDEV)),
        (c"../secret", beneath, Err(Errno::EXDEV)),
        (c"/etc/passwd", beneath, Err(Errno::EXDEV)),
        (c"absolute", beneath, Err(Errno::EXDEV)),
        (c"absolute", RESOLVE_IN_ROOT, Ok(())),
        (c"../../file", RESOLVE_IN_ROOT, Ok(())),
        (c"out", RESOLVE_IN_ROOT, Err(Errno::ENOENT)),
        (c"file", RESOLVE_NO_XDEV, Ok(())),
    ];
    for (path, resolve, expected) in table {
        let opened = open_beneath(at, path, O_RDONLY, 0, resolve).map(|_| ());
        assert_eq!(opened, expected, "{path:?} with {resolve:#x}");
    }
    assert!(open_beneath(at, c"new", O_WRONLY | O_CREAT | O_EXCL, 0o600, beneath).is_ok());
    assert_eq!(open_beneath(at, c"file", O_RDONLY, 0o600, beneath).map(|_| ()), Err(Errno::EINVAL));
    assert_eq!(open_at(Some(at), c"in", O_RDONLY | O_NOFOLLOW, 0).map(|_| ()), Err(Errno::ELOOP));
}

#[test]
fn content_is_written_and_read_at_any_place() {
    let scratch = Scratch::new();
    let file = create(&scratch, c"file");
    let fd = file.as_fd();
    assert_eq!(write(fd, b"hello"), Ok(5));
    assert_eq!(write(fd, b", world"), Ok(7));
    assert_eq!(pwrite(fd, b"H", 0), Ok(1));
    let mut part = [0; 5];
    assert_eq!(pread(fd, &mut part, 7), Ok(5));
    assert_eq!(&part, b"world");
    assert_eq!(read(fd, &mut part), Ok(0), "the position is at the end");
    seek(fd, 0).expect("lseek");
    assert_eq!(read(fd, &mut part), Ok(5));
    assert_eq!(&part, b"Hello");

    let mut into = Vec::with_capacity(16);
    assert_eq!(pread_into(fd, &mut into, 4, 8), Ok(4));
    assert_eq!(read_into(fd, &mut into, 2), Ok(2));
    assert_eq!(into, b"orld, ");
    assert_eq!(pread_into(fd, &mut into, 4, 100), Ok(0), "the end");
    assert_eq!(read_into(fd, &mut Vec::new(), 4), Err(Errno::ENOBUFS));
    assert_eq!(pread_into(fd, &mut into, 0, 0), Err(Errno::ENOBUFS));
    assert_eq!(pread(fd, &mut part, u64::MAX), Err(Errno::EINVAL));

    ftruncate(fd, 5).expect("ftruncate");
    assert_eq!(scratch.read(c"file"), b"Hello");
    let copy = dup(fd).expect("dup");
    assert!(copy.as_raw_fd() > 2);
    assert_eq!(fstat(copy.as_fd()), fstat(fd));
}

#[test]
fn syncs_leave_the_content_alone() {
    let scratch = Scratch::new();
    let file = create(&scratch, c"file");
    let fd = file.as_fd();
    write(fd, b"content").expect("write");
    sync_range(fd, 0, 0).expect("sync_file_range");
    fsync(fd).expect("fsync");
    assert_eq!(scratch.read(c"file"), b"content");

    let (read_end, _write_end) = pipe().expect("pipe2");
    assert_eq!(seek(read_end.as_fd(), 0), Err(Errno::ESPIPE));
}

#[test]
fn a_file_without_a_name_appears_under_one_complete() {
    let scratch = Scratch::new();
    let dir = scratch.fd();
    let at = Some(dir.as_fd());
    let file = match open_at(at, c".", O_WRONLY | O_TMPFILE, 0o600) {
        Ok(file) => file,
        Err(Errno::EOPNOTSUPP | Errno::EISDIR) => return, // not on every file system
        Err(errno) => panic!("open: {errno}"),
    };
    write(file.as_fd(), b"whole").expect("write");
    assert_eq!(fstat(file.as_fd()).map(|stat| stat.nlink), Ok(0));
    link_fd(file.as_fd(), at, c"name").expect("linkat");
    assert_eq!(scratch.read(c"name"), b"whole");
    assert_eq!(link_fd(file.as_fd(), at, c"name"), Err(Errno::EEXIST));
}

#[test]
fn renaming_replaces_refuses_or_exchanges() {
    let scratch = Scratch::new();
    scratch.write("a", b"A");
    scratch.write("b", b"B");
    let dir = scratch.fd();
    let at = Some(dir.as_fd());
    assert_eq!(rename_at(at, c"a", at, c"b", Rename::NoReplace), Err(Errno::EEXIST));
    rename_at(at, c"a", at, c"b", Rename::Exchange).expect("exchange");
    assert_eq!((scratch.read(c"a"), scratch.read(c"b")), (b"B".to_vec(), b"A".to_vec()));
    rename_at(at, c"a", at, c"b", Rename::Replace).expect("replace");
    assert_eq!(scratch.read(c"b"), b"B");
    assert_eq!(stat_at(at, c"a", Follow::No), Err(Errno::ENOENT));
    rename_at(at, c"b", at, c"c", Rename::NoReplace).expect("a free name");
    assert_eq!(rename_at(at, c"c", at, c"absent", Rename::Exchange), Err(Errno::ENOENT));
}

#[test]
fn removing_takes_only_the_kind_it_names() {
    let scratch = Scratch::new();
    scratch.write("file", b"");
    let dir = scratch.fd();
    let at = Some(dir.as_fd());
    mkdir_at(at, c"dir", 0o755).expect("mkdir");
    scratch.write("dir/file", b"");
    let table = [
        (c"dir", Unlink::File, Err(Errno::EISDIR)),
        (c"dir", Unlink::Dir, Err(Errno::ENOTEMPTY)),
        (c"file", Unlink::Dir, Err(Errno::ENOTDIR)),
        (c"file", Unlink::File, Ok(())),
        (c"file", Unlink::File, Err(Errno::ENOENT)),
        (c"dir/file", Unlink::File, Ok(())),
        (c"dir", Unlink::Dir, Ok(())),
    ];
    for (name, what, expected) in table {
        assert_eq!(unlink_at(at, name, what), expected, "{name:?} {what:?}");
    }
    mkdir_at(at, c"dir", 0o755).expect("mkdir");
    assert_eq!(mkdir_at(at, c"dir", 0o755), Err(Errno::EEXIST));
}

#[test]
fn a_large_directory_is_read_in_batches_without_dots() {
    let scratch = Scratch::new();
    let names: BTreeSet<String> = (0..3000).map(|number| format!("name-of-some-length-{number}")).collect();
    for name in &names {
        scratch.write(name, b"");
    }
    let dir = scratch.fd();
    mkdir_at(Some(dir.as_fd()), c"sub", 0o755).expect("mkdir");
    symlink_at(c"sub", Some(dir.as_fd()), c"link").expect("symlink");
    let mut listing = read_dir(scratch.fd());
    for _ in 0..2 {
        let (mut found, mut batches) = (BTreeSet::new(), 0);
        while listing.fill().expect("getdents64") {
            batches += 1;
            for entry in listing.entries() {
                let kind = match stat_at(Some(listing.dir()), entry.name, Follow::No) {
                    Ok(stat) => stat.kind,
                    Err(errno) => panic!("{:?}: {errno}", entry.name),
                };
                assert!(entry.kind.is_none_or(|hint| hint == kind), "{:?}", entry.name);
                assert!(found.insert(entry.name.to_str().expect("ASCII names").to_owned()), "{:?} twice", entry.name);
            }
        }
        assert_eq!(listing.entries().count(), 0, "nothing after the end");
        assert!(batches > 1);
        assert!(found.remove("sub") && found.remove("link"));
        assert_eq!(found, names);
        listing.rewind().expect("lseek");
    }
    scratch.write("plain", b"");
    let file = open_at(None, &scratch.join("plain"), O_RDONLY, 0).expect("open");
    assert_eq!(read_dir(file).fill(), Err(Errno::ENOTDIR));
}

#[test]
fn the_kernel_copies_between_files_pipes_and_sockets() {
    let file = memfd(c"test").expect("memfd_create");
    write(file.as_fd(), b"0123456789").expect("write");
    let (near, mut far) = UnixStream::pair().expect("socketpair");
    assert_eq!(sendfile(near.as_fd(), file.as_fd(), 2, 5), Ok(5));
    assert_eq!(sendfile(near.as_fd(), file.as_fd(), 8, usize::MAX), Ok(2), "up to the end");
    assert_eq!(sendfile(near.as_fd(), file.as_fd(), 10, 1), Ok(0), "behind the end");
    assert_eq!(sendfile(near.as_fd(), file.as_fd(), u64::MAX, 1), Err(Errno::EINVAL));
    let mut got = [0; 7];
    far.read_exact(&mut got).expect("read");
    assert_eq!(&got, b"2345689");

    let (from_pipe, to_pipe) = pipe().expect("pipe2");
    assert!(set_pipe_size(to_pipe.as_fd(), 100_000).expect("fcntl") >= 100_000);
    assert_eq!(read(from_pipe.as_fd(), &mut [0; 1]), Err(Errno::EAGAIN));
    let flags = SPLICE_MOVE | SPLICE_NONBLOCK;
    assert_eq!(splice(file.as_fd(), Some(4), to_pipe.as_fd(), None, 3, flags), Ok(3));
    let target = memfd(c"target").expect("memfd_create");
    assert_eq!(splice(from_pipe.as_fd(), None, target.as_fd(), Some(1), 100, flags), Ok(3));
    let mut copied = [0xff; 8];
    assert_eq!(pread(target.as_fd(), &mut copied, 0), Ok(4));
    assert_eq!(&copied[..4], b"\x00456");
    assert_eq!(splice(from_pipe.as_fd(), None, target.as_fd(), None, 1, flags), Err(Errno::EAGAIN));
    assert_eq!(splice(near.as_fd(), None, target.as_fd(), None, 1, flags), Err(Errno::EINVAL), "no pipe in it");
    drop(to_pipe);
    assert_eq!(splice(from_pipe.as_fd(), None, target.as_fd(), None, 1, flags), Ok(0), "the end");
}

#[test]
fn a_lock_is_held_by_one_open_file_at_a_time() {
    let scratch = Scratch::new();
    let first = create(&scratch, c"lock");
    let second = open_at(None, &scratch.join("lock"), O_RDWR, 0).expect("open");
    assert_eq!(flock(first.as_fd()), Ok(()));
    assert_eq!(flock(second.as_fd()), Err(Errno::EAGAIN));
    drop(first);
    assert_eq!(flock(second.as_fd()), Ok(()));
}

#[test]
fn pieces_of_a_file_have_their_gaps_before_them() {
    let scratch = Scratch::new();
    let file = create(&scratch, c"file");
    write_all(file.as_fd(), b"abcdefghij").expect("it is written");
    let table: [(usize, usize, u64, usize, &[u8]); 6] = [
        (4, 10, 0, 10, b"x\0\0abcd\0\0efgh\0\0ij"),
        (4, 8, 1, 8, b"x\0\0bcde\0\0fghi"),
        (4, 99, 0, 10, b"x\0\0abcd\0\0efgh\0\0ij"),
        (99, 3, 7, 3, b"x\0\0hij"),
        (1, 2, 0, 2, b"x\0\0a\0\0b"),
        (4, 9, 10, 0, b"x"),
    ];
    for (size, max, at, got, wanted) in table {
        let mut into = b"x".to_vec();
        let pieces = Pieces { gap: 2, size };
        assert_eq!(pread_pieces(file.as_fd(), &mut into, pieces, max, at), Ok(got), "{size} {max} {at}");
        assert_eq!(into, wanted, "{size} {max} {at}");
    }
    // The maximum for one call.
    let mut into = Vec::new();
    assert_eq!(pread_pieces(file.as_fd(), &mut into, Pieces { gap: 1, size: 0 }, 1, 0), Err(Errno::ENOBUFS));
    write_all(file.as_fd(), &[b'y'; 100]).expect("it is written");
    assert_eq!(pread_pieces(file.as_fd(), &mut into, Pieces { gap: 1, size: 1 }, 100, 10), Ok(PIECES));
    assert_eq!(into, b"\0y".repeat(PIECES));
}

/// Of the root directory itself the path had two slashes, under which nothing was found again.
#[test]
fn the_path_of_a_name_has_one_slash_before_it_in_the_root_directory_too() {
    let root = open_at(None, c"/", O_PATH | O_DIRECTORY, 0).expect("opened");
    assert_eq!(path_in(root.as_fd(), b"x"), Ok(b"/x".to_vec()));
    let scratch = Scratch::new();
    let (dir, file) = (scratch.fd(), create(&scratch, c"x"));
    assert_eq!(path_in(dir.as_fd(), b"x"), path_of(file.as_fd()));
    assert_eq!(path_below(b"/a", b"b"), b"/a/b");
}
