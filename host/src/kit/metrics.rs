//! What each metric is, in the words of the handbook: `/metrics` says so beside it. A metric that is not in this table
//! fails a test.

use metrics::{KeyName, SharedString};

use Kind::{Counter, Gauge, Histogram};

/// What a metric does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Counter,
    Gauge,
    Histogram,
}

/// Every metric of the host.
pub const METRICS: [(Kind, &str, &str); 27] = [
    (
        Counter,
        "bulkhead_http_requests_total",
        "requests by method, route and status",
    ),
    (
        Counter,
        "bulkhead_keys_refused_total",
        "requests whose key was wrong, revoked, expired or missing, by error code",
    ),
    (
        Counter,
        "bulkhead_audit_refusals_counted_total",
        "refusals of one key in one minute beyond those that have a row",
    ),
    (
        Counter,
        "bulkhead_audit_refusals_lost_total",
        "refusals that could not be written to the audit log",
    ),
    (
        Counter,
        "bulkhead_audit_broken_chains_total",
        "times an altered audit log was not signed",
    ),
    (
        Counter,
        "bulkhead_canaries_ended_total",
        "canaries the host ended for their figures",
    ),
    (Counter, "bulkhead_runs_started_total", "runs accepted"),
    (
        Counter,
        "bulkhead_runs_ended_total",
        "runs ended, by state and stop reason",
    ),
    (
        Counter,
        "bulkhead_runs_resumed_total",
        "runs that went on from their journal: after a host's death, a hand-over or a long sleep",
    ),
    (
        Counter,
        "bulkhead_runs_handed_over_total",
        "runs this host let go of when it drained",
    ),
    (
        Counter,
        "bulkhead_runs_suspended_total",
        "runs that left memory for a long sleep",
    ),
    (
        Histogram,
        "bulkhead_run_duration_seconds",
        "how long runs took",
    ),
    (
        Histogram,
        "bulkhead_commit_batch_changes",
        "changes in one group commit",
    ),
    (
        Histogram,
        "bulkhead_knowledge_search_seconds",
        "how long searches took, by outcome",
    ),
    (
        Counter,
        "bulkhead_knowledge_catch_ups_total",
        "times an index followed the database",
    ),
    (
        Counter,
        "bulkhead_knowledge_indexed_chunks_total",
        "passages indexed",
    ),
    (
        Counter,
        "bulkhead_knowledge_rebuilds_total",
        "indexes rebuilt from nothing",
    ),
    (
        Counter,
        "bulkhead_guardrail_refusals_total",
        "runs that a guardrail refused at their entry, by kind",
    ),
    (
        Counter,
        "bulkhead_billing_rows_total",
        "rows of usage that were sent to the payment provider or given to a person, by outcome: exported, waiting, unknown, refused, too_old, outcome_unknown",
    ),
    (
        Counter,
        "bulkhead_billing_events_total",
        "events of the payment provider that were heard, by what they are about: subscription, uncounted, other",
    ),
    (
        Gauge,
        "bulkhead_model_breaker_open",
        "1 while a model connection rests",
    ),
    (
        Counter,
        "bulkhead_webhook_attempts_total",
        "attempts to deliver, by outcome: delivered, answered, unanswered, refused, gone",
    ),
    (
        Histogram,
        "bulkhead_webhook_attempt_seconds",
        "how long attempts took",
    ),
    (
        Histogram,
        "bulkhead_webhook_lag_seconds",
        "from an event to its delivery, where the first attempt was a success",
    ),
    (
        Counter,
        "bulkhead_webhook_endpoints_disabled_total",
        "endpoints that were given up, by reason",
    ),
    (
        Counter,
        "bulkhead_trace_spans_exported_total",
        "spans a collector took",
    ),
    (
        Counter,
        "bulkhead_trace_spans_dropped_total",
        "spans no collector will see, by reason: queue, export, stop",
    ),
];

/// Tells the process's recorder. Called once, when there is one.
pub fn describe() {
    metrics::with_recorder(|recorder| {
        for (kind, name, help) in METRICS {
            let (name, help) = (KeyName::from_const_str(name), SharedString::const_str(help));
            match kind {
                Counter => recorder.describe_counter(name, None, help),
                Gauge => recorder.describe_gauge(name, None, help),
                Histogram => recorder.describe_histogram(name, None, help),
            }
        }
    });
}
