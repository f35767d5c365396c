//! The black-box suites: they start the real binary, speak HTTP or type commands, kill, corrupt and
//! fill, and look at what comes back. `COVAULT_BIN` chooses another binary than the one just built.
//! Know nothing of the rooms inside.

#![allow(clippy::unwrap_used)]

mod audit;
mod backup;
mod bad_input;
mod callers;
mod canary;
mod cli;
mod cluster;
mod concurrency;
mod config;
mod crash;
mod demo;
mod destroy;
mod directory;
mod disaster;
mod env;
mod env_apart;
mod env_cli;
mod failure;
mod faults;
mod full_disk;
mod history;
mod hostile;
mod hostile_api;
mod hosts;
mod idempotency;
mod isolation;
mod keys;
mod kills;
mod limits;
mod linearizable;
mod logs;
mod members;
mod metrics;
mod openapi;
mod prompt;
mod restart;
mod rolling;
mod secrets;
mod services;
mod shutdown;
mod support;
mod tls;
mod tokens;
mod tokens_apart;
