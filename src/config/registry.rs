//! All rows together: finding a directive by name, guessing what was meant, and generating the reference manual.

use super::context::{Args, Contexts};
use super::directives::*;
use super::known::{self, KnownDirective, Support};
use super::row::{Provenance, Row};
use super::{examples, suggest, synopses};
use crate::util::hash::FastMap;
use std::sync::OnceLock;

/// Every row, subject by subject.
pub fn rows() -> impl Iterator<Item = &'static Row> {
    const TABLES: &[&[Row]] = &[
        process::ROWS,
        listen::ROWS,
        files::ROWS,
        client::ROWS,
        body::ROWS,
        headers::ROWS,
        errors::ROWS,
        logs::ROWS,
        access::ROWS,
        rewrite::ROWS,
        listing::ROWS,
        status_handlers::ROWS,
        upload::ROWS,
        upload_resumable::ROWS,
        map::ROWS,
        dav::ROWS,
        dav_ext::ROWS,
        charset::ROWS,
        gzip::ROWS,
        http2::ROWS,
        ssi::ROWS,
        ssl::ROWS,
        acme::ROWS,
        geo::ROWS,
        referer::ROWS,
        limits::ROWS,
        auth::ROWS,
        proxy::ROWS,
        proxy_pass::ROWS,
        proxy_response::ROWS,
        proxy_ssl::PROXY,
        proxy_ssl::UWSGI,
        gateway::FASTCGI,
        gateway::SCGI,
        gateway::UWSGI,
        gateway::ROWS,
        upstream_cache::PROXY,
        upstream_cache::FASTCGI,
        upstream_cache::SCGI,
        upstream_cache::UWSGI,
        upstream_cache::ROWS,
        upstream_store::PROXY,
        upstream_store::FASTCGI,
        upstream_store::SCGI,
        upstream_store::UWSGI,
        gateway_pass::ROWS,
        tunnel::ROWS,
        cgi::ROWS,
        resolver::ROWS,
        upstream::ROWS,
        realip::ROWS,
    ];
    TABLES.iter().copied().flatten()
}

/// What a directive's name refers to.
pub enum Definition {
    /// A directive of this program.
    Row(&'static Row),
    /// A directive of nginx that this program lacks.
    Known(&'static KnownDirective),
}

impl Definition {
    /// Where it may stand.
    pub fn contexts(&self) -> Contexts {
        match self {
            Definition::Row(row) => row.contexts,
            Definition::Known(known) => known.contexts,
        }
    }

    /// How many arguments it takes.
    pub fn args(&self) -> Args {
        match self {
            Definition::Row(row) => row.args,
            Definition::Known(known) => known.args,
        }
    }
}

/// The rows of a directive that is not implemented; several if several nginx modules have it in different contexts.
fn known(name: &str) -> impl Iterator<Item = &'static KnownDirective> {
    let from = known::ROWS.partition_point(|row| row.name < name);
    known::ROWS.get(from..).unwrap_or_default().iter().take_while(move |row| row.name == name)
}

/// The row for one of `contexts`; otherwise any, for "is not allowed here".
fn known_in(name: &str, contexts: Contexts) -> Option<&'static KnownDirective> {
    known(name).find(|row| row.contexts.intersects(contexts)).or_else(|| known(name).next())
}

/// All names, for "did you mean".
fn known_names() -> impl Iterator<Item = &'static str> {
    known::ROWS.iter().map(|row| row.name)
}

/// Finds a directive by name or alias. If several rows have the name (`server` in http and in upstream), prefers one
/// for `here`.
pub fn find(name: &str, here: Contexts) -> Option<Definition> {
    static INDEX: OnceLock<FastMap<&'static str, Vec<&'static Row>>> = OnceLock::new();
    let index = INDEX.get_or_init(|| {
        let mut index: FastMap<&'static str, Vec<&'static Row>> = FastMap::default();
        for row in rows() {
            for name in std::iter::once(row.name).chain(row.aliases.iter().copied()) {
                index.entry(name).or_default().push(row);
            }
        }
        index
    });
    match index.get(name) {
        Some(rows) => {
            let row = rows.iter().find(|row| row.contexts.intersects(here)).or(rows.first());
            row.map(|row| Definition::Row(row))
        }
        None => known_in(name, here).map(Definition::Known),
    }
}

/// The directive that an unknown name probably means: allowed here before not allowed here, implemented before ignored.
pub fn nearest(name: &str, here: Contexts) -> Option<&'static str> {
    let rows = rows().flat_map(|row| {
        let penalty = if row.contexts.intersects(here) { 0 } else { 1 };
        std::iter::once(row.name).chain(row.aliases.iter().copied()).map(move |name| (name, penalty))
    });
    let near = suggest::nearest_of(name, rows.chain(known_names().map(|name| (name, 2))));
    // Short words resemble many unrelated ones.
    near.filter(|near| name.len() > 4 || find(near, here).is_some_and(|found| found.contexts().intersects(here)))
}

/// As [`nearest`], for a `name` that exists in another context (mail, stream): a directive allowed here.
pub fn twin(name: &str, here: Contexts) -> Option<&'static str> {
    let here = rows().filter(|row| row.contexts.intersects(here) && row.name != name);
    suggest::nearest(name, here.map(|row| row.name))
}

/// The output format of the manual.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Markup {
    /// Plain text.
    Text,
    /// Markdown, as in docs.
    Markdown,
}

/// The sentence in a directive's documentation about how nginx differs if the directive is present. Differences if it
/// is absent (its default) do not count.
pub fn difference(doc: &str) -> Option<&str> {
    let sentence = doc.split_inclusive(". ").find(|sentence| {
        let is_default =
            ["Without it", "without it", "by default", "unless it is"].iter().any(|word| sentence.contains(word));
        !is_default
            && ["(nginx:", "nginx does not", "unlike nginx", "where nginx", "nginx has nothing"]
                .iter()
                .any(|word| sentence.contains(word))
    })?;
    Some(sentence.trim().trim_end_matches('.'))
}

/// Generates the reference manual from the rows.
pub fn reference(markup: Markup) -> String {
    let markdown = markup == Markup::Markdown;
    let br = if markdown { "  " } else { "" };
    use std::fmt::Write;
    let mut rows: Vec<&Row> = rows().collect();
    rows.sort_by_key(|row| row.name);
    let mut out = String::new();
    for row in rows {
        let class = match row.provenance {
            Provenance::Ours => "webserv's own",
            _ if difference(row.doc).is_some() => "nginx's, with a difference",
            _ => "same as nginx",
        };
        let default = if row.default.is_empty() { "none" } else { row.default };
        let contexts: Vec<&str> = row.contexts.names().collect();
        let _ = if markdown { write!(out, "### `{}`\n\n", row.name) } else { writeln!(out, "{}", row.name) };
        let indent = if markdown { "" } else { "    " };
        if !row.aliases.is_empty() {
            let _ = writeln!(out, "{indent}also: {}{}", row.aliases.join(", "), br);
        }
        let _ = writeln!(out, "{indent}{}{br}", arguments(row, markdown));
        let _ =
            writeln!(out, "{indent}default: {}{}", if markdown { format!("`{default}`") } else { default.into() }, br);
        let _ = writeln!(out, "{indent}where: {}{}", contexts.join(", "), br);
        let _ = writeln!(out, "{indent}class: {class}{}", br);
        if let Some(example) = examples::of(row.name).filter(|_| !row.contexts.intersects(Contexts::UPSTREAM)) {
            let example = if markdown { format!("`{example}`") } else { example };
            let _ = writeln!(out, "{indent}example: {example}{}", br);
        }
        let _ = writeln!(out, "{indent}{}\n", row.doc);
    }
    for (is_refused, title) in [(false, "Accepted and ignored"), (true, "Refused with a reason")] {
        let _ = writeln!(out, "{}{title}\n", if markdown { "## " } else { "" });
        let mut names: Vec<&str> = known_names().collect();
        names.sort_unstable();
        names.dedup();
        let known = names.into_iter().filter_map(|name| match find(name, Contexts::ANY) {
            Some(Definition::Known(known)) if matches!(known.verdict, Support::Refused(_)) == is_refused => Some(known),
            _ => None,
        });
        for k in known {
            let (Support::Ignored(why) | Support::Refused(why)) = k.verdict;
            let _ = if markdown {
                writeln!(out, "- `{}` ({}): {}", k.name, k.module, why)
            } else {
                writeln!(out, "    {} ({}): {}", k.name, k.module, why)
            };
        }
        out.push('\n');
    }
    out
}

/// The syntax line of a directive; without one, how many arguments it takes.
fn arguments(row: &Row, markdown: bool) -> String {
    let args = if row.args.is_flag() { Some("on | off") } else { synopses::of(row.name) };
    let Some(args) = args else {
        let block = if row.args.is_block() { ", then a block" } else { "" };
        return format!("takes: {}{block}", row.args.describe());
    };
    let line = format!("{} {args}", row.name);
    let quote = if markdown { "`" } else { "" };
    format!("syntax: {quote}{};{quote}", line.trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_is_named_once_and_documented() {
        let mut seen: Vec<(&str, Contexts)> = Vec::new();
        for row in rows() {
            for name in std::iter::once(&row.name).chain(row.aliases) {
                let twice = seen.iter().any(|(other, contexts)| other == name && contexts.intersects(row.contexts));
                assert!(!twice, "{name} has two rows");
                seen.push((*name, row.contexts));
            }
            assert!(row.doc.len() > 20 && row.doc.ends_with('.'), "{} needs a sentence", row.name);
            assert!(!row.contexts.is_empty(), "{} stands nowhere", row.name);
        }
    }

    #[test]
    fn each_directive_of_our_own_has_a_syntax_line_that_its_row_allows() {
        assert!(synopses::SYNOPSES.is_sorted_by_key(|(name, _)| *name));
        for row in rows().filter(|row| row.provenance == Provenance::Ours && !row.args.is_flag()) {
            let synopsis = synopses::of(row.name).unwrap_or_else(|| panic!("{} has no syntax line", row.name));
            for alternative in synopsis.split(" | ").filter(|_| !synopsis.is_empty()) {
                let words: Vec<&str> = alternative.split(' ').filter(|word| *word != "…").collect();
                let needed = words.iter().filter(|word| !word.starts_with('[') || !word.ends_with(']')).count();
                assert!(row.args.accepts(words.len()) && row.args.accepts(needed), "{}: {alternative}", row.name);
            }
            assert!(!synopsis.is_empty() || row.args.accepts(0), "{}", row.name);
        }
        for (name, _) in synopses::SYNOPSES {
            assert!(
                rows().any(|row| row.name == *name && row.provenance == Provenance::Ours),
                "{name} is no directive"
            );
        }
    }

    #[test]
    fn examples_are_sorted_and_of_directives() {
        assert!(examples::EXAMPLES.is_sorted_by_key(|(name, _)| *name));
        for (name, args) in examples::EXAMPLES {
            let found = find(name, Contexts::HTTP).unwrap_or_else(|| panic!("{name} is no directive"));
            assert_eq!(args.ends_with('}'), found.args().is_block(), "{name}");
        }
        assert_eq!(examples::of("root").as_deref(), Some("root /srv/www;"));
        assert_eq!(examples::of("events").as_deref(), Some("events { … }"));
    }

    #[test]
    fn rows_of_what_is_not_implemented_are_sorted_and_complete() {
        assert!(known::ROWS.is_sorted_by_key(|row| row.name));
        for row in known::ROWS {
            let (Support::Ignored(why) | Support::Refused(why)) = row.verdict;
            assert!(!row.contexts.is_empty() && !why.is_empty() && row.module.starts_with("ngx_"), "{}", row.name);
            assert!(
                rows().all(|own| own.name != row.name),
                "{} is implemented: strike its row out in known.rs",
                row.name
            );
            let same = |other: &&KnownDirective| other.contexts == row.contexts && other.module == row.module;
            assert_eq!(known(row.name).filter(same).count(), 1, "{} twice", row.name);
        }
    }

    #[test]
    fn names_have_the_verdict_of_the_design() {
        for (name, refused) in [
            ("types_hash_max_size", false),
            ("ssl_dhparam", false),
            ("proxy_send_lowat", false),
            ("ssl_ocsp", true),
            ("http3", true),
            ("perl", true),
            ("image_filter", true),
            ("sub_filter", true),
            ("add_before_body", true),
            ("stream", true),
            ("ssl_preread", true),
        ] {
            let found = known(name).next().map(|row| matches!(row.verdict, Support::Refused(_)));
            assert_eq!(found, Some(refused), "{name}");
        }
        assert_eq!(known("rot").count(), 0);
    }

    #[test]
    fn one_name_in_two_places_has_two_rows() {
        assert!(known_in("proxy_socket_rcvbuf", Contexts::STREAM).is_some_and(|row| row.contexts == Contexts::STREAM));
        assert!(known_in("proxy_socket_rcvbuf", Contexts::HTTP).is_some_and(|row| row.contexts == Contexts::HSL));
    }
}
