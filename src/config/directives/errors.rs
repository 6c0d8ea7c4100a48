//! error_page: the page for a status.

use crate::config::ast::Directive;
use crate::config::build::{Build, Scope};
use crate::config::context::{Args, Contexts};
use crate::config::fault::{Fault, Outcome};
use crate::config::row::{Effect, HSLI, Row, row};
use crate::config::settings::errors::{ErrorPage, PageStatus, PageTarget};
use std::rc::Rc;

pub const ROWS: &[Row] = &[
    row(
        "error_page",
        HSLI,
        Args::TWO_OR_MORE,
        "",
        Effect::Many(error_page),
        "Shows a URI for the listed statuses: a path (internal redirect), @name, or another site (302). =code changes the status, = takes the page's.",
    ),
    row(
        "recursive_error_pages",
        Contexts::HSL,
        Args::FLAG,
        "off",
        Effect::Flag(|s| &mut Rc::make_mut(&mut s.errors).recursive),
        "Whether an error while an error page is made may have an error page too.",
    ),
];

fn error_page(s: &mut Scope, b: &mut Build, d: &Directive) -> Outcome {
    let last = d.args.len() - 1;
    let mut codes_end = last;
    let mut status = PageStatus::Kept;
    if let Some(code) = d.args[last - 1].bytes().strip_prefix(b"=") {
        codes_end = last - 1;
        status = match code {
            b"" => PageStatus::FromPage,
            digits => match std::str::from_utf8(digits).ok().and_then(|c| c.parse().ok()) {
                Some(code) => PageStatus::Code(code),
                None => {
                    return Err(Fault::new(
                        d.args[last - 1].span,
                        format!("invalid value \"{}\"", d.args[last - 1].str()),
                    ));
                }
            },
        };
    }
    if codes_end == 0 {
        return Err(Fault::new(d.args_span(), "\"error_page\" names no status").help("error_page 404 /404.html;"));
    }
    let mut codes = Vec::new();
    for word in &d.args[..codes_end] {
        match word.str().parse::<u16>() {
            Ok(499) => return Err(Fault::new(word.span, "invalid value \"499\": the client is gone by then")),
            Ok(code @ 300..=599) => codes.push(code),
            Ok(_) => {
                return Err(Fault::new(word.span, format!("value \"{}\" must be between 300 and 599", word.str()))
                    .help("error_page is for redirects and errors: 300 to 599"));
            }
            Err(_) => return Err(Fault::new(word.span, format!("invalid value \"{}\"", word.str()))),
        }
    }
    let word = &d.args[last];
    let target = match word.bytes() {
        [b'/', ..] => PageTarget::Uri(b.template(d, last)?),
        [b'@', ..] => PageTarget::Named(word.bytes().into()),
        _ => PageTarget::External(b.template(d, last)?),
    };
    let page = Rc::new(ErrorPage { codes: codes.into(), status, target });
    Rc::make_mut(&mut s.settings.errors).pages.add(s.first, page);
    Ok(())
}
