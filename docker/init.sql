-- What walferry needs of a database, and no more: a role that may replicate, may create a
-- publication here, and belongs to the role that owns the tables (only owners may publish them).

CREATE ROLE app NOLOGIN;
CREATE ROLE walferry LOGIN REPLICATION PASSWORD 'walferry' IN ROLE app;
GRANT CREATE ON DATABASE app TO walferry;
GRANT CREATE ON SCHEMA public TO app;

SET ROLE app;

CREATE TABLE orders (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  customer text NOT NULL,
  status text NOT NULL DEFAULT 'new',
  amount numeric(12, 2) NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now()
);
