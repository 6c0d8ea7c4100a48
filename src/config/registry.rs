//! All rows together: finding a directive by name, guessing which was meant, and the reference manual.

use super::context::{Args, Contexts};
use super::directives::*;
use super::known::{self, KnownDirective, Support};
use super::row::{Origin, Row};
use super::{examples, suggest};
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

/// What a name is.
pub enum Definition {
    Row(&'static Row),
    Known(&'static KnownDirective),
}

impl Definition {
    pub fn contexts(&self) -> Contexts {
        match self {
            Definition::Row(row) => row.contexts,
            Definition::Known(known) => known.contexts,
        }
    }

    pub fn args(&self) -> Args {
        match self {
            Definition::Row(row) => row.args,
            Definition::Known(known) => known.args,
        }
    }
}

/// The rows of what is not implemented, of a name: several where several of nginx's modules have it in different places.
fn known(name: &str) -> impl Iterator<Item = &'static KnownDirective> {
    let from = known::ROWS.partition_point(|row| row.name < name);
    known::ROWS.get(from..).unwrap_or_default().iter().take_while(move |row| row.name == name)
}

/// The row that holds in one of `contexts`; else any, for "is not allowed here".
fn known_in(name: &str, contexts: Contexts) -> Option<&'static KnownDirective> {
    known(name).find(|row| row.contexts.intersects(contexts)).or_else(|| known(name).next())
}

/// Every name, for "did you mean".
fn known_names() -> impl Iterator<Item = &'static str> {
    known::ROWS.iter().map(|row| row.name)
}

/// Looks a directive up by name or alias; of several rows of a name (`server` in http and in upstream), the one for
/// `here` where there is one.
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

/// The directive that an unknown name was probably meant to be: one that may stand here before one that may not, and
/// those that do something before those that do not.
pub fn nearest(name: &str, here: Contexts) -> Option<&'static str> {
    let rows = rows().flat_map(|row| {
        let penalty = if row.contexts.intersects(here) { 0 } else { 1 };
        std::iter::once(row.name).chain(row.aliases.iter().copied()).map(move |name| (name, penalty))
    });
    let near = suggest::nearest_of(name, rows.chain(known_names().map(|name| (name, 2))));
    // A short word resembles much that has nothing to do with it.
    near.filter(|near| name.len() > 4 || find(near, here).is_some_and(|found| found.contexts().intersects(here)))
}

/// The same where `name` is one of another place (mail, stream): what may have been meant here.
pub fn twin(name: &str, here: Contexts) -> Option<&'static str> {
    let here = rows().filter(|row| row.contexts.intersects(here) && row.name != name);
    suggest::nearest(name, here.map(|row| row.name))
}

/// How the reference manual is written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Markup {
    /// Plain text.
    Text,
    Markdown,
}

/// The reference manual, from the rows.
pub fn reference(markup: Markup) -> String {
    let markdown = markup == Markup::Markdown;
    let br = if markdown { "  " } else { "" };
    use std::fmt::Write;
    let mut rows: Vec<&Row> = rows().collect();
    rows.sort_by_key(|row| row.name);
    let mut out = String::new();
    for row in rows {
        let class = if row.origin == Origin::Ours { "webserv's own" } else { "same as nginx" };
        let default = if row.default.is_empty() { "none" } else { row.default };
        let contexts: Vec<&str> = row.contexts.names().collect();
        let takes = row.args.describe();
        let block = if row.args.is_block() { ", then a block" } else { "" };
        let _ = if markdown { write!(out, "### `{}`\n\n", row.name) } else { writeln!(out, "{}", row.name) };
        let indent = if markdown { "" } else { "    " };
        if !row.aliases.is_empty() {
            let _ = writeln!(out, "{indent}also: {}{}", row.aliases.join(", "), br);
        }
        let _ = writeln!(out, "{indent}takes: {takes}{block}{}", br);
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
