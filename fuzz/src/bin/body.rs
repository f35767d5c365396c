//! Every JSON body that a user may send. A body is read into checked values or refused with a 4xx problem;
//! nothing panics, and nothing of a value stands in the refusal. Knows nothing of what is done with it.

#![no_main]

use covault::api::{
    problem::Problem,
    resources::{callers, env, epochs, grants, secrets, tokens},
};
use libfuzzer_sys::fuzz_target;

/// Small, so that values beyond it are found.
const VALUE_BYTES_MAX: usize = 64;

fn check<T>(read: Result<T, Problem>) {
    if let Err(problem) = read {
        assert!((400..500).contains(&problem.code().status()));
    }
}

fuzz_target!(|bytes: &[u8]| {
    check(secrets::create_body(bytes, VALUE_BYTES_MAX).inspect(|new| {
        assert!(new.value.value.len() <= VALUE_BYTES_MAX);
    }));
    check(secrets::update_body(bytes, VALUE_BYTES_MAX));
    check(secrets::patch_body(bytes));
    check(secrets::undelete_body(bytes));
    check(secrets::destroy_body(bytes));
    check(secrets::roll_back_body(bytes));
    check(callers::add_body(bytes));
    check(callers::add_token_body(bytes));
    check(grants::add_body(bytes));
    check(env::encrypt_body(bytes));
    check(env::expand_body(bytes));
    check(tokens::tokenize_body(bytes));
    check(tokens::detokenize_body(bytes));
    check(epochs::activate_body(bytes));
    check(epochs::set_fields_body(bytes));
});
