-- One row for each event whose effect is in this database, written in the transaction of the effect.
CREATE TABLE processed_events (
  event_id text PRIMARY KEY,
  type text NOT NULL,
  processed_at timestamptz NOT NULL DEFAULT now()
);

CREATE INDEX processed_events_age ON processed_events (processed_at);

-- The effect: what sales orders come to, by day and currency.
CREATE TABLE sales_order_totals (
  day date NOT NULL,
  currency char(3) NOT NULL,
  count bigint NOT NULL,
  -- In minor units.
  amount bigint NOT NULL,
  PRIMARY KEY (day, currency)
);
