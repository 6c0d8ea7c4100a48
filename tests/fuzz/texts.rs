//! What holds of texts that people write: pages with SSI, configurations to lay out, patterns.

use super::splits;
use webserv::config::ast::{Directive, FileId};
use webserv::config::pattern::{Case, Pattern};
use webserv::config::syntax::parse;
use webserv::exchange::filters::ssi::parse::{Parser, Token, Tokens};
use webserv::sys::pcre2::Code;
use webserv::tools::format::format;
use webserv::util::byte_order_mark;

/// A page: its commands and its text do not depend on how it was cut.
pub fn ssi(data: &[u8]) {
    for longest in [3, 256] {
        let run = |cuts: &[usize]| {
            let (mut parser, mut out, mut at) = (Parser::new(longest), Tokens::default(), 0);
            for &cut in cuts {
                parser.push(&data[at..cut], &mut out);
                at = cut;
            }
            parser.end(&mut out);
            shown(out)
        };
        let whole = run(&[data.len()]);
        for cuts in splits(data) {
            assert_eq!(run(&cuts), whole);
        }
    }
}

/// Each token, pieces of one text as one.
fn shown(mut tokens: Tokens) -> Vec<(&'static str, String)> {
    let mut out: Vec<(&str, String)> = Vec::new();
    while let Some(token) = tokens.pop(usize::MAX) {
        let (kind, text) = match token {
            Token::Text(text) => ("text", tokens.text(text).escape_ascii().to_string()),
            Token::Mistake(why) => ("mistake", why),
            Token::Command(command) => {
                let params = tokens.params(command).map(|(name, value)| [name, b"=", value].concat());
                let words = [tokens.name(command).to_vec()].into_iter().chain(params).collect::<Vec<_>>().join(&b' ');
                ("command", words.escape_ascii().to_string())
            }
        };
        match out.last_mut() {
            Some(("text", before)) if kind == "text" => *before += &text,
            _ => out.push((kind, text)),
        }
    }
    out
}

/// `webserv fmt`: a second time changes nothing; nothing but blanks changes, and no word and no block.
pub fn layout(data: &[u8]) {
    let Ok(once) = format(data) else { return };
    let twice = format(&once).expect("what was laid out can be laid out");
    assert_eq!(once.escape_ascii().to_string(), twice.escape_ascii().to_string());
    assert_eq!(words(&once), words(data), "{}", once.escape_ascii());
    let solid = |text: &[u8]| text.iter().filter(|byte| !byte.is_ascii_whitespace()).copied().collect::<Vec<u8>>();
    assert_eq!(solid(&once), solid(byte_order_mark::without(data)), "{}", once.escape_ascii());
}

/// The words of a configuration, with its blocks.
fn words(text: &[u8]) -> String {
    let mut out = String::new();
    level(&parse(FileId::default(), text, 0).0, &mut out);
    out
}

fn level(directives: &[Directive], out: &mut String) {
    for directive in directives {
        for word in directive.words() {
            out.extend(word.bytes().escape_ascii().map(char::from));
            out.push(' ');
        }
        if let Some(block) = &directive.block {
            out.push('{');
            level(block, out);
            out.push('}');
        }
        out.push(';');
    }
}

/// A line with a pattern, then a subject: whichever engine is chosen finds what PCRE2 finds.
pub fn pattern(data: &[u8]) {
    let Some(end) = data.iter().position(|b| *b == b'\n') else { return };
    let (source, subject) = (&data[..end], &data[end + 1..]);
    for (case, caseless) in [(Case::Sensitive, false), (Case::Insensitive, true)] {
        let (ours, theirs) = (Pattern::new(source, case, &mut Default::default()), Code::new(source, caseless));
        let (Ok(ours), Ok(code)) = (ours, theirs) else { continue };
        assert_eq!(ours.groups(), code.groups());
        let mut groups = vec![None; code.groups()];
        // Beyond PCRE2's limits there is nothing to compare with.
        let (Ok(found), Ok(matched)) = (code.find(subject, &mut groups), ours.find(subject)) else { continue };
        assert_eq!(matched.is_some(), found, "{} on {}", source.escape_ascii(), subject.escape_ascii());
        assert_eq!(ours.is_match(subject), Ok(found));
        if let Some(matched) = matched {
            let few = code.groups().min(matched.groups.len());
            assert_eq!(matched.groups[..few], groups[..few], "{} on {}", source.escape_ascii(), subject.escape_ascii());
        }
    }
}
