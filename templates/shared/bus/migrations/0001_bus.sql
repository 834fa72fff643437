-- A durable bus in PostgreSQL: messages on topics, ordered per key, delivered at least once to each consumer group.
--
-- Order. A message gets its position when its transaction commits, by a deferred trigger under one lock, not when it is
-- written: so positions are in the order of commits, and whoever reads in order of position never passes over a message
-- whose transaction is still open. The lock is held for the commit alone. Commits that notify exclude each other in
-- PostgreSQL anyway, so this costs nothing more; publish several messages in one transaction where throughput matters.
--
-- Consumers. Keys are spread over 16 partitions. In each group a partition is leased to one consumer at a time, which
-- handles its messages one after another; a consumer's offset is kept in the row of the lease, and moves only for whoever
-- holds it (`epoch` counts its holders). A lease ends when its time is up or its holder's session is gone, so what a
-- killed consumer had not confirmed is delivered again at once.

CREATE SCHEMA mesh_bus;

CREATE SEQUENCE mesh_bus.positions CACHE 1;

CREATE TABLE mesh_bus.messages (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  topic text NOT NULL CHECK (topic <> '' AND length(topic) <= 249),
  key text NOT NULL,
  partition smallint NOT NULL GENERATED ALWAYS AS ((hashtextextended(key, 0) & 15)::smallint) STORED,
  payload jsonb NOT NULL,
  headers jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(headers) = 'object'),
  published_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  -- Null until the transaction commits.
  position bigint
) WITH (fillfactor = 70);

CREATE INDEX messages_in_order ON mesh_bus.messages (topic, partition, position) WHERE position IS NOT NULL;

CREATE FUNCTION mesh_bus.place() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  -- The ASCII codes of `mesh` and `bus`.
  PERFORM pg_advisory_xact_lock(1835365224, 6452595);
  UPDATE mesh_bus.messages SET position = nextval('mesh_bus.positions') WHERE id = NEW.id;
  -- Equal notifications of one transaction are sent once.
  PERFORM pg_notify('mesh_bus', NEW.topic);
  RETURN NULL;
END $$;

CREATE CONSTRAINT TRIGGER messages_placed AFTER INSERT ON mesh_bus.messages
  DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION mesh_bus.place();

-- One row for each group, topic and partition.
CREATE TABLE mesh_bus.leases (
  consumer_group text NOT NULL,
  topic text NOT NULL,
  partition smallint NOT NULL,
  -- Position of the last message handled.
  handled bigint NOT NULL,
  epoch bigint NOT NULL DEFAULT 0,
  -- The session of the consumer; null: free.
  holder uuid,
  until timestamptz NOT NULL DEFAULT '-infinity',
  PRIMARY KEY (consumer_group, topic, partition)
) WITH (fillfactor = 50);

CREATE TABLE mesh_bus.consumers (
  id uuid PRIMARY KEY,
  consumer_group text NOT NULL,
  topics text[] NOT NULL,
  -- The backend that serves it: gone as soon as its process is.
  pid integer NOT NULL,
  backend_start timestamptz NOT NULL,
  seen_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- Messages that a group gave up, for people to look at; `mesh_bus.publish` takes them back onto the bus.
CREATE TABLE mesh_bus.dead_letters (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  consumer_group text NOT NULL,
  topic text NOT NULL,
  key text NOT NULL,
  payload jsonb NOT NULL,
  headers jsonb NOT NULL,
  position bigint NOT NULL,
  attempts integer NOT NULL,
  error text NOT NULL,
  failed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  UNIQUE (consumer_group, position)
);

CREATE FUNCTION mesh_bus.publish(topic text, key text, payload jsonb, headers jsonb DEFAULT '{}') RETURNS bigint
LANGUAGE sql AS $$
  INSERT INTO mesh_bus.messages (topic, key, payload, headers) VALUES (topic, key, payload, headers) RETURNING id;
$$;

-- Sessions that are gone, and with them their leases.
CREATE FUNCTION mesh_bus.forget_dead(patience interval) RETURNS void LANGUAGE sql AS $$
  WITH gone AS (
    DELETE FROM mesh_bus.consumers c
    WHERE c.seen_at < clock_timestamp() - patience
       OR NOT EXISTS (SELECT 1 FROM pg_stat_activity a WHERE a.pid = c.pid AND a.backend_start = c.backend_start)
    RETURNING id
  )
  UPDATE mesh_bus.leases SET holder = NULL, until = '-infinity'
  WHERE holder IN (SELECT id FROM gone);
$$;

-- The consumer is alive: it keeps what it holds for another `lease`.
CREATE FUNCTION mesh_bus.renew(consumer uuid, lease interval) RETURNS void LANGUAGE sql AS $$
  UPDATE mesh_bus.consumers SET seen_at = clock_timestamp() WHERE id = consumer;
  UPDATE mesh_bus.leases SET until = clock_timestamp() + lease WHERE holder = consumer;
$$;

-- Takes the caller's fair share of a group's partitions and gives up what is more, but none of `busy` (`topic/partition`),
-- where messages are being handled. Callers of a group come one after another. The rows are what it holds now.
CREATE FUNCTION mesh_bus.share(
  consumer uuid, wanted_group text, wanted_topics text[], busy text[], lease interval, from_start boolean
) RETURNS TABLE (topic text, partition smallint, handled bigint, epoch bigint) LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
  wanted text;
  fair integer;
  held integer;
BEGIN
  PERFORM pg_advisory_xact_lock(1835365224, hashtext(wanted_group));
  INSERT INTO mesh_bus.consumers AS c (id, consumer_group, topics, pid, backend_start)
    SELECT consumer, wanted_group, wanted_topics, a.pid, a.backend_start FROM pg_stat_activity a WHERE a.pid = pg_backend_pid()
    ON CONFLICT (id) DO UPDATE SET seen_at = clock_timestamp();
  PERFORM mesh_bus.forget_dead(lease);
  UPDATE mesh_bus.leases SET holder = NULL, until = '-infinity'
    WHERE consumer_group = wanted_group AND holder <> consumer AND until < clock_timestamp();
  FOREACH wanted IN ARRAY wanted_topics LOOP
    INSERT INTO mesh_bus.leases (consumer_group, topic, partition, handled)
      SELECT wanted_group, wanted, p,
        CASE WHEN from_start THEN 0 ELSE coalesce((SELECT max(position) FROM mesh_bus.messages), 0) END
      FROM generate_series(0, 15) p
      ON CONFLICT DO NOTHING;
    SELECT ceil(16.0 / count(*)) INTO fair FROM mesh_bus.consumers
      WHERE consumer_group = wanted_group AND wanted = ANY (topics);
    SELECT count(*) INTO held FROM mesh_bus.leases
      WHERE (consumer_group, topic, holder) = (wanted_group, wanted, consumer);
    UPDATE mesh_bus.leases SET holder = NULL, until = '-infinity'
      WHERE (consumer_group, topic) = (wanted_group, wanted) AND partition IN (
        SELECT partition FROM mesh_bus.leases
        WHERE (consumer_group, topic, holder) = (wanted_group, wanted, consumer)
          AND topic || '/' || partition <> ALL (busy)
        ORDER BY partition DESC LIMIT greatest(0, held - fair));
    UPDATE mesh_bus.leases SET holder = consumer, epoch = epoch + 1
      WHERE (consumer_group, topic) = (wanted_group, wanted) AND partition IN (
        SELECT partition FROM mesh_bus.leases
        WHERE (consumer_group, topic) = (wanted_group, wanted) AND holder IS NULL
        ORDER BY partition LIMIT greatest(0, fair - held));
  END LOOP;
  PERFORM mesh_bus.renew(consumer, lease);
  RETURN QUERY SELECT l.topic, l.partition, l.handled, l.epoch FROM mesh_bus.leases l
    WHERE l.consumer_group = wanted_group AND l.holder = consumer AND l.topic = ANY (wanted_topics);
END $$;

-- Deletes messages older than `keep` that every group of their topic has handled. The value: how many.
CREATE FUNCTION mesh_bus.clean(keep interval) RETURNS bigint LANGUAGE sql AS $$
  WITH deleted AS (
    DELETE FROM mesh_bus.messages m
    WHERE m.published_at < clock_timestamp() - keep AND m.position IS NOT NULL
      AND NOT EXISTS (SELECT 1 FROM mesh_bus.leases l
        WHERE l.topic = m.topic AND l.partition = m.partition AND l.handled < m.position)
    RETURNING 1
  )
  SELECT count(*) FROM deleted;
$$;
