-- runs, their journal and their events: the truth about what happened. written in batches of many runs, so these
-- tables carry no foreign keys: each would cost a look-up per row, and every row is written by the run's own owner.

create table nodes (
  id uuid not null,
  name text not null,
  started_at timestamptz not null,
  -- by the database's clock. a node is dead when this is 15 s old.
  heartbeat_at timestamptz not null,
  stopped_at timestamptz,
  constraint nodes_pkey primary key (id)
);

create table runs (
  org_id uuid not null,
  id uuid not null,
  agent_id uuid not null,
  version integer not null,
  channel text,
  state text not null,
  stop_reason text,
  -- what the client sent: {"messages": [...]}.
  input json not null,
  metadata json,
  -- what the guest's randomness grows from.
  seed bytea not null,
  deadline_at timestamptz not null,
  fuel_max bigint not null,
  node_id uuid not null,
  -- who may write: an older term writes nothing.
  term integer not null,
  created_by uuid,
  created_at timestamptz not null,
  cancel_requested_at timestamptz,
  cancel_requested_by uuid,
  ended_at timestamptz,
  -- the text that was shown, whole, partial where the run was stopped.
  output text,
  fault json,
  receipt json,
  -- what the guest wrote to stdout, stderr and its log, bounded.
  guest_log json,
  constraint runs_pkey primary key (org_id, id),
  constraint runs_state_check check (state in ('queued', 'running', 'suspended', 'completed', 'failed', 'cancelled', 'blocked')),
  constraint runs_end_check check ((state in ('queued', 'running', 'suspended')) = (ended_at is null)),
  constraint runs_stop_reason_check check ((stop_reason is null) = (ended_at is null))
);
create index runs_agent_idx on runs (org_id, agent_id, created_at desc, id desc);
create index runs_open_idx on runs (node_id) where ended_at is null;

-- one row per host call whose answer came from outside the guest.
create table run_steps (
  org_id uuid not null,
  run_id uuid not null,
  seq integer not null,
  kind text not null,
  request_digest bytea not null,
  request json not null,
  response json,
  started_at timestamptz not null,
  ended_at timestamptz,
  fuel_before bigint not null,
  status text not null,
  constraint run_steps_pkey primary key (org_id, run_id, seq),
  constraint run_steps_status_check check (status in ('ok', 'error'))
);

-- the run's log: what a client is shown, exactly these bytes, in this order, without a gap.
create table run_events (
  org_id uuid not null,
  run_id uuid not null,
  seq integer not null,
  at timestamptz not null,
  kind text not null,
  data json not null,
  constraint run_events_pkey primary key (org_id, run_id, seq)
);
