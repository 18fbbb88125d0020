//! What a change weighs: all that it carries, so that what waits for a commit is bounded in bytes.

use time::OffsetDateTime;
use uuid::Uuid;

use super::{Change, End};
use crate::agents::AgentId;
use crate::billing::{Bill, UsageRecord};
use crate::conversations::{Answer, ConversationId, Entry};
use crate::identity::KeyId;
use crate::kit::OrgId;
use crate::kit::commit::Weigh as _;
use crate::runs::log::record::Key;
use crate::runs::log::{Live, Stored};
use crate::runs::store::NewRow;
use crate::runs::{NodeId, RunId};

const AT: OffsetDateTime = OffsetDateTime::UNIX_EPOCH;
const ORG: OrgId = OrgId(Uuid::nil());
const RUN: RunId = RunId(Uuid::nil());

fn entry(content: String) -> Entry {
    Entry {
        org: ORG,
        conversation: ConversationId(Uuid::nil()),
        run: RUN.0,
        turns: 0,
        was: None,
        version: 1,
        channel: None,
        content,
        at: AT,
    }
}

fn begin(content: String) -> Change {
    let row = NewRow {
        org: ORG,
        run: RUN,
        agent: AgentId(Uuid::nil()),
        version: 1,
        channel: None,
        state: "running",
        input: String::new(),
        metadata: None,
        seed: [0; 32],
        deadline_at: AT,
        fuel_max: 1,
        limits: None,
        conversation: None,
        node: NodeId(Uuid::nil()),
        created_by: KeyId(Uuid::nil()),
        created_at: AT,
        traceparent: None,
    };
    Change::Begin {
        live: Live::new(RUN),
        row: Box::new(row),
        entry: Some(Box::new(entry(content))),
        started: Stored {
            seq: 1,
            at: AT,
            kind: "started".into(),
            data: "".into(),
        },
        violations: Vec::new(),
        notices: Vec::new(),
    }
}

fn bill() -> Bill {
    let run = UsageRecord {
        org_id: ORG,
        run_id: RUN.0,
        agent_id: Uuid::nil(),
        version: 1,
        started_at: AT,
        at: AT,
        state: "completed",
        input_tokens: 0,
        output_tokens: 0,
        cached_tokens: 0,
        reasoning_tokens: 0,
        estimated: false,
        fuel: 0,
        wall_ms: 0,
        memory_peak_bytes: 0,
        host_calls: 0,
        tool_calls: 0,
        egress_bytes: 0,
        knowledge_queries: 0,
        cost_picos: 0,
        unpriced: false,
    };
    let steps = Vec::new();
    Bill { run, steps }
}

fn end(content: String) -> Change {
    let answer = Answer {
        org: ORG,
        conversation: ConversationId(Uuid::nil()),
        run: RUN.0,
        version: 1,
        content,
        stop_reason: "completed".to_owned(),
        at: AT,
        remembers: false,
        hides_pii: false,
    };
    let end = End {
        state: "completed",
        stop_reason: "completed".to_owned(),
        output: String::new(),
        fault: None,
        receipt: String::new(),
        guest_log: None,
        events: Vec::new(),
        steps: Vec::new(),
        at: AT,
        closing: false,
        bill: bill(),
        holds: false,
        blocked: None,
        violations: Vec::new(),
        answer: Some(answer),
        notices: Vec::new(),
    };
    let key = Key {
        org: ORG,
        run: RUN,
        term: 1,
    };
    Change::End {
        key,
        live: Live::new(RUN),
        end: Box::new(end),
    }
}

#[test]
fn what_is_said_in_a_conversation_counts() {
    let said = "x".repeat(1 << 20);
    assert_eq!(begin(said.clone()).bytes(), said.len());
    assert_eq!(end(said.clone()).bytes(), said.len());
}
