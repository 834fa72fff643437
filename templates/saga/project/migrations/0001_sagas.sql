-- What is known about each saga, for people and programs. How far it has come is what DBOS keeps, in the schema `dbos`.
CREATE TABLE sagas (
  id text PRIMARY KEY,
  kind text NOT NULL,
  -- Of the definition that it began with, and keeps.
  version integer NOT NULL,
  input jsonb NOT NULL,
  steps text[] NOT NULL,
  state text NOT NULL DEFAULT 'accepted'
    CHECK (state IN ('accepted', 'running', 'completed', 'compensating', 'compensated', 'parked')),
  -- Why it is not completed, and, of a parked one, why it cannot be compensated.
  failure text,
  obstacle text,
  -- The step whose compensation somebody has done by hand.
  skip text,
  traceparent text,
  -- Counts the changes of `state`, so that one who comes late cannot turn it back.
  position bigint NOT NULL DEFAULT 0,
  created_at timestamptz NOT NULL DEFAULT now(),
  updated_at timestamptz NOT NULL DEFAULT now()
);

CREATE INDEX sagas_latest ON sagas (created_at DESC, id DESC);
CREATE INDEX sagas_by_state ON sagas (state, created_at DESC, id DESC);

-- One row for each call that was begun, also for one that its process did not survive: that one has no end.
CREATE TABLE saga_calls (
  number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  saga_id text NOT NULL REFERENCES sagas (id) ON DELETE CASCADE,
  step text NOT NULL,
  direction text NOT NULL CHECK (direction IN ('action', 'compensation')),
  -- How often the saga had been parked before.
  parked integer NOT NULL,
  attempt integer NOT NULL,
  replica text NOT NULL,
  started_at timestamptz NOT NULL DEFAULT now(),
  ended_at timestamptz,
  outcome text CHECK (outcome IN ('done', 'refused', 'failed', 'skipped')),
  error text
);

CREATE INDEX saga_calls_of ON saga_calls (saga_id, number);

-- Who works on sagas, by the ID that DBOS knows it under.
CREATE TABLE saga_replicas (
  id text PRIMARY KEY,
  started_at timestamptz NOT NULL DEFAULT now(),
  seen_at timestamptz NOT NULL DEFAULT now()
);
