//! Which files an application server may run because of the parameters it gets;
//! [`settings::programs`](crate::config::settings::programs) says what each parameter names.
//!
//! In a container or a chroot the application's paths are not this server's: a SCRIPT_FILENAME that ends in the
//! script's name also means the file of that name here.

use crate::config::settings::programs::{Role, role, runs_files};
use crate::config::settings::proxy_pass::Protocol;
use crate::config::template::Builtin;
use crate::exchange::{Exchange, variables};
use crate::services::Services;
use crate::util::bytes::begins_with;

/// The parameters that may name a program.
#[derive(Default)]
pub struct Programs {
    filenames: Vec<Vec<u8>>,
    translated: Vec<Vec<u8>>,
    loaded: Vec<Vec<u8>>,
    roots: Vec<Vec<u8>>,
    names: Vec<Vec<u8>>,
    path_infos: Vec<Vec<u8>>,
}

impl Programs {
    /// Notes a parameter. Its name may occur again: the application chooses which one counts.
    pub fn note(&mut self, name: &[u8], value: &[u8]) {
        let Some(role) = role(name) else { return };
        let list = match role {
            Role::Filename => &mut self.filenames,
            Role::Translated => &mut self.translated,
            Role::Root => &mut self.roots,
            Role::Name => &mut self.names,
            Role::PathInfo => &mut self.path_infos,
            Role::Loaded | Role::LoadedFrom if value.contains(&b'/') => &mut self.loaded,
            // The application searches for a module where its modules are.
            Role::Loaded | Role::LoadedFrom => return,
        };
        if !value.is_empty() {
            list.push(bare(value).to_vec());
        }
    }

    /// Paths of files that the application may run.
    pub fn paths(self, ex: &mut Exchange, cx: &mut Services, protocol: Protocol, modifier: u64) -> Vec<Vec<u8>> {
        let Programs { filenames, translated, loaded, roots, names, path_infos } = self;
        let none: &[Vec<u8>] = &[];
        let (names, path_infos) = match protocol {
            Protocol::Uwsgi if runs_files(modifier) => (&names[..], &path_infos[..]),
            Protocol::FastCgi | Protocol::Scgi if filenames.is_empty() => (&names[..], none),
            _ => (none, none),
        };
        let below = roots.iter().flat_map(|root| names.iter().chain(path_infos).map(move |name| join(root, name)));
        let mut paths: Vec<Vec<u8>> = below.collect();
        if filenames.is_empty() {
            paths.extend(translated);
        }
        let script = variables::builtins(&[Builtin::FastcgiScriptName], ex, cx);
        if script.len() > 1 && filenames.iter().any(|path| path.ends_with(&script)) {
            let parts: &[Builtin] = match ex.here().settings.files.alias {
                None => &[Builtin::DocumentRoot, Builtin::FastcgiScriptName],
                Some(_) => &[Builtin::RequestFilename],
            };
            paths.push(variables::builtins(parts, ex, cx));
        }
        paths.extend(filenames);
        paths.extend(loaded);
        paths.sort();
        paths.dedup();
        paths
    }
}

fn join(root: &[u8], name: &[u8]) -> Vec<u8> {
    let slash: &[u8] = if name.starts_with(b"/") { b"" } else { b"/" };
    [root, slash, name].concat()
}

/// The path as a program reads it: up to a NUL, and php-fpm removes the prefix of Apache's proxy modules.
fn bare(value: &[u8]) -> &[u8] {
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
            assert_eq!(bare(value.as_bytes()), expected.as_bytes(), "{value:?}");
        }
    }
}
