//! Groups of upstream servers while the configuration is read: those of `upstream` blocks, and those of one host that a
//! `proxy_pass` names.
//!
//! Invariant: a group that a configuration holds has at least one peer, and every host name in it was looked up when
//! the configuration was read, but for those with `resolve`.

use super::addr::PeerAddr;
use super::ast::{Directive, Span};
use super::error::{Diagnostic, Diagnostics};
use super::fault::{Fault, Outcome};
use super::ids::UpstreamId;
use super::settings::upstream::{Peer, Upstream};
use super::sources::Sources;
use super::suggest;
use std::collections::{HashMap, HashSet};
use std::rc::Rc;

/// Groups while the configuration is read: a proxy_pass may name a block that comes later.
#[derive(Default)]
pub struct Drafts {
    all: Vec<Draft>,
    /// Positions of the drafts of each name: few, as they differ by their port.
    by_name: HashMap<Rc<str>, Vec<usize>>,
    /// Groups that are wrong: their names are defined all the same.
    broken: HashSet<Rc<str>>,
}

struct Draft {
    upstream: Upstream,
    /// The port that a proxy_pass wrote; a block has none.
    port: Option<u16>,
    block: bool,
    /// Who named it first.
    span: Span,
    /// It need not be found: a variable may come to it, or not.
    optional: bool,
    /// There is no port that it has by default.
    needs_port: bool,
    /// The port is that of https, and was not written: a group of the name may follow.
    implied: bool,
}

impl Drafts {
    /// The group that a proxy_pass names.
    pub fn refer(&mut self, host: &str, port: Option<u16>, span: Span) -> UpstreamId {
        let at = self.find(host, |draft| draft.port == port).unwrap_or_else(|| {
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

    /// The position of the first of this name that is as wanted.
    fn find(&self, name: &str, wanted: impl Fn(&Draft) -> bool) -> Option<usize> {
        let named = self.by_name.get(name)?;
        named.iter().copied().find(|at| self.all.get(*at).is_some_and(&wanted))
    }

    fn add(&mut self, draft: Draft) -> usize {
        let at = self.all.len();
        self.by_name.entry(draft.upstream.name.clone()).or_default().push(at);
        self.all.push(draft);
        at
    }

    /// A group that cannot be read, or stands where none may: that it is used is no mistake of its own.
    pub fn break_name(&mut self, name: &str) {
        self.broken.insert(name.into());
    }

    /// The same over TLS without a port: a group, or a host's 443.
    pub fn refer_secure(&mut self, host: &str, span: Span) -> UpstreamId {
        let is_group = self.find(host, |draft| draft.block).is_some();
        let id = self.refer(host, if is_group { None } else { Some(443) }, span);
        if let Some(draft) = self.all.get_mut(id.at()) {
            draft.implied |= !is_group;
        }
        id
    }

    /// The same where the protocol has no port of its own.
    pub fn refer_with_port(&mut self, host: &str, port: Option<u16>, span: Span) -> UpstreamId {
        let id = self.refer(host, port, span);
        if let Some(draft) = self.all.get_mut(id.at()) {
            draft.needs_port |= port.is_none() && !host.starts_with("unix:");
        }
        id
    }

    /// The same for a host that variables may come to; to be called when all others have been referred to.
    pub fn refer_if_found(&mut self, host: &str, port: Option<u16>, span: Span) {
        if self.find(host, |draft| draft.block || draft.port == port).is_none() {
            let upstream = Upstream::named(host);
            self.add(Draft { upstream, port, block: false, span, optional: true, needs_port: false, implied: false });
        }
    }

    /// An `upstream` block has been read; `is_sound`: without a mistake inside.
    pub fn define(&mut self, upstream: Upstream, d: &Directive, is_sound: bool) -> Outcome {
        let name = upstream.name.clone();
        if upstream.peers.is_empty() && upstream.dynamic.is_empty() {
            self.broken.insert(name);
            let fault = Fault::new(d.args[0].span, "no servers are inside upstream").label("this group is empty");
            return if is_sound { Err(fault.help("write one at least: server 127.0.0.1:8080;")) } else { Ok(()) };
        }
        if !upstream.dynamic.is_empty() && upstream.resolver.is_none() {
            let text = format!("no resolver defined to resolve names at run time in upstream \"{name}\"");
            return Err(Fault::new(d.name.span, text).help("resolver ADDRESS; in http or in the group"));
        }
        if upstream.peers.iter().chain(upstream.dynamic.iter().map(|dynamic| &dynamic.peer)).all(|peer| peer.backup) {
            let fault = Fault::new(d.args[0].span, format!("no servers in upstream \"{name}\""));
            return Err(fault.label("all of them are `backup`").help("write one server at least without `backup`"));
        }
        let mut upstream = upstream;
        upstream.finish();
        let named = self.find(&name, |draft| draft.port.is_none() || draft.implied);
        match named.and_then(|at| self.all.get_mut(at)) {
            Some(draft) if draft.block => {
                let fault = Fault::new(d.args[0].span, format!("duplicate upstream \"{name}\""));
                return Err(fault.note(draft.span, "it is given first").help("give it another name, or join the two"));
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

    /// All groups; those that no block defines are looked up as hosts.
    pub fn resolve(mut self, diagnostics: &mut Diagnostics, sources: &Sources) -> Vec<Rc<Upstream>> {
        let blocks: HashSet<Rc<str>> = self.all.iter().filter(|d| d.block).map(|d| d.upstream.name.clone()).collect();
        for draft in self.all.iter_mut().filter(|draft| !draft.block) {
            let name = &draft.upstream.name;
            if self.broken.contains(name) {
                continue;
            }
            if let Some(port) = draft.port
                && blocks.contains(name)
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
                let help = format!("host:port, as in {address}, or the name of an upstream");
                diagnostics.push(Diagnostic::emerg(draft.span, text).help(help));
                continue;
            }
            match PeerAddr::parse(name.as_bytes(), draft.port.unwrap_or(80)) {
                Ok(addr) => draft.upstream.peers = Peer::all(addr),
                Err(e) if draft.optional => {
                    let text = format!("{} in upstream \"{name}\"; requests for it are answered with 502", e.message);
                    diagnostics.push(Diagnostic::warn(draft.span, text));
                }
                Err(e) => {
                    let text = format!("{} in upstream \"{name}\"", e.message);
                    let mut diagnostic = Diagnostic::emerg(draft.span, text);
                    // Of a URL the host.
                    diagnostic.span = Some(host_of(sources, draft.span, name));
                    let near = suggest::nearest(name, blocks.iter().map(|block| &**block));
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
        // The optional ones stand last: without those that were not found the ids of the others hold.
        self.all.retain(|draft| !draft.optional || !draft.upstream.peers.is_empty());
        let finished = |draft: Draft| Rc::new(Upstream { port: draft.port, block: draft.block, ..draft.upstream });
        self.all.into_iter().map(finished).collect()
    }
}

/// The part of a word that names the host.
fn host_of(sources: &Sources, word: Span, name: &str) -> Span {
    let at = memchr::memmem::find(sources.slice(word), name.as_bytes());
    at.map_or(word, |at| word.part(at, at + name.len()))
}
