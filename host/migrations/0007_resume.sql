-- what a run needs to go on after its host: intents of effects that are under way, when a suspended run wakes, and
-- how often its host died.

-- one row for each effect, written before it starts. a step of the same seq is its outcome; without one it is open.
create table run_intents (
  org_id uuid not null,
  run_id uuid not null,
  seq integer not null,
  kind text not null,
  request_digest bytea not null,
  request json not null,
  started_at timestamptz not null,
  fuel_before bigint not null,
  -- what asking again would do.
  repeat text not null,
  -- 2 where the first attempt's host died.
  attempt integer not null,
  -- what earlier attempts cost, estimated: nobody was left to hear the provider's count.
  lost_input_tokens bigint not null,
  lost_output_tokens bigint not null,
  constraint run_intents_pkey primary key (org_id, run_id, seq),
  constraint run_intents_repeat_check check (repeat in ('continues', 'costs', 'keyed', 'unsafe'))
);

-- of the response's text, so that a row altered by hand is told from what the run was answered.
alter table run_steps add column response_digest bytea;

-- when a suspended run goes on, and what it had used when it left memory.
alter table runs add column wake_at timestamptz;
alter table runs add column suspended_usage json;
-- hosts that died with it. one that takes every host down with it is ended.
alter table runs add column deaths integer not null default 0;
create index runs_wake_idx on runs (wake_at) where state = 'suspended';
