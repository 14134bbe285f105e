//! The only source of randomness.

use crate::workflow::Entropy;
use std::sync::Mutex;

/// The operating system's random numbers, fetched a page at a time: a report needs a dozen ids and salts, and each fetch
/// is a system call.
pub struct SystemEntropy(Mutex<Page>);

struct Page {
    bytes: [u8; 4096],
    /// Bytes before this position were given out.
    used: usize,
}

impl SystemEntropy {
    pub fn new() -> SystemEntropy {
        SystemEntropy(Mutex::new(Page { bytes: [0; 4096], used: 4096 }))
    }
}

impl Default for SystemEntropy {
    fn default() -> SystemEntropy {
        SystemEntropy::new()
    }
}

impl Entropy for SystemEntropy {
    fn fill(&self, mut bytes: &mut [u8]) {
        let mut page = self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        while !bytes.is_empty() {
            if page.used == page.bytes.len() {
                fetch(&mut page.bytes);
                page.used = 0;
            }
            let n = bytes.len().min(page.bytes.len() - page.used);
            let (now, rest) = bytes.split_at_mut(n);
            let (from, to) = (page.used, page.used + n);
            now.copy_from_slice(&page.bytes[from..to]);
            // what was given out is nobody else's to read
            page.bytes[from..to].fill(0);
            page.used = to;
            bytes = rest;
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "the one place where randomness enters")]
fn fetch(bytes: &mut [u8]) {
    // an id or a salt that is not random would break what the log promises; there is nothing to fall back to
    getrandom::fill(bytes).expect("the operating system gives random bytes");
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn no_byte_is_given_out_twice() {
        let entropy = SystemEntropy::new();
        let mut seen = BTreeSet::new();
        for _ in 0..1000 {
            let mut id = [0u8; 16];
            entropy.fill(&mut id);
            assert!(seen.insert(id) && id != [0; 16]);
        }
        let mut long = [0u8; 10_000];
        entropy.fill(&mut long);
        assert!(long.chunks(16).all(|chunk| chunk.iter().any(|b| *b != 0)));
    }
}
