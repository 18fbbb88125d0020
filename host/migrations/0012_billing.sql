-- usage and what it costs: one row per run and one per generation, never changed; sums of them; tiers and what an
-- organization has of them; what is taken and held of a cap.

alter table usage_records add column started_at timestamptz;
-- how the run ended; null for rows of before.
alter table usage_records add column state text;
alter table usage_records add column cached_tokens bigint not null default 0;
alter table usage_records add column reasoning_tokens bigint not null default 0;
alter table usage_records add column tool_calls bigint not null default 0;
alter table usage_records add column egress_bytes bigint not null default 0;
alter table usage_records add column knowledge_queries bigint not null default 0;
-- in millionths of a millionth of the currency, by the prices of the run's end; what has no price is not in it.
alter table usage_records add column cost_picos bigint not null default 0;
-- a part of it has no price.
alter table usage_records add column unpriced boolean not null default true;

-- one row for each generation of a run, and one for the attempts at one place that were lost with their hosts. together
-- they are the tokens of the run's row. seq 0 is what no place in the journal accounts for.
create table usage_steps (
  org_id uuid not null,
  run_id uuid not null,
  seq integer not null,
  lost boolean not null,
  agent_id uuid not null,
  version integer not null,
  at timestamptz not null,
  connection text not null,
  model text not null,
  input_tokens bigint not null,
  output_tokens bigint not null,
  cached_tokens bigint not null,
  reasoning_tokens bigint not null,
  estimated boolean not null,
  -- null where its model has no price.
  cost_picos bigint,
  constraint usage_steps_pkey primary key (org_id, run_id, seq, lost)
);

-- runs whose rows no sum has yet: deleted by whoever adds them up. a trigger writes them, so that what a host of before
-- ends is added up as well.
create table usage_unfolded (
  org_id uuid not null,
  run_id uuid not null,
  constraint usage_unfolded_pkey primary key (org_id, run_id)
);

create function usage_unfolded_add() returns trigger language plpgsql as $$
begin
  insert into usage_unfolded (org_id, run_id) select org_id, run_id from added on conflict do nothing;
  return null;
end $$;
create trigger usage_records_unfolded after insert on usage_records
  referencing new table as added for each statement execute function usage_unfolded_add();

-- sums by UTC day.
create table usage_rollups (
  org_id uuid not null,
  day date not null,
  agent_id uuid not null,
  version integer not null,
  runs bigint not null,
  failed bigint not null,
  cancelled bigint not null,
  blocked bigint not null,
  estimated bigint not null,
  unpriced bigint not null,
  input_tokens numeric not null,
  output_tokens numeric not null,
  cached_tokens numeric not null,
  reasoning_tokens numeric not null,
  fuel numeric not null,
  wall_ms numeric not null,
  memory_peak_bytes bigint not null,
  host_calls numeric not null,
  tool_calls numeric not null,
  egress_bytes numeric not null,
  knowledge_queries numeric not null,
  cost_picos numeric not null,
  constraint usage_rollups_pkey primary key (org_id, day, agent_id, version)
);

create table usage_model_rollups (
  org_id uuid not null,
  day date not null,
  connection text not null,
  model text not null,
  generations bigint not null,
  estimated bigint not null,
  unpriced bigint not null,
  input_tokens numeric not null,
  output_tokens numeric not null,
  cached_tokens numeric not null,
  reasoning_tokens numeric not null,
  cost_picos numeric not null,
  constraint usage_model_rollups_pkey primary key (org_id, day, connection, model)
);

-- tiers: a cap that has no row is no cap.
create table usage_tiers (
  name text not null,
  constraint usage_tiers_pkey primary key (name),
  constraint usage_tiers_name_check check (name ~ '^[a-z][a-z0-9-]{0,62}$')
);

create table usage_tier_caps (
  tier text not null,
  dimension text not null,
  cap bigint not null,
  -- a hard one refuses; a soft one is told.
  hard boolean not null,
  warn_percent integer not null,
  constraint usage_tier_caps_pkey primary key (tier, dimension),
  constraint usage_tier_caps_tier_fkey foreign key (tier) references usage_tiers (name),
  constraint usage_tier_caps_dimension_check check (dimension in ('runs', 'input_tokens', 'output_tokens')),
  constraint usage_tier_caps_cap_check check (cap > 0),
  constraint usage_tier_caps_warn_check check (warn_percent between 1 and 100)
);

insert into usage_tiers (name) values ('free'), ('pro'), ('enterprise');
insert into usage_tier_caps (tier, dimension, cap, hard, warn_percent) values
  ('free', 'runs', 100000, true, 80),
  ('pro', 'input_tokens', 50000000, false, 80);

-- what an organization was given; without a row it has the tier of the configuration and no spend cap.
create table usage_plans (
  org_id uuid not null,
  tier text,
  -- of a month, in picos.
  spend_cap_picos bigint,
  -- who said so: the operator, or the payment provider.
  source text not null,
  updated_at timestamptz not null,
  constraint usage_plans_pkey primary key (org_id),
  constraint usage_plans_org_id_fkey foreign key (org_id) references organizations (id),
  constraint usage_plans_tier_fkey foreign key (tier) references usage_tiers (name),
  constraint usage_plans_spend_check check (spend_cap_picos > 0)
);

-- sums of a UTC month, by its first day: what caps are measured by. its lock puts admissions of capped organizations
-- in order.
create table usage_periods (
  org_id uuid not null,
  period date not null,
  -- runs that were admitted under a cap; null while nothing counts them.
  runs_taken bigint,
  runs numeric not null default 0,
  input_tokens numeric not null default 0,
  output_tokens numeric not null default 0,
  cost_picos numeric not null default 0,
  constraint usage_periods_pkey primary key (org_id, period)
);

-- what an open run of a capped organization holds of its caps, until its usage row says it.
create table usage_holds (
  org_id uuid not null,
  run_id uuid not null,
  -- the month it was admitted in, and the one its tokens will count in.
  entered date not null,
  period date not null,
  at timestamptz not null,
  -- whether it counts in runs_taken.
  taken boolean not null,
  input_tokens bigint not null,
  output_tokens bigint not null,
  cost_picos bigint not null,
  constraint usage_holds_pkey primary key (org_id, run_id)
);
create index usage_holds_at_idx on usage_holds (at);

-- that a cap was nearly reached, or reached: told once.
create table usage_marks (
  org_id uuid not null,
  period date not null,
  dimension text not null,
  kind text not null,
  cap numeric not null,
  used numeric not null,
  -- what was used beyond a soft cap.
  overage numeric not null,
  at timestamptz not null,
  constraint usage_marks_pkey primary key (org_id, period, dimension, kind),
  constraint usage_marks_kind_check check (kind in ('warning', 'reached'))
);

-- rows of before are in no sum yet; what they generated is one row each.
insert into usage_unfolded (org_id, run_id) select org_id, run_id from usage_records;
insert into usage_steps (org_id, run_id, seq, lost, agent_id, version, at, connection, model, input_tokens,
    output_tokens, cached_tokens, reasoning_tokens, estimated, cost_picos)
  select org_id, run_id, 0, false, agent_id, version, at, '', '', input_tokens, output_tokens, 0, 0, estimated, null
  from usage_records where input_tokens > 0 or output_tokens > 0;
