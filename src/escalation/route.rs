//! Which policy serves which obligation: by entity, by law, by what is known of the incident. The first route that fits.

use super::policy::EscalationPolicy;
use std::collections::BTreeMap;

/// One `[[route]]`: every stated condition must hold; a list holds when one of its words does.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Route {
    pub policy: String,
    /// Ids of entities.
    pub entities: Vec<String>,
    /// Ids of duties, or their beginnings with a `*`: `eu-dora-*`.
    pub duties: Vec<String>,
    /// Facts and the plain values that fit: `risk` = `high`, `severe` = `true`. An unknown fact fits none.
    pub facts: BTreeMap<String, Vec<String>>,
}

impl Route {
    /// `fact` answers the plain value of a known fact.
    pub fn fits(&self, entity: Option<&str>, duty: &str, fact: &dyn Fn(&str) -> Option<String>) -> bool {
        let one_of = |patterns: &[String], word: &str| {
            patterns.is_empty()
                || patterns.iter().any(|p| p.strip_suffix('*').map_or(p == word, |begin| word.starts_with(begin)))
        };
        let entity_fits = self.entities.is_empty() || entity.is_some_and(|id| self.entities.iter().any(|e| e == id));
        let facts_fit =
            || self.facts.iter().all(|(key, values)| fact(key).is_some_and(|value| values.contains(&value)));
        entity_fits && one_of(&self.duties, duty) && facts_fit()
    }
}

/// The policy of the first route that fits, else the entity's own, else the first.
pub fn policy_for<'p>(
    policies: &'p [EscalationPolicy],
    routes: &[Route],
    own: Option<&str>,
    entity: Option<&str>,
    duty: &str,
    fact: &dyn Fn(&str) -> Option<String>,
) -> &'p EscalationPolicy {
    let named = |id: &str| policies.iter().find(|p| p.id == id);
    let routed = routes.iter().filter(|route| route.fits(entity, duty, fact)).find_map(|route| named(&route.policy));
    routed.or_else(|| own.and_then(named)).unwrap_or(&policies[0])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_route_that_fits() {
        let policies: Vec<EscalationPolicy> =
            ["default", "own", "dora", "grave"].iter().map(|id| EscalationPolicy::new(id, Vec::new())).collect();
        let grave = BTreeMap::from([("risk".to_string(), vec!["high".to_string()])]);
        let routes = [
            Route { policy: "dora".into(), duties: vec!["eu-dora-*".into()], ..Route::default() },
            Route { policy: "grave".into(), entities: vec!["acme".into()], facts: grave, ..Route::default() },
        ];
        let cases = [
            ("acme", Some("high"), "eu-dora-19-initial", "dora"),
            ("acme", Some("high"), "eu-gdpr-33-authority", "grave"),
            ("acme", None, "eu-gdpr-33-authority", "own"),
            ("other", Some("high"), "eu-gdpr-33-authority", "own"),
        ];
        for (entity, risk, duty, wanted) in cases {
            let fact = |key: &str| risk.filter(|_| key == "risk").map(str::to_string);
            let found = policy_for(&policies, &routes, Some("own"), Some(entity), duty, &fact);
            assert_eq!(found.id, wanted, "{entity} {duty}");
        }
        assert_eq!(policy_for(&policies, &[], None, None, "x", &|_| None).id, "default");
    }
}
