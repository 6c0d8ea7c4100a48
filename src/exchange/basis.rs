//! What a response depends on, and so whether it may be cached ([`super::cacheable`]): only if everything that made
//! it agrees. The handler [vouches](Basis::vouch) for it, and each filter returns [`Cacheable`]. Reading a variable
//! withdraws the vouching ([`super::variables::value`]).
//!
//! Invariant: a handler that knows nothing of this is never cached; [`super::phases`] withdraws the vouching for an
//! earlier response before it lets a handler make another.

use crate::services::configured_dirs::DirGenerations;

/// Whether what a step did to the response allows caching it.
#[must_use]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Cacheable {
    /// What it did follows from the request's bytes, the configuration and the file.
    Yes,
    /// It depends on something else as well: the client, the time, a random number.
    No,
}

/// Which names of files were looked up.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
enum Lookups {
    #[default]
    None,
    One,
    Several,
}

/// Built up by phases, handlers and filters of one request.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Basis {
    lookups: Lookups,
    is_vouched: bool,
    varies: bool,
    dirs: DirGenerations,
}

impl Basis {
    /// A file was looked up by its name, whether or not it is there.
    pub fn add_lookup(&mut self) {
        self.lookups = if self.lookups == Lookups::None { Lookups::One } else { Lookups::Several };
    }

    /// Nothing was looked up so far.
    pub fn has_no_lookup(&self) -> bool {
        self.lookups == Lookups::None
    }

    /// More than one file's name decided: symbolic links on the way, a directory, another file.
    pub fn depends_on_other_names(&mut self) {
        self.lookups = Lookups::Several;
    }

    /// Where hidden directories lie decided, as of their generations before and after the decision.
    pub fn asked_hidden_dirs(&mut self, generations: (u64, u64)) {
        self.varies |= has_moved(&mut self.dirs.hidden, generations);
    }

    /// As [`Basis::asked_hidden_dirs`], of the directories in which clients may store files.
    pub fn asked_stored_dirs(&mut self, generations: (u64, u64)) {
        self.varies |= has_moved(&mut self.dirs.stored, generations);
    }

    /// The generations of the configured directories that the response depends on.
    pub fn dirs(&self) -> DirGenerations {
        self.dirs
    }

    /// For handlers: the response depends only on the request's bytes, the configuration, and whether the file that was
    /// looked up exists.
    pub fn vouch(&mut self) {
        self.is_vouched = true;
    }

    /// Another response is about to be made.
    pub fn withdraw(&mut self) {
        self.is_vouched = false;
    }

    /// A filter has acted on the response.
    pub fn passed(&mut self, step: Cacheable) {
        self.varies |= step == Cacheable::No;
    }

    /// The request's response depends on more than its bytes, whatever it will be.
    pub fn varies(&mut self) {
        self.varies = true;
    }

    /// Whether the same request gets the same response as long as the configuration, the one file and the directories
    /// of [`Basis::dirs`] are unchanged.
    pub fn is_one_file(&self) -> bool {
        self.is_vouched && !self.varies && self.lookups == Lookups::One
    }
}

/// Whether a directory moved while it was decided, or since `known`, which is the last generation then.
fn has_moved(known: &mut Option<u64>, (before, after): (u64, u64)) -> bool {
    before != after || known.replace(after).is_some_and(|known| known != after)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_cacheable_unless_all_steps_say_so() {
        type Step = fn(&mut Basis);
        let cases: [(&str, &[Step], bool); 11] = [
            ("no step", &[], false),
            ("a handler that says nothing", &[Basis::add_lookup], false),
            ("one file", &[Basis::add_lookup, Basis::vouch], true),
            ("no file", &[Basis::vouch], false),
            ("two files", &[Basis::add_lookup, Basis::add_lookup, Basis::vouch], false),
            ("another handler after it", &[Basis::add_lookup, Basis::vouch, Basis::withdraw], false),
            ("a variable before it", &[Basis::varies, Basis::add_lookup, Basis::vouch], false),
            ("directories", &[Basis::add_lookup, |basis| basis.asked_hidden_dirs((3, 3)), Basis::vouch], true),
            (
                "directories that moved",
                &[Basis::add_lookup, |basis| basis.asked_hidden_dirs((3, 4)), Basis::vouch],
                false,
            ),
            (
                "directories that moved in between",
                &[
                    Basis::add_lookup,
                    |basis| basis.asked_stored_dirs((3, 3)),
                    |basis| basis.asked_stored_dirs((4, 4)),
                    Basis::vouch,
                ],
                false,
            ),
            ("a filter that varies", &[Basis::add_lookup, Basis::vouch, |basis| basis.passed(Cacheable::No)], false),
        ];
        for (name, steps, expected) in cases {
            let mut basis = Basis::default();
            steps.iter().for_each(|step| step(&mut basis));
            assert_eq!(basis.is_one_file(), expected, "{name}");
        }
    }
}
