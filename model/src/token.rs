//! The token a caller presents: `cvt_<id>_<secret>`, both halves lowercase hexadecimal.
//! Only the hash of the secret half is ever kept. Knows nothing of callers.

use alloc::{format, string::String};

use crate::id::{TokenHash, TokenId, from_hex, hex};

/// Bytes in a token's secret half.
pub const TOKEN_SECRET_LEN: usize = 32;

/// A token as presented: whose it claims to be, and the hash that must match.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PresentedToken {
    /// Its public half.
    pub id: TokenId,
    /// The hash of its secret half.
    pub hash: TokenHash,
}

/// The text of the token with this id and secret half. Show it once, keep it nowhere.
pub fn token_text(id: &TokenId, secret: &[u8; TOKEN_SECRET_LEN]) -> String {
    format!("cvt_{id}_{}", hex(secret))
}

/// Reads a token's text; `None` when it has not the form of one.
pub fn read_token(text: &str) -> Option<PresentedToken> {
    let (id, secret) = text.strip_prefix("cvt_")?.split_once('_')?;
    let mut bytes = [0; TOKEN_SECRET_LEN];
    from_hex(secret, &mut bytes).ok()?;
    Some(PresentedToken { id: TokenId::parse(id).ok()?, hash: TokenHash::of(&bytes) })
}

impl PresentedToken {
    /// Whether the secret half is the one whose hash was kept. Takes the same time for every difference.
    #[must_use]
    pub fn matches(&self, kept: &TokenHash) -> bool {
        let differing = self.hash.0.iter().zip(&kept.0).fold(0, |sum, (a, b)| sum | (a ^ b));
        core::hint::black_box(differing) == 0
    }
}
