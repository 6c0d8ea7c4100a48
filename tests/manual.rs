//! What is generated from the code: manual pages, shell completions, the list of directives. The files are committed, so
//! that packages need no generator; this test fails where they are older than the code. `make docs` writes them.

#[allow(dead_code)]
#[path = "../src/cli.rs"]
mod cli;

use clap_complete::Shell;
use std::fs;
use std::path::Path;
use webserv::config::registry;

const TOP: &str = env!("CARGO_MANIFEST_DIR");

/// One entry of the text manual: its name, and the lines below it.
struct Entry<'a> {
    name: &'a str,
    facts: Vec<(&'a str, &'a str)>,
    text: String,
}

/// The manual's entries, then its lists of what is ignored and refused as they are.
fn entries(manual: &str) -> (Vec<Entry<'_>>, Vec<&str>) {
    let (mut found, mut rest) = (Vec::new(), Vec::new());
    for block in manual.split("\n\n") {
        let mut lines = block.lines();
        let Some(name) = lines.next() else { continue };
        let facts: Vec<(&str, &str)> = lines.clone().filter_map(|line| line.trim_start().split_once(": ")).collect();
        if name.starts_with(' ') || name.contains(' ') || !facts.iter().any(|(what, _)| *what == "class") {
            rest.push(block);
            continue;
        }
        const FACTS: [&str; 6] = ["also", "takes", "default", "where", "class", "example"];
        let is_fact = |line: &&str| line.trim_start().split_once(": ").is_some_and(|(what, _)| FACTS.contains(&what));
        let text: Vec<&str> = lines.skip_while(is_fact).map(str::trim).collect();
        let facts = facts.into_iter().filter(|(what, _)| FACTS.contains(what)).collect();
        found.push(Entry { name, facts, text: text.join(" ") });
    }
    (found, rest)
}

/// Text for roff: nothing of it is a request or an escape.
fn roff(text: &str) -> String {
    let escaped = text.replace('\\', "\\e").replace('-', "\\-");
    match escaped.starts_with(['.', '\'']) {
        true => format!("\\&{escaped}"),
        false => escaped,
    }
}

fn html(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// webserv.conf(5).
fn directives_page(manual: &str) -> String {
    let (entries, rest) = entries(manual);
    let mut out = String::from(
        ".TH WEBSERV.CONF 5 \"2026-11-28\" webserv \"File formats\"\n.SH NAME\nwebserv.conf \\- the configuration of webserv(8)\n\
         .SH DESCRIPTION\nThe language is nginx's: directives end with a semicolon, blocks stand in braces, # begins a \
         comment.\n.B webserv \\-t\nchecks a file and explains every mistake.\n.SH DIRECTIVES\n",
    );
    for entry in &entries {
        out.push_str(&format!(".SS {}\n", roff(entry.name)));
        for (what, value) in &entry.facts {
            out.push_str(&format!("{what}: {}\n.br\n", roff(value)));
        }
        out.push_str(&format!("{}\n", roff(&entry.text)));
    }
    out.push_str(".SH OTHER DIRECTIVES OF NGINX\n");
    let mut goes_on = false;
    for line in rest.iter().flat_map(|block| block.lines()).filter(|line| !line.trim().is_empty()) {
        match line.strip_prefix("    ") {
            Some(line) => out.push_str(&format!("{}{}\n", if goes_on { ".br\n" } else { "" }, roff(line))),
            None => out.push_str(&format!(".SS {}\n", roff(line))),
        }
        goes_on = line.starts_with("    ");
    }
    out.push_str(".SH SEE ALSO\n.BR webserv (8)\n");
    out
}

/// webserv(8): the generator's page with the usage lines of `--help`, and without references to pages that there are none
/// of.
fn program_page() -> String {
    let mut out = Vec::new();
    let man = clap_mangen::Man::new(cli::command()).section("8").manual("System administration").date("");
    man.render(&mut out).expect("a page in memory");
    let page = String::from_utf8(out).expect("roff is text");
    let page = page.replace("\n.br\n\n.br\n", "\n.sp\n");
    let page = page.replace("webserv\\-", "webserv ").replace("(8)\n", "\n").replace(".SH SUBCOMMANDS", ".SH COMMANDS");
    let page = page.replace(".TH webserv 8  \"webserv \"", ".TH WEBSERV 8 \"2026-11-28\" webserv");
    let (before, rest) = page.split_once(".SH SYNOPSIS\n").expect("the page has a synopsis");
    let (_, after) = rest.split_once(".SH DESCRIPTION\n").expect("the page has a description");
    let help = cli::command().render_help().to_string();
    let usage: String = help
        .lines()
        .take_while(|line| !line.is_empty())
        .map(|line| format!("{}\n", roff(line.get(7..).unwrap_or_default())))
        .collect();
    let words: String =
        cli::words().map(|(word, options)| format!(".TP\nwebserv {word}\n{}\n", roff(&about_word(options)))).collect();
    let mut page = format!("{before}.SH SYNOPSIS\n.nf\n{usage}.fi\n.SH DESCRIPTION\n{after}");
    page.push_str(&words);
    page.push_str(
        ".SH SIGNALS\n.TP\nHUP\nreload the configuration; a mistake keeps the old one\n.TP\nUSR1\nreopen the logs\n\
         .TP\nUSR2\nstart a new binary over the same sockets\n.TP\nQUIT\nfinish the requests under way, then end\n\
         .TP\nTERM, INT\nend at once\n\
         .SH EXIT STATUS\n0 where the command did what it says, 1 where it did not. With \\-t and check: whether the \
         configuration is valid.\n\
         .SH FILES\n.TP\nconf/default.conf, /etc/webserv/webserv.conf\nthe configuration where none is named, the first \
         that there is\n.TP\n/etc/webserv/sites\\-available, /etc/webserv/sites\\-enabled\nthe sites of a package\n\
         .SH SEE ALSO\n.BR webserv.conf (5)\n",
    );
    page
}

/// What a word of the command line stands for.
fn about_word(options: &[&str]) -> String {
    match options {
        [] => "serve a configuration or a directory".to_owned(),
        options => format!("the same as webserv {}", options.join(" ")),
    }
}

/// The handbook's page of directives, with a search box that works without a network.
fn handbook_page(manual: &str) -> String {
    let (entries, _) = entries(manual);
    let mut out = String::from(
        "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>Directives – webserv handbook</title>\n<link rel=\"icon\" href=\"/favicon.svg\">\n\
         <link rel=\"stylesheet\" href=\"/style.css\">\n<nav aria-label=\"Chapters\">\n  <a href=\"/\">First steps</a>\n  \
         <a href=\"/uploads\">Uploads</a>\n  <a href=\"/sites\">Sites and locations</a>\n  \
         <a href=\"/https\">HTTPS</a>\n  <a href=\"/service\">As a service</a>\n  <a href=\"/directives\" aria-current=\"page\">Directives</a>\n  <a href=\"/examples/\">Examples</a>\n</nav>\n\
         <main>\n<h1>Directives</h1>\n<p id=\"find\" hidden><label>Search <input id=\"search\" type=\"search\"></label> \
         <span id=\"count\" role=\"status\"></span></p>\n",
    );
    for entry in &entries {
        out.push_str(&format!(
            "<section id=\"{0}\">\n<h2><a href=\"#{0}\">{0}</a></h2>\n<p>{1}</p>\n<dl>\n",
            entry.name,
            html(&entry.text)
        ));
        for (what, value) in &entry.facts {
            out.push_str(&format!("<dt>{what}<dd>{}\n", html(value)));
        }
        out.push_str("</dl>\n</section>\n");
    }
    out.push_str("</main>\n<script src=\"/directives.js\"></script>\n</html>\n");
    out
}

/// The words that an argument can be: parsing takes them from tables of its own, and a shell completes them.
fn with_values(command: clap::Command) -> clap::Command {
    let one_of = |words: Vec<&'static str>| clap::builder::PossibleValuesParser::new(words);
    let mut directives: Vec<&str> = registry::rows().map(|row| row.name).collect();
    directives.sort_unstable();
    directives.dedup();
    let codes = webserv::tools::lint::RULES.iter().copied().flatten().map(|rule| rule.code).collect();
    let commands: Vec<&str> = command.get_subcommands().map(|sub| &*sub.get_name().to_owned().leak()).collect();
    command
        .mut_arg("s", |arg| arg.value_parser(one_of(vec!["stop", "quit", "reopen", "reload", "drain", "upgrade"])))
        .mut_subcommand("directives", |sub| sub.mut_arg("name", |arg| arg.value_parser(one_of(directives))))
        .mut_subcommand("lint", |sub| sub.mut_arg("rule", |arg| arg.value_parser(one_of(codes))))
        .mut_subcommand("help", |sub| sub.mut_arg("config", |arg| arg.value_parser(one_of(commands))))
}

fn completion(shell: Shell) -> String {
    let mut out = Vec::new();
    let words = cli::words().map(|(word, options)| {
        let config = clap::Arg::new("config").value_name("CONFIG").value_hint(clap::ValueHint::FilePath);
        clap::Command::new(word).about(about_word(options)).arg(config)
    });
    let mut command = with_values(cli::command().subcommands(words));
    clap_complete::generate(shell, &mut command, "webserv", &mut out);
    String::from_utf8(out).expect("a script is text")
}

#[test]
fn the_generated_files_are_those_of_the_code() {
    let text = registry::reference(registry::Markup::Text);
    let markdown = format!(
        "# Directives\n\nGenerated from the code by `make docs`; `webserv directives` prints the same.\n\n{}",
        registry::reference(registry::Markup::Markdown)
    );
    let files = [
        ("packaging/man/webserv.8", program_page()),
        ("packaging/man/webserv.conf.5", directives_page(&text)),
        ("packaging/completions/webserv.bash", completion(Shell::Bash)),
        ("packaging/completions/_webserv", completion(Shell::Zsh)),
        ("packaging/completions/webserv.fish", completion(Shell::Fish)),
        ("docs/directives.md", markdown),
        ("www/handbook/directives.html", handbook_page(&text)),
    ];
    let write = std::env::var_os("WEBSERV_WRITE_DOCS").is_some();
    let mut old = Vec::new();
    for (path, content) in files {
        let file = Path::new(TOP).join(path);
        if write {
            fs::create_dir_all(file.parent().expect("a directory")).expect("a directory");
            fs::write(&file, &content).expect("a file");
        } else if fs::read_to_string(&file).unwrap_or_default() != content {
            old.push(path);
        }
    }
    assert!(old.is_empty(), "older than the code: {}; `make docs` writes them", old.join(", "));
}

#[test]
fn every_directive_of_the_manual_is_an_entry_of_the_pages() {
    let text = registry::reference(registry::Markup::Text);
    let (entries, _) = entries(&text);
    let names: Vec<&str> = entries.iter().map(|entry| entry.name).collect();
    for row in webserv::config::registry::rows() {
        assert!(names.contains(&row.name), "{}", row.name);
    }
    assert!(entries.iter().all(|entry| !entry.text.is_empty()), "each says what it does");
}
