//! What nginx lets the directives say that are ignored here: a value that it refuses is refused, so that a
//! configuration that is right here is right there.
//!
//! Invariant: names of [`super::known`] only; a directive that is not listed takes any words, any number of times.

use super::argument::{invalid, number, offset, size, time, wrong};
use super::ast::Directive;
use super::fault::Fault;
use super::suggest;
use super::value::{self, Millis, Size, ValueError};

/// The words that a directive takes. All but [`Form::Words`] may stand once at a level.
#[derive(Clone, Copy, Debug)]
enum Form {
    Any,
    Number,
    /// From 1 on.
    Positive,
    Size,
    /// A size that nginx can make a pool of.
    Pool,
    Offset,
    /// `off`, or a size.
    OffOrOffset,
    Millis,
    Seconds,
    /// One of these sizes.
    OneSize(&'static [u64]),
    /// A size, and the least that it may be.
    SizeFrom(u64),
    /// A number of buffers and the size of each.
    Buffers,
    /// One of these, or of those that end in `=`, with a value.
    Choice(&'static [&'static str]),
    /// Each word is one of these.
    Words(&'static [&'static str]),
    /// Statuses or `any`, and a time.
    Valid,
    /// `off`, or `max=N` among others: these.
    Cache(&'static [&'static str]),
    /// A directory, and a zone for the keys among others.
    CachePath,
    /// A directory, and up to three levels of directories in it.
    TempPath,
    /// A name of a browser and a version, or `unlisted`.
    Browser,
}

/// What a cache of files keeps, and for how long.
const KEPT: &[&str] = &["max", "inactive"];
const KEPT_VALID: &[&str] = &["max", "inactive", "valid"];
const BROWSERS: &[&str] = &["msie", "gecko", "opera", "safari", "konqueror"];
/// Parameters of a cache's path by what they hold.
const CACHE_NUMBERS: &[&str] = &["loader_files", "manager_files"];
const CACHE_TIMES: &[&str] = &["loader_sleep", "loader_threshold", "manager_sleep", "manager_threshold"];
const CACHE_SIZES: &[&str] = &["max_size", "min_free"];

const STALE: &[&str] = &[
    "error",
    "timeout",
    "invalid_header",
    "updating",
    "http_500",
    "http_502",
    "http_503",
    "http_504",
    "http_403",
    "http_404",
    "http_429",
    "off",
];
const NEXT: &[&str] = &[
    "error",
    "timeout",
    "denied",
    "invalid_header",
    "invalid_response",
    "not_found",
    "non_idempotent",
    "http_500",
    "http_502",
    "http_503",
    "http_504",
    "http_403",
    "http_404",
    "http_429",
    "updating",
    "off",
];

#[rustfmt::skip]
const FORMS: &[(Form, &[&str])] = &[
    (Form::Millis, &["accept_mutex_delay", "fastcgi_cache_lock_age", "fastcgi_cache_lock_timeout",
        "grpc_connect_timeout", "grpc_next_upstream_timeout", "grpc_read_timeout", "grpc_send_timeout",
        "keepalive_min_timeout", "memcached_connect_timeout", "memcached_next_upstream_timeout",
        "memcached_read_timeout", "memcached_send_timeout", "proxy_cache_lock_age", "proxy_cache_lock_timeout",
        "scgi_cache_lock_age", "scgi_cache_lock_timeout", "timer_resolution",
        "uwsgi_cache_lock_age",
        "uwsgi_cache_lock_timeout"]),
    (Form::Seconds, &["open_file_cache_valid"]),
    (Form::Offset, &["directio_alignment", "fastcgi_cache_max_range_offset", "proxy_cache_max_range_offset",
        "scgi_cache_max_range_offset", "slice", "uwsgi_cache_max_range_offset", "worker_rlimit_core"]),
    (Form::OffOrOffset, &["directio"]),
    (Form::Pool, &["connection_pool_size", "request_pool_size"]),
    (Form::Size, &["fastcgi_max_temp_file_size", "fastcgi_send_lowat",
        "fastcgi_socket_rcvbuf", "fastcgi_socket_sndbuf", "fastcgi_temp_file_write_size", "grpc_buffer_size",
        "grpc_socket_rcvbuf", "grpc_socket_sndbuf", "http2_pool_size", "memcached_buffer_size", "postpone_gzipping", "postpone_output",
        "proxy_max_temp_file_size", "proxy_send_lowat", "proxy_socket_rcvbuf", "proxy_socket_sndbuf",
        "proxy_temp_file_write_size", "read_ahead", "scgi_max_temp_file_size",
        "scgi_socket_rcvbuf", "scgi_socket_sndbuf", "scgi_temp_file_write_size", "send_lowat", "sendfile_max_chunk",
        "tunnel_send_lowat", "tunnel_socket_rcvbuf", "tunnel_socket_sndbuf",
        "uwsgi_max_temp_file_size", "uwsgi_socket_rcvbuf", "uwsgi_socket_sndbuf", "uwsgi_temp_file_write_size"]),
    (Form::OneSize(&[512, 1 << 10, 2 << 10, 4 << 10, 8 << 10, 16 << 10, 32 << 10]), &["gzip_window"]),
    (Form::OneSize(&[512, 1 << 10, 2 << 10, 4 << 10, 8 << 10, 16 << 10, 32 << 10, 64 << 10, 128 << 10]),
        &["gzip_hash"]),
    (Form::SizeFrom(32), &["http2_recv_buffer_size"]),
    (Form::Number, &["epoll_events", "fastcgi_cache_min_uses", "grpc_next_upstream_tries", "grpc_ssl_verify_depth",
        "memcached_gzip_flag", "memcached_next_upstream_tries", "open_file_cache_min_uses", "proxy_cache_min_uses",
        "scgi_cache_min_uses", "userid_service", "uwsgi_cache_min_uses",
        "worker_aio_requests"]),
    (Form::Positive, &["http2_streams_index_size", "proxy_headers_hash_bucket_size", "proxy_headers_hash_max_size",
        "types_hash_bucket_size", "types_hash_max_size", "variables_hash_bucket_size", "variables_hash_max_size"]),
    (Form::Buffers, &["gunzip_buffers", "gzip_buffers", "output_buffers"]),
    (Form::Choice(&["on", "off", "threads", "threads="]), &["aio"]),
    (Form::Choice(&["epoll", "poll", "select"]), &["use"]),
    (Form::Choice(&["stop", "abort"]), &["debug_points"]),
    (Form::Choice(&["on", "off"]), &["accept_mutex", "aio_write", "fastcgi_cache_background_update",
        "fastcgi_cache_lock", "fastcgi_cache_revalidate", "grpc_intercept_errors", "grpc_socket_keepalive",
        "grpc_ssl_server_name", "grpc_ssl_session_reuse", "grpc_ssl_verify", "gzip_no_buffer",
        "memcached_socket_keepalive", "mirror_request_body", "msie_padding", "multi_accept",
        "open_file_cache_errors", "open_file_cache_events", "pcre_jit", "proxy_cache_background_update",
        "proxy_cache_lock", "proxy_cache_revalidate", "scgi_cache_background_update", "scgi_cache_lock",
        "scgi_cache_revalidate", "ssl_certificate_compression", "ssl_object_cache_inheritable",
        "ssl_stapling", "ssl_stapling_verify", "sub_filter_last_modified", "sub_filter_once",
        "uwsgi_cache_background_update", "uwsgi_cache_lock", "uwsgi_cache_revalidate",
        ]),
    (Form::Words(STALE), &["fastcgi_cache_use_stale", "proxy_cache_use_stale", "scgi_cache_use_stale",
        "uwsgi_cache_use_stale"]),
    (Form::Words(NEXT), &["grpc_next_upstream", "memcached_next_upstream"]),
    (Form::Valid, &["fastcgi_cache_valid", "proxy_cache_valid", "scgi_cache_valid", "uwsgi_cache_valid"]),
    (Form::Cache(KEPT), &["open_file_cache"]),
    (Form::Cache(KEPT_VALID), &["grpc_ssl_certificate_cache", "proxy_ssl_certificate_cache",
        "ssl_certificate_cache", "uwsgi_ssl_certificate_cache"]),
    (Form::CachePath, &["fastcgi_cache_path", "proxy_cache_path", "scgi_cache_path", "uwsgi_cache_path"]),
    (Form::TempPath, &["fastcgi_temp_path", "proxy_temp_path", "scgi_temp_path", "uwsgi_temp_path"]),
    (Form::Browser, &["modern_browser"]),
    (Form::Any, &["fastcgi_cache_key", "grpc_bind", "grpc_ssl_certificate",
        "grpc_ssl_certificate_key", "grpc_ssl_ciphers", "grpc_ssl_crl", "grpc_ssl_name",
        "grpc_ssl_trusted_certificate", "lock_file", "memcached_bind", "proxy_cache_key", 
        "scgi_cache_key", "ssl_dhparam", "ssl_ocsp_cache", "ssl_ocsp_responder",
        "ssl_stapling_responder", "userid_domain", "userid_expires", "userid_mark", "userid_name",
        "userid_p3p", "userid_path", "uwsgi_cache_key",
        "uwsgi_string",
        "worker_cpu_affinity", "worker_processes", "working_directory"]),
];

fn form(name: &str) -> Option<Form> {
    FORMS.iter().find(|(_, names)| names.contains(&name)).map(|(form, _)| *form)
}

/// The directive may stand once at a level.
pub fn is_single(name: &str) -> bool {
    form(name).is_some_and(|form| !matches!(form, Form::Words(_) | Form::Valid | Form::CachePath | Form::Browser))
}

/// What is wrong with the words of an ignored directive, by nginx's rules.
pub fn check(d: &Directive) -> Result<(), Fault> {
    let Some(form) = form(&d.name.str()) else { return Ok(()) };
    match form {
        Form::Any => {}
        Form::Number => drop(number(d, 0)?),
        Form::Positive => {
            if number(d, 0)? == 0 {
                return Err(invalid(d, 0));
            }
        }
        Form::Size => drop(size(d, 0)?),
        Form::Pool => {
            let size = size(d, 0)?.0;
            if size < 112 {
                return Err(Fault::new(d.args[0].span, "the pool size must be no less than 112"));
            }
            if size % 16 != 0 {
                return Err(Fault::new(d.args[0].span, "the pool size must be a multiple of 16"));
            }
        }
        Form::OffOrOffset if d.args[0].is("off") => {}
        Form::Offset | Form::OffOrOffset => drop(offset(d, 0)?),
        Form::Millis => drop(time(d, 0)?),
        Form::Seconds => drop(Millis::parse_seconds(d.args[0].bytes()).map_err(|e| wrong(d, 0, e))?),
        Form::OneSize(sizes) => {
            let size = size(d, 0)?.0;
            if !sizes.contains(&size) {
                return Err(invalid(d, 0));
            }
        }
        Form::SizeFrom(least) => {
            if size(d, 0)?.0 < least {
                return Err(wrong(d, 0, ValueError::new("value is too small")));
            }
        }
        Form::Buffers => {
            if number(d, 0)? == 0 || size(d, 1)?.0 == 0 {
                return Err(invalid(d, 0));
            }
        }
        Form::Choice(words) => one_of(d, 0, words)?,
        Form::Words(words) => (0..d.args.len()).try_for_each(|at| one_of(d, at, words))?,
        Form::Valid => {
            let last = d.args.len() - 1;
            Millis::parse_seconds(d.args[last].bytes()).map_err(|e| wrong(d, last, e))?;
            for (at, word) in d.args[..last].iter().enumerate() {
                let status = value::number(word.bytes(), 599).is_ok_and(|status| status >= 100);
                if !status && !word.is("any") {
                    return Err(invalid(d, at));
                }
            }
        }
        Form::Cache(_) if d.args[0].is("off") => {}
        Form::Cache(keys) => kept(d, keys)?,
        Form::CachePath => cache_path(d)?,
        Form::TempPath => {
            for at in 1..d.args.len() {
                if !matches!(number(d, at)?, 1..=3) {
                    return Err(wrong(d, at, ValueError::new("invalid value")));
                }
            }
        }
        Form::Browser => browser(d)?,
    }
    Ok(())
}

/// `max=N` and what else a cache of files may say.
fn kept(d: &Directive, keys: &[&str]) -> Result<(), Fault> {
    let mut most = false;
    for (at, word) in d.args.iter().enumerate() {
        let text = word.str();
        let known = text.split_once('=').filter(|(key, _)| keys.contains(key));
        let is_right = match known {
            Some(("max", n)) => {
                most = true;
                value::number(n.as_bytes(), u64::MAX).is_ok_and(|n| n > 0)
            }
            Some((_, time)) => Millis::parse_seconds(time.as_bytes()).is_ok(),
            None => false,
        };
        if !is_right {
            let (key, value) = text.split_once('=').unwrap_or((&text, ""));
            let near = suggest::nearest(key, keys.iter().copied()).filter(|near| *near != key);
            let fault = parameter(d, at);
            return Err(match near {
                Some(near) => fault.help(format!("did you mean \"{near}={value}\"?")),
                None => fault.help(format!("as in: {} max=1000 inactive=20s;", d.name.str())),
            });
        }
    }
    match most {
        true => Ok(()),
        false => {
            let error = ValueError::new("must have the \"max\" parameter");
            Err(wrong(d, 0, error.help(format!("as in: {} max=1000 inactive=20s;", d.name.str()))))
        }
    }
}

fn cache_path(d: &Directive) -> Result<(), Fault> {
    let mut zone = false;
    for (at, word) in d.args.iter().enumerate().skip(1) {
        let text = word.str();
        let (key, held) = text.split_once('=').ok_or_else(|| parameter(d, at))?;
        let bytes = held.as_bytes();
        let is_right = match key {
            "levels" => {
                let levels: Vec<&str> = held.split(':').collect();
                levels.len() <= 3 && levels.iter().all(|level| matches!(*level, "1" | "2"))
            }
            "keys_zone" => {
                let parted = held.split_once(':').filter(|(name, _)| !name.is_empty());
                zone = parted.is_some();
                // nginx's zones hold eight pages or more.
                parted.is_none_or(|(_, size)| Size::parse(size.as_bytes()).is_ok_and(|size| size.0 >= 32 << 10))
            }
            "use_temp_path" => matches!(held, "on" | "off"),
            "inactive" => Millis::parse_seconds(bytes).is_ok(),
            key if CACHE_SIZES.contains(&key) => Size::parse_offset(bytes).is_ok(),
            key if CACHE_NUMBERS.contains(&key) => value::number(bytes, u64::MAX).is_ok(),
            key if CACHE_TIMES.contains(&key) => Millis::parse(bytes).is_ok(),
            _ => false,
        };
        if !is_right {
            return Err(parameter(d, at));
        }
    }
    match zone {
        true => Ok(()),
        false => {
            let text = format!("\"{}\" must have \"keys_zone\" parameter", d.name.str());
            Err(Fault::new(d.span, text).help("keys_zone=name:10m"))
        }
    }
}

fn browser(d: &Directive) -> Result<(), Fault> {
    let name = d.args[0].str();
    if d.args.len() == 1 {
        return match &*name {
            "unlisted" => Ok(()),
            _ => Err(invalid(d, 0)),
        };
    }
    if !BROWSERS.contains(&&*name) {
        return Err(Fault::new(d.args[0].span, format!("unknown browser name \"{name}\"")));
    }
    let version = d.args[1].str();
    let is_part = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    if version.split('.').count() > 4 || !version.trim_end_matches('.').split('.').all(is_part) {
        return Err(Fault::new(d.args[1].span, format!("invalid browser version \"{version}\"")));
    }
    Ok(())
}

fn parameter(d: &Directive, at: usize) -> Fault {
    Fault::new(d.args[at].span, format!("invalid \"{}\" parameter \"{}\"", d.name.str(), d.args[at].str()))
}

fn one_of(d: &Directive, at: usize, words: &[&str]) -> Result<(), Fault> {
    let text = d.args[at].str().to_ascii_lowercase();
    match words.iter().any(|word| *word == text || word.ends_with('=') && text.starts_with(word)) {
        true => Ok(()),
        false => Err(invalid(d, at).help(match words {
            ["on", "off"] => "write `on` or `off`".to_owned(),
            words => suggest::one_of(&text, words),
        })),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::known;

    #[test]
    fn every_name_is_of_a_known_directive() {
        let mut names: Vec<&str> = FORMS.iter().flat_map(|(_, names)| names.iter().copied()).collect();
        for name in &names {
            assert!(known::ROWS.iter().any(|row| row.name == *name), "{name}");
        }
        names.sort_unstable();
        let count = names.len();
        names.dedup();
        assert_eq!(names.len(), count, "each name once");
    }
}
