-- what guardrails did, what ended a run, and how often an agent was started.

-- one row for each firing; of a rewrite one for each place of a run, with how often. entry refusals have no run.
create table guardrail_violations (
  org_id uuid not null,
  id uuid not null,
  agent_id uuid not null,
  version integer not null,
  run_id uuid,
  kind text not null,
  -- as its author wrote it.
  rule text not null,
  place text not null,
  action text not null,
  message text not null,
  -- counts and limits, never what was said.
  detail json not null,
  created_at timestamptz not null,
  constraint guardrail_violations_pkey primary key (org_id, id),
  constraint guardrail_violations_action_check check (action in ('refused', 'blocked', 'redacted', 'rewritten')),
  constraint guardrail_violations_run_check check ((run_id is null) = (action = 'refused')),
  constraint guardrail_violations_version_fkey foreign key (org_id, agent_id, version)
    references agent_versions (org_id, agent_id, number)
);

create index guardrail_violations_time_idx on guardrail_violations (org_id, created_at, id);
create index guardrail_violations_run_idx on guardrail_violations (run_id) where run_id is not null;

-- how many runs of an agent were asked for in the running second, minute, hour and day; one row for each unit.
create table guardrail_rates (
  org_id uuid not null,
  agent_id uuid not null,
  unit text not null,
  window_start timestamptz not null,
  starts bigint not null,
  constraint guardrail_rates_pkey primary key (org_id, agent_id, unit)
);

-- {kind, rule, at, message, detail}: the guardrail that ended the run.
alter table runs add column blocked json;
