//! Content handlers without files. Their directives are not inherited (nginx).

use crate::config::ast::Directive;
use crate::config::build::{Build, Scope};
use crate::config::context::{Args, Contexts};
use crate::config::fault::{Fault, Outcome};
use crate::config::model::ContentHandler;
use crate::config::row::{Effect, Row, SL, row};

pub const ROWS: &[Row] = &[
    row(
        "empty_gif",
        Contexts::LOCATION,
        Args::NONE,
        "",
        Effect::Many(|s, _, _| {
            s.own.content = ContentHandler::EmptyGif;
            Ok(())
        }),
        "The location answers with a transparent picture of one pixel, from memory.",
    ),
    row(
        "health",
        Contexts::LOCATION,
        Args::NONE,
        "",
        Effect::Once(|s, _, _| {
            s.own.content = ContentHandler::Health;
            Ok(())
        }),
        "The location answers health checks of load balancers: 200 while the server takes requests, 503 from the moment `webserv -s drain` was given. `$draining` is 1 from then on, for conditions of one's own. nginx has nothing like it.",
    )
    .ours(),
    row(
        "api",
        Contexts::LOCATION,
        Args::TAKE1,
        "",
        Effect::Once(api),
        "Answers with counters as JSON, in the form of Angie's API: `location /status/ { api /status/; }`. The \
         argument is the part of the tree at which the location starts: connections, http, uploads, loop, \
         certificates. Counters survive a reload. `webserv status` reads it. Restrict who may see it.",
    )
    .ours(),
    row(
        "prometheus",
        Contexts::LOCATION,
        Args::range(0, 1),
        "",
        Effect::Once(|s, _, d| {
            if let Some(word) = d.args.first().filter(|word| !word.is("all")) {
                return Err(Fault::new(word.span, format!("unknown template \"{}\"", word.str()))
                    .help("prometheus all; shows every counter, there are no templates"));
            }
            s.own.content = ContentHandler::Prometheus;
            Ok(())
        }),
        "The location answers with all counters in Prometheus's text format: `location = /metrics { prometheus all; }`. Names begin with webserv_; Angie's templates are not there. Let only those in who may see it.",
    )
    .ours(),
    row(
        "stub_status",
        SL,
        // Old configurations have `stub_status on;`. Like nginx, accept any word.
        Args::range(0, 1),
        "",
        Effect::Many(|s, _, _| {
            s.own.content = ContentHandler::StubStatus;
            Ok(())
        }),
        "The location answers with nginx's page of counters: connections, requests, and what connections are doing. Let only those in who may see it.",
    ),
];

fn api(s: &mut Scope, b: &mut Build, d: &Directive) -> Outcome {
    let path = d.args[0].bytes();
    if !path.starts_with(b"/status") {
        return Err(Fault::new(d.args[0].span, format!("\"{}\" is no part of the tree", d.args[0].str()))
            .help("the tree begins at /status/, as in: api /status/;"));
    }
    if s.own.regex || s.own.named {
        return Err(Fault::new(
            d.name.span,
            "\"api\" cannot be used in a location given by a regular expression or a name",
        ));
    }
    let id = u16::try_from(b.process.status_paths.len()).map_err(|_| Fault::new(d.name.span, "too many \"api\""))?;
    b.process.status_paths.push(path.into());
    s.own.content = ContentHandler::Api(id);
    Ok(())
}
