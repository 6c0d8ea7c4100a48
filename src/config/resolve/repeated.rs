//! What one level says twice where nginx has a rule for it that no row knows: words of a set, and `off` beside others.

use crate::config::ast::Directive;
use crate::config::build::Build;
use crate::config::fault::Fault;

/// Directives whose words are a set: a word that is there already is warned of.
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

/// Lists that `off` empties: it stands alone.
const LISTS: &[&str] = &["mirror", "proxy_cookie_domain", "proxy_cookie_flags", "proxy_cookie_path", "proxy_redirect"];

fn is_off(d: &Directive) -> bool {
    matches!(&d.args[..], [word] if word.is("off"))
}

impl Build {
    /// Returns whether the line may stand beside those before it.
    pub(super) fn stands_beside(&mut self, d: &Directive, level: &[Directive]) -> bool {
        let name = d.name.bytes();
        let is_listed = |names: &[&str]| names.iter().any(|listed| listed.as_bytes() == name);
        let (set, list) = (is_listed(SETS), is_listed(LISTS));
        if !set && !list {
            return true;
        }
        let before = level.iter().take_while(|other| !std::ptr::eq(*other, d));
        let mut same = before.filter(|other| other.name.bytes() == name).peekable();
        if list {
            let stands = same.peek().is_none() || !is_off(d) && !same.any(is_off);
            if !stands {
                self.error(Fault::new(d.name.span, format!("\"{}\" directive is duplicate", d.name.str())));
            }
            return stands;
        }
        let mut known: Vec<Vec<u8>> =
            same.flat_map(|other| other.args.iter().map(|word| word.lower().to_vec())).collect();
        let types = name.ends_with(b"_types");
        if types {
            known.push(b"text/html".to_vec());
        }
        let what = if types { "MIME type" } else { "value" };
        for word in &d.args {
            let lower = word.lower().to_vec();
            if known.contains(&lower) {
                self.warn(word.span, format!("duplicate {what} \"{}\"", word.str()));
            }
            known.push(lower);
        }
        true
    }
}
