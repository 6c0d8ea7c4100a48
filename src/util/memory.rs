//! Allocations that may fail: under RLIMIT_AS, or on a machine that does not overcommit memory. An ordinary allocation
//! that fails ends the process, with all requests. So whatever one request, or one file, can make grow to a MiB or more
//! is reserved by calls that may fail, or checks here before it continues; then only that request ends. Smaller
//! allocations do not: without memory for these, no request can be answered.

/// Whether that much memory can be had now.
pub fn has_room(bytes: usize) -> bool {
    let mut probe: Vec<u8> = Vec::new();
    let outcome = probe.try_reserve_exact(bytes);
    // Otherwise the compiler leaves out an allocation that nothing uses, and takes it for one that succeeds.
    std::hint::black_box(&mut probe);
    outcome.is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_memory_than_there_are_addresses_cannot_be_had() {
        assert!(has_room(1 << 20));
        assert!(!has_room(1 << 60));
    }
}
