//! What is opened, whatever lies at its path.

use super::*;
use crate::sys::scratch::Scratch;
use std::os::unix::fs::{PermissionsExt, symlink};

#[test]
fn what_root_makes_in_the_directory_of_a_service_belongs_to_the_service() {
    const SERVICE: u32 = 65_534;
    let scratch = Scratch::new();
    let at = |name: &str| scratch.path().join(name);
    std::fs::create_dir(at("log")).expect("mkdir");
    std::fs::write(at("log/old"), "").expect("written");
    if std::os::unix::fs::chown(at("log"), Some(SERVICE), None).is_err() {
        eprintln!("SKIPPED: only root gives files away");
        return;
    }
    append(&at("log/new")).expect("made");
    append(&at("log/old")).expect("opened");
    own_of_directory(&at("log/lock"), 0o600).expect("made");
    directories(&at("log/a/b"), 0o755).expect("made");
    append(&at("own")).expect("made");
    let owner = |name: &&str| std::fs::metadata(at(name)).expect("there").uid();
    let names = ["log/new", "log/lock", "log/a", "log/a/b", "log/old", "own"];
    let owners: Vec<u32> = names.iter().map(owner).collect();
    assert_eq!(owners, [SERVICE, SERVICE, SERVICE, SERVICE, 0, 0]);
}

#[test]
fn a_log_is_opened_whatever_lies_at_its_path_without_waiting() {
    let scratch = Scratch::new();
    let at = |name: &str| scratch.path().join(name);
    std::fs::create_dir(at("dir")).expect("mkdir");
    symlink("dir/log", at("link")).expect("symlink");
    symlink("loop", at("loop")).expect("symlink");
    file::make_fifo(&scratch.join("fifo"), 0o600).expect("mkfifo");
    let table = [
        ("dir/log", None),
        ("link", None),
        ("fifo", None),
        ("dir", Some(Errno::EISDIR)),
        ("none/log", Some(Errno::ENOENT)),
        ("loop", Some(Errno::ELOOP)),
    ];
    for (name, expected) in table {
        let opened = append(&at(name));
        assert_eq!(opened.as_ref().err().copied(), expected, "{name}");
        if let Ok(fd) = opened {
            assert_eq!(file::write(fd.as_fd(), b"x"), Ok(1), "{name}");
        }
    }
    assert_eq!(std::fs::read(at("dir/log")).expect("made"), b"xx", "a link leads to its file");
}

#[test]
fn a_fifo_whose_reader_goes_is_still_written_to() {
    let scratch = Scratch::new();
    file::make_fifo(&scratch.join("fifo"), 0o600).expect("mkfifo");
    let reader = file::open_at(None, &scratch.join("fifo"), O_RDONLY | O_NONBLOCK, 0).expect("opens");
    let log = append(&scratch.path().join("fifo")).expect("opens");
    drop(reader);
    assert_eq!(file::write(log.as_fd(), b"x"), Ok(1));
}

#[test]
fn names_of_descriptors_mean_the_descriptor() {
    let table = [
        ("/dev/stdin", Some(0)),
        ("/dev/stdout", Some(1)),
        ("/dev/stderr", Some(2)),
        ("/dev/fd/63", Some(63)),
        ("/proc/self/fd/7", Some(7)),
        ("/proc/self/fd/x", None),
        ("/dev/fd/-1", None),
        ("/dev/null", None),
    ];
    for (path, expected) in table {
        assert_eq!(descriptor(Path::new(path)), expected, "{path}");
    }
    let scratch = Scratch::new();
    symlink("/dev/fd/987654", scratch.path().join("log")).expect("symlink");
    assert_eq!(append(&scratch.path().join("log")).err(), Some(Errno::EBADF), "behind a link, too");
}

#[test]
fn a_configuration_is_read_and_a_fifo_refused() {
    let scratch = Scratch::new();
    let at = |name: &str| scratch.path().join(name);
    scratch.write("conf", b"events {}");
    file::make_fifo(&scratch.join("fifo"), 0o600).expect("mkfifo");
    assert_eq!(read(&at("conf"), 100), Ok(b"events {}".to_vec()));
    assert_eq!(read(&at("conf"), 3), Ok(b"even".to_vec()), "one more than there is room for");
    assert_eq!(read(&at("fifo"), 100), Err(Errno::EINVAL));
    assert_eq!(read(&at("none"), 100), Err(Errno::ENOENT));
    assert_eq!(read(Path::new("/dev/null"), 100), Ok(Vec::new()));
    assert_eq!(read(Path::new("/dev/zero"), 100 << 20), Err(Errno::EINVAL), "a device without an end");
    let dir = scratch.fd();
    for (name, expected) in [(c"fifo", Some(Errno::EINVAL)), (c"conf", None)] {
        assert_eq!(regular_at(dir.as_fd(), name, O_WRONLY, 0).err(), expected, "{name:?}");
    }
}

/// Between bind() and chmod() the owner of the directory, the user of the serving process, may put a link there: root
/// made any file writable by all.
#[test]
fn a_link_in_the_place_of_a_socket_gives_no_file_away() {
    let scratch = Scratch::new();
    let at = |name: &str| scratch.path().join(name);
    let mode = |name: &str| std::fs::metadata(at(name)).expect("there").mode() & 0o777;
    scratch.write("secret", b"x");
    file::chmod_fd(existing(&at("secret")).expect("opens").as_fd(), 0o600).expect("changed");
    symlink(at("secret"), at("link")).expect("symlink");
    for name in ["link", "secret"] {
        let_all_connect(&at(name)).expect_err(name);
        assert_eq!(mode("secret"), 0o600, "{name}");
    }
    let _socket = std::os::unix::net::UnixListener::bind(at("socket")).expect("bound");
    let_all_connect(&at("socket")).expect("changed");
    assert_eq!(mode("socket"), 0o666);
    assert_eq!(let_all_connect(&at("none")), Err(Errno::ENOENT));
}

#[test]
fn a_text_of_its_own_is_read_whole_or_not_at_all() {
    let scratch = Scratch::new();
    let at = |name: &str| scratch.path().join(name);
    scratch.write("text", b"four");
    scratch.write("bytes", b"\xff");
    file::make_fifo(&scratch.join("fifo"), 0o600).expect("mkfifo");
    symlink("/dev/zero", at("zero")).expect("symlink");
    for (name, room, expected) in [
        ("text", 4, Ok("four".to_owned())),
        ("text", 3, Err(Errno::EFBIG)),
        ("bytes", 4, Err(Errno::EINVAL)),
        ("fifo", 4, Err(Errno::EINVAL)),
        ("zero", 1 << 20, Err(Errno::EINVAL)),
        ("none", 4, Err(Errno::ENOENT)),
    ] {
        assert_eq!(text(&at(name), room), expected, "{name}");
    }
}

/// Without /proc, and before Linux 6.6, the mode of a socket can be set by its name alone.
#[test]
fn a_socket_is_opened_to_all_by_its_name_only_where_no_other_user_can_replace_it() {
    let scratch = Scratch::new();
    for (mode, expected) in [(0o700, true), (0o755, true), (0o1777, true), (0o777, false), (0o775, false)] {
        file::chmod_fd(scratch.fd().as_fd(), mode).expect("our own");
        assert_eq!(has_lasting_names(scratch.fd().as_fd()), Ok(expected), "{mode:o}");
    }
    let path = scratch.path().join("socket");
    let _socket = std::os::unix::net::UnixListener::bind(&path).expect("bound");
    let mode = || std::fs::metadata(&path).expect("it is there").mode() & 0o777;
    for way in [chmod_by_name as fn(&Path) -> Result<(), Errno>, let_all_connect] {
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).expect("our own");
        way(&path).expect("our own");
        assert_eq!(mode(), 0o666);
    }
}

fn chmod_by_name(path: &Path) -> Result<(), Errno> {
    let PathEnd::Name(dir, name) = resolve(path)? else { return Err(Errno::EINVAL) };
    file::chmod_at(Some(dir.as_fd()), &name, ALL_CONNECT)
}
