//! A secret value in memory. Keeps S1: no `Debug`, `Clone` or `Serialize`, wiped on drop.
//! Knows nothing of where it came from or goes to.

use zeroize::Zeroizing;

/// Bytes that must not leak. Only [`expose_plaintext`](Self::expose_plaintext) opens it.
pub struct Plaintext(Zeroizing<Vec<u8>>);

impl Plaintext {
    /// Takes the bytes over; they are wiped when this is dropped.
    pub fn new(bytes: Vec<u8>) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// How many bytes there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether `other` has the same bytes. Takes the same time for every difference between two of one length.
    pub fn is(&self, other: &Self) -> bool {
        let differing = self.0.iter().zip(other.0.iter()).fold(0, |sum, (a, b)| sum | (a ^ b));
        self.len() == other.len() && std::hint::black_box(differing) == 0
    }

    /// The bytes. Every caller is listed in ARCHITECTURE.md.
    pub fn expose_plaintext(&self) -> &[u8] {
        &self.0
    }
}
