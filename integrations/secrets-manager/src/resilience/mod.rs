//! What is done about stores that fail: asking again, and not asking for a while. Knows nothing of secrets, caches and
//! what is asked.

mod breaker;
mod jitter;
mod retry;

pub use breaker::{CircuitBreaker, CircuitBreakerConfig, Permit};
pub use jitter::Jitter;
pub use retry::{Backoff, RetryConfig, RetryPolicy};
