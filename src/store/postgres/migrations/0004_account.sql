-- Who may log in. A change names the version it was made on.
CREATE TABLE account (
    id text PRIMARY KEY,
    login text NOT NULL UNIQUE,
    version bigint NOT NULL,
    body bytea NOT NULL
);
