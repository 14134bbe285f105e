//! The only source of randomness.

use crate::workflow::Entropy;

/// The operating system's random numbers.
pub struct SystemEntropy;

#[expect(clippy::disallowed_methods, reason = "the one place where randomness enters")]
impl Entropy for SystemEntropy {
    fn fill(&self, bytes: &mut [u8]) {
        // an id or a salt that is not random would break what the log promises; there is nothing to fall back to
        getrandom::fill(bytes).expect("the operating system gives random bytes");
    }
}
