-- Each part below would belong to a service of its own, and may be moved to one. They are told apart by the key of the saga.

CREATE TABLE sales_orders (
  id text PRIMARY KEY,
  status text NOT NULL CHECK (status IN ('pending', 'confirmed', 'cancelled')),
  customer text NOT NULL,
  items jsonb NOT NULL,
  -- In minor units.
  total bigint NOT NULL CHECK (total >= 0),
  created_at timestamptz NOT NULL DEFAULT now(),
  updated_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE stock (
  sku text PRIMARY KEY,
  available integer NOT NULL CHECK (available >= 0)
);

-- A reservation that is released before it was made is kept too: the call that was to make it may still be on its way.
CREATE TABLE reservations (
  key text PRIMARY KEY,
  status text NOT NULL CHECK (status IN ('held', 'released')),
  items jsonb NOT NULL,
  updated_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE accounts (
  customer text PRIMARY KEY,
  -- In minor units.
  balance bigint NOT NULL CHECK (balance >= 0)
);

CREATE TABLE payments (
  key text PRIMARY KEY,
  status text NOT NULL CHECK (status IN ('taken', 'refunded')),
  customer text NOT NULL,
  -- In minor units.
  amount bigint NOT NULL CHECK (amount >= 0),
  updated_at timestamptz NOT NULL DEFAULT now()
);

-- Something to try it with.
INSERT INTO stock (sku, available) VALUES ('teapot', 100), ('cup', 1000);
INSERT INTO accounts (customer, balance) VALUES ('ada', 1000000), ('grace', 500);
