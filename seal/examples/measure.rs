//! x
use covault_model::{hlc::Hlc, id::*};
use covault_seal::*;
use std::time::Instant;
fn main() {
    let mut n = 1u8;
    let mut chance = |b: &mut [u8]| {
        for x in b {
            *x = n;
            n = n.wrapping_mul(5).wrapping_add(7);
        }
    };
    let ring = Keyring::generate(&mut chance);
    let c = Context {
        cluster: ClusterId([1; 16]),
        secret: SecretId([2; 32]),
        time: Hlc(3),
        author: NodeId([4; 32]),
    };
    for size in [16usize, 256, 4096, 1 << 20] {
        let v = Plaintext::new(vec![7; size]);
        let s = seal(&ring, &c, &v, &mut chance).unwrap();
        let rounds = if size > 100_000 { 200 } else { 300_000 };
        for round in 0..2 {
            let t = Instant::now();
            for _ in 0..rounds {
                std::hint::black_box(open(&ring, &c, std::hint::black_box(&s)).unwrap());
            }
            let o = t.elapsed().as_nanos() as f64 / rounds as f64;
            let t = Instant::now();
            for _ in 0..rounds {
                std::hint::black_box(seal(&ring, &c, &v, &mut chance).unwrap());
            }
            let e = t.elapsed().as_nanos() as f64 / rounds as f64;
            let t = Instant::now();
            for _ in 0..rounds {
                std::hint::black_box(master_key_of(std::hint::black_box(&s)).unwrap());
            }
            let m = t.elapsed().as_nanos() as f64 / rounds as f64;
            println!("{round} {size} B: open {o:.0} ns, seal {e:.0} ns, master_key_of {m:.0} ns");
        }
    }
}
