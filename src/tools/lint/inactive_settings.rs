//! Settings of something that is not turned on, and words that do nothing without another: nothing fails, and nothing
//! is limited, checked or kept.

use super::blocks::below;
use super::rule::{Finding, Rule, RuleContext};
use crate::config::ast::{Directive, Word};

pub const RULES: &[Rule] = &[
    Rule {
        code: "W312",
        title: "a setting of a feature that is off",
        page: "The directive says how something is done that is not done at all, neither here, nor around it, nor below: \
               `limit_rate_after` without `limit_rate` limits nothing, a certificate authority without `ssl_verify_client on` \
               (or `proxy_ssl_verify on`) checks no one, `delete_trash` keeps nothing where no DELETE is allowed. Turn it on, or \
               leave the line out.",
        about: SETTINGS,
        check: not_turned_on,
    },
    Rule {
        code: "W314",
        title: "nodelay without burst",
        page: "`nodelay` and `delay=` say how the requests of a burst are served, and `burst` is 0 unless it is written: each \
               request beyond the rate is refused at once. Write `limit_req zone=NAME burst=20 nodelay;`.",
        about: &["limit_req"],
        check: no_burst,
    },
];

/// Settings, and what turns on what they are settings of.
struct Idle {
    settings: &'static [&'static str],
    /// Directives of which one is needed, with a word that one of their arguments must be; empty: any.
    needed: &'static [(&'static str, &'static str)],
    /// What to add.
    add: &'static str,
}

const DELETES: &[(&str, &str)] =
    &[("allowed_methods", "DELETE"), ("allow_methods", "DELETE"), ("dav_methods", "DELETE")];

const IDLE: &[Idle] = &[
    Idle {
        settings: &["limit_rate_after"],
        // Applications may set the rate by X-Accel-Limit-Rate.
        needed: &[
            ("limit_rate", ""),
            ("set", ""),
            ("proxy_pass", ""),
            ("fastcgi_pass", ""),
            ("uwsgi_pass", ""),
            ("scgi_pass", ""),
        ],
        add: "limit_rate 500k;",
    },
    Idle {
        settings: &["delete_trash", "delete_recursive", "min_delete_depth"],
        needed: DELETES,
        add: "DELETE to allowed_methods",
    },
    Idle {
        settings: &["autoindex_archive", "autoindex_format", "autoindex_localtime", "autoindex_search"],
        needed: &[("autoindex", "")],
        add: "autoindex on;",
    },
    Idle {
        settings: &["cgi_env", "cgi_timeout", "cgi_working_dir", "cgi_stderr"],
        needed: &[("cgi_pass", ""), ("cgi_extension", "")],
        add: "cgi_pass or cgi_extension",
    },
    Idle {
        settings: &["ssl_client_certificate", "ssl_verify_depth", "ssl_crl"],
        needed: &[("ssl_verify_client", "")],
        add: "ssl_verify_client on;",
    },
    Idle {
        settings: &["proxy_ssl_trusted_certificate", "proxy_ssl_verify_depth", "proxy_ssl_crl"],
        needed: &[("proxy_ssl_verify", "")],
        add: "proxy_ssl_verify on;",
    },
    Idle { settings: &["ssi_types", "ssi_silent_errors", "ssi_value_length"], needed: &[("ssi", "")], add: "ssi on;" },
    Idle {
        settings: &["limit_req_status", "limit_req_log_level"],
        needed: &[("limit_req", "")],
        add: "limit_req zone=NAME;",
    },
    Idle {
        settings: &["limit_conn_status", "limit_conn_log_level"],
        needed: &[("limit_conn", "")],
        add: "limit_conn ZONE N;",
    },
    Idle { settings: &["auth_request_set"], needed: &[("auth_request", "")], add: "auth_request URI;" },
    Idle {
        settings: &["auth_delay"],
        needed: &[("auth_basic", ""), ("auth_request", "")],
        add: "auth_basic and auth_basic_user_file",
    },
    Idle { settings: &["secure_link_md5"], needed: &[("secure_link", "")], add: "secure_link $arg_md5,$arg_expires;" },
    Idle { settings: &["resolver_timeout"], needed: &[("resolver", "")], add: "resolver ADDRESS;" },
    Idle { settings: &["upload_resumable_max_age"], needed: &[("upload_resumable", "")], add: "upload_resumable on;" },
    Idle {
        settings: &["charset_types", "override_charset", "source_charset"],
        needed: &[("charset", "")],
        add: "charset utf-8;",
    },
];

/// The settings of [`IDLE`].
const SETTINGS: &[&str] = &[
    "limit_rate_after",
    "delete_trash",
    "delete_recursive",
    "min_delete_depth",
    "autoindex_archive",
    "autoindex_format",
    "autoindex_localtime",
    "autoindex_search",
    "cgi_env",
    "cgi_timeout",
    "cgi_working_dir",
    "cgi_stderr",
    "ssl_client_certificate",
    "ssl_verify_depth",
    "ssl_crl",
    "proxy_ssl_trusted_certificate",
    "proxy_ssl_verify_depth",
    "proxy_ssl_crl",
    "ssi_types",
    "ssi_silent_errors",
    "ssi_value_length",
    "limit_req_status",
    "limit_req_log_level",
    "limit_conn_status",
    "limit_conn_log_level",
    "auth_request_set",
    "auth_delay",
    "secure_link_md5",
    "resolver_timeout",
    "upload_resumable_max_age",
    "charset_types",
    "override_charset",
    "source_charset",
];

impl Idle {
    fn is_turned_on_by(&self, d: &Directive) -> bool {
        let has =
            |word: &str| word.is_empty() || d.args.iter().any(|arg| arg.bytes().eq_ignore_ascii_case(word.as_bytes()));
        self.needed.iter().any(|(name, word)| d.name.is(name) && has(word))
    }
}

fn not_turned_on(cx: &RuleContext, found: &mut Vec<Finding>) {
    let name = cx.d.name.str();
    let Some(idle) = IDLE.iter().find(|idle| idle.settings.contains(&&*name)) else { return };
    let is_off = cx.d.args.iter().any(|word| word.is("off"));
    // A file of locations, or of servers, may be included where it is turned on.
    let is_part = !cx.blocks.iter().any(|block| block.name.is("http"));
    // An outer level that has the setting, too, has the warning.
    let is_said = cx.levels().skip(1).any(|level| level.has(&name));
    if is_off || is_part || is_said || !cx.is_whole || !cx.is_first(&name) || cx.levels.iter().any(|l| l.has("include"))
    {
        return;
    }
    // Once for several settings of one thing.
    if idle.settings.iter().filter_map(|name| cx.level().first(name)).min() != Some(cx.at) {
        return;
    }
    let around = |name: &str| cx.levels().filter_map(|level| level.first_of(name)).any(|d| idle.is_turned_on_by(d));
    if idle.needed.iter().any(|(name, _)| around(name)) || below(cx.level().all, |d| idle.is_turned_on_by(d)) {
        return;
    }
    let wanted =
        idle.needed.first().map(|(name, word)| if word.is_empty() { *name } else { *word }).unwrap_or_default();
    let message = format!("\"{name}\" does nothing: there is no {wanted}, here, around it or below");
    found.push(Finding::new(cx.d.span, message, format!("add {}, or leave the line out", idle.add)));
}

fn no_burst(cx: &RuleContext, found: &mut Vec<Finding>) {
    let begins = |word: &&Word, with: &str| word.bytes().starts_with(with.as_bytes());
    let Some(word) = cx.d.args.iter().find(|word| word.is("nodelay") || begins(word, "delay=")) else { return };
    if cx.is("limit_req") && !cx.d.args.iter().any(|word| begins(&word, "burst=")) {
        let message = format!("\"{}\" does nothing without burst: what exceeds the rate is refused", word.str());
        found.push(Finding::new(word.span, message, "say how many may exceed it: burst=20"));
    }
}

#[cfg(test)]
mod tests {
    use super::{IDLE, SETTINGS};

    #[test]
    fn the_settings_are_those_of_the_table() {
        let of_table: Vec<&str> = IDLE.iter().flat_map(|idle| idle.settings).copied().collect();
        assert_eq!(of_table, SETTINGS);
    }
}
