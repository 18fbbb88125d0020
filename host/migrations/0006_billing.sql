-- usage: one row per run, written in the transaction that ends it, never changed.

create table usage_records (
  org_id uuid not null,
  run_id uuid not null,
  agent_id uuid not null,
  version integer not null,
  at timestamptz not null,
  input_tokens bigint not null,
  output_tokens bigint not null,
  -- a provider gave no count for a part of it.
  estimated boolean not null,
  fuel bigint not null,
  wall_ms bigint not null,
  memory_peak_bytes bigint not null,
  host_calls bigint not null,
  constraint usage_records_pkey primary key (org_id, run_id)
);
create index usage_records_at_idx on usage_records (org_id, at);
