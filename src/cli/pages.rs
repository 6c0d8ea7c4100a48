//! `webserv COMMAND --help`: the part of the help about one command, in the same layout.

use super::command::HELP;
use clap::{Arg, Command};

/// What a terminal shows in a line, by default.
pub(super) const COLUMNS: usize = 80;

/// The help of a command: usage, description, arguments.
pub fn of(command: &Command) -> String {
    let mut page = usage(command.get_name());
    if let Some(about) = command.get_about() {
        page.push_str(&format!("\n{}\n", wrapped(&format!("{about}."), 0)));
    }
    let rows: Vec<(String, String)> = command.get_arguments().map(|arg| (label(arg), help(arg))).collect();
    let width = rows.iter().map(|(label, _)| label.len()).max().unwrap_or(0);
    if width > 0 {
        page.push('\n');
    }
    for (label, help) in rows {
        page.push_str(&format!("  {label:width$} : {}\n", wrapped(&help, width + 5)));
    }
    page
}

/// The help of a word that stands for options.
pub fn of_word(word: &str, options: &[&str]) -> String {
    let flags = options.join(" ");
    let (what, about) = match options {
        [] => ("[CONFIG | DIR]", "Serve a configuration or a directory, in the foreground".to_owned()),
        ["-s", signal] => ("[CONFIG]", match *signal {
            "stop" => "End the running server at once",
            "quit" => "End the running server once its requests are finished",
            "reopen" => "Have the running server open its logs again, after they were moved; fails if one cannot be opened",
            "reload" => "Have the running server load its changed configuration; fails, with the reasons, if it is invalid",
            "drain" => "Fail the health checks first, then end as by quit; returns when the server has ended",
            _ => "Have the binary that is installed now take over the sockets; returns when it serves",
        }.to_owned()),
        ["--version"] => ("", "Show webserv's version".to_owned()),
        ["--status"] => ("[--all | --format json] [CONFIG]", "Show how the running server is doing, or with --all every counter: its configuration needs `api /status/;`".to_owned()),
        ["-T"] => ("[CONFIG]", "Test a configuration and print it, with what it includes".to_owned()),
        _ => ("[-q] [--format json] [CONFIG]", "Test a configuration: each mistake with its line".to_owned()),
    };
    let usage = format!("Usage: webserv {word} {what}");
    let same = if flags.is_empty() { String::new() } else { format!(" The same as webserv {flags}.") };
    let which = match options {
        [] => "\nOptions of either: webserv --help.\n",
        ["-s", _] | ["--status"] => "\n  CONFIG : the server's configuration [default: what would be served]\n",
        _ => "",
    };
    format!("{}\n\n{}\n{which}", usage.trim_end(), wrapped(&format!("{about}.{same}"), 0))
}

/// The text in lines that fit on a terminal, the second and later ones behind `indent` spaces, where the first begins.
fn wrapped(text: &str, indent: usize) -> String {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        match lines.last_mut() {
            Some(line) if line.is_empty() => line.push_str(word),
            Some(line) if indent + line.chars().count() + 1 + word.chars().count() <= COLUMNS => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines.join(&format!("\n{:indent$}", ""))
}

/// The usage lines of a command, including continuation lines.
fn usage(name: &str) -> String {
    let lines = HELP.lines().take_while(|line| !line.is_empty());
    let mut is_ours = false;
    let own = lines.filter_map(|line| line.get(7..)).filter(|line| {
        if let Some(rest) = line.strip_prefix("webserv ") {
            is_ours = rest.split(' ').next() == Some(name);
        }
        is_ours
    });
    let own: Vec<&str> = own.collect();
    format!("Usage: {}\n", own.join("\n       "))
}

fn label(arg: &Arg) -> String {
    let value = arg.get_value_names().filter(|_| arg.get_action().takes_values());
    let value = value.map(|names| names.iter().map(|name| name.to_string()).collect::<Vec<_>>().join(" "));
    let name = match (arg.get_long(), arg.get_short()) {
        (Some(long), _) => format!("--{long}"),
        (None, Some(short)) => format!("-{short}"),
        (None, None) => return value.unwrap_or_default(),
    };
    match value {
        Some(value) => format!("{name} {value}"),
        None => name,
    }
}

fn help(arg: &Arg) -> String {
    let text = arg.get_help().map(ToString::to_string).unwrap_or_default();
    match arg.get_default_values() {
        [] => text,
        values => {
            let values: Vec<_> = values.iter().map(|value| value.to_string_lossy()).collect();
            format!("{text} [default: {}]", values.join(" "))
        }
    }
}
