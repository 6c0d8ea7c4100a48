//! The syntax lines of webserv's own directives, for the manual: capitals stand for values, `[…]` for what may be left
//! out, `…` for repetition, `|` for alternatives.

/// A directive's arguments. Flags have none here: all take `on | off`.
pub fn of(name: &str) -> Option<&'static str> {
    SYNOPSES.iter().find(|(known, _)| *known == name).map(|(_, args)| *args)
}

/// Sorted by name.
pub const SYNOPSES: &[(&str, &str)] = &[
    ("allowed_methods", "METHOD …"),
    ("api", "/status/[PART/]"),
    ("autoindex_archive", "zip | tar | off"),
    ("cgi_env", "NAME VALUE"),
    ("cgi_extension", "EXTENSION PROGRAM | EXTENSION on"),
    ("cgi_max_children", "NUMBER"),
    ("cgi_pass", "PROGRAM | on | off"),
    ("cgi_stderr", "log | off"),
    ("cgi_timeout", "TIME"),
    ("cgi_working_dir", "DIRECTORY"),
    ("delete_trash", "DIRECTORY [shown] | off"),
    ("drain_delay", "TIME"),
    ("health", ""),
    ("keepalive_glitches", "NUMBER"),
    ("listing_cache_size", "SIZE | off"),
    ("prometheus", "[all]"),
    ("repeat_cache_size", "SIZE"),
    ("signed_link", "FILE | off"),
    ("static_cache_size", "SIZE"),
    ("upload_extensions", "[!]EXTENSION …"),
    ("upload_filename", "original | random | time | NAME"),
    ("upload_limit_rate", "SIZE"),
    ("upload_max_file_size", "SIZE"),
    ("upload_max_files", "NUMBER"),
    ("upload_min_free", "SIZE | PERCENT% | off"),
    ("upload_names", "safe | any"),
    ("upload_on_duplicate", "error | overwrite | rename"),
    ("upload_quota", "SIZE [files=NUMBER] [shared] | off"),
    ("upload_resumable", "on | off | tus | rufh"),
    ("upload_resumable_max_age", "TIME"),
    ("upload_return", "CODE [TEXT] | CODE URI"),
    ("upload_serve", "attachment | inline"),
    ("upload_state_store", "DIRECTORY"),
    ("upload_store", "DIRECTORY | off"),
    ("upload_store_access", "USERS:PERMISSIONS …"),
    ("upload_types", "TYPE …"),
    ("upload_verify_digest", "on | off | require"),
    ("worker_memory_limit", "SIZE | off"),
];
