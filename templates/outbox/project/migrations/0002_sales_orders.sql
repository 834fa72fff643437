CREATE TABLE sales_orders (
  id uuid PRIMARY KEY,
  customer text NOT NULL CHECK (length(customer) BETWEEN 1 AND 200),
  status text NOT NULL DEFAULT 'pending' CHECK (status IN ('pending', 'confirmed', 'cancelled')),
  -- In minor units.
  amount bigint NOT NULL CHECK (amount > 0),
  currency char(3) NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now()
);

-- Of the consumer; usually in another service's database. One row for each event whose effect is there.
CREATE TABLE processed_events (
  event_id text PRIMARY KEY,
  type text NOT NULL,
  processed_at timestamptz NOT NULL DEFAULT now()
);

CREATE INDEX processed_events_age ON processed_events (processed_at);

-- The effect: what is sold, by currency.
CREATE TABLE sales_order_totals (
  currency char(3) PRIMARY KEY,
  count bigint NOT NULL,
  -- In minor units.
  amount bigint NOT NULL
);
