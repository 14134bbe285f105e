-- Disclosures are sealed, each under a data key that stands in another schema, or another database; see store/sealed.rs.
-- What stood here in clear is sealed when the store is opened next.
ALTER TABLE disclosure RENAME TO disclosure_plain;

CREATE TABLE disclosure (
    idx bigint CONSTRAINT disclosure_sealed_pkey PRIMARY KEY CONSTRAINT disclosure_sealed_idx_fkey REFERENCES entry (idx),
    body bytea NOT NULL
);

-- Keys of values that are erased already: written with the erasure, and deleted once they are destroyed where they stand.
CREATE TABLE key_to_destroy (
    sheet bigint NOT NULL,
    place integer NOT NULL,
    PRIMARY KEY (sheet, place)
);
