//! The directives webserv implements: one file per subject, each with its settings (defaults are nginx's unless
//! the row says otherwise) and its rows. No request-time behaviour here.

pub mod access;
pub mod auth;
pub mod body;
pub mod cgi;
pub mod charset;
pub mod client;
pub mod dav;
pub mod elsewhere;
pub mod errors;
pub mod files;
pub mod gateway;
pub mod gateway_pass;
pub mod geo;
pub mod gzip;
pub mod headers;
pub mod http2;
pub mod ignored;
pub mod ignored_upstream;
pub mod known;
pub mod limits;
pub mod listen;
pub mod listing;
pub mod logs;
pub mod map;
pub mod process;
pub mod proxy;
pub mod proxy_pass;
pub mod proxy_response;
pub mod proxy_ssl;
pub mod realip;
pub mod referer;
pub mod refused;
pub mod resolver;
pub mod rewrite;
pub mod ssi;
pub mod ssl;
pub mod status_handlers;
pub mod syslog;
pub mod upload;
pub mod upload_resumable;
pub mod upstream;
pub mod upstream_drafts;
pub mod upstream_dynamic;
pub mod upstream_ring;

use super::context::{Args, Contexts};
use super::table::{Effect, Origin, Row};

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
        charset::ROWS,
        gzip::ROWS,
        http2::ROWS,
        ssi::ROWS,
        ssl::ROWS,
        geo::ROWS,
        referer::ROWS,
        limits::ROWS,
        auth::ROWS,
        proxy::ROWS,
        proxy_pass::ROWS,
        proxy_response::ROWS,
        proxy_ssl::ROWS,
        gateway::FASTCGI,
        gateway::SCGI,
        gateway::UWSGI,
        gateway::ROWS,
        gateway_pass::ROWS,
        cgi::ROWS,
        resolver::ROWS,
        upstream::ROWS,
        realip::ROWS,
    ];
    TABLES.iter().copied().flatten()
}

/// `http`, `server`, `location` and `if` inside a location.
const HSLI: Contexts = Contexts::HSL.or(Contexts::IF_LOCATION);
/// `server` and `location`.
const SL: Contexts = Contexts::SERVER.or(Contexts::LOCATION);
/// `http` and `server`.
const HS: Contexts = Contexts::HTTP.or(Contexts::SERVER);

const fn row(
    name: &'static str,
    contexts: Contexts,
    args: Args,
    default: &'static str,
    effect: Effect,
    doc: &'static str,
) -> Row {
    Row { name, aliases: &[], contexts, args, default, origin: Origin::Nginx, effect, doc }
}

impl Row {
    /// The directive is webserv's own, not nginx's.
    const fn ours(self) -> Row {
        Row { origin: Origin::Ours, ..self }
    }

    const fn also(self, aliases: &'static [&'static str]) -> Row {
        Row { aliases, ..self }
    }
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
}
