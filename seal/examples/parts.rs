//! x
use std::{hint::black_box, time::Instant};
use chacha20poly1305::{AeadInOut, KeyInit, XChaCha20Poly1305, ChaCha20Poly1305, aead::inout::InOutBuf};
fn t(name: &str, mut f: impl FnMut()) { for _ in 0..2 { let s = Instant::now(); for _ in 0..200_000 { f(); } println!("{name}: {:.0} ns", s.elapsed().as_nanos() as f64 / 2e5); } }
fn main() {
    let key = [3u8; 32];
    for (aad, len) in [(0usize, 0usize), (0, 32), (117, 32), (117, 256), (0,256)] {
        let aad_b = vec![1u8; aad]; let mut buf = vec![0u8; len];
        t(&format!("xchacha aad {aad} len {len}"), || { black_box(XChaCha20Poly1305::new(black_box(&key).into()).encrypt_inout_detached((&[1u8; 24]).into(), black_box(&aad_b), InOutBuf::from(buf.as_mut_slice())).unwrap()); });
        t(&format!("chacha  aad {aad} len {len}"), || { black_box(ChaCha20Poly1305::new(black_box(&key).into()).encrypt_inout_detached((&[1u8; 12]).into(), black_box(&aad_b), InOutBuf::from(buf.as_mut_slice())).unwrap()); });
    }
    t("blake3 keyed 117", || { black_box(blake3::keyed_hash(&key, black_box(&[1u8; 117]))); });
}
