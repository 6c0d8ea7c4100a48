//! Error pages that fail: looked for in the wrong place, or requested from the server that has failed; and error
//! pages that hide the error.

use super::blocks::{Pass, below, is_pass, location, passes};
use super::missing_prerequisites::host_of;
use super::rule::{COMPARED, Finding, Rule, RuleContext};
use crate::config::ast::{Directive, Word};
use crate::util::hash::FastSet;

pub const RULES: &[Rule] = &[
    Rule {
        code: "W317",
        title: "an error page by its path in the file system",
        page: "What `error_page` names is a URI, which is looked for below the root like any other: with `root /var/www/html`, \
               `/var/www/html/502.html` leads to /var/www/html/var/www/html/502.html. Write the part below the root: \
               `error_page 502 /502.html;`.",
        about: &["error_page"],
        check: path_of_file,
    },
    Rule {
        code: "W318",
        title: "an error page that is requested from the failed server",
        page: "502, 503 and 504 say that the application does not answer, and `location / { proxy_pass … }` asks it for the page as \
               well. Give the page a location of its own: `location = /502.html { root /srv/errors; internal; }`.",
        about: &["error_page"],
        check: asked_of_the_failed,
    },
    Rule {
        code: "W043",
        title: "an error that looks like a success",
        page: "With `error_page 500 502 =200 /e.html` a failure is answered with 200: caches keep the page, monitors and \
               programs take it for the answer. Leave the `=200` out.",
        about: &["error_page"],
        check: hidden_error,
    },
    Rule {
        code: "W316",
        title: "an error page that becomes a redirect",
        page: "`error_page` with a URL sends the client there with 302: browsers, caches and search engines see a page that has \
               moved, not an error. A path of the site is sent with the error itself: `error_page 404 /404.html;`.",
        about: &["error_page"],
        check: redirected_error,
    },
    Rule {
        code: "W352",
        title: "a fallback that looks for the same file again",
        page: "`error_page 404 @fallback` is asked because the file was not found, and `try_files $uri =404` there looks for the \
               same file below the same root: the answer is 404 in any case. Let it look below another `root`, name another file, \
               or pass the request to an application.",
        about: &["try_files"],
        check: looked_for_again,
    },
];

/// The page of an `error_page`, if it is a path without variables.
fn page<'a>(cx: &RuleContext<'_, 'a>) -> Option<(&'a Word, &'a [Word])> {
    let (page, codes) = cx.d.args.split_last().filter(|_| cx.is("error_page"))?;
    (page.bytes().starts_with(b"/") && !page.bytes().contains(&b'$')).then_some((page, codes))
}

fn path_of_file(cx: &RuleContext, found: &mut Vec<Finding>) {
    const TOPS: [&str; 3] = ["/var/", "/usr/", "/etc/"];
    // Sites have sections of these names.
    const NAMES: [&str; 3] = ["/srv/", "/home/", "/opt/"];
    let Some((page, codes)) = page(cx) else { return };
    let text = page.str();
    let root = cx.levels().find_map(|level| level.first_of("root")?.args.first());
    let below = root.and_then(|root| text.strip_prefix(root.str().trim_end_matches('/'))?.strip_prefix('/'));
    let is_below = below.is_some() && root.is_some_and(|root| root.len() > 1);
    // A location for it makes it a URI.
    let taker = cx.inside("server").and_then(|server| server.taker(page.bytes()));
    let is_named = taker.is_some_and(|d| location(d).is_some_and(|(_, name)| name.len() > 1));
    let is_deep = text.matches('/').count() > 2;
    let is_path =
        TOPS.iter().any(|top| text.starts_with(top)) || is_deep && NAMES.iter().any(|name| text.starts_with(name));
    // Below the root `/` the two are one.
    let is_at_top = root.is_some_and(|root| root.is("/"));
    if !is_named && !is_at_top && (is_below || cx.inside("server").is_some() && is_path) {
        let message = format!("\"{text}\" is a URI here: it is looked for below the root");
        let file = below.or_else(|| text.rsplit('/').next()).unwrap_or_default();
        let codes: Vec<_> = codes.iter().map(Word::str).collect();
        let help = format!("write the path below the root: error_page {} /{file};", codes.join(" "));
        found.push(Finding::new(page.span, message, help));
    }
}

fn asked_of_the_failed(cx: &RuleContext, found: &mut Vec<Finding>) {
    let Some((page, codes)) = page(cx) else { return };
    let Some(server) = cx.inside("server") else { return };
    let is_failure = |code: &Word| ["502", "503", "504"].iter().any(|known| code.is(known));
    if !codes.iter().any(is_failure) || cx.levels.iter().any(|level| level.has("include")) {
        return;
    }
    let Some(taker) = server.taker(page.bytes()) else { return };
    let inside = || taker.block.iter().flatten();
    let passed = inside().find(|d: &&Directive| passes(&[Pass::Http]).any(|pass| d.name.is(pass)));
    // Another line may answer before it.
    let answers = ["try_files", "if", "return", "rewrite", "location", "error_page"];
    let is_first = !inside().any(|d| answers.iter().any(|name| d.name.is(name)));
    let is_everything = location(taker).is_some_and(|(_, name)| name.is("/"));
    // In a location that asks another server the page does come.
    let own = cx.levels().filter(|_| cx.location().is_some()).find_map(|level| level.first_of("proxy_pass"));
    let is_same = |pass: &&Directive| {
        own.is_none_or(|own| own.args.first().map(Word::bytes) == pass.args.first().map(Word::bytes))
    };
    if let Some(pass) = passed.filter(|pass| is_first && is_everything && is_same(pass)) {
        let message = format!("\"{}\" is asked of the server that has failed: the built-in page is sent", page.str());
        let help = format!("give it a location of its own: location = {} {{ root DIRECTORY; internal; }}", page.str());
        found.push(Finding::new(page.span, message, help).note(pass.span, "it is asked here"));
    }
}

fn hidden_error(cx: &RuleContext, found: &mut Vec<Finding>) {
    let Some((page, rest)) = cx.d.args.split_last().filter(|_| cx.is("error_page")) else { return };
    let Some((change, codes)) = rest.split_last() else { return };
    let is_failure = |word: &Word| word.len() == 3 && word.bytes().starts_with(b"5");
    // If something answers in its place, 200 may be correct.
    let level = cx.level();
    let is_answered = || level.passing.get_or_init(|| passing(level.all)).contains(page.bytes());
    let is_page = page.bytes().starts_with(b"/");
    if change.is("=200") && !codes.is_empty() && codes.iter().all(is_failure) && is_page && !is_answered() {
        let message = "a failure is answered with 200: caches and programs take the page for the answer";
        let codes: Vec<_> = codes.iter().map(Word::str).collect();
        let help = format!("write: error_page {} {};", codes.join(" "), page.str());
        found.push(Finding::new(change.span, message, help));
    }
}

/// The names of locations at this level and below that pass requests on.
fn passing(all: &[Directive]) -> FastSet<&[u8]> {
    let mut names = FastSet::default();
    below(all, |d| {
        let name = location(d).filter(|_| d.block.iter().flatten().any(|d| is_pass(&d.name.str())));
        names.extend(name.map(|(_, name)| name.bytes()));
        false
    });
    names
}

fn redirected_error(cx: &RuleContext, found: &mut Vec<Finding>) {
    let Some((page, codes)) = cx.d.args.split_last().filter(|_| cx.is("error_page")) else { return };
    let text = page.str();
    // A login, or https:// for what came by http://, is meant to be a redirect.
    const MEANT: [&str; 5] = ["401", "403", "495", "496", "497"];
    let is_error = |word: &Word| matches!(word.bytes(), [b'4' | b'5', _, _]) && !MEANT.iter().any(|code| word.is(code));
    if !text.starts_with("http") && !text.starts_with("$scheme:")
        || !text.contains("://")
        || !codes.iter().all(is_error)
    {
        return;
    }
    let host = host_of(&text);
    let names = cx.inside("server").and_then(|server| server.first_of("server_name"));
    let is_own = ["$host", "$server_name", "$http_host"].contains(&host)
        || names.is_some_and(|d| d.args.iter().any(|name| name.is(host)));
    let path = text.split_once("://").and_then(|(_, rest)| rest.find('/').and_then(|at| rest.get(at..)));
    if let Some(path) = path.filter(|_| is_own) {
        let message = "the client is sent there with 302: it does not learn of the error";
        let codes: Vec<_> = codes.iter().map(Word::str).collect();
        found.push(Finding::new(page.span, message, format!("write: error_page {} {path};", codes.join(" "))));
    }
}

fn looked_for_again(cx: &RuleContext, found: &mut Vec<Finding>) {
    let Some((b"", name)) = cx.blocks.last().and_then(|block| location(block)) else { return };
    let (true, Some(server)) = (name.bytes().starts_with(b"@"), cx.inside("server")) else { return };
    let level = cx.level();
    let Some((last, files)) = cx.d.args.split_last().filter(|_| cx.is("try_files")) else { return };
    let is_same = |word: &Word| word.is("$uri") || word.is("$uri/");
    let has_own =
        ["root", "alias", "rewrite", "index"].iter().any(|own| level.has(own)) || level.first_pass().is_some();
    if !last.is("=404") || !files.iter().all(is_same) || has_own {
        return;
    }
    // Only what the server as a whole says: a location may have another root.
    let has_other =
        server.named("location").iter().take(COMPARED).any(|d| d.block.iter().flatten().any(|d| d.name.is("root")));
    let leads = |d: &&&Directive| d.args.last().is_some_and(|page| page.bytes() == name.bytes()) && d.says("404");
    let line = server.named("error_page").iter().take(COMPARED).find(leads).filter(|_| !has_other);
    if let Some(line) = line {
        let message = "404 again: the file that was not found is looked for below the same root";
        let help = "look below another root, or pass the request on";
        found.push(Finding::new(cx.d.args_span(), message, help).note(line.span, "it leads here"));
    }
}
