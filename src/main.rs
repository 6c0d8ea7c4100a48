//! The program: arguments to commands to exit status. One function per command; everything else is the library's.

mod cli;
mod config_source;
mod notes;
mod share;

use cli::{Args, Explain, Reference, Stop, Tool};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use webserv::config::ast::Directive;
use webserv::config::build::Form;
use webserv::config::error::{Diagnostic, Severity};
use webserv::config::model::Config;
use webserv::config::registry;
use webserv::config::sources::Sources;
use webserv::config::sources::dump;
use webserv::explain;
use webserv::io::{console, replace};
use webserv::server::failed_start;
use webserv::server::lifecycle::{self, Failure, Greeting};
use webserv::server::listeners;
use webserv::server::reload::{self, ConfigSource, Read};
use webserv::server::signal_command::{self, Signalled};
use webserv::sys::Errno;
use webserv::tools::{advice, cert, changes, check_nginx, format, lint, lsp, manual, report, sign, status};

/// Modules of nginx whose directives mean here what they mean there.
const CONFIGURE: &str = "configure arguments: --prefix=. --with-http_stub_status_module --with-http_v2_module --with-http_dav_module --with-http_gzip_static_module --with-http_random_index_module --with-http_realip_module --with-http_secure_link_module --with-http_ssl_module --with-http_auth_request_module --with-http_tunnel_module";
/// What tools look for to know how nginx does TLS: the version of OpenSSL whose directives and words these are.
const TLS: &str = "built with OpenSSL 3.0.0 (its directives; the TLS is rustls)\nTLS SNI support enabled";

fn main() -> ExitCode {
    // What is said first may already go to a file that may not grow.
    webserv::sys::process::ignore_write_signals();
    let args = match cli::parse(std::env::args_os().collect()) {
        Ok(args) => args,
        Err(Stop::Help(text)) => return print(text.as_bytes()),
        Err(Stop::Mistake(text)) => {
            complain(&text);
            return ExitCode::FAILURE;
        }
    };
    if args.own_version {
        return print(concat!("webserv ", env!("CARGO_PKG_VERSION"), "\n").as_bytes());
    }
    if args.version || args.build {
        version(&args);
        // As nginx: `-vt` shows the version and tests.
        if !args.test && !args.dump {
            return ExitCode::SUCCESS;
        }
    }
    match &args.tool {
        Some(Tool::Rule(code)) => return explain_rule(code),
        Some(Tool::Format { check, files }) => return format_files(*check, files),
        Some(Tool::Cert(names)) => return page(cert::page(names, webserv::sys::clock::realtime().0)),
        Some(Tool::Sign(wanted)) => return page(sign::link(wanted, webserv::sys::clock::realtime().0)),
        Some(Tool::Editor) => return language_server(),
        Some(Tool::Lint | Tool::CheckNginx | Tool::Diff { .. }) | None => {}
    }
    if let Some(form) = &args.reference {
        return reference(form);
    }
    let config_source = match config_source::of(&args) {
        Ok(ConfigSource { text: Some(text), .. }) if args.share.print_config => return print(text.as_bytes()),
        Ok(config_source) => config_source,
        Err(Failure { why, .. }) => return fail(&args, "[emerg] ", &why),
    };
    if args.tool == Some(Tool::Lint) {
        return lint_file(&args, &config_source);
    }
    let read = if args.serves() { config_source.read_to_serve(Vec::new()) } else { config_source.read() };
    match &args.tool {
        Some(Tool::CheckNginx) => return check_nginx(&read),
        Some(Tool::Diff { new, log, exit_code }) => {
            return diff(&config_source, read, (new.as_path(), *exit_code), log.as_deref());
        }
        _ => {}
    }
    if let Some(asked) = &args.explain {
        return explain_request(asked, &config_source, read);
    }
    if args.status {
        return status(&args, &config_source, read);
    }
    if args.test || args.dump {
        return test(&args, &config_source, read);
    }
    serve(&args, config_source, read)
}

/// `-v` and `-V`, on stderr as nginx.
fn version(args: &Args) {
    console::line(format_args!(
        "nginx version: nginx/{} (webserv/{})",
        webserv::NGINX_VERSION,
        env!("CARGO_PKG_VERSION")
    ));
    if args.build {
        console::line(format_args!("{TLS}\n{CONFIGURE}"));
    }
}

/// The answer of a command, on standard output.
fn print(text: &[u8]) -> ExitCode {
    match console::print(text) {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            console::line(format_args!("webserv: write() to standard output failed {e}"));
            ExitCode::FAILURE
        }
    }
}

/// Lines for a person, each with the program's name. A closed terminal is no reason to fail otherwise.
fn complain(lines: &str) {
    for line in lines.lines() {
        console::line(format_args!("webserv: {line}"));
    }
}

/// Why nothing is done, in the format that was asked for.
fn fail(args: &Args, severity: &str, why: &str) -> ExitCode {
    match args.json {
        true => console::complain(&report::one(&Diagnostic::emerg(None, why), &Sources::default(), "webserv")),
        false => complain(&format!("{severity}{why}")),
    }
    ExitCode::FAILURE
}

fn reference(form: &Reference) -> ExitCode {
    let text = match form {
        Reference::Text => registry::reference(registry::Markup::Text),
        Reference::Markdown => registry::reference(registry::Markup::Markdown),
        Reference::One(name) => return page(manual::entry(name)),
    };
    print(text.as_bytes())
}

/// A page for standard output, or why there is none.
fn page(page: Result<String, String>) -> ExitCode {
    match page {
        Ok(page) => print(page.as_bytes()),
        Err(why) => {
            complain(&why);
            ExitCode::FAILURE
        }
    }
}

/// `-t` and `-T`: nginx's verdict lines and exit status.
fn test(args: &Args, config_source: &ConfigSource, read: Read) -> ExitCode {
    let program = &config_source.program;
    let file = config_source.file.display();
    let mut read = read;
    if !args.dump {
        notes::add_warnings(config_source, &mut read, config_source.form == Form::Webserv);
        notes::add_absent(config_source, &mut read);
    }
    let read = report(args, config_source, read);
    let outcome = match &read.config {
        None => Err(None),
        Some(config) => lifecycle::test_open(config).map_err(Some),
    };
    if let Err(Some(failure)) = &outcome {
        match args.json {
            true => console::complain(&advice::json(config_source, failure)),
            false => print_message(&advice::message(config_source, failure)),
        }
    }
    let say = |verdict: String| match args.json {
        true => console::complain(&report::verdict(&verdict)),
        false => console::line(format_args!("{program}: {verdict}")),
    };
    if outcome.is_err() {
        say(format!("configuration file {file} test failed"));
        return ExitCode::FAILURE;
    }
    notes::missing_rights(config_source, &read)
        .iter()
        .filter(|_| !args.dump)
        .for_each(|text| say(format!("[warn] {text}")));
    if !args.quiet {
        let config = read.config.iter().filter(|_| !args.dump && config_source.form == Form::Webserv);
        let denied: Vec<String> = config.flat_map(listeners::privileged).map(ToString::to_string).collect();
        if !denied.is_empty() {
            let denied = denied.join(", ");
            say(format!(
                "[notice] this user may not listen on {denied}, so a start as this user would fail: ports from 1024 up need no privilege"
            ));
        }
        say(format!("the configuration file {file} syntax is ok"));
        say(format!("configuration file {file} test is successful"));
    }
    if args.dump {
        return print(&dump(&read.sources));
    }
    // The process ends: to give back 25 000 lines one by one would be a tenth of the work of a test.
    std::mem::forget(read);
    ExitCode::SUCCESS
}

/// What there is to say of a configuration: errors and warnings always (nginx's -q keeps both); notes unless quiet,
/// and not where an error is what the reader, or a script, looks for first.
fn report(args: &Args, config_source: &ConfigSource, mut read: Read) -> Read {
    if args.quiet || args.signal.is_some() || read.diagnostics.has_errors() {
        read.diagnostics.leave_out(Severity::Notice);
    }
    show(args, config_source, &read);
    read
}

/// The messages as they were asked for.
fn show(args: &Args, config_source: &ConfigSource, read: &Read) {
    let program = &config_source.program;
    if args.json {
        console::complain(&report::json(&read.diagnostics, &read.sources, program));
        return;
    }
    let mut text = read.diagnostics.render(&read.sources, program);
    if args.config.is_some() && read.diagnostics.has_errors() && is_no_configuration(&read.tree) {
        let (shown, help) =
            (config_source.file.display(), "a file is read as a configuration; webserv DIR serves a directory");
        text.push_str(&format!("{program}: [notice] \"{shown}\" contains no known directive: {help}\n"));
    }
    if let Some(summary) = report::summary(&read.diagnostics) {
        text.push_str(&format!("\n{program}: {summary}\n"));
    }
    print_message(&text);
}

/// Not one name is a directive's: a file that was to be shared, perhaps.
fn is_no_configuration(tree: &[Directive]) -> bool {
    !tree.is_empty() && !tree.iter().any(|d| registry::rows().any(|row| d.name.is(row.name)))
}

/// A message, in colour on a terminal.
fn print_message(text: &str) {
    let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
        || std::env::var_os("TERM").is_some_and(|value| value == "dumb");
    match !plain && std::io::IsTerminal::is_terminal(&std::io::stderr()) {
        true => console::complain(&report::paint(text)),
        false => console::complain(text),
    }
}

/// `lint`: errors as `-t` has them, but for what another machine may have; else warnings, and failure where there are
/// any.
fn lint_file(args: &Args, config_source: &ConfigSource) -> ExitCode {
    let mut read = config_source.read();
    read.diagnostics.leave_out(Severity::Notice);
    // That is for `-t` to say, where it is served.
    read.diagnostics.forget_absent();
    notes::add_warnings(config_source, &mut read, false);
    show(args, config_source, &read);
    if read.diagnostics.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// `lint --explain`.
fn explain_rule(code: &str) -> ExitCode {
    if code.is_empty() {
        return print(lint::list().as_bytes());
    }
    let none = || format!("no rule is called \"{code}\"; `webserv lint --explain` lists them");
    page(lint::explain(code).ok_or_else(none))
}

/// `fmt`: each file is written only if its layout differs.
fn format_files(check: bool, files: &[PathBuf]) -> ExitCode {
    let mut ok = true;
    for file in files {
        let shown = file.display();
        let written = match std::fs::read(file) {
            Err(e) => Err(format!("open() \"{shown}\" failed {}", Errno::from(e))),
            Ok(text) => match format::format(&text) {
                Err(why) => Err(format!("{shown}: {why}; `webserv -t` shows where")),
                Ok(laid) if laid == text => Ok(()),
                Ok(_) if check => Err(format!("{shown} is not formatted as by `webserv fmt`")),
                Ok(laid) => {
                    replace::rewrite(file, &laid).map_err(|e| format!("write() \"{shown}\" failed {}", Errno::from(e)))
                }
            },
        };
        if let Err(why) = written {
            complain(&why);
            ok = false;
        }
    }
    if ok { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// `status`: the counters of the server that runs by this configuration.
fn status(args: &Args, config_source: &ConfigSource, read: Read) -> ExitCode {
    let Some(config) = read.config else {
        console::complain(&read.diagnostics.render(&read.sources, &config_source.program));
        return ExitCode::FAILURE;
    };
    match status::fetch(&config) {
        Ok(json) if args.json => print(json.as_bytes()),
        Ok(json) if args.all => print(status::table(&json).as_bytes()),
        Ok(json) => print(status::summary::of(&json).as_bytes()),
        Err(why) => fail(args, "", &why),
    }
}

/// `explain`: nothing is opened or bound, so nothing but the configuration and the question can be wrong.
fn explain_request(asked: &Explain, config_source: &ConfigSource, read: Read) -> ExitCode {
    let Some(config) = read.config else {
        console::complain(&read.diagnostics.render(&read.sources, &config_source.program));
        return ExitCode::FAILURE;
    };
    if let Some(log) = &asked.log {
        return explain_logged(asked, log, config_source, config, &read.sources);
    }
    if asked.question.is_empty() {
        return print(explain::everything(&config, &read.sources).as_bytes());
    }
    let question = explain::Query {
        question: asked.question.clone(),
        headers: asked.headers.clone(),
        client: asked.client,
        tls: asked.tls,
        http2: asked.http2,
        certificate: asked.certificate,
        listener: None,
        line: None,
        moment: None,
    };
    match explain::explain(config_source, config, &read.sources, &question) {
        Ok(text) if asked.json => print(explain::json(&text).as_bytes()),
        Ok(text) => print(text.as_bytes()),
        Err(why) => {
            console::line(format_args!("{}: {why}", config_source.program));
            ExitCode::FAILURE
        }
    }
}

/// `explain --log`: a request as a log has it.
fn explain_logged(
    asked: &Explain,
    log: &Path,
    config_source: &ConfigSource,
    config: Config,
    sources: &Sources,
) -> ExitCode {
    let text = match std::fs::read(log) {
        Ok(text) => String::from_utf8_lossy(&text).into_owned(),
        Err(e) => {
            complain(&format!("open() \"{}\" failed {}", log.display(), Errno::from(e)));
            return ExitCode::FAILURE;
        }
    };
    match explain::log_requests::traced(config_source, config, sources, (&text, log), &asked.question) {
        None => complain(&format!("{} has no request with \"{}\"", log.display(), asked.question)),
        Some(Ok(text)) if asked.json => return print(explain::json(&text).as_bytes()),
        Some(Ok(text)) => return print(text.as_bytes()),
        Some(Err(why)) => complain(&why),
    }
    ExitCode::FAILURE
}

/// `lsp`: until the editor is done.
fn language_server() -> ExitCode {
    if std::io::IsTerminal::is_terminal(&std::io::stdin()) {
        complain("lsp is for editors, which start it and speak the Language Server Protocol with it; Ctrl-D ends it");
    }
    match lsp::serve(&mut std::io::stdin().lock(), &mut std::io::stdout().lock()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            complain(&format!("lsp: {e}"));
            ExitCode::FAILURE
        }
    }
}

fn check_nginx(read: &Read) -> ExitCode {
    let (text, is_usable) = check_nginx::report(&read.tree, &read.diagnostics, &read.sources);
    match print(text.as_bytes()) {
        ExitCode::SUCCESS if is_usable => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    }
}

/// `diff`: recorded requests that are answered differently; without a log what the configurations have different.
fn diff(config_source: &ConfigSource, read: Read, (new, exit_code): (&Path, bool), log: Option<&Path>) -> ExitCode {
    let other = ConfigSource { file: new.to_owned(), ..config_source.clone() };
    let other_read = other.read();
    let (Some(config), Some(new_config)) = (read.config, other_read.config) else {
        console::complain(&read.diagnostics.render(&read.sources, &config_source.program));
        console::complain(&other_read.diagnostics.render(&other_read.sources, &config_source.program));
        return ExitCode::FAILURE;
    };
    let Some(log) = log else {
        let directories = [&config, &new_config].map(|config| &*config.process.conf_dir);
        let trees = [(&*read.tree, &read.sources), (&*other_read.tree, &other_read.sources)];
        let (text, differs) = changes::report(trees, directories);
        return verdict((print(text.as_bytes()), differs), exit_code);
    };
    let text = match std::fs::read(log) {
        Ok(text) => String::from_utf8_lossy(&text).into_owned(),
        Err(e) => {
            complain(&format!("open() \"{}\" failed {}", log.display(), Errno::from(e)));
            return ExitCode::FAILURE;
        }
    };
    let compared =
        explain::log_requests::compare((config, &read.sources), (new_config, &other_read.sources), (&text, log));
    let (changes, count) = match compared {
        Ok(compared) => compared,
        Err(why) => {
            complain(&format!("the requests were not compared: {why}"));
            return ExitCode::FAILURE;
        }
    };
    let mut out = String::new();
    for change in &changes {
        let indented = |text: &str| text.lines().map(|line| format!("    {line}\n")).collect::<String>();
        out.push_str(&format!(
            "{}\n  old\n{}  new\n{}\n",
            change.request,
            indented(&change.old),
            indented(&change.new)
        ));
    }
    out.push_str(&format!("{} of {count} recorded requests would be answered differently\n", changes.len()));
    verdict((print(out.as_bytes()), !changes.is_empty()), exit_code)
}

/// `diff --exit-code`: a difference is a failure.
fn verdict((printed, differs): (ExitCode, bool), exit_code: bool) -> ExitCode {
    if exit_code && differs { ExitCode::FAILURE } else { printed }
}

fn serve(args: &Args, config_source: ConfigSource, read: Read) -> ExitCode {
    let mut read = read;
    // A reload uses the configuration as a start does, and the command has a terminal to say it on.
    if read.config.is_some() && args.signal.as_deref().is_none_or(|signal| signal == "reload") {
        notes::add_missing(&config_source, &mut read);
    }
    let notes = reload::notes(&read.diagnostics, &read.sources);
    let read = report(args, &config_source, read);
    if read.config.is_none() && args.signal.is_none() {
        failed_start::note_errors(&config_source, &read);
    }
    let Some(config) = read.config else { return ExitCode::FAILURE };
    let program = config_source.program.clone();
    if let (Some(name), Some(_)) = (&args.signal, &config_source.text) {
        let how = advice::by_hand(&config, name).map_or(String::new(), |how| format!("; {how}"));
        complain(&format!("a directory is served until Ctrl-C is pressed where that runs{how}"));
        return ExitCode::FAILURE;
    }
    // The texts and their tree are not needed any more; ten thousand servers are megabytes of them.
    drop((read.sources, read.tree));
    let outcome = match &args.signal {
        Some(name) => match signal_command::signal(&config, name) {
            Ok(Signalled::Refused(refused)) => {
                print_message(&advice::refused(&config_source, refused));
                return ExitCode::FAILURE;
            }
            Err(mut failure) if config.process.pid.as_ref().is_none_or(|path| !path.exists()) => {
                let cure = advice::by_hand(&config, name).map_or(String::new(), |cure| format!("\n{cure}"));
                failure.why.push_str(&cure);
                Err(failure)
            }
            outcome => outcome.map(|_| ()),
        },
        None => {
            let greeting = match args.quiet || config_source.form == Form::Nginx {
                true => Greeting::Silent,
                false if args.qr => Greeting::WithCode,
                false => Greeting::Addresses,
            };
            webserv::privsep::serve(config, config_source.clone(), greeting, notes)
        }
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure @ Failure { cause: Some(_), .. }) => {
            print_message(&advice::message(&config_source, &failure));
            ExitCode::FAILURE
        }
        Err(Failure { why, .. }) => {
            print_message(&format!("{program}: [emerg] {}\n", why.replace('\n', "\n  = help: ")));
            ExitCode::FAILURE
        }
    }
}
