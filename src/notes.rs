//! Notes on a configuration beside its errors: the warnings of `lint`, and files that are not there.

use std::path::Path;
use webserv::config::ast::Span;
use webserv::config::build::Form;
use webserv::config::error::{Diagnostic, Severity};
use webserv::server::lifecycle;
use webserv::server::reload::{ConfigSource, Read};
use webserv::tools::lint;

/// The warnings of `lint` beside those of the load, where it found no error.
pub fn add_warnings(config_source: &ConfigSource, read: &mut Read, on_this_machine: bool) {
    if read.diagnostics.has_errors() {
        return;
    }
    let warnings = lint::lint(&read.tree, &read.sources, Some(&paths(config_source, on_this_machine)));
    // What else is wrong may be why there is no server.
    let is_silence = |d: &Diagnostic| d.severity != Severity::Warn || d.code == Some("W212");
    let is_alone = read.diagnostics.iter().all(is_silence) && warnings.iter().all(is_silence);
    // Where a `;` is missing, the words before it are not what is meant, and what uses a name may have been swallowed.
    let ends: Vec<Span> = read.diagnostics.iter().filter(|d| d.says_missing_end()).filter_map(|d| d.span).collect();
    let follows = |d: &Diagnostic| {
        let is_before = |at: Span| ends.iter().any(|end| end.file == at.file && end.start == at.end);
        !ends.is_empty() && (d.code == Some("W026") || d.span.is_some_and(is_before))
    };
    let warnings = warnings.into_iter().filter(|d| !follows(d));
    for warning in warnings.filter(|d| is_alone || d.code != Some("W212")) {
        read.diagnostics.push(warning);
    }
    if is_alone {
        add_silence(read);
    }
    read.diagnostics.unite(&read.sources);
    read.diagnostics.sort();
}

/// Under nginx's flags a configuration may be tested where it is not served: that its directories and password files
/// are not here is a note.
pub fn add_absent(config_source: &ConfigSource, read: &mut Read) {
    if config_source.form == Form::Webserv || read.diagnostics.has_errors() {
        return;
    }
    let known: Vec<_> = read.diagnostics.iter().map(|d| (d.code, d.span)).collect();
    for mut note in lint::at_start(&read.tree, &read.sources, &paths(config_source, true)) {
        note.severity = Severity::Notice;
        if !known.contains(&(note.code, note.span)) {
            read.diagnostics.push(note);
        }
    }
    read.diagnostics.unite(&read.sources);
    read.diagnostics.sort();
}

/// What there is to say of files at every start, and that nothing would be listened on.
pub fn add_missing(config_source: &ConfigSource, read: &mut Read) {
    for warning in lint::at_start(&read.tree, &read.sources, &paths(config_source, true)) {
        read.diagnostics.push(warning);
    }
    add_silence(read);
    read.diagnostics.unite(&read.sources);
    read.diagnostics.sort();
}

/// What of the files the user that serves could not use. Under nginx's flags that may be another one than it seems
/// here.
pub fn missing_rights(config_source: &ConfigSource, read: &Read) -> Vec<String> {
    let config = read.config.as_ref().filter(|_| config_source.form == Form::Webserv);
    config.map(lifecycle::missing_rights).unwrap_or_default()
}

/// No port is opened, and no block of the configuration is the place to report it.
fn add_silence(read: &mut Read) {
    let is_silent = read.config.as_ref().is_some_and(|config| config.sockets.is_empty());
    if is_silent && !read.diagnostics.iter().any(|d| d.code == Some("W212")) {
        let what = Diagnostic::warn(None, "no listener: the configuration has no server");
        read.diagnostics.push(what.help("write one, as in: server { listen 8080; root /srv/www; }"));
    }
}

fn paths(config_source: &ConfigSource, on_this_machine: bool) -> lint::Paths {
    let file = config_source.prefix.join(&config_source.file);
    // A configuration that is in no file lies in no directory: none can be served with it.
    let is_in_file = config_source.text.is_none();
    let conf_dir = if is_in_file { file.parent().unwrap_or(&config_source.prefix) } else { Path::new("/") }.to_owned();
    lint::Paths { prefix: config_source.prefix.clone(), conf_dir, on_this_machine }
}
