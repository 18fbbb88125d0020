-- who may sign versions: public keys of publishers, whether an organization takes versions that nobody signed, and who
-- signed a version.

create table publisher_keys (
  org_id uuid not null,
  id uuid not null,
  name text not null,
  -- ed25519.
  public_key bytea not null,
  created_at timestamptz not null,
  created_by uuid not null,
  revoked_at timestamptz,
  constraint publisher_keys_pkey primary key (org_id, id),
  constraint publisher_keys_org_id_fkey foreign key (org_id) references organizations (id),
  constraint publisher_keys_public_key_check check (octet_length(public_key) = 32)
);
create unique index publisher_keys_valid_key on publisher_keys (org_id, public_key) where revoked_at is null;

-- one row at most for each organization; without one, signatures are optional.
create table signature_policies (
  org_id uuid not null,
  required boolean not null,
  updated_at timestamptz not null,
  updated_by uuid not null,
  constraint signature_policies_pkey primary key (org_id),
  constraint signature_policies_org_id_fkey foreign key (org_id) references organizations (id)
);

-- the publisher's key, and what it signed with it over the digest.
alter table agent_versions add column signed_by uuid;
alter table agent_versions add column signature bytea;
