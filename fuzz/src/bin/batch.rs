//! Batches of commands as a log entry holds them, carried out on an empty registry. Keeps E1 to E6 and
//! I1 as far as the registry of the model's tests watches them: no row that is inserted once is
//! replaced, and what is decoded cannot panic. Knows nothing of Raft.

#![no_main]

use covault_model::{
    command::{BATCH_FORMAT, Command},
    decode, encode,
    plan::{decide, plan},
};
use libfuzzer_sys::fuzz_target;

use self::registry::MemoryRegistry;

#[path = "../../../model/tests/support/registry.rs"]
mod registry;

fuzz_target!(|bytes: &[u8]| {
    let Ok((BATCH_FORMAT, commands)) = decode::<(u8, Vec<Command>)>(bytes) else {
        return;
    };
    let written = encode(&(BATCH_FORMAT, &commands));
    assert_eq!(decode(&written).as_ref(), Ok(&(BATCH_FORMAT, commands.clone())));
    let mut registry = MemoryRegistry::default();
    for command in &commands {
        let Ok(planned) = plan(&registry, command);
        let Ok(decided) = decide(&registry, command);
        assert_eq!(decided, planned.clone().map(drop));
        if let Ok(plan) = &planned {
            registry.carry_out(plan);
        }
    }
});
