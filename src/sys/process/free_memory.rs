//! Freed memory of the heap, returned to the kernel in pieces. `malloc_trim()` returns all of it in one call, which
//! took 67 ms for 1 GB, and 60 to 90 ms for 512 MB in pieces of 7 to 64 KB; it looks at all pieces of a page or more,
//! also at those whose pages it returned before (27 ms).
//!
//! Free memory is allocated again in large blocks, whose pages are returned at once, then in smaller ones, down to
//! those that hold one page. When there is no free memory of that size left, the blocks are freed. What bounds it: a
//! step returns one block, or frees [`FREED`]. What is left is less than two pages in each gap between used blocks.

use std::ffi::c_void;
use std::ptr::NonNull;

/// Sizes of blocks in bytes. What fits into none stays.
const SIZES: [usize; 3] = [1 << 20, 64 << 10, 8 << 10];
/// Number of blocks freed per step.
const FREED: usize = 16;

/// Where blocks come from.
trait Source {
    /// A block without pages, of free memory. None: there is no free memory of that size.
    fn take(&mut self, size: usize) -> Option<Block>;
    fn free(&mut self, block: Block);
}

/// A block that [`Source::take`] has allocated.
struct Block(NonNull<c_void>);

/// Free memory on its way to the kernel: [`FreeMemory::step`] until there is no more.
pub struct FreeMemory(Steps<Heap>);

impl FreeMemory {
    /// Begins with all that is free.
    pub fn new() -> FreeMemory {
        FreeMemory(Steps::new(Heap))
    }

    /// Returns at most 1 MiB. False: that was all.
    pub fn step(&mut self) -> bool {
        self.0.step()
    }

    /// More was freed meanwhile: that is taken in large blocks, too.
    pub fn restart(&mut self) {
        self.0.restart();
    }
}

impl Default for FreeMemory {
    fn default() -> FreeMemory {
        FreeMemory::new()
    }
}

struct Steps<S: Source> {
    source: S,
    sizes: &'static [usize],
    blocks: Vec<Block>,
}

impl<S: Source> Steps<S> {
    fn new(source: S) -> Steps<S> {
        Steps { source, sizes: &SIZES, blocks: Vec::new() }
    }

    fn restart(&mut self) {
        self.sizes = &SIZES;
    }

    fn step(&mut self) -> bool {
        if let [size, smaller @ ..] = self.sizes {
            match self.source.take(*size) {
                Some(block) => self.blocks.push(block),
                None => self.sizes = smaller,
            }
            return true;
        }
        self.free(FREED);
        !self.blocks.is_empty()
    }

    fn free(&mut self, most: usize) {
        let kept = self.blocks.len().saturating_sub(most);
        for block in self.blocks.drain(kept..) {
            self.source.free(block);
        }
    }
}

impl<S: Source> Drop for Steps<S> {
    fn drop(&mut self) {
        self.free(usize::MAX);
    }
}

/// The heap of glibc, which grows at the program break; without glibc none.
struct Heap;

impl Source for Heap {
    #[cfg(target_env = "gnu")]
    fn take(&mut self, size: usize) -> Option<Block> {
        // SAFETY: 0 asks where the break is, and changes nothing.
        let end = unsafe { libc::sbrk(0) } as usize;
        // SAFETY: no pointers are passed.
        let block = Block(NonNull::new(unsafe { libc::malloc(size) })?);
        let from = block.0.as_ptr() as usize;
        if from.saturating_add(size) > end {
            // The heap has grown for it, or it was mapped: that was no free memory.
            self.free(block);
            return None;
        }
        if let Some((first, len)) = pages(from, size, super::page_size() as usize) {
            // If that fails the pages stay.
            // SAFETY: these pages are inside of the block, which holds nothing: all of it may become zeros.
            unsafe { libc::madvise(block.0.as_ptr().byte_add(first), len, libc::MADV_DONTNEED) };
        }
        Some(block)
    }

    #[cfg(not(target_env = "gnu"))]
    fn take(&mut self, _: usize) -> Option<Block> {
        None
    }

    fn free(&mut self, block: Block) {
        // SAFETY: `take` got it from malloc(), and it is freed once: `Block` is neither copied nor used by others.
        unsafe { libc::free(block.0.as_ptr()) };
    }
}

/// The whole pages inside of a block: the offset of their first byte, and their length.
#[cfg(any(target_env = "gnu", test))]
fn pages(from: usize, size: usize, page: usize) -> Option<(usize, usize)> {
    let (first, to) = (from.next_multiple_of(page), from.saturating_add(size));
    let len = (to - to % page).checked_sub(first).filter(|len| *len > 0)?;
    Some((first - from, len))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A heap with that many free bytes in one piece.
    #[derive(Default)]
    struct Fake {
        left: usize,
        largest: usize,
        held: usize,
    }

    impl Source for &mut Fake {
        fn take(&mut self, size: usize) -> Option<Block> {
            self.left = self.left.checked_sub(size)?;
            self.largest = self.largest.max(size);
            self.held += 1;
            Some(Block(NonNull::dangling()))
        }

        fn free(&mut self, _: Block) {
            self.held -= 1;
        }
    }

    /// 1 GB was returned in one step of 67 ms, which all clients waited for; later, all that lay in small pieces.
    #[test]
    fn no_step_returns_more_than_one_large_block() {
        let mut fake = Fake { left: (1 << 30) + (200 << 10) + 100, ..Fake::default() };
        let mut steps = Steps::new(&mut fake);
        let mut before = steps.source.left;
        let mut count = 0;
        while steps.step() {
            let left = steps.source.left;
            assert!(before - left <= SIZES[0]);
            (before, count) = (left, count + 1);
        }
        drop(steps);
        assert_eq!(count + 1, 1024 + 3 + 1 + SIZES.len() + 1028_usize.div_ceil(FREED));
        assert_eq!((fake.left, fake.held, fake.largest), (100, 0, SIZES[0]));
    }

    #[test]
    fn blocks_are_freed_where_the_rest_is_given_up() {
        let mut fake = Fake { left: 5 << 20, ..Fake::default() };
        let mut steps = Steps::new(&mut fake);
        assert!(steps.step() && steps.step());
        drop(steps);
        assert_eq!((fake.left, fake.held), (3 << 20, 0));
    }

    /// It was left to the last step, which returned all at once.
    #[test]
    fn what_is_freed_meanwhile_is_returned_in_large_blocks_too() {
        let mut fake = Fake { left: 3 << 20, ..Fake::default() };
        let mut steps = Steps::new(&mut fake);
        while !steps.sizes.is_empty() {
            assert!(steps.step());
        }
        steps.source.left += 8 << 20;
        steps.restart();
        let mut count = 0;
        while steps.step() {
            count += 1;
        }
        drop(steps);
        assert_eq!((fake.held, fake.left, count), (0, 0, 8 + SIZES.len()));
    }

    #[test]
    fn only_whole_pages_inside_of_a_block_are_returned() {
        for (from, size, expected) in [
            (16, 4096, None),
            (16, 8192, Some((4080, 4096))),
            (4096, 4096, Some((0, 4096))),
            (4096, 8191, Some((0, 4096))),
            (8191, 2, None),
        ] {
            assert_eq!(pages(from, size, 4096), expected, "{size} bytes at {from}");
        }
    }
}
