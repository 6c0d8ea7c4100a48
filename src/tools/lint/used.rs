//! The names of zones, caches and upstreams that directives use, collected once for a level and everything below.

use super::blocks::is_pass;
use crate::config::ast::{Directive, FileId, Word};
use crate::util::hash::FastSet;

/// The names used at a level and below.
#[derive(Default)]
pub struct Used {
    /// Zones of limit_req.
    pub limits: FastSet<Vec<u8>>,
    /// Zones of limit_conn.
    pub connections: FastSet<Vec<u8>>,
    /// Zones of proxy_cache and the like.
    pub caches: FastSet<Vec<u8>>,
    /// Words behind the path of an `access_log`: formats and parameters.
    pub formats: FastSet<Vec<u8>>,
    /// Targets of other protocols than HTTP. This and the next are only collected if there are upstreams.
    pub applications: FastSet<Vec<u8>>,
    /// Words of directives that may refer to an upstream.
    pub words: FastSet<Vec<u8>>,
    /// Files that contain a server.
    pub files: FastSet<FileId>,
    /// Whether a variable forms a host, so that any upstream may be used.
    pub any_upstream: bool,
    /// Whether a variable forms a cache's name.
    pub any_cache: bool,
}

/// What to collect.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Wanted {
    /// There are no upstreams to refer to.
    Zones,
    All,
}

impl Used {
    /// Of these directives and all in their blocks.
    pub fn of(all: &[Directive]) -> Used {
        let servers = all.iter().filter(|d| d.name.is("server"));
        let mut used = Used { files: servers.map(|d| d.name.span.file).collect(), ..Used::default() };
        let leads_on = all.iter().any(|d| d.name.is("upstream"));
        used.add(all, if leads_on { Wanted::All } else { Wanted::Zones });
        used
    }

    fn add(&mut self, all: &[Directive], wanted: Wanted) {
        for d in all {
            let name = d.name.str();
            match &*name {
                "limit_req" => {
                    let zones = d.args.iter().filter_map(|word| word.bytes().strip_prefix(b"zone="));
                    self.limits.extend(zones.map(<[u8]>::to_vec));
                }
                "limit_conn" => self.connections.extend(d.args.first().map(|word| word.bytes().to_vec())),
                "access_log" => self.formats.extend(d.args.iter().skip(1).map(|word| word.bytes().to_vec())),
                // These directives never refer to zones or upstreams.
                "server_name" | "location" | "root" | "alias" | "upstream" | "error_log" | "server"
                | "limit_req_zone" | "limit_conn_zone" | "proxy_set_header" => {}
                cache if cache.ends_with("_cache") => {
                    self.any_cache |= d.args.iter().any(|word| word.bytes().contains(&b'$'));
                    self.caches.extend(d.args.first().map(|word| word.bytes().to_vec()));
                }
                _ if wanted == Wanted::Zones => {}
                pass => {
                    if matches!(pass, "fastcgi_pass" | "uwsgi_pass" | "scgi_pass" | "memcached_pass") {
                        self.applications.extend(d.args.first().map(Word::lower));
                    }
                    let variable = |word: &Word| is_pass(pass) && word.bytes().contains(&b'$');
                    let host = |word: &Word| word.str().split("://").last().unwrap_or_default().to_owned();
                    let by_variable = |word: &Word| {
                        variable(word) && host(word).split('/').next().is_some_and(|host| host.contains('$'))
                    };
                    self.any_upstream |= d.args.iter().any(by_variable);
                    let in_name = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
                    for word in &d.args {
                        let parts = word.bytes().split(|byte| !in_name(byte)).filter(|part| !part.is_empty());
                        self.words.extend(parts.map(<[u8]>::to_ascii_lowercase));
                    }
                }
            }
            self.add(d.block.as_deref().unwrap_or_default(), wanted);
        }
    }
}
