//! OpenAI-compatible endpoints: what is asked, how it is sent, and how the answer is read.

mod answer;
mod breaker;
mod client;
mod fault;
mod request;
mod scrub;
mod sse;

pub(super) use client::OpenAi;
