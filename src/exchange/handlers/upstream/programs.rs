//! The parameters of a request that may name a program, and the files that they name; [`executed`](super::executed)
//! finds out which files those are.

use crate::config::settings::programs::Role;
use crate::util::bytes::begins_with;
use std::ops::Range;

/// The parameters that may name a program, and the files that they name. Its buffers are used again.
#[derive(Default)]
pub struct Programs {
    /// The values and the paths.
    pub(super) text: Vec<u8>,
    pub(super) noted: Vec<(Role, Range<usize>)>,
    paths: Vec<Range<usize>>,
}

impl Programs {
    /// Forgets all of them.
    pub fn clear(&mut self) {
        self.text.clear();
        self.noted.clear();
        self.paths.clear();
    }

    /// Bytes that its buffers take.
    pub fn size(&self) -> usize {
        let noted = self.noted.capacity() * size_of::<(Role, Range<usize>)>();
        self.text.capacity() + noted + self.paths.capacity() * size_of::<Range<usize>>()
    }

    /// Records a parameter. Several may have the same role: which one counts is up to the application.
    pub fn note(&mut self, role: Role, value: &[u8]) {
        // The application looks up a module name in its own search path.
        let is_module = matches!(role, Role::Loaded | Role::LoadedFrom) && !value.contains(&b'/');
        if !value.is_empty() && !is_module {
            let start = self.text.len();
            self.text.extend_from_slice(script_path(value));
            self.noted.push((role, start..self.text.len()));
        }
    }

    /// The paths that were added, each once.
    pub fn paths(&self) -> impl Iterator<Item = &[u8]> {
        self.paths.iter().map(|path| self.at(path))
    }

    /// A range of its text.
    pub(super) fn at(&self, range: &Range<usize>) -> &[u8] {
        self.text.get(range.clone()).unwrap_or_default()
    }

    /// Whether a parameter has this role.
    pub(super) fn has(&self, role: Role) -> bool {
        self.noted.iter().any(|(own, _)| *own == role)
    }

    /// Adds a path, which is a range of the text.
    pub(super) fn add(&mut self, path: Range<usize>) {
        if !self.paths().any(|known| known == self.at(&path)) {
            self.paths.push(path);
        }
    }

    /// Adds what the parameters of a role name.
    pub(super) fn add_all(&mut self, role: Role) {
        for at in 0..self.noted.len() {
            if let Some((own, path)) = self.noted.get(at)
                && *own == role
            {
                self.add(path.clone());
            }
        }
    }

    /// Adds what the parameters of a role name relative to a root.
    pub(super) fn add_joined(&mut self, name: Role) {
        let of = |role: Role| self.noted.iter().filter(move |(own, _)| *own == role).map(|(_, range)| range.clone());
        let pairs: Vec<_> = of(Role::Root).flat_map(|root| of(name).map(move |name| (root.clone(), name))).collect();
        for (root, name) in pairs {
            let start = self.text.len();
            self.text.extend_from_within(root);
            if self.text.get(name.start) != Some(&b'/') {
                self.text.push(b'/');
            }
            self.text.extend_from_within(name);
            self.add(start..self.text.len());
        }
    }
}

/// The path as the application reads it: up to a NUL, and, as php-fpm does, without the prefix of Apache's proxy
/// modules.
fn script_path(value: &[u8]) -> &[u8] {
    let end = memchr::memchr(0, value).unwrap_or(value.len());
    let value = &value[..end];
    let prefixes = [&b"proxy:fcgi://"[..], b"proxy:balancer://"];
    let Some(prefix) = prefixes.into_iter().find(|prefix| begins_with(value, prefix)) else { return value };
    let rest = &value[prefix.len()..];
    memchr::memchr(b'/', rest).map_or(value, |at| &rest[at..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_read_as_programs_read_it() {
        for (value, expected) in [
            ("/srv/x.php", "/srv/x.php"),
            ("/srv/x.php\0/ok.php", "/srv/x.php"),
            ("proxy:fcgi://127.0.0.1:9000/srv/x.php", "/srv/x.php"),
            ("PROXY:balancer://php/srv/x.php", "/srv/x.php"),
            ("proxy:fcgi://nothing", "proxy:fcgi://nothing"),
            ("x.php", "x.php"),
        ] {
            assert_eq!(script_path(value.as_bytes()), expected.as_bytes(), "{value:?}");
        }
    }

    #[test]
    fn each_path_is_named_once_and_names_are_joined_to_each_root() {
        let mut programs = Programs::default();
        for round in 0..2 {
            programs.clear();
            programs.note(Role::Filename, b"/a/x.php");
            programs.note(Role::Root, b"/a");
            programs.note(Role::Root, b"/b");
            programs.note(Role::Name, b"x.php");
            programs.note(Role::Name, b"/y.php");
            programs.note(Role::Loaded, b"module");
            programs.note(Role::Name, b"");
            assert!(programs.has(Role::Filename) && !programs.has(Role::Loaded), "{round}");
            programs.add_joined(Role::Name);
            programs.add_all(Role::Filename);
            let paths: Vec<&[u8]> = programs.paths().collect();
            assert_eq!(paths, [b"/a/x.php", b"/a/y.php", b"/b/x.php", b"/b/y.php"], "{round}");
        }
    }
}
