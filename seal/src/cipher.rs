//! XChaCha20-Poly1305, put together from ChaCha20-Poly1305 and HChaCha20: draft-irtf-cfrg-xchacha-03, 2.3. The one door of
//! the libraries of both. Knows nothing of what is sealed.

use aws_lc_rs::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};
use chacha20::{R20, hchacha};
use zeroize::Zeroizing;

use crate::{
    envelope::SealError,
    payload::{NONCE_LEN, TAG_LEN},
};

const KEY_LEN: usize = 32;
/// How much of a nonce is mixed into the key, in bytes.
const MIXED_IN_LEN: usize = 16;

/// The cipher for one message: ChaCha20-Poly1305 under a key that the first two thirds of the nonce are mixed into, with
/// the last third as its nonce.
pub(crate) struct XChaCha20Poly1305 {
    key: LessSafeKey,
    nonce: Nonce,
}

impl XChaCha20Poly1305 {
    /// The cipher for the message that this nonce is of.
    pub(crate) fn of(key: &[u8; KEY_LEN], nonce: &[u8; NONCE_LEN]) -> Self {
        let (mixed_in, rest) = nonce.split_at(MIXED_IN_LEN);
        let mixed_in: &[u8; MIXED_IN_LEN] = mixed_in.try_into().expect("it was split off at this length");
        let mixed = Zeroizing::new(<[u8; KEY_LEN]>::from(hchacha::<R20>(key.into(), mixed_in.into())));
        let key = UnboundKey::new(&CHACHA20_POLY1305, mixed.as_slice()).expect("a key has this length");
        let mut short = [0; NONCE_LEN / 2];
        short[4..].copy_from_slice(rest);
        Self { key: LessSafeKey::new(key), nonce: Nonce::assume_unique_for_key(short) }
    }

    /// Encrypts in place, and gives the tag.
    pub(crate) fn seal(self, binding: &[u8], text: &mut [u8]) -> Result<[u8; TAG_LEN], SealError> {
        let tag = self.key.seal_in_place_separate_tag(self.nonce, Aad::from(binding), text);
        let tag = tag.map_err(|_| SealError::TooLarge)?;
        Ok(tag.as_ref().try_into().expect("a tag has this length"))
    }

    /// Decrypts into `text`, which says nothing unless the tag was right.
    pub(crate) fn open(
        self,
        binding: &[u8],
        sealed: &[u8],
        tag: &[u8; TAG_LEN],
        text: &mut [u8],
    ) -> Result<(), SealError> {
        let opened = self.key.open_separate_gather(self.nonce, Aad::from(binding), sealed, tag, text);
        opened.map_err(|_| SealError::NotAuthentic)
    }
}

#[cfg(test)]
mod tests {
    use covault_model::id::hex;

    use super::*;

    /// draft-irtf-cfrg-xchacha-03, appendix A.3.1.
    #[test]
    fn the_vector_of_the_draft_is_sealed_and_opened() {
        let key: [u8; KEY_LEN] = std::array::from_fn(|at| 0x80 + at as u8);
        let nonce: [u8; NONCE_LEN] = std::array::from_fn(|at| 0x40 + at as u8);
        let binding = b"\x50\x51\x52\x53\xc0\xc1\xc2\xc3\xc4\xc5\xc6\xc7";
        let plain = b"Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the \
            future, sunscreen would be it.";
        let mut sealed = *plain;
        let tag = XChaCha20Poly1305::of(&key, &nonce).seal(binding, &mut sealed);
        assert_eq!(
            hex(&sealed),
            "bd6d179d3e83d43b9576579493c0e939572a1700252bfaccbed2902c21396cbb731c7f1b0b4aa6440bf3a82f4eda7e39\
             ae64c6708c54c216cb96b72e1213b4522f8c9ba40db5d945b11b69b982c1bb9e3f3fac2bc369488f76b2383565d3fff9\
             21f9664c97637da9768812f615c68b13b52e"
        );
        let tag = tag.expect("it is short enough");
        assert_eq!(hex(&tag), "c0875924c1c7987947deafd8780acf49");
        let mut opened = [0; 114];
        let outcome = XChaCha20Poly1305::of(&key, &nonce).open(binding, &sealed, &tag, &mut opened);
        assert_eq!((outcome, &opened), (Ok(()), plain));
    }
}
