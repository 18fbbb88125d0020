//! The host of Bulkhead as a library: the binary, the benches and the tests are thin around it.

pub mod postgres;
