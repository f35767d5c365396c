//! What the room's parts promise, each by itself.

mod document;
mod exchange;
mod following;
mod issued;
