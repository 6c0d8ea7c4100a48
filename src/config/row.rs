//! One row describes a directive completely: names, contexts, arguments, default, effect and documentation. Lookup,
//! checks, the reference manual and did-you-mean are all derived from rows.

use super::argument::{flag, number, offset, size, time};
use super::ast::Directive;
use super::build::{Build, Scope};
use super::context::{Args, Contexts};
use super::fault::Outcome;
use super::settings::Settings;
use super::value::{Millis, Size};

/// One directive.
pub struct Row {
    /// Its name, as in nginx.
    pub name: &'static str,
    /// Other names for the same directive.
    pub aliases: &'static [&'static str],
    /// Where it may stand.
    pub contexts: Contexts,
    /// How many arguments it takes.
    pub args: Args,
    /// As printed in the manual; "" if there is none.
    pub default: &'static str,
    /// Who defined it.
    pub provenance: Provenance,
    /// What it does to the level.
    pub effect: Effect,
    /// One or more sentences for the manual, including deviations from nginx.
    pub doc: &'static str,
}

/// Who defined a directive's meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Provenance {
    /// nginx's meaning.
    Nginx,
    /// webserv's own.
    Ours,
}

/// What a directive does.
#[derive(Clone, Copy)]
pub enum Effect {
    /// `on` or `off`.
    Flag(fn(&mut Settings) -> &mut bool),
    /// A size in bytes, with `k` or `m` (`ngx_parse_size`).
    Size(fn(&mut Settings) -> &mut Size),
    /// A file size, which may be in gigabytes.
    Offset(fn(&mut Settings) -> &mut Size),
    /// A time, kept in milliseconds (`ngx_parse_time`).
    Time(fn(&mut Settings) -> &mut Millis),
    /// A number from 0 on.
    Number(fn(&mut Settings) -> &mut u64),
    /// At most once per block.
    Once(Apply),
    /// Any number of times; `Scope::first` marks the first in a block, which replaces what was inherited.
    Many(Apply),
    /// A step of the rewrite script: order matters, so these are processed in a pass of their own.
    Script,
    /// A block that `resolve` walks into.
    Section(Section),
}

/// Applies a directive to the level being read.
pub type Apply = fn(&mut Scope, &mut Build, &Directive) -> Outcome;

/// Blocks that contain directives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Section {
    Events,
    Http,
    Server,
    Location,
    LimitExcept,
    Upstream,
    AcmeIssuer,
}

/// `http`, `server`, `location` and `if` inside a location.
pub const HSLI: Contexts = Contexts::HSL.or(Contexts::IF_LOCATION);
/// `server` and `location`.
pub const SL: Contexts = Contexts::SERVER.or(Contexts::LOCATION);
/// `http` and `server`.
pub const HS: Contexts = Contexts::HTTP.or(Contexts::SERVER);

/// A row of nginx's meaning. [`Row::ours`] and [`Row::also`] change that.
pub const fn row(
    name: &'static str,
    contexts: Contexts,
    args: Args,
    default: &'static str,
    effect: Effect,
    doc: &'static str,
) -> Row {
    Row { name, aliases: &[], contexts, args, default, provenance: Provenance::Nginx, effect, doc }
}

impl Row {
    /// Marks the directive as webserv's own.
    pub const fn ours(self) -> Row {
        Row { provenance: Provenance::Ours, ..self }
    }

    /// Other names that mean the same.
    pub const fn also(self, aliases: &'static [&'static str]) -> Row {
        Row { aliases, ..self }
    }
}

/// Applies the simple effects; `resolve` handles the others.
pub fn set_simple(row: &Row, settings: &mut Settings, d: &Directive) -> Outcome {
    match row.effect {
        Effect::Flag(place) => *place(settings) = flag(d, 0)?,
        Effect::Size(place) => *place(settings) = size(d, 0)?,
        Effect::Offset(place) => *place(settings) = offset(d, 0)?,
        Effect::Time(place) => *place(settings) = time(d, 0)?,
        Effect::Number(place) => *place(settings) = number(d, 0)?,
        Effect::Once(_) | Effect::Many(_) | Effect::Script | Effect::Section(_) => {}
    }
    Ok(())
}
