//! The client against a scripted store, on a paused clock: what the cache, the retries, the breaker, the scope and the
//! rotation promise.

#![allow(clippy::unwrap_used)]

mod audit;
mod behind;
mod caching;
mod canary;
mod failures;
mod files;
mod flights;
mod rotation;
mod scope;
mod script;
mod telemetry;
