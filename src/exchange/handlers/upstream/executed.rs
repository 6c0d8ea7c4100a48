//! Determines which files an application server may execute because of its parameters;
//! [`settings::programs`](crate::config::settings::programs) defines what each parameter names.
//!
//! In a container or chroot, the application sees other paths than this server: a SCRIPT_FILENAME that ends with the
//! script name also refers to the file with that name here.

use crate::config::settings::programs::{Role, runs_files};
use crate::config::settings::proxy_pass::Protocol;
use crate::config::template::Builtin;
use crate::exchange::{Exchange, variables};
use crate::services::Services;
use crate::util::bytes::begins_with;

/// The parameters that may name a program.
#[derive(Default)]
pub struct Programs {
    noted: Vec<(Role, Vec<u8>)>,
}

impl Programs {
    /// Records a parameter. Several may have the same role: which one counts is up to the application.
    pub fn note(&mut self, role: Role, value: &[u8]) {
        // The application looks up a module name in its own search path.
        let is_module = matches!(role, Role::Loaded | Role::LoadedFrom) && !value.contains(&b'/');
        if !value.is_empty() && !is_module {
            self.noted.push((role, script_path(value).to_vec()));
        }
    }

    fn of(&self, role: Role) -> impl Iterator<Item = &[u8]> {
        self.noted.iter().filter(move |(own, _)| *own == role).map(|(_, value)| &value[..])
    }

    /// Paths of files that the application may run, each once.
    pub fn paths(&self, ex: &mut Exchange, cx: &mut Services, protocol: Protocol, modifier: u64) -> Vec<Vec<u8>> {
        let mut paths: Vec<Vec<u8>> = Vec::new();
        let mut add = |path: Vec<u8>| {
            if !paths.contains(&path) {
                paths.push(path);
            }
        };
        let has_filename = self.of(Role::Filename).next().is_some();
        let (by_name, by_info) = match protocol {
            Protocol::Uwsgi if runs_files(modifier) => (true, true),
            Protocol::FastCgi | Protocol::Scgi => (!has_filename, false),
            _ => (false, false),
        };
        for root in self.of(Role::Root) {
            let names = self.of(Role::Name).filter(|_| by_name);
            names.chain(self.of(Role::PathInfo).filter(|_| by_info)).for_each(|name| add(join(root, name)));
        }
        if !has_filename {
            self.of(Role::Translated).for_each(|path| add(path.to_vec()));
        }
        let script = variables::builtins(&[Builtin::FastcgiScriptName], ex, cx);
        if script.len() > 1 && self.of(Role::Filename).any(|path| path.ends_with(&script)) {
            let parts: &[Builtin] = match ex.location().settings.files.alias {
                None => &[Builtin::DocumentRoot, Builtin::FastcgiScriptName],
                Some(_) => &[Builtin::RequestFilename],
            };
            add(variables::builtins(parts, ex, cx));
        }
        let given = [Role::Filename, Role::Loaded, Role::LoadedFrom];
        given.into_iter().flat_map(|role| self.of(role)).for_each(|path| add(path.to_vec()));
        paths
    }
}

fn join(root: &[u8], name: &[u8]) -> Vec<u8> {
    let slash: &[u8] = if name.starts_with(b"/") { b"" } else { b"/" };
    [root, slash, name].concat()
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
}
