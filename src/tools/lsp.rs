//! `webserv lsp`: a language server for editors, over standard input and output (JSON-RPC with Content-Length). Offers
//! the messages of `-t` and `lint` with fixes while typing, completion and hover from the directive table, the
//! definitions of upstreams, zones, named locations, variables and included files, and formatting as in `fmt`.
//!
//! Invariants: a document is checked as if it were the whole configuration, in its own directory; nothing is bound or
//! written; a message that cannot be interpreted gets an error response and is never fatal.

mod complete;
mod symbols;
mod text;

use super::{check_nginx, format, lint, manual, report, variables};
use crate::config::ast::{Directive, Span, Word};
use crate::config::build::Form;
use crate::config::error::{Diagnostic, Severity};
use crate::config::load::Loaded;
use crate::config::resolve;
use crate::config::sources::Sources;
use crate::server::reload::ConfigSource;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::{self, BufRead, Read, Write};
use std::path::PathBuf;
use text::{offset_of, position_of, range, uri_of, word_at};

/// Maximum size of a message; no editor sends longer ones.
const LONGEST: usize = 16 << 20;
/// JSON-RPC's error code for an unknown method.
const METHOD_NOT_FOUND: i64 = -32601;

#[derive(Default)]
struct Documents(BTreeMap<String, String>);

/// Serves an editor until it sends `exit` or closes the stream.
///
/// # Errors
/// Reading or writing failed.
pub fn serve(input: &mut impl BufRead, output: &mut impl Write) -> io::Result<()> {
    let mut documents = Documents::default();
    while let Some(message) = receive(input)? {
        let method = message["method"].as_str().unwrap_or_default().to_owned();
        if method == "exit" {
            break;
        }
        let params = &message["params"];
        let answer = documents.handle(&method, params);
        if let Some(id) = message.get("id") {
            let answer = match answer {
                Some(result) => json!({"jsonrpc": "2.0", "id": id, "result": result}),
                None => {
                    let error = json!({"code": METHOD_NOT_FOUND, "message": format!("{method} is not served")});
                    json!({"jsonrpc": "2.0", "id": id, "error": error})
                }
            };
            send(output, &answer)?;
        }
        if matches!(&*method, "textDocument/didOpen" | "textDocument/didChange" | "textDocument/didSave") {
            let uri = params["textDocument"]["uri"].as_str().unwrap_or_default();
            let params = json!({"uri": uri, "diagnostics": documents.diagnostics(uri)});
            send(output, &json!({"jsonrpc": "2.0", "method": "textDocument/publishDiagnostics", "params": params}))?;
        }
    }
    Ok(())
}

/// None: the stream was closed.
fn receive(input: &mut impl BufRead) -> io::Result<Option<Value>> {
    let mut length = 0;
    loop {
        let mut line = String::new();
        if input.take(4096).read_line(&mut line)? == 0 {
            return Ok(None);
        }
        let line = line.trim_end();
        if line.is_empty() {
            break;
        }
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            length = value.trim().parse().unwrap_or(0);
        }
    }
    if length > LONGEST {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let mut body = vec![0; length];
    input.read_exact(&mut body)?;
    // Invalid JSON becomes a message without a method, which gets an error response.
    Ok(Some(serde_json::from_slice(&body).unwrap_or(Value::Null)))
}

fn send(output: &mut impl Write, message: &Value) -> io::Result<()> {
    let body = message.to_string();
    write!(output, "Content-Length: {}\r\n\r\n{body}", body.len())?;
    output.flush()
}

impl Documents {
    /// The result of a request; None: unknown method.
    fn handle(&mut self, method: &str, params: &Value) -> Option<Value> {
        let uri = params["textDocument"]["uri"].as_str().unwrap_or_default().to_owned();
        Some(match method {
            "initialize" => json!({
                "capabilities": {
                    "textDocumentSync": 2,
                    "completionProvider": {"triggerCharacters": [" ", "$", "@", "/", "="]},
                    "hoverProvider": true,
                    "definitionProvider": true,
                    "documentFormattingProvider": true,
                    "documentSymbolProvider": true,
                    "codeActionProvider": {"codeActionKinds": ["quickfix"]},
                },
                "serverInfo": {"name": "webserv", "version": env!("CARGO_PKG_VERSION")},
            }),
            "initialized" | "shutdown" | "textDocument/didSave" => Value::Null,
            "textDocument/didOpen" => {
                let text = params["textDocument"]["text"].as_str().unwrap_or_default();
                self.0.insert(uri, text.to_owned());
                Value::Null
            }
            "textDocument/didChange" => {
                let text = self.0.entry(uri).or_default();
                params["contentChanges"].as_array().into_iter().flatten().for_each(|change| text::change(text, change));
                Value::Null
            }
            "textDocument/didClose" => {
                self.0.remove(&uri);
                Value::Null
            }
            "textDocument/completion" => self.complete(&uri, params),
            "textDocument/hover" => self.hover(&uri, params),
            "textDocument/definition" => self.define(&uri, params),
            "textDocument/codeAction" => self.actions(&uri, params),
            "textDocument/documentSymbol" => self.outline(&uri),
            "textDocument/formatting" => self.format(&uri),
            _ => return None,
        })
    }

    fn at<'d>(&'d self, uri: &str, params: &Value) -> Option<(&'d str, usize)> {
        let text = self.0.get(uri)?;
        let number = |name: &str| params["position"][name].as_u64().and_then(|n| usize::try_from(n).ok());
        Some((text, offset_of(text, number("line")?, number("character")?)))
    }

    fn load(&self, uri: &str) -> Option<(ConfigSource, Loaded)> {
        let file = PathBuf::from(text::path_of(uri)?);
        let config_source = ConfigSource {
            prefix: file.parent().map_or_else(|| PathBuf::from("."), PathBuf::from),
            file,
            text: Some(self.0.get(uri)?.clone()),
            directives: None,
            error_log: None,
            form: Form::Webserv,
            program: "webserv".to_owned(),
            executable: PathBuf::new(),
        };
        let loaded = config_source.load();
        Some((config_source, loaded))
    }

    fn diagnostics(&self, uri: &str) -> Vec<Value> {
        let Some((found, loaded)) = self.found(uri) else { return Vec::new() };
        found.iter().map(|d| shown(d, &loaded.sources)).collect()
    }

    /// Code actions: fixes for the mistakes in a range.
    fn actions(&self, uri: &str, params: &Value) -> Value {
        let Some((found, loaded)) = self.found(uri) else { return Value::Null };
        let line = |end: &str| params["range"][end]["line"].as_u64().unwrap_or(0);
        let is_there = |d: &&Diagnostic| {
            d.span.is_some_and(|span| {
                let lines = range(span, &loaded.sources);
                let at = |end: &str| lines[end]["line"].as_u64().unwrap_or(0);
                at("start") <= line("end") && at("end") >= line("start")
            })
        };
        let action = |d: &Diagnostic| -> Vec<Value> {
            let repairs = report::repairs(d, &loaded.sources).into_iter().map(|(title, span, text)| {
                let edit = json!({"range": range(span, &loaded.sources), "newText": text});
                let diagnostics = [shown(d, &loaded.sources)];
                json!({"title": title, "kind": "quickfix", "diagnostics": diagnostics, "edit": {"changes": {uri: [edit]}}})
            });
            repairs.collect()
        };
        found.iter().filter(is_there).flat_map(action).collect()
    }

    /// The diagnostics for a document, checked as a whole configuration.
    fn found(&self, uri: &str) -> Option<(Vec<Diagnostic>, Loaded)> {
        let (config_source, loaded) = self.load(uri)?;
        let read = config_source.read();
        let main = loaded.sources.ids().next();
        let here = |d: Diagnostic| match d.span {
            Some(span) if Some(span.file) != main => of_included(&d, span, &loaded.sources),
            _ => Some(d),
        };
        let part = Part::of(&loaded.directives);
        let judged = read.diagnostics.iter().filter_map(|d| {
            let is_elsewhere = check_nginx::is_elsewhere(d);
            let d = here(d.clone())?;
            if is_elsewhere { part.of_elsewhere(d) } else { Some(d) }
        });
        let mut found: Vec<Diagnostic> = judged.collect();
        if !found.iter().any(|d| d.severity == Severity::Emerg) {
            let warnings = lint::lint(&loaded.directives, &loaded.sources, None);
            found.extend(warnings.into_iter().filter(|d| part.is_for(d)).filter_map(here));
        }
        Some((found, loaded))
    }

    /// Completions at the cursor: directives of the block, variables, and names that the configuration defines.
    fn complete(&self, uri: &str, params: &Value) -> Value {
        let Some((text, offset)) = self.at(uri, params) else { return Value::Null };
        let before = text.get(..offset).unwrap_or_default();
        let Some((_, loaded)) = self.load(uri) else { return Value::Null };
        let directory = text::path_of(uri).map(PathBuf::from).and_then(|file| file.parent().map(PathBuf::from));
        complete::items(before, &loaded.directives, directory.as_deref())
    }

    fn hover(&self, uri: &str, params: &Value) -> Value {
        let Some((text, offset)) = self.at(uri, params) else { return Value::Null };
        let name = name_at(text, offset);
        let known = match name.starts_with('$') {
            true => variables::describe(&name),
            // `ssl` and `deny` may be parameters as well as directives.
            false => complete::argument(text::before_word(text, offset), &name).or_else(|| manual::entry(&name).ok()),
        };
        let shown = known.or_else(|| {
            // What the configuration defines is shown as it is written there.
            let (_, loaded) = self.load(uri)?;
            let span = definition(&loaded.directives, &name)?;
            let line = String::from_utf8_lossy(loaded.sources.line(span)).trim().to_owned();
            Some(format!("{line}\n    {}\n", loaded.sources.place(span)))
        });
        shown.map_or(Value::Null, |text| json!({"contents": {"kind": "plaintext", "value": text}}))
    }

    fn define(&self, uri: &str, params: &Value) -> Value {
        let Some((text, offset)) = self.at(uri, params) else { return Value::Null };
        let word = &*name_at(text, offset);
        let Some((_, loaded)) = self.load(uri) else { return Value::Null };
        match definition(&loaded.directives, word) {
            Some(span) => {
                let file = loaded.sources.os_path(span.file);
                json!({"uri": uri_of(file), "range": range(span, &loaded.sources)})
            }
            None => included(&loaded, word).unwrap_or(Value::Null),
        }
    }

    fn outline(&self, uri: &str) -> Value {
        let Some((_, loaded)) = self.load(uri) else { return json!([]) };
        let main = loaded.sources.ids().next();
        main.map_or(json!([]), |main| symbols::outline(&loaded.directives, main, &loaded.sources))
    }

    fn format(&self, uri: &str) -> Value {
        let Some(text) = self.0.get(uri) else { return Value::Null };
        let Ok(laid) = format::format(text.as_bytes()) else { return json!([]) };
        let (line, character) = position_of(text.as_bytes(), text.len());
        let whole = json!({"start": {"line": 0, "character": 0}, "end": {"line": line, "character": character}});
        json!([{"range": whole, "newText": String::from_utf8_lossy(&laid)}])
    }
}

/// Which part of a configuration a document appears to be.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    /// It has `http` or `events`.
    Whole,
    /// Servers: a short configuration, or a file of `conf.d`.
    Servers,
    /// A file to be included inside some block.
    Inside,
}

impl Part {
    fn of(tree: &[Directive]) -> Part {
        match resolve::is_bare(tree) {
            false => Part::Whole,
            true if tree.iter().any(|d| d.name.is("server")) => Part::Servers,
            true => Part::Inside,
        }
    }

    /// Drops or downgrades errors that the enclosing block, or a definition in another file, could resolve.
    fn of_elsewhere(self, mut d: Diagnostic) -> Option<Diagnostic> {
        match self {
            Part::Inside => None,
            // What is beside a server belongs into `http`, whichever file includes it.
            Part::Servers if !check_nginx::is_outside(&d) => {
                d.severity = Severity::Notice;
                d.help.push("this is an error unless another file defines it".to_owned());
                Some(d)
            }
            Part::Servers | Part::Whole => Some(d),
        }
    }

    fn is_for(self, warning: &Diagnostic) -> bool {
        self != Part::Inside || !warning.code.is_some_and(|code| lint::NEED_CONTEXT.contains(&code))
    }
}

/// An error in an included file, shown at its `include`. Warnings are shown only where that file is open.
fn of_included(d: &Diagnostic, span: Span, sources: &Sources) -> Option<Diagnostic> {
    let include = sources.include_chain(span.file).pop().filter(|_| d.severity == Severity::Emerg)?;
    Some(Diagnostic::emerg(include, format!("{}: {}", sources.place(span), d.message)))
}

fn shown(d: &Diagnostic, sources: &Sources) -> Value {
    let severity = match d.severity {
        Severity::Emerg => 1,
        Severity::Warn => 2,
        Severity::Notice => 3,
    };
    let more = d.label.iter().chain(&d.help).map(|text| format!("\n{text}"));
    let message: String = std::iter::once(d.message.clone()).chain(more).collect();
    let nowhere = json!({"start": {"line": 0, "character": 0}, "end": {"line": 0, "character": 0}});
    let range = d.span.map_or(nowhere, |span| range(span, sources));
    let mut shown = json!({"range": range, "severity": severity, "source": "webserv", "message": message});
    if let Some(code) = d.code {
        shown["code"] = code.into();
    }
    shown
}

/// The variable under the cursor, else the word.
fn name_at(text: &str, offset: usize) -> String {
    text::variable_at(text, offset).unwrap_or_else(|| word_at(text, offset).to_owned())
}

/// The definition of a name: `upstream NAME`, `location @NAME`, `map … $NAME`, `set $NAME`, a named group, `zone=NAME`,
/// `log_format NAME`.
fn definition(tree: &[Directive], word: &str) -> Option<Span> {
    if let Some(name) = word.strip_prefix('$') {
        return defined_variable(tree, name);
    }
    let bare = word.trim_start_matches("zone=");
    let bare = bare.split_once("://").map_or(bare, |(_, rest)| rest);
    let bare = bare.split(['/', ':']).next().unwrap_or_default();
    tree.iter().find_map(|d| {
        let is = |at: usize, text: &str| d.args.get(at).is_some_and(|word| word.is(text));
        let zone = |name: &[u8]| {
            name.strip_prefix(b"zone=").is_some_and(|rest| rest.split(|b| *b == b':').next() == Some(bare.as_bytes()))
        };
        let at = match d.name.bytes() {
            b"upstream" | b"log_format" | b"acme_issuer" if is(0, bare) => Some(0),
            b"location" if bare.starts_with('@') && is(0, bare) => Some(0),
            b"limit_req_zone" | b"limit_conn_zone" | b"proxy_cache_path" => {
                d.args.iter().position(|word| zone(word.bytes())).filter(|_| !bare.is_empty())
            }
            _ => None,
        };
        let here = at.and_then(|at| Some(d.args.get(at)?.span));
        here.or_else(|| definition(d.block.as_deref().unwrap_or_default(), word))
    })
}

/// Where the configuration gives a variable its value: the word that has its name.
fn defined_variable(tree: &[Directive], name: &str) -> Option<Span> {
    tree.iter().find_map(|d| {
        let defines = complete::variables_of(d).iter().any(|own| own.eq_ignore_ascii_case(name));
        let group = |word: &&Word| {
            let text = word.str().to_ascii_lowercase();
            let name = name.to_ascii_lowercase();
            text == format!("${name}") || text.contains(&format!("<{name}>"))
        };
        let here = if defines { d.args.iter().find(group).map(|word| word.span) } else { None };
        here.or_else(|| defined_variable(d.block.as_deref().unwrap_or_default(), name))
    })
}

/// The file that an `include` refers to.
fn included(loaded: &Loaded, word: &str) -> Option<Value> {
    let end = word.rsplit('*').next().unwrap_or_default();
    let file = loaded.sources.ids().skip(1).find(|id| {
        let path = loaded.sources.path(*id).into_owned();
        !end.is_empty() && path.ends_with(end)
    })?;
    let start = json!({"line": 0, "character": 0});
    Some(json!({"uri": uri_of(loaded.sources.os_path(file)), "range": {"start": start, "end": start}}))
}

#[cfg(test)]
mod tests;
