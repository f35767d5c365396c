//! One HTTP exchange with a store: bounded in time and in size, over TLS unless told otherwise, without redirects. Knows
//! nothing of what is asked, and never tries twice.

mod http;

pub use http::{Answer, Http, TransportConfig};
