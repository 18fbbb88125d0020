//! What time does: the recurring work of every room.

use std::time::Duration;

use crate::app::App;
use crate::kit::db;
use crate::kit::http::store::forget_expired;
use crate::kit::jobs::Job;

/// Soon enough that the first runs of a new database are not many.
const ANALYZE_GROWN: Duration = Duration::from_secs(2);
const KEYS_KEPT: time::Duration = time::Duration::hours(24);

/// Every job of the host. A host runs them on their periods, a test when it says so.
pub fn jobs(app: &App) -> Vec<Job> {
    let (db, clock) = (app.db.clone(), app.clock.clone());
    let mut jobs = app.runs.jobs();
    jobs.extend(app.runs.node_jobs());
    jobs.extend(app.agents.jobs());
    jobs.extend(app.knowledge.jobs());
    jobs.extend(app.billing.jobs());
    jobs.extend(app.refusals.jobs());
    jobs.extend(app.audit.jobs());
    jobs.extend(app.webhooks.jobs());
    jobs.push(Job::new("idempotency.forget", Duration::from_secs(600), {
        let db = db.clone();
        move || {
            let (db, clock) = (db.clone(), clock.clone());
            async move { forget_expired(&db, clock.now() - KEYS_KEPT).await.map(drop) }
        }
    }));
    jobs.push(Job::new("database.analyze", ANALYZE_GROWN, move || {
        let db = db.clone();
        async move { db::analyze_grown(&db).await }
    }));
    jobs
}
