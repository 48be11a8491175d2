//! Events: what a person wants to read in `kubectl describe`.

use std::time::Duration;

use kube::Resource;
use kube::runtime::events::{Event, EventType};

use super::context::Context;
use crate::api::Episode;
use crate::plan::lifecycle::Note;

/// Time for one Event: nothing depends on it.
const TIME: Duration = Duration::from_secs(10);
/// Longest note that the API server takes, in bytes.
const MAX_NOTE: usize = 1024;

/// Publishes notes about an Episode, one after the other, beside whatever comes next.
pub(super) fn publish(context: &Context, episode: &Episode, notes: Vec<Note>) {
    if notes.is_empty() {
        return;
    }
    let (recorder, metrics) = (context.recorder.clone(), context.metrics.clone());
    let mut regarding = episode.object_ref(&());
    // With it each version of the object would begin a series of its own.
    regarding.resource_version = None;
    let publishing = async move {
        for note in notes {
            let warning = note.warning;
            let event = event(note);
            let published = tokio::time::timeout(TIME, recorder.publish(&event, &regarding)).await;
            metrics.event(warning, matches!(published, Ok(Ok(()))));
            match published {
                Ok(Ok(())) => {}
                Ok(Err(error)) => {
                    tracing::warn!(reason = %event.reason, error = %super::call::words(&error), "an Event was not taken");
                }
                Err(_) => tracing::warn!(reason = %event.reason, "an Event was not taken in time"),
            }
        }
    };
    tokio::spawn(tracing::Instrument::in_current_span(publishing));
}

fn event(note: Note) -> Event {
    Event {
        type_: if note.warning {
            EventType::Warning
        } else {
            EventType::Normal
        },
        reason: note.reason,
        note: Some(cut(note.message)),
        action: note.action,
        secondary: None,
    }
}

fn cut(mut text: String) -> String {
    if text.len() > MAX_NOTE {
        let most = MAX_NOTE - '…'.len_utf8();
        let end = (0..=most)
            .rev()
            .find(|at| text.is_char_boundary(*at))
            .unwrap_or(0);
        text.truncate(end);
        text.push('…');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_note_is_cut_to_what_the_api_server_takes() {
        let text = cut("ä".repeat(1000));
        assert!(text.len() <= MAX_NOTE && text.ends_with('…'), "{}", text.len());
        assert_eq!(cut("short".into()), "short");
    }
}
