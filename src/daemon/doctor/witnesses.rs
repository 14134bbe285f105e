//! Whether the witnesses answer, and know the log.

use super::Line;
use crate::config::Config;
use crate::daemon::ids::SystemEntropy;
use crate::daemon::keys;
use crate::evidence::witness::Reply;
use crate::evidence::{Checkpoint, SigningKey, merkle};
use crate::notify::witness::{Settings, Witness};
use crate::workflow::Entropy;

/// Shows each witness a checkpoint of nothing, signed by a key that nobody knows: it must refuse it, and so answers.
pub async fn witnesses(config: &Config) -> Vec<Line> {
    let check = "witness";
    let mut lines = Vec::new();
    for settings in &config.witnesses {
        let name = &settings.key.name;
        lines.push(match probe(config, settings).await {
            Ok(Reply::Unknown(words)) if words.what == "403" => {
                Line::ok(check, format!("witness `{name}` answers, and refuses a key that is not the log's"))
            }
            Ok(Reply::Unknown(_)) => {
                let text = format!("witness `{name}` does not know the log `{}`", config.origin);
                let remedy = match keys::find(&config.data_dir, "log") {
                    Ok(Some(key)) => {
                        format!("give whoever runs it the verifier key `{}`", key.public().to_vkey(&config.origin))
                    }
                    _ => "give whoever runs it the verifier key of the log".to_string(),
                };
                Line::fault(check, text, &remedy)
            }
            Ok(Reply::Failed(words)) => {
                Line::fault(check, format!("witness `{name}`: {words}"), "see to the connection, or name another one")
            }
            Ok(_) => {
                let text = format!("witness `{name}` takes a checkpoint that no known key signed");
                Line::fault(check, text, "name another witness: this one checks nothing")
            }
            Err(error) => {
                Line::fault(check, format!("witness `{name}`: {error}"), "correct its `url` in `[[witness]]`")
            }
        });
    }
    lines
}

async fn probe(config: &Config, settings: &Settings) -> Result<Reply, String> {
    let witness = Witness::from_settings(settings).map_err(|fault| fault.problem)?;
    let mut seed = [0; 32];
    SystemEntropy::new().fill(&mut seed);
    let stranger = SigningKey::from_seed(&seed);
    let nothing =
        Checkpoint::sign(&config.origin, 0, merkle::empty_root(), &stranger).map_err(|error| error.to_string())?;
    Ok(witness.ask(0, &[], &nothing).await)
}
