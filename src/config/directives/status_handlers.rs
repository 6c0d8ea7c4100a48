//! Locations that answer without files. Not inherited: each is what its own location answers (nginx).

use crate::config::context::{Args, Contexts};
use crate::config::model::Content;
use crate::config::row::{Effect, Row, SL, row};

pub const ROWS: &[Row] = &[
    row(
        "empty_gif",
        Contexts::LOCATION,
        Args::NONE,
        "",
        Effect::Once(|s, _, _| {
            s.own.content = Content::EmptyGif;
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
            s.own.content = Content::Health;
            Ok(())
        }),
        "The location answers health checks of load balancers: 200 while the server takes requests, 503 from the moment `webserv -s drain` was given. `$draining` is 1 from then on, for conditions of one's own. nginx has nothing like it.",
    ),
    row(
        "stub_status",
        SL,
        // Old configurations write `stub_status on;`. nginx takes any word there, and so do we.
        Args::range(0, 1),
        "",
        Effect::Once(|s, _, _| {
            s.own.content = Content::StubStatus;
            Ok(())
        }),
        "The location answers with nginx's page of counters: connections, requests, and what connections are doing. Let only those in who may see it.",
    ),
];
