-- model connections: where an alias leads and the sealed key the host calls it with.

create table model_connections (
  org_id uuid not null,
  id uuid not null,
  -- the alias guests ask for.
  name text not null,
  kind text not null,
  base_url text,
  -- sealed with the host's master key; the row's id is the context it was sealed under.
  api_key_sealed bytea,
  default_model text not null,
  available_models text[] not null,
  created_at timestamptz not null,
  updated_at timestamptz not null,
  constraint model_connections_pkey primary key (org_id, id),
  constraint model_connections_org_id_fkey foreign key (org_id) references organizations (id),
  constraint model_connections_name_key unique (org_id, name),
  constraint model_connections_name_check check (name ~ '^[a-z][a-z0-9-]{0,62}$'),
  constraint model_connections_kind_check check (kind in ('openai', 'offline')),
  constraint model_connections_url_check check ((kind = 'offline') = (base_url is null))
);
