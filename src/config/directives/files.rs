//! Which file a URI maps to, and how it is read: root, alias, index, try_files, types, sendfile and caches.

use crate::config::argument::invalid;
use crate::config::ast::Directive;
use crate::config::build::{Build, Scope};
use crate::config::context::{Args, Contexts};
use crate::config::fault::{Fault, Outcome};
use crate::config::model::{Candidate, Fallback, Settings, TryFiles};
use crate::config::row::{Effect, HSLI, Row, SL, row};
use crate::config::settings::files::{Files, Index, Symlinks, Types};
use crate::config::template::{Builtin, Part, Template, Var};
use std::rc::Rc;

fn files(s: &mut Settings) -> &mut Files {
    Rc::make_mut(&mut s.files)
}

pub const ROWS: &[Row] = &[
    row(
        "root",
        HSLI,
        Args::TAKE1,
        "html",
        Effect::Once(root),
        "Directory that the URI is appended to. Variables are allowed; a relative path is taken from the prefix.",
    ),
    row(
        "alias",
        Contexts::LOCATION,
        Args::TAKE1,
        "",
        Effect::Once(alias),
        "Directory that replaces the location's prefix. A location without a final slash never opens a name beside the directory, which nginx's alias does.",
    ),
    row(
        "index",
        Contexts::HSL,
        Args::ONE_OR_MORE,
        "index.html",
        Effect::Many(index),
        "Files tried, in order, for a URI that ends in a slash; the last may be an absolute URI.",
    ),
    row(
        "try_files",
        SL,
        Args::TWO_OR_MORE,
        "",
        Effect::Once(try_files),
        "Serves the first path that exists, else the last argument: a URI, a named location or =code.",
    ),
    row(
        "internal",
        Contexts::LOCATION,
        Args::NONE,
        "",
        Effect::Once(|s, _, _| {
            s.own.internal = true;
            Ok(())
        }),
        "The location answers internal redirects only; a client gets 404.",
    ),
    row(
        "types",
        Contexts::HSL,
        Args::NONE.block(),
        "",
        Effect::Many(types),
        "Content types by file extension. Where the whole configuration names none, a built-in table serves instead (nginx knows three).",
    ),
    row(
        "default_type",
        Contexts::HSL,
        Args::TAKE1,
        "text/plain",
        Effect::Once(|s, _, d| {
            files(&mut s.settings).default_type = d.args[0].bytes().into();
            Ok(())
        }),
        "Content type where the extension says nothing.",
    ),
    row(
        "sendfile",
        HSLI,
        Args::FLAG,
        "off",
        Effect::Flag(|s| &mut files(s).sendfile),
        "Whether large files go to the socket without a copy through the process.",
    ),
    row(
        "log_not_found",
        Contexts::HSL,
        Args::FLAG,
        "on",
        Effect::Flag(|s| &mut files(s).log_not_found),
        "Whether a file that is not there is an error in the log.",
    ),
    row(
        "disable_symlinks",
        Contexts::HSL,
        Args::TAKE12,
        "off",
        Effect::Once(symlinks),
        "Whether symbolic links are followed when files are opened: off, on, or if_not_owner; from=PREFIX leaves the \
         components of PREFIX unchecked. outside (not in nginx) refuses links that lead out of the root or alias; \
         `outside hidden` also those to names with a leading dot. Uploads and deletes never leave their root by \
         links.",
    ),
    row(
        "static_cache_size",
        Contexts::HTTP,
        Args::TAKE1,
        "32m",
        Effect::Offset(|s| &mut files(s).cache_size),
        "Memory for the contents of files up to 16 KiB, and as much again for gzip forms of files up to 8 MiB; 0 \
         disables it. Changed files are never answered from it: the kernel reports changes on local file systems, \
         others are checked in each turn. Changes by a memory mapping, another hard link or a new mount show in half \
         a second.",
    )
    .ours(),
    row(
        "repeat_cache_size",
        Contexts::HTTP,
        Args::TAKE1,
        "8m",
        Effect::Offset(|s| &mut files(s).repeat_cache_size),
        "Memory for responses to GET and HEAD requests that are repeated byte for byte: they skip parsing and the \
         phases, while the file is checked as usual. For responses that only the request and the file decide: \
         without scripts, access rules, limits, passwords, real_ip, SSI, expires, or variables in headers or root. 0 \
         disables it.",
    )
    .ours(),
];

fn root(s: &mut Scope, b: &mut Build, d: &Directive) -> Outcome {
    if s.own.alias {
        return Err(Fault::new(
            d.name.span,
            "\"root\" directive is duplicate, \"alias\" directive was specified earlier",
        ));
    }
    let mut root = b.path_template(d, 0)?;
    not_of_itself(&root, d)?;
    // The URI appended to it begins with a slash.
    if let Some(path) = root.constant().and_then(|path| path.strip_suffix(b"/")).filter(|path| !path.is_empty()) {
        root = Template::literal(path);
    }
    let files = files(&mut s.settings);
    files.root = root;
    files.alias = None;
    s.own.root = true;
    Ok(())
}

/// Refuses a root that contains $document_root or $realpath_root.
fn not_of_itself(root: &Template, d: &Directive) -> Outcome {
    let own = |part: &Part| match part {
        Part::Var(Var::Builtin(own @ (Builtin::DocumentRoot | Builtin::RealpathRoot))) => Some(*own),
        _ => None,
    };
    match root.parts.iter().find_map(own) {
        None => Ok(()),
        Some(own) => {
            let (own, name) = (own.name(), d.name.str());
            let what = format!("the ${own} variable cannot be used in the \"{name}\" directive");
            Err(Fault::new(d.args[0].span, what))
        }
    }
}

fn alias(s: &mut Scope, b: &mut Build, d: &Directive) -> Outcome {
    if s.own.root {
        return Err(Fault::new(
            d.name.span,
            "\"alias\" directive is duplicate, \"root\" directive was specified earlier",
        ));
    }
    if s.own.named {
        return Err(Fault::new(d.name.span, "the \"alias\" directive cannot be used inside the named location")
            .help(format!("a named location has no path of its own to replace: root {};", d.args[0].str())));
    }
    let root = b.path_template(d, 0)?;
    not_of_itself(&root, d)?;
    let files = files(&mut s.settings);
    files.root = root;
    files.alias = Some(if s.own.regex { u32::MAX } else { s.own.name_len });
    s.own.alias = true;
    Ok(())
}

fn index(s: &mut Scope, b: &mut Build, d: &Directive) -> Outcome {
    let mut list = Vec::new();
    for (at, word) in d.args.iter().enumerate() {
        if word.is_empty() {
            return Err(Fault::new(word.span, format!("index \"{}\" in \"index\" directive is invalid", word.str())));
        }
        let absolute = word.bytes().starts_with(b"/");
        list.push(Index { file: b.template(d, at)?, absolute });
    }
    let first = s.first;
    files(&mut s.settings).index.extend(first, list);
    Ok(())
}

fn try_files(s: &mut Scope, b: &mut Build, d: &Directive) -> Outcome {
    let mut candidates = Vec::new();
    let last = d.args.len() - 1;
    for word in &d.args[..last] {
        let bytes = word.bytes();
        let directory = bytes.len() > 1 && bytes.ends_with(b"/") || bytes == b"/";
        let path = if directory { &bytes[..bytes.len() - 1] } else { bytes };
        candidates.push(Candidate { path: b.template_of(path, word.span)?, directory });
    }
    let word = &d.args[last];
    let fallback = match word.bytes().strip_prefix(b"=") {
        Some(code) => match std::str::from_utf8(code).ok().and_then(|c| c.parse::<u16>().ok()) {
            // What is below is no status of a final response; nginx sends one of its own choice.
            Some(code @ 200..=999) => Fallback::Code(code),
            _ => {
                let fault = Fault::new(word.span, format!("invalid code \"{}\"", word.str()));
                return Err(fault.help("`=` and a status from 200 on, as in =404"));
            }
        },
        None => Fallback::Uri(b.template(d, last)?),
    };
    s.own.try_files = Some(Box::new(TryFiles { candidates, fallback }));
    Ok(())
}

fn types(s: &mut Scope, b: &mut Build, d: &Directive) -> Outcome {
    let files = files(&mut s.settings);
    // A types block replaces the inherited table; several of one level add up (nginx).
    let mut table: Types = match (&files.types, s.first) {
        (Some(types), false) => (**types).clone(),
        _ => Types::default(),
    };
    for line in d.block.iter().flatten() {
        let kind: Rc<[u8]> = line.name.bytes().into();
        if line.block.is_some() && b.follows_from_a_brace(line) {
            continue;
        }
        if line.block.is_some() {
            let fault = Fault::new(line.span, "a line of \"types\" is a content type and its file extensions");
            return Err(match line.name.is("types") {
                true => fault.help("this is a `types` block of its own: include such a file outside of `types { }`"),
                false => fault.help("as in: text/html html htm;"),
            });
        }
        b.odd_line(line);
        if let Some(missing) = b.line_in_line(line, |word| word.bytes().contains(&b'/')) {
            b.warning(missing);
        }
        for extension in &line.args {
            if let Some(old) = table.insert(extension.bytes().to_ascii_lowercase().into(), kind.clone()) {
                let (new, old) = (line.name.str(), String::from_utf8_lossy(&old).into_owned());
                let what = format!(
                    "duplicate extension \"{}\", content type: \"{new}\", previous content type: \"{old}\"",
                    extension.str()
                );
                b.warn(extension.span, what);
            }
        }
    }
    files.types = Some(Rc::new(table));
    Ok(())
}

fn symlinks(s: &mut Scope, b: &mut Build, d: &Directive) -> Outcome {
    let mut from = None;
    let mut kind = None;
    let mut hidden = false;
    for (at, word) in d.args.iter().enumerate() {
        match word.bytes() {
            b"off" | b"on" | b"if_not_owner" | b"outside" if kind.is_some() => {
                let (first, second) = (d.args[0].str(), word.str());
                return Err(Fault::new(word.span, format!("duplicate parameters \"{first} {second}\"")));
            }
            b"off" | b"on" | b"if_not_owner" | b"outside" => kind = Some(word.str().into_owned()),
            b"hidden" if !hidden => hidden = true,
            other => match other.strip_prefix(b"from=") {
                Some(path) => from = Some(b.template_of(path, word.span)?).filter(|_| !path.is_empty()),
                None => return Err(Fault::new(d.args[at].span, format!("invalid parameter \"{}\"", word.str()))),
            },
        }
    }
    files(&mut s.settings).symlinks = match kind.as_deref() {
        Some("outside") if from.is_none() => Symlinks::Outside { hidden },
        _ if hidden => return Err(invalid(d, 0)),
        Some("off") if from.is_none() => Symlinks::Off,
        Some("on") => Symlinks::On { from },
        Some("if_not_owner") => Symlinks::IfNotOwner { from },
        _ => return Err(invalid(d, 0)),
    };
    Ok(())
}
