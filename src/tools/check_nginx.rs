//! `webserv check-nginx FILE`: which parts of an nginx configuration behave the same here, and which are ignored,
//! refused or different, each with its line and the reason; and a verdict.

use crate::config::ast::{Directive, Span, Word};
use crate::config::context::Contexts;
use crate::config::error::{Diagnostic, Diagnostics, Severity};
use crate::config::known::Support;
use crate::config::registry::{self, Definition};
use crate::config::resolve;
use crate::config::row::Row;
use crate::config::sources::Sources;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt::Write;

/// Maximum number of lines shown per kind; more are only counted.
const SHOWN: usize = 200;

/// The reason for a directive, the number of its uses, and the first one.
struct Uses<'t> {
    count: usize,
    first: Span,
    reason: Cow<'t, str>,
}

/// The report, and whether the configuration can be used.
pub fn report(tree: &[Directive], diagnostics: &Diagnostics, sources: &Sources) -> (String, bool) {
    let mut seen = Findings { notices: notices_about_values(diagnostics), ..Findings::default() };
    seen.walk(tree, Contexts::MAIN);
    let mut out = String::new();
    let _ = match seen.same {
        1 => writeln!(out, "same       1 directive means here what it means to nginx"),
        same => writeln!(out, "same       {same} directives mean here what they mean to nginx"),
    };
    section("ignored", &seen.ignored, sources, &mut out);
    section("different", &seen.different, sources, &mut out);
    let refused: Vec<_> = diagnostics.iter().filter(|d| d.severity == Severity::Emerg).collect();
    let is_part = resolve::is_bare(tree);
    let (missing, refused): (Vec<&Diagnostic>, Vec<&Diagnostic>) = refused.into_iter().partition(|d| is_of_machine(d));
    let (outside, refused): (Vec<&Diagnostic>, Vec<&Diagnostic>) =
        refused.into_iter().partition(|d| is_part && is_elsewhere(d));
    for (kind, found) in [("missing", &missing), ("elsewhere", &outside), ("refused", &refused)] {
        for diagnostic in found.iter().take(SHOWN) {
            let hints: String =
                diagnostic.label.iter().chain(&diagnostic.help).map(|hint| format!("; {hint}")).collect();
            let _ = writeln!(out, "{kind:<10} {}{hints}", diagnostic.summary(sources));
        }
        if found.len() > SHOWN {
            let _ = writeln!(out, "{kind:<10} and {} more", found.len() - SHOWN);
        }
    }
    let (ignored, different) = (seen.ignored.len(), seen.different.len());
    let verdict = match (refused.len(), different) {
        (0, _) if !outside.is_empty() => {
            "a part of a configuration, and nothing in it is refused: check the file that includes it".to_owned()
        }
        (0, 0) if ignored == 0 => "drop-in: everything means the same".to_owned(),
        (0, 0) => format!("drop-in: {} ignored, and nothing that is served changes", are(ignored, "directive")),
        (0, _) => format!(
            "drop-in, but see above what {} differently",
            match different {
                1 => "1 directive does".to_owned(),
                n => format!("{n} directives do"),
            }
        ),
        (n, _) => format!(
            "not yet: {} in the way",
            match n {
                1 => "1 mistake or refused directive is".to_owned(),
                n => format!("{n} mistakes or refused directives are"),
            }
        ),
    };
    let verdict = match missing.len() {
        0 => verdict,
        1 => format!("{verdict}; 1 file, user or name is missing on this machine"),
        n => format!("{verdict}; {n} files, users or names are missing on this machine"),
    };
    let _ = writeln!(out, "verdict    {verdict}");
    (out, refused.is_empty())
}

/// Whether an error is due to this machine: a file, user or host name is missing. nginx would report it too.
fn is_of_machine(d: &Diagnostic) -> bool {
    let message = &d.message;
    let is_absent = ["(2: ", "(13: "].iter().any(|errno| message.contains(errno));
    let is_unknown = ["getpwnam(", "getgrnam(", "host not found in "].iter().any(|start| message.starts_with(start));
    is_absent || is_unknown
}

/// Whether an error in an included file may be due to what other files contain: the enclosing block, or names they
/// define.
pub fn is_elsewhere(d: &Diagnostic) -> bool {
    let is_block = is_outside(d) || d.message.starts_with("no \"events\" section");
    let is_name = ["unknown log format \"", "zero size shared memory zone", "no \"ssl_certificate\" is defined"]
        .iter()
        .any(|start| d.message.starts_with(start));
    let is_variable = d.message.starts_with("unknown \"") && d.message.ends_with("\" variable");
    is_block || is_name || is_variable
}

/// Whether a directive lacks its enclosing block.
pub fn is_outside(d: &Diagnostic) -> bool {
    d.label.as_deref() == Some("outside all blocks")
}

/// `1 directive is`, `2 directives are`.
fn are(count: usize, what: &str) -> String {
    if count == 1 { format!("1 {what} is") } else { format!("{count} {what}s are") }
}

fn section(kind: &str, uses: &BTreeMap<&str, Uses<'_>>, sources: &Sources, out: &mut String) {
    for (name, uses) in uses {
        let times = if uses.count > 1 { format!(" ({} times)", uses.count) } else { String::new() };
        let _ = writeln!(out, "{kind:<10} {name}{times} in {}: {}", sources.place(uses.first), uses.reason);
    }
}

/// What the configuration test notes about single values, by their file and place: `TLSv1 is not spoken`.
fn notices_about_values(diagnostics: &Diagnostics) -> BTreeMap<(u32, u32), &str> {
    let notices = diagnostics.iter().filter(|d| d.severity == Severity::Notice);
    notices.filter_map(|d| Some(((d.span?.file.0, d.span?.start), d.message.as_str()))).collect()
}

#[derive(Default)]
struct Findings<'t> {
    notices: BTreeMap<(u32, u32), &'t str>,
    same: usize,
    ignored: BTreeMap<&'t str, Uses<'t>>,
    different: BTreeMap<&'t str, Uses<'t>>,
}

impl<'t> Findings<'t> {
    /// How a directive with these arguments differs from nginx's; None: it does not.
    fn difference(&self, d: &Directive, row: &'static Row) -> Option<Cow<'t, str>> {
        let at = d.args_span();
        let noted: Vec<&str> =
            self.notices.range((at.file.0, at.start)..(at.file.0, at.end)).map(|(_, message)| *message).collect();
        if !noted.is_empty() {
            return Some(noted.join("; ").into());
        }
        // What is switched off, as it is by default, has no differences.
        let is_off = row.default == "off" && matches!(&d.args[..], [word] if word.is("off"));
        behaves(d).or_else(|| registry::difference(row.doc).filter(|_| !is_off)).map(Cow::Borrowed)
    }

    fn walk(&mut self, level: &[Directive], here: Contexts) {
        for d in level {
            let name = d.name.str();
            let inside = inside(&name, here);
            match registry::find(&name, here) {
                Some(Definition::Known(known)) => {
                    // Refused directives are reported as errors.
                    if let Support::Ignored(reason) = known.verdict {
                        note(&mut self.ignored, known.name, d.name.span, reason.into());
                    }
                }
                Some(Definition::Row(row)) => match self.difference(d, row) {
                    Some(reason) => note(&mut self.different, row.name, d.name.span, reason),
                    None => self.same += 1,
                },
                None => {}
            }
            if let (Some(children), Some(inside)) = (&d.block, inside) {
                self.walk(children, inside);
            }
        }
    }
}

fn note<'t>(uses: &mut BTreeMap<&'t str, Uses<'t>>, name: &'t str, span: Span, reason: Cow<'t, str>) {
    uses.entry(name).or_insert(Uses { count: 0, first: span, reason }).count += 1;
}

/// The context inside a block; None: it contains no directives.
fn inside(name: &str, here: Contexts) -> Option<Contexts> {
    Some(match name {
        "events" => Contexts::EVENTS,
        "http" => Contexts::HTTP,
        "server" => Contexts::SERVER,
        "location" => Contexts::LOCATION,
        "upstream" => Contexts::UPSTREAM,
        "limit_except" => Contexts::LIMIT_EXCEPT,
        "if" if here.intersects(Contexts::SERVER) => Contexts::IF_SERVER,
        "if" => Contexts::IF_LOCATION,
        _ => return None,
    })
}

/// How a directive differs with these arguments, if that depends on them.
fn behaves(d: &Directive) -> Option<&'static str> {
    let word = |at: usize| d.args.get(at).map(Word::bytes).unwrap_or_default();
    match d.name.bytes() {
        b"dav_methods" if word(0) != b"off" => Some(
            "names with control characters, links that lead out of the root, DELETE of the root, and COPY or MOVE into \
             what its own location forbids are refused",
        ),
        b"location" if d.args.len() == 1 && !word(0).ends_with(b"/") => {
            let ends =
                |d: &Directive| d.name.is("alias") && d.args.first().is_some_and(|word| word.bytes().ends_with(b"/"));
            d.block
                .iter()
                .flatten()
                .any(ends)
                .then_some("a URI with `..` right behind the name is 404; in nginx it leaves the alias")
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::build::Form;
    use crate::config::load::{LoadOptions, load_text};
    use std::path::Path;

    fn of(text: &str) -> String {
        let loaded = load_text("nginx.conf", text.as_bytes(), &LoadOptions::default());
        report(&loaded.directives, &Diagnostics::default(), &loaded.sources).0
    }

    #[test]
    fn each_directive_is_the_same_ignored_or_different() {
        let text = of("worker_processes 4;\nhttp { server { listen 80; worker_processes 2; location / { root x; } } }");
        assert!(text.contains("ignored    worker_processes"), "{text}");
        assert!(text.contains("nginx.conf:1: tunes nginx's worker processes"), "{text}");
        assert!(text.ends_with("nothing that is served changes\n"), "{text}");
        let text =
            of("http { server { access_log a; location /i { alias /srv/i/; } location /d/ { dav_methods PUT; } } }");
        assert!(text.contains("different  dav_methods") && text.contains("different  location"), "{text}");
        assert!(!text.contains("access_log") && text.ends_with("2 directives do differently\n"), "{text}");
        assert!(of("http { }").ends_with("drop-in: everything means the same\n"));
    }

    #[test]
    fn old_tls_and_a_cache_are_different_and_no_drop_in() {
        let judged = |text: &str| {
            let mut loaded = load_text("nginx.conf", text.as_bytes(), &LoadOptions::default());
            let read = resolve::resolve(&mut loaded, Path::new("/srv"), Form::Webserv, Vec::new(), None);
            report(&loaded.directives, &read.diagnostics, &loaded.sources).0
        };
        let text = judged("http { server { listen 8443; ssl_protocols TLSv1 TLSv1.1 TLSv1.2; } }");
        assert!(text.contains("different  ssl_protocols in nginx.conf:1: TLSv1 is not spoken"), "{text}");
        assert!(text.contains("TLSv1.1 is not spoken") && !text.contains("means the same"), "{text}");
        let text = judged("http { proxy_cache_path /c keys_zone=z:1m; server { proxy_cache z; } }");
        assert!(
            text.contains("different  proxy_cache in ") && text.contains("see above what 1 directive does"),
            "{text}"
        );
        assert!(judged("http { server { proxy_cache off; } }").ends_with("drop-in: everything means the same\n"));
    }

    #[test]
    fn what_this_machine_lacks_is_no_refusal() {
        let loaded = load_text("nginx.conf", b"http { server { listen 80; } }", &LoadOptions::default());
        let judged = |messages: &[&str]| {
            let mut diagnostics = Diagnostics::default();
            messages.iter().for_each(|message| diagnostics.push(Diagnostic::emerg(None, *message)));
            report(&loaded.directives, &diagnostics, &loaded.sources)
        };
        let (text, is_usable) =
            judged(&["open() \"/x\" failed (2: No such file or directory)", "getpwnam(\"nginx\") failed"]);
        assert!(is_usable && text.contains("missing    open()"), "{text}");
        assert!(
            text.contains("verdict    drop-in")
                && text.ends_with("2 files, users or names are missing on this machine\n")
        );
        let (text, is_usable) = judged(&["host not found in upstream \"app\"", "unknown directive \"x\""]);
        assert!(
            !is_usable && text.contains("refused    unknown") && text.contains("verdict    not yet: 1 mistake"),
            "{text}"
        );
    }

    #[test]
    fn a_file_that_is_included_is_judged_as_a_part() {
        let loaded = load_text("site.inc", b"location / { root x; }", &LoadOptions::default());
        let mut diagnostics = Diagnostics::default();
        diagnostics
            .push(Diagnostic::emerg(None, "\"location\" directive is not allowed here").label("outside all blocks"));
        let (text, is_usable) = report(&loaded.directives, &diagnostics, &loaded.sources);
        assert!(is_usable && text.contains("verdict    a part of a configuration"), "{text}");
    }

    #[test]
    fn a_difference_is_the_sentence_that_names_nginx() {
        let doc = "Does a thing. Includes run one after the other (nginx: at once). More.";
        assert_eq!(registry::difference(doc), Some("Includes run one after the other (nginx: at once)"));
        // A different default matters only if the directive is absent.
        assert_eq!(registry::difference("Does a thing. Without it 5 (nginx: 512). More."), None);
        assert_eq!(registry::difference("As nginx has it."), None);
    }
}
