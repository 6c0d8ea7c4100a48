//! PCRE2, nginx's regex engine, on bytes: like nginx, compiled without options except caseless. Uses the interpreter,
//! not the JIT (nginx's default too): the match limit does not bound compiled code, and a sandbox may forbid memory
//! that is both writable and executable.
//!
//! Invariant: a match takes at most [`MATCH_LIMIT`] steps over all its possible starts, not much more than their time,
//! and at most [`HEAP_LIMIT_KIB`] of memory; exceeding a limit is an error, never "no match". Once the scratch space is
//! large enough, a match allocates nothing.
//!
//! PCRE2 applies its own limit to each start separately, so that `(.)*(?=\1)!` runs for a second on 8 KiB of text.
//! Therefore an unanchored pattern is tried at [`STARTS`] starts at a time, each with a share of the steps. Also, a
//! step may be long: `\w*+` reads all of a long subject in one. So a search gets few steps at first; if they do not
//! suffice, it gets as many as fit in the remaining time at the speed of the first.

mod budget;

use budget::{Budget, STARTS};
pub use budget::{GaveUp, MATCH_LIMIT};
use pcre2_sys::{
    PCRE2_ANCHORED, PCRE2_CASELESS, PCRE2_ERROR_MATCHLIMIT, PCRE2_ERROR_NOMATCH, PCRE2_ERROR_NOMEMORY,
    PCRE2_INFO_ALLOPTIONS, PCRE2_INFO_CAPTURECOUNT, PCRE2_INFO_NAMECOUNT, PCRE2_INFO_NAMEENTRYSIZE,
    PCRE2_INFO_NAMETABLE, PCRE2_USE_OFFSET_LIMIT, PCRE2_UTF, pcre2_code_8, pcre2_code_free_8, pcre2_compile_8,
    pcre2_general_context_create_8, pcre2_general_context_free_8, pcre2_get_error_message_8,
    pcre2_get_ovector_pointer_8, pcre2_match_8, pcre2_match_context_8, pcre2_match_context_create_8,
    pcre2_match_context_free_8, pcre2_match_data_8, pcre2_match_data_create_8, pcre2_match_data_free_8,
    pcre2_pattern_info_8, pcre2_set_heap_limit_8, pcre2_set_match_limit_8, pcre2_set_offset_limit_8,
};
use std::cell::{Cell, RefCell};
use std::ffi::{c_int, c_void};
use std::ops::RangeInclusive;
use std::ptr::{self, NonNull};

/// Memory limit for backtracking of one match; what exceeds [`KEPT`] is freed after it.
pub const HEAP_LIMIT_KIB: u32 = 32 << 10;

/// Scratch space kept for the next match.
const KEPT: usize = 256 << 10;

/// Start and end of a group; None: it did not participate in the match.
pub type Group = Option<(u32, u32)>;

/// A compiled pattern.
#[derive(Debug)]
pub struct Code {
    code: NonNull<pcre2_code_8>,
    groups: usize,
    starts: Starts,
}

/// Where a match may start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Starts {
    /// At the start of the subject only.
    First,
    /// Anywhere, independently of where the search began.
    Any,
    /// Anywhere, but in a single search: `\G` depends on where it began, and multi-byte characters must not be split.
    Whole,
}

/// Why a pattern does not compile, in PCRE2's words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invalid {
    /// Without the offset.
    pub message: String,
    /// Offset in the pattern.
    pub offset: usize,
}

/// [`GaveUp`]'s number for out of memory.
pub const NO_MEMORY: i32 = PCRE2_ERROR_NOMEMORY;

impl Code {
    /// # Errors
    /// What is wrong with the pattern.
    pub fn new(pattern: &[u8], caseless: bool) -> Result<Code, Invalid> {
        let options = PCRE2_USE_OFFSET_LIMIT | if caseless { PCRE2_CASELESS } else { 0 };
        let (mut error, mut offset): (c_int, usize) = (0, 0);
        // SAFETY: the pattern is valid for its length; the results are written to locals; no context means the
        // defaults.
        let code = unsafe {
            pcre2_compile_8(pattern.as_ptr(), pattern.len(), options, &mut error, &mut offset, ptr::null_mut())
        };
        let Some(code) = NonNull::new(code) else {
            return Err(Invalid { message: message(error), offset: offset.min(pattern.len()) });
        };
        let mut compiled = Code { code, groups: 1, starts: Starts::Any };
        compiled.groups += compiled.number(PCRE2_INFO_CAPTURECOUNT) as usize;
        let set = compiled.number(PCRE2_INFO_ALLOPTIONS);
        if set & PCRE2_ANCHORED != 0 {
            compiled.starts = Starts::First;
        } else if set & PCRE2_UTF != 0 || memchr::memmem::find(pattern, b"\\G").is_some() {
            compiled.starts = Starts::Whole;
        }
        Ok(compiled)
    }

    /// The number of groups, the whole match included.
    pub fn groups(&self) -> usize {
        self.groups
    }

    /// The named groups.
    pub fn names(&self) -> Vec<(usize, String)> {
        let count = self.number(PCRE2_INFO_NAMECOUNT) as usize;
        let size = self.number(PCRE2_INFO_NAMEENTRYSIZE) as usize;
        let mut table: *const u8 = ptr::null();
        // SAFETY: NAMETABLE writes one pointer, into a local.
        unsafe { pcre2_pattern_info_8(self.code.as_ptr(), PCRE2_INFO_NAMETABLE, (&raw mut table).cast::<c_void>()) };
        if table.is_null() || size < 3 {
            return Vec::new();
        }
        // SAFETY: the table has `count` entries of `size` bytes and lives as long as the code, which `self` holds.
        let table = unsafe { std::slice::from_raw_parts(table, count * size) };
        // An entry is the number of the group, two bytes, and its name, zero-terminated.
        let entry = |entry: &[u8]| {
            let name = entry[2..].split(|byte| *byte == 0).next().unwrap_or_default();
            (usize::from(u16::from_be_bytes([entry[0], entry[1]])), String::from_utf8_lossy(name).into_owned())
        };
        table.chunks_exact(size).map(entry).collect()
    }

    fn number(&self, what: u32) -> u32 {
        let mut number: u32 = 0;
        // SAFETY: what is asked for here is written as a u32, into a local.
        unsafe { pcre2_pattern_info_8(self.code.as_ptr(), what, (&raw mut number).cast::<c_void>()) };
        number
    }

    /// Whether the subject matches; stores the offsets of the first `groups.len()` groups.
    ///
    /// # Errors
    /// PCRE2 gave up, so it is not known.
    pub fn find(&self, subject: &[u8], groups: &mut [Group]) -> Result<bool, GaveUp> {
        self.find_within(subject, groups, &mut { MATCH_LIMIT })
    }

    /// As [`Code::find`], with the steps that are left to several matches together.
    ///
    /// # Errors
    /// PCRE2 gave up, so it is not known.
    pub fn find_within(&self, subject: &[u8], groups: &mut [Group], steps: &mut u32) -> Result<bool, GaveUp> {
        SCRATCH.with_borrow_mut(|scratch| {
            if scratch.as_ref().is_none_or(|scratch| scratch.pairs < self.groups) {
                *scratch = None;
                *scratch = Some(Scratch::new(self.groups.max(LEAST_PAIRS)).ok_or(GaveUp(NO_MEMORY))?);
            }
            let space = scratch.as_mut().ok_or(GaveUp(NO_MEMORY))?;
            let mut budget = Budget::new(subject.len(), *steps);
            let found = self.match_in(space, subject, groups, &mut budget);
            *steps = budget.left;
            if LARGEST.get() > KEPT {
                *scratch = None;
            }
            found
        })
    }

    fn match_in(
        &self,
        scratch: &mut Scratch,
        subject: &[u8],
        groups: &mut [Group],
        budget: &mut Budget,
    ) -> Result<bool, GaveUp> {
        let found = match self.starts {
            Starts::First => self.search_on(scratch, subject, budget, 0..=0)?,
            Starts::Whole => self.search_on(scratch, subject, budget, 0..=subject.len())?,
            Starts::Any => self.search_in_turns(scratch, subject, budget)?,
        };
        if !found {
            return Ok(false);
        }
        let data = scratch.data.as_ptr();
        // SAFETY: the match data has `pairs` pairs of offsets, all of which a match sets.
        let offsets = unsafe { std::slice::from_raw_parts(pcre2_get_ovector_pointer_8(data), 2 * scratch.pairs) };
        let pairs = offsets.as_chunks::<2>().0.iter().take(self.groups);
        groups.fill(None);
        for (group, [start, end]) in groups.iter_mut().zip(pairs) {
            // A group that did not participate has the maximum value. `\K` may set a start after the end.
            if *end <= subject.len() {
                *group = Some(((*start).min(*end) as u32, *end as u32));
            }
        }
        Ok(true)
    }
}

impl Code {
    /// Tries several starts at a time; if one exceeds its share of the steps, one at a time.
    fn search_in_turns(&self, scratch: &mut Scratch, subject: &[u8], budget: &mut Budget) -> Result<bool, GaveUp> {
        for from in (0..=subject.len()).step_by(STARTS) {
            if from > 0 {
                budget.check()?;
            }
            let to = (from + STARTS - 1).min(subject.len());
            let few = budget.few(subject.len(), STARTS);
            match self.search(scratch, subject, &(from..=to), few) {
                Ok(false) => {}
                Err(GaveUp(PCRE2_ERROR_MATCHLIMIT)) => {
                    budget.check()?;
                    for start in from..=to {
                        if self.search_on(scratch, subject, budget, start..=start)? {
                            return Ok(true);
                        }
                    }
                }
                decided => return decided,
            }
        }
        Ok(false)
    }

    /// Searches with few steps, then with as many as the remaining time allows.
    fn search_on(
        &self,
        scratch: &mut Scratch,
        subject: &[u8],
        budget: &mut Budget,
        starts: RangeInclusive<usize>,
    ) -> Result<bool, GaveUp> {
        let places = starts.end() - starts.start() + 1;
        let mut steps = budget.few(subject.len(), places);
        loop {
            match self.search(scratch, subject, &starts, steps) {
                Err(GaveUp(PCRE2_ERROR_MATCHLIMIT)) => steps = budget.more(steps, places)?,
                decided => return decided,
            }
        }
    }

    /// Searches for a match starting in this range, with at most `steps` for each start.
    fn search(
        &self,
        scratch: &mut Scratch,
        subject: &[u8],
        starts: &RangeInclusive<usize>,
        steps: u32,
    ) -> Result<bool, GaveUp> {
        let (data, context) = (scratch.data.as_ptr(), scratch.context.as_ptr());
        // SAFETY: the code, the match data and the context are alive, and the subject is valid for its length; no
        // start is beyond its end.
        let found = unsafe {
            pcre2_set_match_limit_8(context, steps);
            pcre2_set_offset_limit_8(context, *starts.end());
            pcre2_match_8(self.code.as_ptr(), subject.as_ptr(), subject.len(), *starts.start(), 0, data, context)
        };
        match found {
            PCRE2_ERROR_NOMATCH => Ok(false),
            error if error < 0 => Err(GaveUp(error)),
            _ => Ok(true),
        }
    }
}

impl Drop for Code {
    fn drop(&mut self) {
        // SAFETY: made by pcre2_compile, freed only here.
        unsafe { pcre2_code_free_8(self.code.as_ptr()) };
    }
}

fn message(error: c_int) -> String {
    let mut text = [0u8; 256];
    // SAFETY: writes at most the length of the buffer, with a zero at its end.
    let len = unsafe { pcre2_get_error_message_8(error, text.as_mut_ptr(), text.len()) };
    String::from_utf8_lossy(&text[..usize::try_from(len).unwrap_or(0).min(text.len())]).into_owned()
}

/// `$0` to `$9`.
const LEAST_PAIRS: usize = 10;

/// The buffers of a match, shared by all patterns.
struct Scratch {
    data: NonNull<pcre2_match_data_8>,
    context: NonNull<pcre2_match_context_8>,
    pairs: usize,
}

thread_local! {
    static SCRATCH: RefCell<Option<Scratch>> = const { RefCell::new(None) };
    /// The largest block that the scratch space holds.
    static LARGEST: Cell<usize> = const { Cell::new(0) };
}

impl Scratch {
    fn new(pairs: usize) -> Option<Scratch> {
        LARGEST.set(0);
        // SAFETY: plain calls; what they make is checked, and the general context is copied into what is made of it.
        unsafe {
            let general = pcre2_general_context_create_8(Some(allocate), Some(release), ptr::null_mut());
            let data = NonNull::new(pcre2_match_data_create_8(pairs as u32, general));
            let context = NonNull::new(pcre2_match_context_create_8(general));
            pcre2_general_context_free_8(general);
            match (data, context) {
                (Some(data), Some(context)) => {
                    pcre2_set_heap_limit_8(context.as_ptr(), HEAP_LIMIT_KIB);
                    Some(Scratch { data, context, pairs })
                }
                (data, context) => {
                    pcre2_match_data_free_8(data.map_or(ptr::null_mut(), NonNull::as_ptr));
                    pcre2_match_context_free_8(context.map_or(ptr::null_mut(), NonNull::as_ptr));
                    None
                }
            }
        }
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // SAFETY: made by Scratch::new, freed only here.
        unsafe {
            pcre2_match_data_free_8(self.data.as_ptr());
            pcre2_match_context_free_8(self.context.as_ptr());
        }
    }
}

/// malloc for PCRE2; records the largest block.
extern "C" fn allocate(size: usize, _: *mut c_void) -> *mut c_void {
    LARGEST.set(LARGEST.get().max(size));
    // SAFETY: any size may be asked for.
    unsafe { libc::malloc(size) }
}

unsafe extern "C" fn release(block: *mut c_void, _: *mut c_void) {
    // SAFETY: PCRE2 gives back what `allocate` gave it, once.
    unsafe { libc::free(block) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(pattern: &str, subject: &[u8]) -> Result<Option<Vec<Group>>, GaveUp> {
        let code = Code::new(pattern.as_bytes(), false).expect(pattern);
        let mut groups = vec![None; code.groups()];
        Ok(code.find(subject, &mut groups)?.then_some(groups))
    }

    #[test]
    fn groups_and_names_are_reported() {
        let code = Code::new(b"(?<user>\\w+)(x)?@(?'host'[a-z]+)", false).expect("valid");
        assert_eq!(code.groups(), 4);
        assert_eq!(code.names(), [(3, "host".to_owned()), (1, "user".to_owned())]);
        assert_eq!(find("(a)(x)?(b)", b"-ab"), Ok(Some(vec![Some((1, 3)), Some((1, 2)), None, Some((2, 3))])));
        assert_eq!(find("a", b"\xff\x00"), Ok(None));
    }

    #[test]
    fn a_bad_pattern_is_refused_with_its_place() {
        let invalid = Code::new(b"a(b", false).expect_err("a group is open");
        assert_eq!(invalid, Invalid { message: "missing closing parenthesis".into(), offset: 3 });
    }

    #[test]
    fn exhausted_steps_are_an_error_and_the_next_match_works() {
        let subject = [&[b'a'; 40][..], b"!"].concat();
        assert_eq!(find("^(?:a+)+$", &subject), Err(GaveUp(-47)));
        assert_eq!(find("(?=a)a", b"a").map(|found| found.is_some()), Ok(true));
    }

    #[test]
    fn the_limit_holds_for_all_starts_together() {
        let subject = [&[b'a'; 20_000][..], b"!"].concat();
        assert_eq!(find("(.)*(?=\\1)!", &subject), Err(GaveUp(-47)));
        assert_eq!(find("(*UTF)(.)*(?=\\1)!", &subject), Err(GaveUp(-47)));
        // Each of these steps reads to the end of the subject.
        let subject = [&[b'a'; 8000][..], b"bc"].concat();
        for pattern in ["(?:\\w*+!|a)*?(?<=q)bc", "^(?:\\w*+!|a)*?(?<=q)bc", "\\G(?:\\w*+!|a)*?(?<=q)bc"] {
            assert_eq!(find(pattern, &subject), Err(GaveUp(-47)), "{pattern}");
        }
    }

    #[test]
    fn a_match_is_found_wherever_it_starts() {
        for at in [0, 1, 30, 31, 32, 33, 63, 64, 65, 200] {
            let subject = [&vec![b'.'; at][..], b"ab", &[b'.'; 40]].concat();
            let expected = Ok(Some(vec![Some((at as u32, at as u32 + 2)), Some((at as u32, at as u32 + 1))]));
            assert_eq!(find("(a)(?=b).", &subject), expected, "{at}");
            assert_eq!(find("(?<![ab])(a)b", &subject), expected, "{at}, looking behind");
            assert_eq!(find("\\G(?=a)ab", &subject).map(|found| found.is_some()), Ok(at == 0), "{at}, from the start");
        }
        assert_eq!(find("(?=)$", &[b'x'; 64]), Ok(Some(vec![Some((64, 64))])));
    }

    #[test]
    fn memory_of_a_long_backtrack_is_given_back() {
        let subject = vec![b'a'; 5_000];
        // On a busy machine the search may get too few steps.
        assert!((0..100).any(|_| matches!(find("^(?:[a-z]|(?!x)[0-9])+$", &subject), Ok(Some(_)))));
        assert!(LARGEST.get() > KEPT, "it needed no more than is kept");
        assert!(SCRATCH.with_borrow(Option::is_none), "the scratch space was kept");
    }

    #[test]
    fn many_groups_fit() {
        let pattern = "(a)".repeat(40);
        let found = find(&pattern, &[b'a'; 40]).expect("within the limits").expect("matches");
        assert_eq!(found[40], Some((39, 40)));
    }
}
