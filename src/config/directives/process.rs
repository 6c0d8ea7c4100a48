//! The main context and `events`: how the process runs. There is one process and one thread, whatever `worker_*` says.

use crate::config::argument::{flag, invalid, number, time};
use crate::config::ast::Directive;
use crate::config::build::{Build, Scope};
use crate::config::context::{Args, Contexts};
use crate::config::fault::{Fault, Outcome};
use crate::config::row::{Effect, Row, Section, row};
use crate::config::suggest;
use crate::config::value::Size;

const MAIN: Contexts = Contexts::MAIN;
/// With less, almost every request would be refused.
const LEAST_MEMORY: u64 = 16 << 20;
/// All blocks whose contents are interpreted.
const ANYWHERE: Contexts = MAIN
    .or(Contexts::EVENTS)
    .or(Contexts::HSL)
    .or(Contexts::UPSTREAM)
    .or(Contexts::IF_SERVER)
    .or(Contexts::IF_LOCATION)
    .or(Contexts::LIMIT_EXCEPT)
    .or(Contexts::TYPES)
    .or(Contexts::MAP)
    .or(Contexts::GEO)
    .or(Contexts::SPLIT_CLIENTS)
    .or(Contexts::CHARSET_MAP);

pub const ROWS: &[Row] = &[
    row(
        "events",
        MAIN,
        Args::NONE.block(),
        "",
        Effect::Section(Section::Events),
        "Holds directives about connections. May be left out.",
    ),
    row(
        "http",
        MAIN,
        Args::NONE.block(),
        "",
        Effect::Section(Section::Http),
        "Holds the HTTP servers. A file of bare server blocks needs none.",
    ),
    row(
        "include",
        ANYWHERE,
        Args::TAKE1,
        "",
        // `load` expands includes before anything is resolved.
        Effect::Many(|_, _, _| Ok(())),
        "Reads a file, or all files that a pattern such as conf.d/*.conf matches, in its place. A relative name is taken from the directory of the main configuration file.",
    ),
    row(
        "daemon",
        MAIN,
        Args::FLAG,
        "off",
        Effect::Once(|_, b, d| {
            b.process.daemon = flag(d, 0)?;
            Ok(())
        }),
        "Whether the process leaves the terminal. Off by default here (nginx: on).",
    ),
    row(
        "master_process",
        MAIN,
        Args::FLAG,
        "on",
        Effect::Once(|_, b, d| {
            b.process.master = flag(d, 0)?;
            Ok(())
        }),
        "There is one process in any case. As in nginx, off also means that it keeps the user it was started by.",
    ),
    row(
        "user",
        MAIN,
        Args::TAKE12,
        "nobody nogroup",
        Effect::Once(user),
        "User and group to run as once the sockets are bound; takes effect when started as root. A small parent keeps root's rights for reloads, ports and logs; the process that serves has none. Without it a server started by root serves as nobody; user root stays root, without a parent.",
    ),
    row(
        "pid",
        MAIN,
        Args::TAKE1,
        "logs/nginx.pid",
        Effect::Once(pid),
        "File for the process id, written once all sockets listen, or off. A reload may change it. Where files may \
         be uploaded, copied or deleted, PATH.uploads beside it lists the directories in which a killed process may \
         have left hidden names (.webserv-upload-… and the like), which the next start removes.",
    ),
    row(
        "worker_rlimit_nofile",
        MAIN,
        Args::TAKE1,
        "",
        Effect::Once(|_, b, d| {
            b.process.nofile = Some(number(d, 0)?);
            Ok(())
        }),
        "Limit of open files. Without it webserv raises the soft limit to the hard one.",
    ),
    row(
        "worker_memory_limit",
        MAIN,
        Args::TAKE1,
        "off",
        Effect::Once(memory_limit),
        "Memory that the serving process may use for itself, or off. At 90 % idle connections are closed, caches \
         cleared and responses not compressed; at 95 % new requests get 503 while those in progress are finished; at \
         the limit no connection is accepted. The error log reports each stage. At least 16m; a container needs a \
         tenth more.",
    )
    .ours(),
    row(
        "worker_connections",
        Contexts::EVENTS,
        Args::TAKE1,
        "",
        Effect::Once(connections),
        "Connections at a time, those to upstreams among them; at the limit, idle ones are closed first. A request that needs one more to an upstream is answered with 500 (a `proxy_pass` that leads back to its own server comes to that). Without it the limit of open files decides (nginx: 512).",
    ),
    row(
        "worker_shutdown_timeout",
        MAIN,
        Args::TAKE1,
        "",
        Effect::Once(|_, b, d| {
            b.process.shutdown_timeout = Some(time(d, 0)?.0);
            Ok(())
        }),
        "How long a graceful shutdown waits for active requests.",
    ),
    row(
        "drain_delay",
        MAIN,
        Args::TAKE1,
        "5s",
        Effect::Once(|_, b, d| {
            b.process.drain_delay = time(d, 0)?.0;
            Ok(())
        }),
        "How long `webserv -s drain` keeps serving, with `health` answering 503, before it shuts down gracefully: longer than a load balancer needs to see that (its check interval times the failures it waits for). nginx has nothing like it.",
    )
    .ours(),
    row(
        "env",
        MAIN,
        Args::TAKE1,
        "",
        Effect::Many(|_, b, d| {
            b.process.env.push(d.args[0].str().as_ref().into());
            Ok(())
        }),
        "A variable of the environment to keep; webserv keeps all of it.",
    ),
];

fn user(_: &mut Scope, b: &mut Build, d: &Directive) -> Outcome {
    let name = |at: usize| d.args.get(at).map(|w| w.str().into_owned().into_boxed_str());
    let user = name(0).expect("the row takes at least one argument");
    if crate::sys::process::lookup_user(&user).ok().flatten().is_none() {
        let fault = Fault::new(d.args[0].span, format!("getpwnam(\"{user}\") failed: there is no such user"));
        let known = crate::sys::process::user_names();
        return Err(match suggest::did_you_mean(&user, known.iter().map(String::as_str)) {
            Some(near) => fault.help(near),
            None => fault.help(format!("adduser --system --group --no-create-home {user} makes it")),
        });
    }
    if let Some(group) = name(1)
        && crate::sys::process::lookup_group(&group).ok().flatten().is_none()
    {
        let fault = Fault::new(d.args[1].span, format!("getgrnam(\"{group}\") failed: there is no such group"));
        let known = crate::sys::process::group_names();
        return Err(fault.help(match suggest::did_you_mean(&group, known.iter().map(String::as_str)) {
            Some(near) => near,
            None => format!("addgroup --system {group} makes it; without a group, the user's own is taken"),
        }));
    }
    b.process.user = Some((user, name(1)));
    Ok(())
}

fn pid(_: &mut Scope, b: &mut Build, d: &Directive) -> Outcome {
    match d.args[0].bytes() {
        // `/dev/null` keeps nothing, and no link may take its place.
        b"off" | b"/dev/null" => b.process.pid = None,
        // Empty: the default stays (nginx).
        b"" => {}
        path => b.process.pid = Some(b.full_path(path)),
    }
    Ok(())
}

fn memory_limit(_: &mut Scope, b: &mut Build, d: &Directive) -> Outcome {
    b.process.memory_limit = match d.args[0].bytes() {
        b"off" => 0,
        bytes => match Size::parse_offset(bytes) {
            Ok(Size(size)) if size >= LEAST_MEMORY => size,
            _ => return Err(invalid(d, 0).help("a size of at least 16m, as in 512m or 2g, or off")),
        },
    };
    Ok(())
}

fn connections(_: &mut Scope, b: &mut Build, d: &Directive) -> Outcome {
    match number(d, 0) {
        Ok(n) if n > 0 => b.process.connections = Some(n.min(0x00ff_ffff) as u32),
        Err(Fault { help: Some(help), .. }) if help.starts_with("write ") => return Err(invalid(d, 0).help(help)),
        _ => {
            let text = d.args[0].str().to_ascii_lowercase();
            let thousands = text.strip_suffix('k').and_then(|number| number.parse::<u32>().ok());
            let number = thousands.and_then(|n| n.checked_mul(1024)).filter(|n| (1..=0x00ff_ffff).contains(n));
            return Err(invalid(d, 0).help(match number {
                Some(number) => format!("a number has no unit: worker_connections {number};"),
                None => "a number of connections in digits, as in 4096".to_owned(),
            }));
        }
    }
    Ok(())
}
