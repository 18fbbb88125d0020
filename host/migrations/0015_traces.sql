-- Where a run stands in a trace: what its lives are children of, on whichever host they are. Null without traces.
alter table runs add column traceparent text
  check (octet_length(traceparent) = 55);
