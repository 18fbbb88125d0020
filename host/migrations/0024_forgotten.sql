-- how many runs a conversation had had when its memory was deleted last: what they wrote is not missing.

alter table conversations add column forgotten_turns integer not null default 0;
