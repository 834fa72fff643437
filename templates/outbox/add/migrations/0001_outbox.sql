-- Events that are to be published, written in the transactions that they tell of. The first five columns are those that
-- Debezium's outbox event router reads.
CREATE TABLE outbox (
  id uuid PRIMARY KEY,
  aggregatetype varchar(255) NOT NULL CHECK (aggregatetype <> ''),
  aggregateid varchar(255) NOT NULL,
  type varchar(255) NOT NULL,
  payload jsonb NOT NULL,
  -- W3C Trace Context of the request that caused it.
  traceparent varchar(255),
  tracestate varchar(512),
  -- Order of writing; within an aggregate that of its transactions, which exclude each other by its row.
  position bigint GENERATED ALWAYS AS IDENTITY,
  -- Spreads aggregates over the relays that poll: a shard is locked by one of them at a time.
  shard smallint NOT NULL GENERATED ALWAYS AS ((hashtextextended(aggregatetype || '/' || aggregateid, 0) & 15)::smallint) STORED,
  created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  -- How often the broker refused it.
  attempts smallint NOT NULL DEFAULT 0,
  -- When the broker had confirmed it.
  published_at timestamptz
);

CREATE INDEX outbox_waiting ON outbox (shard, position) WHERE published_at IS NULL;
CREATE INDEX outbox_published ON outbox (published_at) WHERE published_at IS NOT NULL;

-- Events that the broker refused again and again, taken out of the way of those behind them.
CREATE TABLE outbox_dead_letters (
  id uuid PRIMARY KEY,
  aggregatetype varchar(255) NOT NULL,
  aggregateid varchar(255) NOT NULL,
  type varchar(255) NOT NULL,
  payload jsonb NOT NULL,
  traceparent varchar(255),
  tracestate varchar(512),
  created_at timestamptz NOT NULL,
  attempts smallint NOT NULL,
  error text NOT NULL,
  failed_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- Puts a dead letter back, behind what came after it: SELECT outbox_retry(id) FROM outbox_dead_letters;
CREATE FUNCTION outbox_retry(dead uuid) RETURNS void LANGUAGE sql AS $$
  WITH taken AS (DELETE FROM outbox_dead_letters WHERE id = dead RETURNING *)
  INSERT INTO outbox (id, aggregatetype, aggregateid, type, payload, traceparent, tracestate, created_at)
  SELECT id, aggregatetype, aggregateid, type, payload, traceparent, tracestate, created_at FROM taken;
$$;

CREATE TABLE outbox_shards (shard smallint PRIMARY KEY);
INSERT INTO outbox_shards SELECT generate_series(0, 15);

-- Who relays, by replication slot or name.
CREATE TABLE outbox_relays (
  name text PRIMARY KEY,
  mode text NOT NULL,
  -- Host and process.
  holder text NOT NULL,
  -- By WAL: whether all that was committed before the slot existed is published.
  caught_up boolean NOT NULL DEFAULT false,
  active_since timestamptz NOT NULL DEFAULT clock_timestamp(),
  seen_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
