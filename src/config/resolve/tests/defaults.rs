//! A directive's default stands twice: as text in its row, for readers, and as a value, which requests use.

use crate::config::build::{Form, LocationDraft, Scope};
use crate::config::context::Contexts;
use crate::config::load::{LoadOptions, load_text};
use crate::config::registry;
use crate::config::resolve::remedy::example;
use crate::config::row::Row;
use crate::config::settings::Settings;
use crate::config::settings::listen::ServerDraft;
use crate::config::settings::proxy::ProxySettings;
use crate::config::settings::upstream::Upstream;
use crate::config::value::Size;
use std::collections::BTreeMap;
use std::path::Path;

/// Defaults that are made later, of other settings or where nothing is set at any level.
const MADE_LATER: [&str; 27] = [
    "access_log",
    "allowed_methods",
    "client_body_temp_path",
    "error_log",
    "fastcgi_busy_buffers_size",
    "keepalive",
    "listen",
    "pid",
    "proxy_busy_buffers_size",
    "proxy_redirect",
    "proxy_set_header",
    "proxy_ssl_name",
    "resolver_timeout",
    "scgi_busy_buffers_size",
    "server_name",
    "fastcgi_max_temp_file_size",
    "fastcgi_temp_file_write_size",
    "proxy_max_temp_file_size",
    "proxy_temp_file_write_size",
    "scgi_max_temp_file_size",
    "scgi_temp_file_write_size",
    "uwsgi_max_temp_file_size",
    "uwsgi_temp_file_write_size",
    "upload_serve",
    "user",
    "uwsgi_busy_buffers_size",
    "ssl_prefer_server_ciphers",
];

/// No limit, as if the line was not there.
const ZERO_IS_NONE: [&str; 7] = [
    "fastcgi_limit_rate",
    "limit_rate",
    "limit_rate_after",
    "proxy_limit_rate",
    "scgi_limit_rate",
    "upload_limit_rate",
    "uwsgi_limit_rate",
];

/// What a level is made of, after these lines; places in the file are left out.
fn level(context: Contexts, text: &str) -> Result<String, String> {
    let mut loaded = load_text("x.conf", text.as_bytes(), &LoadOptions::default());
    let tree = std::mem::take(&mut loaded.directives);
    let mut build = super::super::begin(&mut loaded, &tree, Path::new("/srv"), Form::Webserv, Vec::new());
    build.bare = false;
    let mut scope = Scope::new(context, Settings::default(), LocationDraft::default());
    build.defaults(&mut scope.settings, None);
    if context.intersects(Contexts::HTTP.or(Contexts::SERVER)) {
        scope.server = Some(ServerDraft::default());
    }
    scope.upstream = Some(Upstream::named("group"));
    build.level(&mut scope, &tree);
    if build.diagnostics.has_errors() {
        return Err(format!("{:?}", build.diagnostics));
    }
    scope.settings.limiting = Default::default();
    let (settings, process) = (&scope.settings, &build.process);
    let all = format!("{settings:?} {process:?} {:?} {:?} {:?}", scope.server, scope.upstream, scope.issuer);
    Ok(without_places(all))
}

/// With None for each place.
fn without_places(mut text: String) -> String {
    while let Some(start) = text.find("Some(Span {") {
        let end = text[start..].find("})").map_or(text.len(), |at| start + at + 2);
        text.replace_range(start..end, "None");
    }
    text
}

/// A level where the directive may stand.
fn context_of(row: &Row) -> Option<Contexts> {
    let levels =
        [Contexts::LOCATION, Contexts::SERVER, Contexts::HTTP, Contexts::UPSTREAM, Contexts::EVENTS, Contexts::MAIN];
    levels.into_iter().chain([Contexts::ACME_ISSUER]).find(|level| row.contexts.intersects(*level))
}

fn holds(row: &Row) -> Result<(), String> {
    let context = context_of(row).ok_or("it stands nowhere")?;
    match level(context, &format!("{} {};", row.name, row.default))? == level(context, "")? {
        true => Ok(()),
        false => Err("another value holds without the line".to_owned()),
    }
}

#[test]
fn a_default_in_the_manual_is_the_one_that_holds() {
    let exceptions = [&MADE_LATER[..], &ZERO_IS_NONE].concat();
    let mut wrong = BTreeMap::new();
    for row in registry::rows().filter(|row| !row.default.is_empty()) {
        if let Err(why) = holds(row) {
            wrong.insert(row.name, format!("{}: {why}", row.default));
        }
    }
    for name in exceptions {
        assert!(wrong.remove(name).is_some(), "{name}: no exception is needed");
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// Errors that only a whole configuration can avoid: what a line names is defined elsewhere, or is a file.
const NEED_MORE: [&str; 5] =
    ["access_log", "include", "proxy_ssl_password_file", "ssl_password_file", "uwsgi_ssl_password_file"];

/// "upload_return 201 and the list of files;" was offered as a line to write.
#[test]
fn every_line_offered_as_an_example_is_accepted() {
    let mut wrong = BTreeMap::new();
    for row in registry::rows().filter(|row| !row.args.is_block()) {
        let (Some(line), Some(context)) = (example(row.name, row.args), context_of(row)) else { continue };
        if let Err(why) = level(context, &line) {
            wrong.insert(row.name, format!("{line}: {why}"));
        }
    }
    for name in NEED_MORE {
        assert!(wrong.remove(name).is_some(), "{name}: no exception is needed");
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn the_manuals_sizes_of_temporary_files_are_those_that_hold() {
    let settings = ProxySettings::default();
    for module in ["proxy", "fastcgi", "scgi", "uwsgi"] {
        for (what, holds) in
            [("temp_file_write_size", settings.temp_write_size()), ("max_temp_file_size", settings.temp_most())]
        {
            let name = format!("{module}_{what}");
            let row = registry::rows().find(|row| row.name == name).expect("each module has both");
            assert_eq!(Size::parse(row.default.as_bytes()).map(|size| size.0), Ok(holds), "{name}");
        }
    }
}
