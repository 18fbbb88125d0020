//! Rows as RFC 4180. A text that a spreadsheet would take for a formula gets an apostrophe before it; the exact text is
//! in `export.jsonl`.

use time::format_description::well_known::Rfc3339;

use crate::kit::http::csv::Csv;
use crate::kit::{Error, Result};
use crate::ledger::audit::Stored;

const NAMES: [&str; 15] = [
    "seq",
    "at",
    "source",
    "actor",
    "actor_id",
    "action",
    "target",
    "target_id",
    "changed",
    "status",
    "code",
    "request_id",
    "ip",
    "detail",
    "hash",
];

/// These rows, behind the names of the columns where they are the first.
pub(super) fn of(rows: &[Stored], is_first: bool) -> Result<Vec<u8>> {
    let mut csv = Csv::default();
    if is_first {
        csv.row(NAMES)?;
    }
    for row in rows {
        let texts = [
            row.seq.to_string(),
            row.at.format(&Rfc3339).map_err(Error::internal)?,
            row.source.clone(),
            row.actor.clone(),
            row.actor_id.clone(),
            row.action.clone(),
            row.target.clone(),
            row.target_id.clone(),
            row.changed.join(" "),
            row.status.clone(),
            row.code.clone().unwrap_or_default(),
            row.request_id.clone().unwrap_or_default(),
            row.ip.clone().unwrap_or_default(),
            row.detail.clone().unwrap_or_default(),
            hex::encode(&row.hash),
        ];
        csv.row(texts)?;
    }
    csv.bytes()
}
