//! OCSP stapling: responses are not fetched, and directives that request that are noted as ignored. If
//! `ssl_stapling_file` supplies the response, it is sent, and nothing is noted.

use crate::config::ast::Directive;
use crate::config::build::Build;
use crate::config::known::STAPLING;
use crate::util::checkpoint;

const NAMES: [&str; 3] = ["ssl_stapling", "ssl_stapling_responder", "ssl_stapling_verify"];

impl Build {
    /// Notes the first of each directive that no stapling file covers.
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
                    // A directive in http applies to all servers, of which some may have files.
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
