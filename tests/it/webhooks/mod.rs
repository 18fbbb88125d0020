//! Webhooks: what is announced, and with what it becomes a fact.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod outbox;
