-- webhooks: what happened, kept to be told (outbox), where it is told (endpoints), and each telling (deliveries).

-- written in the transaction of what it states. kept from an organization's first endpoint on, for 30 days; without an
-- endpoint nothing is written. no foreign keys: rows come in batches of many runs.
create table outbox (
  org_id uuid not null,
  -- what a receiver knows it by, over all attempts. the same event said again is the same row.
  id uuid not null,
  topic text not null,
  -- the run it is of, and where in that run's log.
  run_id uuid,
  seq integer,
  at timestamptz not null,
  data json not null,
  -- null until deliveries were made of it.
  fanned_at timestamptz,
  constraint outbox_pkey primary key (org_id, id),
  constraint outbox_seq_check check ((run_id is null) = (seq is null))
);
create index outbox_waiting_idx on outbox (at) where fanned_at is null;
create index outbox_at_idx on outbox (org_id, at, id);
create index outbox_age_idx on outbox (at);

-- an endpoint is a queue of its own: a node leases it, sends what is due and gives it back.
create table webhook_endpoints (
  org_id uuid not null,
  id uuid not null,
  url text not null,
  description text not null,
  -- names of the catalogue; * is every one, those to come included.
  events text[] not null,
  signature text not null,
  secret_sealed bytea not null,
  -- the secret before the last rotation signs too until then.
  former_secret_sealed bytea,
  former_secret_until timestamptz,
  -- 0: its last attempt was a success, 1: none was made, 2: its last attempt failed. each has places of its own.
  lane smallint not null default 1,
  -- when the first of its deliveries is due; null where none waits.
  due_at timestamptz,
  leased_until timestamptz,
  -- who holds the lease: an older one gives nothing back.
  lease uuid,
  last_success_at timestamptz,
  -- the first failure since the last success.
  failing_since timestamptz,
  disabled_at timestamptz,
  disabled_reason text,
  created_at timestamptz not null,
  created_by uuid not null,
  updated_at timestamptz not null,
  constraint webhook_endpoints_pkey primary key (org_id, id),
  constraint webhook_endpoints_org_id_fkey foreign key (org_id) references organizations (id),
  constraint webhook_endpoints_signature_check check (signature in ('standard', 'stripe')),
  constraint webhook_endpoints_lane_check check (lane in (0, 1, 2)),
  constraint webhook_endpoints_disabled_check check ((disabled_at is null) = (disabled_reason is null))
);
create index webhook_endpoints_due_idx on webhook_endpoints (lane, due_at) where due_at is not null;

-- one event on its way to one endpoint.
create table webhook_deliveries (
  org_id uuid not null,
  endpoint_id uuid not null,
  event_id uuid not null,
  topic text not null,
  -- of the event.
  at timestamptz not null,
  state text not null,
  -- all attempts that were begun and whose end is known, and how many of them since the schedule was last begun.
  attempts integer not null default 0,
  step integer not null default 0,
  -- when it is tried; null in a final state.
  next_at timestamptz,
  ended_at timestamptz,
  -- of the last attempt: when, the answer's status, why it failed, how long it took, the start of the answer.
  tried_at timestamptz,
  status integer,
  error text,
  took_ms integer,
  reply text,
  constraint webhook_deliveries_pkey primary key (org_id, endpoint_id, event_id),
  constraint webhook_deliveries_endpoint_fkey foreign key (org_id, endpoint_id)
    references webhook_endpoints (org_id, id) on delete cascade,
  constraint webhook_deliveries_state_check check (state in ('waiting', 'delivered', 'failed', 'dropped')),
  constraint webhook_deliveries_next_check check ((state = 'waiting') = (next_at is not null)),
  constraint webhook_deliveries_end_check check ((state = 'waiting') = (ended_at is null))
);
create index webhook_deliveries_due_idx on webhook_deliveries (org_id, endpoint_id, next_at) where next_at is not null;
create index webhook_deliveries_log_idx on webhook_deliveries (org_id, endpoint_id, at desc, event_id desc);
create index webhook_deliveries_event_idx on webhook_deliveries (org_id, event_id);
create index webhook_deliveries_age_idx on webhook_deliveries (at);
