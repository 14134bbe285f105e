//! A record as version 1 packed it: contracts had an id, a name, a template, a number of hours and a citation, nothing
//! more. Read only; what is written is always the newest form. The members and their order are never changed again.

use super::{Record, Tracked, tracked};
use crate::law::{self, Act, ContractPeriod, FactBook, Incident, IncidentId, Place};
use crate::time::{Period, Timestamp, Unit, Zone};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

#[derive(Serialize, Deserialize)]
pub(super) struct RecordV1 {
    incident: IncidentV1,
    #[serde(with = "tracked")]
    tracked: Vec<Tracked>,
    acts: BTreeMap<String, Act>,
    rulebook: [u8; 32],
}

#[derive(Serialize, Deserialize)]
struct IncidentV1 {
    id: IncidentId,
    title: String,
    entity: EntityV1,
    source: Option<String>,
    reference: Option<String>,
    opened_at: Timestamp,
    opened_by: String,
    closed_at: Option<Timestamp>,
    facts: FactBook,
}

#[derive(Serialize, Deserialize)]
struct EntityV1 {
    id: Option<String>,
    name: String,
    roles: Vec<String>,
    sectors: Vec<String>,
    established_in: Vec<Place>,
    main_establishment: Option<Place>,
    operates_in: Vec<Place>,
    zone: Option<Zone>,
    contracts: Vec<ContractV1>,
    policies: Vec<String>,
    policy: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct ContractV1 {
    id: String,
    name: String,
    duty: Option<String>,
    hours: Option<u32>,
    citation: Option<String>,
}

impl From<RecordV1> for Record {
    fn from(old: RecordV1) -> Record {
        let RecordV1 { incident, tracked, acts, rulebook } = old;
        let incident = Incident {
            id: incident.id,
            title: incident.title,
            entity: incident.entity.into(),
            source: incident.source,
            reference: incident.reference,
            opened_at: incident.opened_at,
            opened_by: incident.opened_by,
            closed_at: incident.closed_at,
            facts: incident.facts,
        };
        Record { incident, tracked, acts, rulebook, kept: Vec::new() }
    }
}

impl From<EntityV1> for law::Entity {
    fn from(old: EntityV1) -> law::Entity {
        law::Entity {
            id: old.id,
            name: old.name,
            roles: old.roles,
            sectors: old.sectors,
            established_in: old.established_in,
            main_establishment: old.main_establishment,
            operates_in: old.operates_in,
            zone: old.zone,
            contracts: old.contracts.into_iter().map(law::Contract::from).collect(),
            policies: old.policies,
            policy: old.policy,
        }
    }
}

impl From<ContractV1> for law::Contract {
    fn from(old: ContractV1) -> law::Contract {
        let period = old.hours.map(|n| ContractPeriod::Within(Period { unit: Unit::Hour, n }));
        let named = law::Contract::named(&old.id);
        law::Contract { name: old.name, duty: old.duty, period, citation: old.citation, ..named }
    }
}

#[cfg(test)]
mod tests {
    use super::super::pack::{pack_record, unpack_record};
    use super::*;
    use crate::law::{Certainty, Fact, Value};

    /// What version 1 wrote for [`old`], byte for byte: a record in somebody's database.
    const STORED: &str = include_str!("../../tests/vectors/store/record-v1.hex");

    fn old() -> RecordV1 {
        let at = |seconds: i64| Timestamp::from_timestamp(1_780_000_000 + seconds, 123_456_789).expect("an instant");
        let mut facts = FactBook::default();
        facts.assert(Fact {
            key: "times.aware".into(),
            value: Some(Value::Instant(at(-60))),
            certainty: Certainty::Confirmed,
            asserted_by: "lea".into(),
            asserted_at: at(0),
            note: None,
        });
        let contract = |id: &str, duty: Option<&str>, hours, citation: Option<&str>| ContractV1 {
            id: id.into(),
            name: format!("Contract {id}"),
            duty: duty.map(str::to_string),
            hours,
            citation: citation.map(str::to_string),
        };
        RecordV1 {
            incident: IncidentV1 {
                id: IncidentId("inc-1".into()),
                title: "a lost disk".into(),
                entity: EntityV1 {
                    id: Some("acme".into()),
                    name: "Acme".into(),
                    roles: vec!["controller".into()],
                    sectors: Vec::new(),
                    established_in: vec!["FR".into()],
                    main_establishment: None,
                    operates_in: Vec::new(),
                    zone: Zone::named("Europe/Paris").ok(),
                    contracts: vec![
                        contract("big", None, Some(24), Some("clause 9.2")),
                        contract("card", Some("card-merchant-agreement"), None, None),
                    ],
                    policies: vec!["cyber-2026".into()],
                    policy: Some("default".into()),
                },
                source: None,
                reference: None,
                opened_at: at(0),
                opened_by: "lea".into(),
                closed_at: None,
                facts,
            },
            tracked: vec![Tracked {
                id: "xx-1@FR".into(),
                standing: "running".into(),
                due: Some(at(3600)),
                conservative_due: Some(at(3000)),
                known_at: at(0),
            }],
            acts: BTreeMap::new(),
            rulebook: [7; 32],
        }
    }

    fn stored() -> Vec<u8> {
        let digits: String = STORED.split_whitespace().collect();
        (0..digits.len()).step_by(2).map(|at| u8::from_str_radix(&digits[at..at + 2], 16).expect("hex")).collect()
    }

    #[test]
    fn a_record_of_version_1_is_read() {
        let bytes = postcard::to_extend(&old(), Vec::from([1])).expect("packs");
        assert_eq!(bytes, stored(), "the old form moved: it is in people's databases and may not");
        let record = unpack_record(&bytes, "the record").expect("is read");
        let entity = &record.incident.entity;
        assert_eq!(entity.policies, ["cyber-2026"]);
        assert_eq!(entity.policy.as_deref(), Some("default"));
        let [big, card] = entity.contracts.as_slice() else { panic!("{:?}", entity.contracts) };
        assert_eq!(big.period, Some(ContractPeriod::Within(Period { unit: Unit::Hour, n: 24 })));
        assert_eq!((big.name.as_str(), big.citation.as_deref()), ("Contract big", Some("clause 9.2")));
        assert_eq!((card.duty.as_deref(), &card.period), (Some("card-merchant-agreement"), &None));
        assert_eq!(record.incident.facts.instant("times.aware").map(|at| at.timestamp()), Some(1_779_999_940));
        assert_eq!(record.tracked.len(), 1);
        assert_eq!(record.rulebook, [7; 32]);
    }

    #[test]
    fn what_was_read_is_written_in_the_newest_form() {
        let record = unpack_record(&stored(), "the record").expect("is read");
        let packed = pack_record(&record).expect("packs");
        assert_eq!(packed[0], 2);
        assert_eq!(unpack_record(&packed, "the record").expect("is read"), record);
    }

    #[test]
    fn kept_limits_at_the_end_of_version_1_are_read() {
        let since = Timestamp::from_timestamp(1_780_000_000, 0).expect("an instant");
        let kept = vec![super::super::Kept {
            id: "xx-1@FR".into(),
            due: Some(since),
            conservative_due: None,
            since,
            from: [9; 32],
        }];
        let bytes = postcard::to_extend(&kept, stored()).expect("packs");
        assert_eq!(unpack_record(&bytes, "the record").expect("is read").kept, kept);
    }

    #[test]
    fn a_newer_form_is_refused() {
        let error = unpack_record(&[3, 0], "the record").expect_err("a newer form");
        assert!(error.to_string().contains("newer version"), "{error}");
    }
}
