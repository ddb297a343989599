//! The probe: a conversation as sendmail holds it and, where it breaks in the handshake, a few that ask differently.

use openssl::error::ErrorStack;

use crate::context::{Ask, Made, make};
use crate::diagnosis::{Diagnosis, WorksIf, ladder};
use crate::seen::{Seen, Stage};
use crate::settings::Settings;
use crate::talk::talk;
use crate::target::Target;

/// Probes one address: at most six conversations, one after the other, each within the deadlines of `settings`. Nothing is
/// changed anywhere, no mail is sent, and whatever happens is a diagnosis.
pub async fn probe(target: &Target, settings: &Settings) -> Diagnosis {
    let Made { context, differs } = match context(settings, Ask::AsSendmail).await {
        Ok(made) => made,
        Err(why) => return Diagnosis::nothing(why),
    };
    let seen = talk(target, settings, &context).await;
    let shows = settings.tls.certificate.is_some() && settings.tls.key.is_some();
    let mut works_if = None;
    for ask in ladder(&seen, shows) {
        works_if = differently(target, settings, *ask).await;
        if works_if.is_some() {
            break;
        }
    }
    Diagnosis::of(seen, works_if, differs)
}

/// The same in one conversation: what would work if asked differently is not looked for.
pub async fn glance(target: &Target, settings: &Settings) -> Diagnosis {
    match context(settings, Ask::AsSendmail).await {
        Ok(Made { context, differs }) => {
            Diagnosis::of(talk(target, settings, &context).await, None, differs)
        }
        Err(why) => Diagnosis::nothing(why),
    }
}

/// Asks differently; none if that does not work either.
async fn differently(target: &Target, settings: &Settings, ask: Ask) -> Option<WorksIf> {
    let made = context(settings, ask).await.ok()?;
    match talk(target, settings, &made.context).await {
        Seen { at: Stage::End, agreed: Some(agreed), .. } => Some(WorksIf { ask, agreed }),
        _ => None,
    }
}

/// Makes a context aside: it reads a file with all the authorities.
async fn context(settings: &Settings, ask: Ask) -> Result<Made, String> {
    let tls = settings.tls.clone();
    let made = tokio::task::spawn_blocking(move || make(&tls, ask)).await;
    let words = |error: ErrorStack| format!("OpenSSL here does not work: {error}");
    made.map_err(|error| format!("OpenSSL here does not work: {error}"))?.map_err(words)
}
