-- Disclosures are sealed, each under a data key that stands in another file; see store/sealed.rs. What stood here in clear
-- is sealed when the file is opened next.
ALTER TABLE disclosure RENAME TO disclosure_plain;

CREATE TABLE disclosure (
    idx INTEGER PRIMARY KEY REFERENCES entry (idx),
    body BLOB NOT NULL
) STRICT;

-- Keys of values that are erased already: written with the erasure, and deleted once they are destroyed in their own file.
CREATE TABLE key_to_destroy (
    sheet INTEGER NOT NULL,
    place INTEGER NOT NULL,
    PRIMARY KEY (sheet, place)
) STRICT, WITHOUT ROWID;
