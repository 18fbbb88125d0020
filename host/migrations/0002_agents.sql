-- agents, their immutable versions, and the channels that point at them.

-- component bytes by digest: the same bytes are kept once, whoever uploaded them; only a version gives access.
create table components (
  digest bytea not null,
  bytes bytea not null,
  created_at timestamptz not null,
  constraint components_pkey primary key (digest)
);

create table agents (
  org_id uuid not null,
  id uuid not null,
  name text not null,
  -- the number the next version takes.
  next_version integer not null default 1,
  created_at timestamptz not null,
  constraint agents_pkey primary key (org_id, id),
  constraint agents_org_id_fkey foreign key (org_id) references organizations (id),
  constraint agents_name_key unique (org_id, name),
  constraint agents_name_check check (name ~ '^[a-z][a-z0-9-]{0,62}$')
);

create table agent_versions (
  org_id uuid not null,
  agent_id uuid not null,
  number integer not null,
  digest bytea not null,
  manifest jsonb not null,
  -- the interfaces the component imports: its permission request.
  imports text[] not null,
  size_bytes bigint not null,
  compile_ms bigint not null,
  created_at timestamptz not null,
  constraint agent_versions_pkey primary key (org_id, agent_id, number),
  constraint agent_versions_agent_fkey foreign key (org_id, agent_id) references agents (org_id, id),
  constraint agent_versions_digest_fkey foreign key (digest) references components (digest),
  constraint agent_versions_digest_key unique (org_id, agent_id, digest)
);

create table agent_channels (
  org_id uuid not null,
  agent_id uuid not null,
  name text not null,
  version integer not null,
  moved_at timestamptz not null,
  constraint agent_channels_pkey primary key (org_id, agent_id, name),
  constraint agent_channels_version_fkey foreign key (org_id, agent_id, version)
    references agent_versions (org_id, agent_id, number),
  constraint agent_channels_name_check check (name in ('stable'))
);
