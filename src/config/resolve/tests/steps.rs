//! What is long is read in steps, so that a server that reloads serves its clients meanwhile.

use super::*;
use crate::util::checkpoint::{self, Interlude};
use std::fmt::Write;
use std::os::fd::BorrowedFd;

struct Nothing;

impl Interlude for Nothing {
    fn run(&mut self, _: Option<BorrowedFd<'_>>) {}
}

/// The checkpoints that are passed.
fn steps(text: &str) -> u32 {
    let watched = checkpoint::watch(Box::new(Nothing));
    let mut loaded = load_text("x.conf", text.as_bytes(), &LoadOptions::default());
    let resolved = super::super::resolve(&mut loaded, Path::new("/srv"), Form::Webserv, Vec::new(), None);
    let steps = checkpoint::steps();
    drop(watched);
    assert!(resolved.config.is_some());
    steps
}

/// 100 000 names of a server, the points of 20 groups with `hash consistent`, and 20 000 groups were each read with
/// steps of 20 to 30 ms.
#[test]
fn each_name_each_group_and_each_unit_of_weight_on_a_ring_is_a_step() {
    let mut names = "server_name".to_owned();
    (0..1000).for_each(|n| write!(names, " h{n}.test").expect("a string takes all"));
    let groups: String = (0..500).map(|n| format!("upstream u{n} {{ server 127.0.0.1:{}; }}\n", n + 1)).collect();
    let ring = "upstream u { hash $uri consistent; server 127.0.0.1:1 weight=700; server 127.0.0.1:2; }";
    let table = [(format!("server {{ {names}; }}"), 2 * 1000), (groups, 4 * 500), (ring.to_owned(), 701)];
    for (text, least) in table {
        let steps = steps(&format!("{text}\nserver {{ listen 127.0.0.1:1; }}"));
        assert!(steps >= least, "{steps}: {text:.60}");
    }
}

/// Messages name the line that the excerpt shows.
#[test]
fn the_line_number_of_a_span_is_that_of_its_position() {
    let text = "server {\n  listen 127.0.0.1:1;\r\n\troot /\u{e4}\u{f6}; index a;\n}\n";
    let loaded = load_text("x.conf", text.as_bytes(), &LoadOptions::default());
    let block = loaded.directives[0].block.as_deref().expect("a block");
    let lines: Vec<_> = block.iter().map(|directive| loaded.sources.line_number(directive.span)).collect();
    assert_eq!(lines, [2, 3, 3]);
    for directive in block {
        let position = loaded.sources.position(directive.span);
        assert_eq!(position.line, loaded.sources.line_number(directive.span));
    }
}
