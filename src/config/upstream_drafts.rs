//! Upstream groups while the configuration is read: `upstream` blocks, and hosts named by proxy_pass.
//!
//! Invariant: a group of the finished configuration has at least one peer or `resolve` server, and every host name
//! without `resolve` was resolved while loading.

use super::addr::PeerAddr;
use super::ast::{Directive, Span};
use super::error::{Diagnostic, Diagnostics};
use super::fault::{Fault, Outcome};
use super::ids::UpstreamId;
use super::settings::upstream::{Upstream, UpstreamServer};
use super::sources::Sources;
use super::suggest;
use crate::util::checkpoint;
use crate::util::hash::FastMap;
use std::collections::HashSet;
use std::rc::Rc;

/// The groups so far: a proxy_pass may name a block that comes later.
#[derive(Default)]
pub struct Drafts {
    all: Vec<Draft>,
    /// Indices of the drafts by [`key`]: they differ only in port.
    by_name: FastMap<String, Vec<usize>>,
    /// The first draft of a name and port: a host may have thousands of ports. Out of date where a block has taken the
    /// draft over.
    by_port: FastMap<(String, Option<u16>), usize>,
    /// Groups with errors: their names still count as defined.
    broken: HashSet<String>,
}

struct Draft {
    upstream: Upstream,
    /// The port written in proxy_pass; None for a block.
    port: Option<u16>,
    block: bool,
    /// The first place that names it.
    span: Span,
    /// It need not resolve: a variable may or may not expand to it.
    optional: bool,
    /// The protocol has no default port.
    needs_port: bool,
    /// The port is the default of https, not written: a block of the name may follow.
    implied: bool,
}

/// What names of one group have in common: case does not count in hosts (nginx), but in the paths of sockets.
fn key(name: &str) -> String {
    if name.starts_with("unix:") { name.to_owned() } else { name.to_ascii_lowercase() }
}

impl Drafts {
    /// The group that a proxy_pass names, added if necessary.
    pub fn refer(&mut self, host: &str, port: Option<u16>, span: Span) -> UpstreamId {
        let known = self.by_port.get(&(key(host), port)).copied();
        let at = known.filter(|at| self.all.get(*at).is_some_and(|draft| draft.port == port)).unwrap_or_else(|| {
            self.add(Draft {
                upstream: Upstream::named(host),
                port,
                block: false,
                span,
                optional: false,
                needs_port: false,
                implied: false,
            })
        });
        UpstreamId(at as u32)
    }

    /// The index of the first draft of this name that satisfies `wanted`.
    fn find(&self, name: &str, wanted: impl Fn(&Draft) -> bool) -> Option<usize> {
        let named = self.by_name.get(&key(name))?;
        named.iter().copied().find(|at| self.all.get(*at).is_some_and(&wanted))
    }

    fn add(&mut self, draft: Draft) -> usize {
        let at = self.all.len();
        let name = key(&draft.upstream.name);
        self.by_port.insert((name.clone(), draft.port), at);
        self.by_name.entry(name).or_default().push(at);
        self.all.push(draft);
        at
    }

    /// Marks a group that cannot be read or is misplaced, so that its use is no further error.
    pub fn break_name(&mut self, name: &str) {
        self.broken.insert(key(name));
    }

    /// As [`Drafts::refer`], for https without a port: a block, or the host's port 443.
    pub fn refer_secure(&mut self, host: &str, span: Span) -> UpstreamId {
        let is_group = self.find(host, |draft| draft.block).is_some();
        let id = self.refer(host, if is_group { None } else { Some(443) }, span);
        if let Some(draft) = self.all.get_mut(id.at()) {
            draft.implied |= !is_group;
        }
        id
    }

    /// As [`Drafts::refer`], for a protocol without a default port.
    pub fn refer_with_port(&mut self, host: &str, port: Option<u16>, span: Span) -> UpstreamId {
        let id = self.refer(host, port, span);
        if let Some(draft) = self.all.get_mut(id.at()) {
            draft.needs_port |= port.is_none() && !host.starts_with("unix:");
        }
        id
    }

    /// As [`Drafts::refer`], for a host that variables may expand to. Call it after all other references.
    pub fn refer_if_found(&mut self, host: &str, port: Option<u16>, span: Span) {
        if self.find(host, |draft| draft.block || draft.port == port).is_none() {
            let upstream = Upstream::named(host);
            self.add(Draft { upstream, port, block: false, span, optional: true, needs_port: false, implied: false });
        }
    }

    /// Adds an `upstream` block. `is_sound`: no error was reported inside.
    pub fn define(&mut self, upstream: Upstream, d: &Directive, is_sound: bool) -> Outcome {
        let name = upstream.name.clone();
        if upstream.peers.is_empty() && upstream.dynamic.is_empty() {
            self.broken.insert(key(&name));
            let fault = Fault::new(d.args[0].span, "no servers are inside upstream").label("this group is empty");
            return if is_sound { Err(fault.help("write at least one: server 127.0.0.1:8080;")) } else { Ok(()) };
        }
        if !upstream.dynamic.is_empty() && upstream.resolver.is_none() {
            let text = format!("no resolver defined to resolve names at run time in upstream \"{name}\"");
            return Err(Fault::new(d.name.span, text).help("resolver ADDRESS; in http or in the group"));
        }
        if upstream.peers.iter().chain(upstream.dynamic.iter().map(|dynamic| &dynamic.peer)).all(|peer| peer.backup) {
            // A faulty `server` line has had its error.
            if !is_sound {
                self.broken.insert(key(&name));
                return Ok(());
            }
            let fault = Fault::new(d.args[0].span, format!("no servers in upstream \"{name}\""));
            return Err(fault.label("all of them are `backup`").help("write at least one server without `backup`"));
        }
        let mut upstream = upstream;
        upstream.finish();
        let named = self.find(&name, |draft| draft.port.is_none() || draft.implied);
        if let Some(at) = named {
            self.by_port.insert((key(&name), None), at);
        }
        match named.and_then(|at| self.all.get_mut(at)) {
            Some(draft) if draft.block => {
                let fault = Fault::new(d.args[0].span, format!("duplicate upstream \"{name}\""));
                return Err(fault.note(draft.span, "first given here").help("give it another name, or join the two"));
            }
            Some(draft) => {
                (draft.upstream, draft.block, draft.port, draft.span) = (upstream, true, None, d.name.span);
            }
            None => {
                self.add(Draft {
                    upstream,
                    port: None,
                    block: true,
                    span: d.name.span,
                    optional: false,
                    needs_port: false,
                    implied: false,
                });
            }
        }
        Ok(())
    }

    /// The names of groups with a block, by [`key`].
    fn blocks(&self) -> FastMap<String, Rc<str>> {
        let named = self.all.iter().filter(|draft| draft.block).map(|draft| draft.upstream.name.clone());
        named.inspect(|_| checkpoint::pass()).map(|name| (key(&name), name)).collect()
    }

    /// All groups; those without a block are resolved as hosts.
    pub fn resolve(mut self, diagnostics: &mut Diagnostics, sources: &Sources) -> Vec<Rc<Upstream>> {
        let blocks = self.blocks();
        for draft in self.all.iter_mut().filter(|draft| !draft.block) {
            checkpoint::pass();
            let name = &draft.upstream.name;
            if self.broken.contains(&key(name)) {
                continue;
            }
            if let Some(port) = draft.port
                && blocks.contains_key(&key(name))
            {
                let text = format!("upstream \"{name}\" may not have port {port}");
                let help = format!("ports stand inside the upstream, at its servers: write http://{name}");
                diagnostics.push(Diagnostic::emerg(draft.span, text).help(help));
                continue;
            }
            if draft.needs_port {
                let text = format!("no port in upstream \"{name}\"");
                let address = match name.bytes().all(|byte| byte.is_ascii_digit()) {
                    true => format!("127.0.0.1:{name}"),
                    false => format!("{name}:9000"),
                };
                let help = match suggest::nearest(name, blocks.values().map(|block| &**block)) {
                    Some(near) => format!("did you mean the upstream \"{near}\"?"),
                    None => format!("host:port, as in {address}, or the name of an upstream"),
                };
                diagnostics.push(Diagnostic::emerg(draft.span, text).help(help));
                continue;
            }
            match PeerAddr::parse(name.as_bytes(), draft.port.unwrap_or(80)) {
                Ok(addr) => draft.upstream.peers = UpstreamServer::all(addr),
                Err(e) if draft.optional => {
                    let text = format!("{} in upstream \"{name}\"; requests for it are answered with 502", e.message);
                    diagnostics.push(Diagnostic::warn(draft.span, text));
                }
                Err(e) => {
                    let text = format!("{} in upstream \"{name}\"", e.message);
                    let mut diagnostic = Diagnostic::emerg(draft.span, text);
                    // Point at the host within the URL.
                    diagnostic.span = Some(host_of(sources, draft.span, name));
                    let near = suggest::nearest(name, blocks.values().map(|block| &**block));
                    diagnostic = diagnostic.help(match near {
                        Some(near) => format!("did you mean the upstream \"{near}\"?"),
                        None if **name == *"unix" => {
                            "a socket is written with a colon: http://unix:/run/app.sock".to_owned()
                        }
                        None if !name.contains(['.', ':']) && &**name != "localhost" => {
                            let block = format!("upstream {name} {{ server 127.0.0.1:3000; }}");
                            format!("a name that the system can look up now, or a group of servers in http: {block}")
                        }
                        None => "an address, a name that the system can look up now, or an upstream".to_owned(),
                    });
                    diagnostics.push(diagnostic);
                }
            }
        }
        // Optional groups come last, so removing unresolved ones does not change the ids of others.
        self.all.retain(|draft| !draft.optional || !draft.upstream.peers.is_empty());
        // Freed step by step, as they were filled.
        blocks.into_iter().for_each(|_| checkpoint::pass());
        self.by_name.into_iter().map(drop).chain(self.by_port.into_iter().map(drop)).for_each(|()| checkpoint::pass());
        self.all.into_iter().map(finished).collect()
    }
}

fn finished(draft: Draft) -> Rc<Upstream> {
    checkpoint::pass();
    Rc::new(Upstream { port: draft.port, block: draft.block, ..draft.upstream })
}

/// The part of a word that is the host.
fn host_of(sources: &Sources, word: Span, name: &str) -> Span {
    let at = memchr::memmem::find(sources.slice(word), name.as_bytes());
    at.map_or(word, |at| word.part(at, at + name.len()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::ast::FileId;

    /// Each of fifty thousand ports of a host was looked for among all before it: five seconds.
    #[test]
    fn a_host_and_its_port_have_one_group_however_they_are_written() {
        let (mut drafts, span) = (Drafts::default(), Span::new(FileId(0), 0, 0));
        let ids: Vec<_> = (0..1000).map(|port| drafts.refer("a.test", Some(port), span)).collect();
        assert!((0..1000).all(|port| drafts.refer("A.test", Some(port), span) == ids[usize::from(port)]));
        assert!(!ids.contains(&drafts.refer("a.test", None, span)));
        assert!(!ids.contains(&drafts.refer("b.test", Some(1), span)));
        assert_eq!(drafts.refer_secure("a.test", span), ids[443]);
        assert_ne!(drafts.refer("unix:/A", None, span), drafts.refer("unix:/a", None, span));
        assert_eq!(drafts.all.len(), 1004);
    }
}
