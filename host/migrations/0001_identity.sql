-- organizations, their api keys, and the keys clients use to repeat a request safely.

create table organizations (
  id uuid not null,
  -- what addresses it in every path; never changes.
  slug text not null,
  created_at timestamptz not null,
  constraint organizations_pkey primary key (id),
  constraint organizations_slug_key unique (slug),
  constraint organizations_slug_check check (slug ~ '^[a-z][a-z0-9-]{0,62}$')
);

-- the secret itself is shown once and kept as sha-256: it is random, so a slow hash would only cost time.
create table api_keys (
  org_id uuid not null,
  id uuid not null,
  name text not null,
  secret_sha256 bytea not null,
  scopes text[] not null,
  created_at timestamptz not null,
  expires_at timestamptz,
  revoked_at timestamptz,
  constraint api_keys_pkey primary key (org_id, id),
  constraint api_keys_org_id_fkey foreign key (org_id) references organizations (id),
  constraint api_keys_id_key unique (id),
  constraint api_keys_scopes_check check (scopes <@ array['read', 'run', 'deploy', 'admin'] and cardinality(scopes) > 0)
);

-- one row per `Idempotency-Key`, caller and route. `status` is null while the first request is at work and 0 when its
-- answer was a stream. `assigned` is the id the request's new thing takes, so a repeat after a crash finds it.
create table idempotency_keys (
  scope bytea not null,
  body bytea not null,
  assigned uuid not null,
  claim uuid not null,
  status integer,
  headers jsonb,
  answer bytea,
  claimed_at timestamptz not null,
  constraint idempotency_keys_pkey primary key (scope)
);
create index idempotency_keys_claimed_at_idx on idempotency_keys (claimed_at);

-- values every node must share: keys for cursors and artifacts, made by the first host that needs them.
create table host_settings (
  name text not null,
  value bytea not null,
  constraint host_settings_pkey primary key (name)
);
