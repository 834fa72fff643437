CREATE TABLE sales_orders (
  id uuid PRIMARY KEY,
  status text NOT NULL,
  items jsonb NOT NULL,
  -- In minor units.
  total_amount bigint NOT NULL CHECK (total_amount >= 0),
  total_currency char(3) NOT NULL,
  -- Counts changes; the ETag.
  version integer NOT NULL DEFAULT 1,
  created_at timestamptz NOT NULL DEFAULT now(),
  updated_at timestamptz NOT NULL DEFAULT now()
);

CREATE INDEX sales_orders_newest ON sales_orders (created_at DESC, id DESC);

-- One row for each idempotency key that was used, in the transaction of what it was used for.
CREATE TABLE idempotency_keys (
  key text PRIMARY KEY,
  -- SHA-256 of the request: the same key with another content is a mistake of the caller.
  request_digest text NOT NULL,
  sales_order_id uuid NOT NULL REFERENCES sales_orders (id) ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED,
  created_at timestamptz NOT NULL DEFAULT now()
);

CREATE INDEX idempotency_keys_age ON idempotency_keys (created_at);
