//! Stapling: responses of OCSP are not fetched, and the directives that ask for it are noted. Where `ssl_stapling_file` has
//! the response it is sent as they ask, and there is nothing to note.

use crate::config::ast::Directive;
use crate::config::build::Build;
use crate::config::known::STAPLING;
use crate::util::checkpoint;

const NAMES: [&str; 3] = ["ssl_stapling", "ssl_stapling_responder", "ssl_stapling_verify"];

impl Build {
    /// Notes the first of each that no file answers for.
    pub(super) fn note_stapling(&mut self, level: &[Directive]) {
        if has_file(level) {
            return;
        }
        for d in level {
            checkpoint::pass();
            match &d.block {
                Some(block) if d.name.is("http") || d.name.is("server") => self.note_stapling(block),
                Some(_) => {}
                None => {
                    let Some(name) = NAMES.into_iter().find(|name| d.name.is(name)) else { continue };
                    // What stands in http is for its servers, of which some have files.
                    if !level.iter().filter_map(|d| d.block.as_ref()).any(|block| has_file(block)) {
                        self.note_ignored(name, d, STAPLING);
                    }
                }
            }
        }
    }
}

fn has_file(level: &[Directive]) -> bool {
    level.iter().any(|d| d.name.is("ssl_stapling_file"))
}
