//! The statements of the invariants. Each answers with sentences, at most `limit`; nothing is the sound answer.
//! They read every organization: only whoever holds the database can run them.

use sqlx::PgExecutor;

use crate::kit::Result;

pub(super) async fn wrong_ends(db: impl PgExecutor<'_>, limit: i64) -> Result<Vec<String>> {
    let found = sqlx::query_scalar!(
        r#"select format('run_%s is %s and has %s terminal events', replace(r.id::text, '-', ''), r.state, e.ends) as "what!"
           from runs r cross join lateral (
             select count(*) filter (where kind = 'done') as ends, max(seq) as last,
               max(seq) filter (where kind = 'done') as done
             from run_events where org_id = r.org_id and run_id = r.id
           ) e
           where e.ends <> (r.ended_at is not null)::int or e.done <> e.last limit $1"#,
        limit
    );
    Ok(found.fetch_all(db).await?)
}

pub(super) async fn gaps(db: impl PgExecutor<'_>, limit: i64) -> Result<Vec<String>> {
    let found = sqlx::query_scalar!(
        r#"select format('run_%s has %s events numbered %s to %s, the first is %s', replace(r.id::text, '-', ''),
             e.events, e.first, e.last, e.kind) as "what!"
           from runs r cross join lateral (
             select count(*) as events, min(seq) as first, max(seq) as last,
               min(kind) filter (where seq = 1) as kind
             from run_events where org_id = r.org_id and run_id = r.id
           ) e
           where e.events = 0 or e.first <> 1 or e.last <> e.events or e.kind is distinct from 'started' limit $1"#,
        limit
    );
    Ok(found.fetch_all(db).await?)
}

pub(super) async fn abandoned(db: impl PgExecutor<'_>, limit: i64) -> Result<Vec<String>> {
    let found = sqlx::query_scalar!(
        r#"select format('run_%s is %s on a node last heard of %s', replace(r.id::text, '-', ''), r.state,
             coalesce(n.heartbeat_at::text, 'never')) as "what!"
           from runs r left join nodes n on n.id = r.node_id
           where r.ended_at is null
             and coalesce(n.heartbeat_at, r.wake_at, '-infinity') < now() - interval '30 seconds' limit $1"#,
        limit
    );
    Ok(found.fetch_all(db).await?)
}

/// What rows can tell of terms: each death and each further attempt takes a term of its own. A journal that differs from
/// what was begun has ended its run loudly, or is found here.
pub(super) async fn wrong_terms(db: impl PgExecutor<'_>, limit: i64) -> Result<Vec<String>> {
    let found = sqlx::query_scalar!(
        r#"select format('run_%s is under term %s and saw %s hosts die', replace(r.id::text, '-', ''), r.term, r.deaths)
             as "what!"
           from runs r where r.term <= r.deaths or r.term < 1
           union all
           select format('effect %s of run_%s was begun %s times under %s terms', i.seq,
             replace(i.run_id::text, '-', ''), i.attempt, r.term)
           from run_intents i join runs r on r.org_id = i.org_id and r.id = i.run_id
           where i.attempt < 1 or i.attempt > r.term
           union all
           select format('step %s of run_%s is the outcome of another effect than was begun', i.seq,
             replace(i.run_id::text, '-', ''))
           from run_intents i join run_steps s on s.org_id = i.org_id and s.run_id = i.run_id and s.seq = i.seq
           join runs r on r.org_id = i.org_id and r.id = i.run_id
           where (s.kind <> i.kind or s.request_digest <> i.request_digest) and r.stop_reason is distinct from 'host_error'
           limit $1"#,
        limit
    );
    Ok(found.fetch_all(db).await?)
}

pub(super) async fn wrong_usage(db: impl PgExecutor<'_>, limit: i64) -> Result<Vec<String>> {
    let found = sqlx::query_scalar!(
        r#"select format('run_%s is %s; its usage row says %s, its last event %s', replace(r.id::text, '-', ''), r.state,
             coalesce(u.input_tokens || '+' || u.output_tokens || ' tokens, ' || u.fuel || ' fuel', 'nothing'),
             coalesce(e.data -> 'usage' ->> 'input_tokens' || '+' || (e.data -> 'usage' ->> 'output_tokens')
               || ' tokens, ' || (e.data -> 'usage' ->> 'fuel') || ' fuel', 'nothing')) as "what!"
           from runs r
           left join usage_records u on u.org_id = r.org_id and u.run_id = r.id
           left join run_events e on e.org_id = r.org_id and e.run_id = r.id and e.kind = 'done'
           where (r.ended_at is null) <> (u.run_id is null)
             or u.input_tokens <> (e.data -> 'usage' ->> 'input_tokens')::bigint
             or u.output_tokens <> (e.data -> 'usage' ->> 'output_tokens')::bigint
             or u.fuel <> (e.data -> 'usage' ->> 'fuel')::bigint limit $1"#,
        limit
    );
    Ok(found.fetch_all(db).await?)
}

/// A run's generations are its tokens, and the sums with what is in none yet are the rows.
pub(super) async fn wrong_sums(db: impl PgExecutor<'_>, limit: i64) -> Result<Vec<String>> {
    let found = sqlx::query_scalar!(
        r#"select format('run_%s used %s+%s tokens; its generations say %s+%s', replace(u.run_id::text, '-', ''),
             u.input_tokens, u.output_tokens, s.input, s.output) as "what!"
           from usage_records u cross join lateral (
             select coalesce(sum(input_tokens), 0) as input, coalesce(sum(output_tokens), 0) as output
             from usage_steps where org_id = u.org_id and run_id = u.run_id) s
           where u.state is not null and (u.input_tokens <> s.input or u.output_tokens <> s.output)
           union all
           select format('org_%s has %s runs with %s+%s tokens on %s; its sums say %s with %s+%s',
             replace(coalesce(a.org_id, b.org_id)::text, '-', ''), coalesce(a.runs, 0), coalesce(a.input, 0),
             coalesce(a.output, 0), coalesce(a.day, b.day), coalesce(b.runs, 0), coalesce(b.input, 0),
             coalesce(b.output, 0))
           from (
             select u.org_id, (u.at at time zone 'utc')::date as day, count(*) as runs, sum(u.input_tokens) as input,
               sum(u.output_tokens) as output
             from usage_records u where not exists (
               select from usage_unfolded f where f.org_id = u.org_id and f.run_id = u.run_id)
             group by 1, 2) a
           full join (
             select org_id, day, sum(runs) as runs, sum(input_tokens) as input, sum(output_tokens) as output
             from usage_rollups group by 1, 2) b on a.org_id = b.org_id and a.day = b.day
           where (a.runs, a.input, a.output) is distinct from (b.runs, b.input, b.output)
           limit $1"#,
        limit
    );
    Ok(found.fetch_all(db).await?)
}

/// What the payment provider was told: each row once, and in all no more than the sums of its day.
pub(super) async fn wrong_reports(db: impl PgExecutor<'_>, limit: i64) -> Result<Vec<String>> {
    let found = sqlx::query_scalar!(
        r#"select format('bill_%s is %s and was exported %s times in %s attempts', replace(id::text, '-', ''), state,
             exports, attempts) as "what!"
           from billing_rows
           where exports <> (state = 'exported' and settled_by is null)::int or exports > attempts
             or (state = 'attempted' and (attempts < 1 or first_attempt_at is null))
             or (state = 'waiting' and first_attempt_at is not null)
             or (settled_at is null) <> (state in ('waiting', 'attempted'))
             or (state = 'reconcile' and reason is null)
           union all
           select format('org_%s reports %s %s of %s; its rows say %s, its sums %s',
             replace(t.org_id::text, '-', ''), t.told, t.meter, t.day, t.rows, t.used)
           from (
             select d.org_id, d.day, m.meter, m.told,
               (select coalesce(sum(value), 0) from billing_rows r
                where r.org_id = d.org_id and r.day = d.day and r.meter = m.meter) as rows,
               (select coalesce(sum(case m.meter when 'runs' then u.runs when 'input_tokens' then u.input_tokens
                  else u.output_tokens end), 0)
                from usage_rollups u where u.org_id = d.org_id and u.day = d.day) as used
             from billing_days d cross join lateral (values
               ('runs', d.runs), ('input_tokens', d.input_tokens), ('output_tokens', d.output_tokens)) as m (meter, told)
           ) t where t.told <> t.rows or t.told > t.used
           union all
           select format('bill_%s is of %s, which nobody reports', replace(r.id::text, '-', ''), r.day)
           from billing_rows r
           where not exists (select from billing_days d where d.org_id = r.org_id and d.day = r.day)
           limit $1"#,
        limit
    );
    Ok(found.fetch_all(db).await?)
}

pub(super) async fn strays(db: impl PgExecutor<'_>, limit: i64) -> Result<Vec<String>> {
    let found = sqlx::query_scalar!(
        r#"select format('%s of run_%s in org_%s belong to no run of it', s.what, replace(s.run_id::text, '-', ''),
             replace(s.org_id::text, '-', '')) as "what!"
           from (
             select distinct 'events' as what, org_id, run_id from run_events
             union all select distinct 'steps', org_id, run_id from run_steps
             union all select distinct 'intents', org_id, run_id from run_intents
             union all select distinct 'usage', org_id, run_id from usage_records
             union all select distinct 'usage of generations', org_id, run_id from usage_steps
           ) s
           where not exists (select from runs r where r.org_id = s.org_id and r.id = s.run_id) limit $1"#,
        limit
    );
    Ok(found.fetch_all(db).await?)
}

/// Whole keys of this host, not what only looks like one. The secret itself is not told.
pub(super) async fn leaked_keys(db: impl PgExecutor<'_>, limit: i64) -> Result<Vec<String>> {
    let found = sqlx::query_scalar!(
        r#"select format('%s of run_%s hold key_%s', s.what, replace(s.run_id::text, '-', ''), s.key) as "what!"
           from (
             select 'the events' as what, run_id, substring(data::text from 'bh_([0-9a-f]{32})_[A-Za-z0-9_-]{43}') as key
             from run_events
             union all
             select 'the steps', run_id,
               substring(concat(request, response) from 'bh_([0-9a-f]{32})_[A-Za-z0-9_-]{43}') from run_steps
             union all
             select 'the intents', run_id, substring(request::text from 'bh_([0-9a-f]{32})_[A-Za-z0-9_-]{43}')
             from run_intents
             union all
             select 'output or log', id,
               substring(concat(output, fault, guest_log) from 'bh_([0-9a-f]{32})_[A-Za-z0-9_-]{43}') from runs
           ) s
           join api_keys k on replace(k.id::text, '-', '') = s.key limit $1"#,
        limit
    );
    Ok(found.fetch_all(db).await?)
}

pub(super) async fn unknown_versions(db: impl PgExecutor<'_>, limit: i64) -> Result<Vec<String>> {
    let found = sqlx::query_scalar!(
        r#"select format('run_%s names version %s of agent_%s, which there is not', replace(r.id::text, '-', ''),
             r.version, replace(r.agent_id::text, '-', '')) as "what!"
           from runs r where not exists (
             select from agent_versions v where v.org_id = r.org_id and v.agent_id = r.agent_id and v.number = r.version
           )
           union all
           select format('run_%s names limits %s, which are not kept', replace(r.id::text, '-', ''),
             encode(r.limits_digest, 'hex'))
           from runs r where r.limits_digest is not null
             and not exists (select from limit_sets s where s.digest = r.limits_digest)
           limit $1"#,
        limit
    );
    Ok(found.fetch_all(db).await?)
}

/// What the finishing of a run writes where the host itself failed: a panic, or an error nobody expected.
pub(super) async fn panics(db: impl PgExecutor<'_>, limit: i64) -> Result<Vec<String>> {
    let found = sqlx::query_scalar!(
        r#"select format('run_%s: %s', replace(id::text, '-', ''), fault ->> 'message') as "what!"
           from runs where stop_reason = 'host_error' and fault ->> 'message' like 'the host failed%' limit $1"#,
        limit
    );
    Ok(found.fetch_all(db).await?)
}

pub(super) async fn wrong_blocks(db: impl PgExecutor<'_>, limit: i64) -> Result<Vec<String>> {
    let found = sqlx::query_scalar!(
        r#"select format('run_%s ended with %s; %s violations and %s events say that a guardrail ended it, %s notices tell it',
             replace(r.id::text, '-', ''), r.stop_reason, v.fitting || ' of ' || v.all_of_them, e.events, coalesce(o.ends, 0) || ' and ' || coalesce(o.flags, 0))
             as "what!"
           from runs r
           cross join lateral (
             select count(*) as all_of_them, count(*) filter (where r.stop_reason = 'blocked:' || kind) as fitting
             from guardrail_violations where run_id = r.id and org_id = r.org_id and action = 'blocked') v
           cross join lateral (
             select count(*) as events from run_events where org_id = r.org_id and run_id = r.id and kind = 'blocked') e
           left join (
             select org_id, run_id, count(*) filter (where topic = 'agent_run.blocked') as ends,
               count(*) filter (where topic = 'audit.flagged') as flags
             from outbox where topic in ('agent_run.blocked', 'audit.flagged') and run_id is not null
             group by org_id, run_id) o on o.org_id = r.org_id and o.run_id = r.id
           where r.ended_at is not null
             and ((r.state = 'blocked')::int <> v.fitting or v.fitting <> v.all_of_them or e.events <> v.fitting
               or o.ends <> o.flags or o.ends > v.fitting)
           limit $1"#,
        limit
    );
    Ok(found.fetch_all(db).await?)
}

pub(super) async fn wrong_conversations(
    db: impl PgExecutor<'_>,
    limit: i64,
) -> Result<Vec<String>> {
    let found = sqlx::query_scalar!(
        r#"select format('conv_%s had %s runs, and keeps %s questions and %s answers; it waits for run_%s',
             replace(c.id::text, '-', ''), c.turns, m.questions, m.answers,
             coalesce(replace(c.open_run::text, '-', ''), '-')) as "what!"
           from conversations c
           left join runs r on r.org_id = c.org_id and r.id = c.open_run and r.conversation_id = c.id and r.ended_at is null
           cross join lateral (
             select count(*) filter (where role = 'user') as questions, count(*) filter (where role = 'assistant') as answers
             from conversation_messages where org_id = c.org_id and conversation_id = c.id) m
           where m.questions <> c.turns or m.answers <> c.turns - (c.open_run is not null)::int
             or (c.open_run is null) <> (r.id is null)
           union all
           select format('run_%s is open, and its conversation does not wait for it', replace(r.id::text, '-', ''))
           from runs r where r.ended_at is null and r.conversation_id is not null and not exists (
             select from conversations c where c.org_id = r.org_id and c.id = r.conversation_id and c.open_run = r.id)
           limit $1"#,
        limit
    );
    Ok(found.fetch_all(db).await?)
}

/// What is remembered is what the run that is named wrote last, and no later one of the conversation.
pub(super) async fn wrong_memories(db: impl PgExecutor<'_>, limit: i64) -> Result<Vec<String>> {
    let found = sqlx::query_scalar!(
        r#"select format('conv_%s remembers what run_%s %s', replace(m.conversation_id::text, '-', ''),
             replace(m.run_id::text, '-', ''), w.what) as "what!"
           from conversation_memory m
           left join conversations c on c.org_id = m.org_id and c.id = m.conversation_id
           left join runs r on r.org_id = m.org_id and r.id = m.run_id
           left join conversation_messages q on q.org_id = m.org_id and q.conversation_id = m.conversation_id
             and q.run_id = m.run_id and q.role = 'user'
           cross join lateral (select case
             when c.id is null or c.archived_at is not null then 'wrote, and is archived'
             when r.conversation_id is distinct from m.conversation_id then 'of another conversation wrote'
             when r.ended_at is null then 'wrote, which goes on'
             when m.value is distinct from (select s.request ->> 'value' from run_steps s
               where s.org_id = m.org_id and s.run_id = m.run_id and s.kind in ('memory.set', 'memory.delete')
                 and s.status = 'ok' and s.request ->> 'key' = m.key order by s.seq desc limit 1) then 'did not write last'
             when exists (select from conversation_messages l
               join runs n on n.org_id = l.org_id and n.id = l.run_id and n.ended_at is not null
               join run_steps s on s.org_id = l.org_id and s.run_id = l.run_id
               where l.org_id = m.org_id and l.conversation_id = m.conversation_id and l.role = 'user' and l.turn > q.turn
                 and s.kind in ('memory.set', 'memory.delete') and s.status = 'ok' and s.request ->> 'key' = m.key)
               then 'wrote before another did'
             end as what) w
           where w.what is not null limit $1"#,
        limit
    );
    Ok(found.fetch_all(db).await?)
}

/// What rows can tell without a clock: an event that later attempts have passed by, a delivery no queue knows of, and a
/// final state that its attempts do not bear out.
pub(super) async fn untold(db: impl PgExecutor<'_>, limit: i64) -> Result<Vec<String>> {
    let found = sqlx::query_scalar!(
        r#"select format('event evt_%s of run_%s %s', replace(u.id::text, '-', ''),
             coalesce(replace(o.run_id::text, '-', ''), '-'), u.what) as "what!"
           from (
             select org_id, id, 'was passed by: no deliveries were made of it' as what from outbox
             where fanned_at is null
               and at < (select max(tried_at) from webhook_deliveries) - interval '60 seconds'
             union all
             select d.org_id, d.event_id, format('waits for we_%s, which will not send it', replace(e.id::text, '-', ''))
             from webhook_deliveries d
             join webhook_endpoints e on e.org_id = d.org_id and e.id = d.endpoint_id
             where d.next_at is not null and (e.disabled_at is not null
               or (e.lease is null and (e.due_at is null or e.due_at > d.next_at)))
             union all
             select d.org_id, d.event_id, 'waits to be sent and is not kept'
             from webhook_deliveries d
             where d.next_at is not null
               and not exists (select from outbox o where o.org_id = d.org_id and o.id = d.event_id)
             union all
             select org_id, event_id, format('is delivered, and was answered %s', coalesce(status::text, 'nothing'))
             from webhook_deliveries
             where state = 'delivered' and (status is null or status not between 200 and 299)
             union all
             select org_id, event_id, format('is given up after %s attempts', step) from webhook_deliveries
             where state = 'failed' and step < 10 and status is distinct from 410
           ) u left join outbox o on o.org_id = u.org_id and o.id = u.id limit $1"#,
        limit
    );
    Ok(found.fetch_all(db).await?)
}
