//! The rules of Covault, pure. Time and chance arrive as arguments; no clock, file, socket or hash map
//! compiles here (`no_std`).
//!
//! Read in this order: [`name`] and [`id`] say what things are called, [`record`] what is written (and `signed` in which bytes),
//! [`arrival`] what comes from elsewhere,
//! [`hlc`] and [`line`](mod@line) when it counts, [`skew`] when a clock may say so, [`marks`] what merges, [`command`], [`plan`](mod@plan) and [`registry`] what
//! is agreed, [`epoch`], [`field`], [`canonical`] and [`issue`] what tokens are and when one exists, [`roster`] and [`invitation`] among which nodes, [`isolation`] who may, [`limits`] how much,
//! [`refusal`] why not.

#![no_std]

extern crate alloc;

pub mod arrival;
pub mod canonical;
mod cbor;
pub mod command;
pub mod epoch;
pub mod field;
pub mod history;
pub mod hlc;
pub mod id;
pub mod invitation;
pub mod isolation;
pub mod issue;
pub mod key;
pub mod limits;
pub mod line;
pub mod marks;
pub mod mutant;
pub mod name;
pub mod plan;
pub mod record;
pub mod refusal;
pub mod registry;
pub mod roster;
mod signed;
pub mod skew;
pub mod token;

pub use cbor::{DecodeError, decode, encode};
