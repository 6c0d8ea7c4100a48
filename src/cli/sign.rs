//! `webserv sign` on the command line.

use clap::{Arg, ArgMatches, Command};
use std::path::PathBuf;
use webserv::tools::sign::Sign;

/// The options of `webserv sign`.
pub fn command() -> Command {
    let path = || clap::value_parser!(PathBuf);
    let option =
        |id: &'static str, name: &'static str, help: &'static str| Arg::new(id).long(id).value_name(name).help(help);
    Command::new("sign")
        .about("Print a link that `signed_link` accepts, for an upload or a download")
        .arg(Arg::new("url").value_name("URL").required(true).help("where the link leads; a folder's ends in a slash"))
        .arg(option("key", "FILE", "the file that signed_link names").required(true).value_parser(path()))
        .arg(option("expires", "TIME", "30m, 2h, 7d from now, or a Unix time [default: 1h]").allow_hyphen_values(true))
        .arg(option("methods", "LIST", "GET, or POST,PUT for uploads").default_value("GET"))
        .arg(option("size", "MIN-MAX", "bytes of an uploaded file, such as 0-10m").allow_hyphen_values(true))
        .arg(option("types", "LIST", "media types of uploaded files, such as image/*,application/pdf"))
        .arg(option("place", "PATH", "the path that the link is for, where it is not the URL's"))
}

/// What was given.
pub fn of(sub: &ArgMatches) -> Sign {
    let text = |id: &str| sub.get_one::<String>(id).cloned();
    Sign {
        url: text("url").unwrap_or_default(),
        key: sub.get_one::<PathBuf>("key").cloned().unwrap_or_default(),
        expires: text("expires").or_else(|| Some("1h".into())),
        methods: text("methods").unwrap_or_default(),
        size: text("size"),
        types: text("types"),
        place: text("place"),
    }
}
