//! One HTTP exchange with a store: bounded in time and in size, over TLS unless told otherwise, without redirects; and
//! what may be quoted of the answer. Knows nothing of what is asked, and never tries twice.

mod http;
mod quote;

pub use http::{Answer, Http, TransportConfig};
