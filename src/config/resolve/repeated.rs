//! Repetitions within a level that nginx has a special rule for: words of a set, and `off` beside other lines.

use crate::config::ast::Directive;
use crate::config::build::Build;
use crate::config::fault::Fault;
use crate::util::hash::{FastMap, FastSet};

/// Directives whose words form a set: a duplicate word causes a warning. Sorted.
const SETS: &[&str] = &[
    "addition_types",
    "dav_methods",
    "fastcgi_cache_methods",
    "fastcgi_cache_use_stale",
    "fastcgi_ignore_headers",
    "fastcgi_next_upstream",
    "grpc_ignore_headers",
    "grpc_next_upstream",
    "grpc_ssl_protocols",
    "gzip_proxied",
    "keepalive_disable",
    "memcached_next_upstream",
    "proxy_cache_methods",
    "proxy_cache_use_stale",
    "proxy_ignore_headers",
    "proxy_next_upstream",
    "proxy_ssl_protocols",
    "scgi_cache_methods",
    "scgi_cache_use_stale",
    "scgi_ignore_headers",
    "scgi_next_upstream",
    "ssl_protocols",
    "sub_filter_types",
    "tunnel_next_upstream",
    "userid_flags",
    "uwsgi_cache_methods",
    "uwsgi_cache_use_stale",
    "uwsgi_ignore_headers",
    "uwsgi_next_upstream",
    "uwsgi_ssl_protocols",
];

/// Lists in which `off` must be the only line. Sorted.
const LISTS: &[&str] = &["mirror", "proxy_cookie_domain", "proxy_cookie_flags", "proxy_cookie_path", "proxy_redirect"];

fn is_off(d: &Directive) -> bool {
    matches!(&d.args[..], [word] if word.is("off"))
}

/// The lines of a level so far that these rules concern.
#[derive(Default)]
pub(super) struct Level<'a> {
    /// The last name looked up, if no rule concerns it: most lines of a long block have the name of the previous line.
    free: Option<&'a [u8]>,
    /// The words so far, by directive.
    sets: FastMap<&'static str, FastSet<Vec<u8>>>,
    /// Whether a line so far is `off`, by directive.
    lists: FastMap<&'static str, bool>,
}

impl<'a> Level<'a> {
    /// Whether the line is allowed after those before it.
    pub(super) fn takes(&mut self, build: &mut Build, d: &'a Directive) -> bool {
        let name = d.name.bytes();
        if self.free == Some(name) {
            return true;
        }
        let listed = |names: &[&'static str]| {
            names.binary_search_by(|listed| listed.as_bytes().cmp(name)).ok().map(|at| names[at])
        };
        if let Some(name) = listed(LISTS) {
            return self.list(build, d, name);
        }
        match listed(SETS) {
            Some(name) => self.set(build, d, name),
            None => self.free = Some(name),
        }
        true
    }

    fn list(&mut self, build: &mut Build, d: &Directive, name: &'static str) -> bool {
        let before = self.lists.get(name).copied();
        self.lists.insert(name, before.unwrap_or_default() || is_off(d));
        let stands = before.is_none_or(|off| !off && !is_off(d));
        if !stands {
            build.error(Fault::new(d.name.span, format!("\"{name}\" directive is duplicate")));
        }
        stands
    }

    fn set(&mut self, build: &mut Build, d: &Directive, name: &'static str) {
        let types = name.ends_with("_types");
        let what = if types { "MIME type" } else { "value" };
        let known = self.sets.entry(name).or_insert_with(|| match types {
            true => FastSet::from_iter([b"text/html".to_vec()]),
            false => FastSet::default(),
        });
        for word in &d.args {
            if !known.insert(word.lower().to_vec()) {
                build.warn(word.span, format!("duplicate {what} \"{}\"", word.str()));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_searched_in_order() {
        assert!(SETS.is_sorted() && LISTS.is_sorted());
    }
}
