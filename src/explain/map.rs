//! `webserv explain CONF` without a request: the listeners, the servers of each, and their locations, in the order in
//! which they are tried.

use super::render::by_server;
use crate::config::model::{
    Config, ContentHandler, Endpoint, Location, LocationId, LocationKind, LocationTree, Server, ServerId,
};
use crate::config::pass_directives;
use crate::config::script::Op;
use crate::config::settings::proxy_pass::To;
use crate::config::sources::Sources;
use crate::config::template::{Part, Template};
use crate::exchange::Printable;
use crate::util::printable::visible;
use std::fmt::Write;

/// Columns before the position (`FILE:LINE`).
const WIDTH: usize = 60;

/// The text of the map.
pub fn map(config: &Config, sources: &Sources) -> String {
    let mut map = Map { config, sources, out: String::new() };
    for endpoint in &config.endpoints {
        map.endpoint(endpoint);
    }
    if config.endpoints.is_empty() {
        map.out.push_str("no listener\n");
    }
    map.out
}

struct Map<'c> {
    config: &'c Config,
    sources: &'c Sources,
    out: String,
}

impl Map<'_> {
    fn line(&mut self, depth: usize, text: &str, place: &str) {
        let text = format!("{:1$}{2}", "", 2 * depth, visible(text));
        let _ = writeln!(self.out, "{}", format!("{text:<WIDTH$}  {place}").trim_end());
    }

    fn endpoint(&mut self, endpoint: &Endpoint) {
        let words =
            [("ssl", endpoint.ssl.is_some()), ("http2", endpoint.http2), ("proxy_protocol", endpoint.proxy_protocol)];
        let words: String = words.iter().filter(|(_, on)| *on).map(|(word, _)| format!(" {word}")).collect();
        let place = self.sources.place(endpoint.span);
        self.line(0, &format!("listener {}{words}", endpoint.addr), &place);
        let mut names = by_server(endpoint);
        for id in endpoint.servers() {
            let names = names.remove(&id).map(|(text, _)| text).unwrap_or_default();
            self.server(endpoint, id, names);
        }
    }

    fn server(&mut self, endpoint: &Endpoint, id: ServerId, names: String) {
        let server = self.config.server(id);
        let names = if names.is_empty() || names == "\"\"" { "without a name".to_owned() } else { names };
        let default = if endpoint.default == id { " (default)" } else { "" };
        let what = self.answer(self.config.location(server.root));
        let place = self.sources.place(server.span);
        self.line(1, &format!("server {names}{default}{what}"), &place);
        self.tree(&server.tree, 2);
        self.named(server);
    }

    /// One level of locations: exact ones, then prefixes from the longest, then regexes in order.
    fn tree(&mut self, tree: &LocationTree, depth: usize) {
        let mut exact: Vec<LocationId> = tree.exact.values().copied().collect();
        exact.sort_by_key(|id| id.0);
        let mut prefixes: Vec<(usize, LocationId)> =
            tree.prefixes.iter().map(|entry| (entry.prefix.len(), entry.location)).collect();
        prefixes.sort_by_key(|(len, id)| (std::cmp::Reverse(*len), id.0));
        let regexes = tree.regexes.iter().map(|(_, id)| *id);
        for id in exact.into_iter().chain(prefixes.into_iter().map(|(_, id)| id)).chain(regexes) {
            self.location(id, depth);
        }
    }

    fn named(&mut self, server: &Server) {
        let mut named: Vec<LocationId> = server.named.values().copied().collect();
        named.sort_by_key(|id| id.0);
        for id in named {
            self.location(id, 2);
        }
    }

    fn location(&mut self, id: LocationId, depth: usize) {
        let location = self.config.location(id);
        let kind = match location.kind {
            LocationKind::Exact => "= ",
            LocationKind::PrefixFinal => "^~ ",
            LocationKind::Regex => "~ ",
            _ => "",
        };
        let internal = if location.internal { ", internal" } else { "" };
        let what = self.answer(location);
        let place = self.sources.place(location.span);
        self.line(depth, &format!("location {kind}{}{what}{internal}", Printable(&location.name)), &place);
        if let Some(tree) = &location.tree {
            self.tree(tree, depth + 1);
        }
    }

    /// What handles a location's requests.
    fn answer(&self, location: &Location) -> String {
        let returned = location.script.ops.iter().find_map(|op| match op {
            Op::Return { code, text } => Some(match text {
                Some(text) => format!(": return {code} {}", self.written(text)),
                None => format!(": return {code}"),
            }),
            _ => None,
        });
        if let Some(returned) = returned {
            return returned;
        }
        match location.content {
            ContentHandler::Proxy => match location.pass.as_ref().map(|pass| (&pass.to, pass.protocol)) {
                Some((To::Fixed { url, .. }, protocol)) => {
                    format!(": {} {}", pass_directives::name(protocol), Printable(url))
                }
                Some((To::Made(template), protocol)) => {
                    format!(": {} {}", pass_directives::name(protocol), self.written(template))
                }
                None => String::new(),
            },
            ContentHandler::Cgi => ": cgi".to_owned(),
            ContentHandler::EmptyGif => ": empty_gif".to_owned(),
            ContentHandler::StubStatus => ": stub_status".to_owned(),
            ContentHandler::Health => ": health".to_owned(),
            ContentHandler::Api(_) => ": api".to_owned(),
            ContentHandler::Prometheus => ": prometheus".to_owned(),
            ContentHandler::Files => {
                let files = &location.settings.files;
                let word = if files.alias.is_some() { "alias" } else { "root" };
                format!(": {word} {}", self.written(&files.root))
            }
        }
    }

    /// A template approximately as written, reassembled from its parts.
    fn written(&self, template: &Template) -> String {
        template
            .parts
            .iter()
            .map(|part| match part {
                Part::Literal(text) => Printable(text).to_string(),
                Part::Capture(group) => format!("${group}"),
                Part::Var(_) => "$…".to_owned(),
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::render::endpoints_sorted;
    use super::*;
    use crate::config::build::Form;
    use crate::config::load::{LoadOptions, load_text};
    use crate::config::resolve;
    use std::path::Path;

    #[test]
    fn the_names_of_an_endpoint_are_sorted_once_for_all_its_servers() {
        let servers: String = (0..50).map(|n| format!("server {{ listen 8080; server_name s{n}.test; }}\n")).collect();
        let mut loaded = load_text("x.conf", servers.as_bytes(), &LoadOptions::default());
        let resolved = resolve::resolve(&mut loaded, Path::new("/srv"), Form::Webserv, Vec::new(), None);
        let config = resolved.config.expect("a valid configuration");
        let before = endpoints_sorted();
        let text = map(&config, &loaded.sources);
        assert_eq!(text.matches(".test").count(), 50, "{text}");
        assert_eq!(endpoints_sorted() - before, 1);
    }
}
