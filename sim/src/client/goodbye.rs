//! How a client stops talking: because it must, or because it wants to, with or without a word.

use std::fmt;
use std::time::Duration;

use cresset_core::xml::{Element, ns};
use tokio::time::timeout;

use super::ACKNOWLEDGEMENT;
use super::drawn::Absence;
use super::life::Parting;
use super::stream::Broken;
use super::talk::Talk;
use crate::history::{Event, LEFT, UNWANTED, WITHOUT_A_WORD};

/// How long a client that has said goodbye listens for the server's.
const FAREWELL_TIME_MAX: Duration = Duration::from_secs(3);

/// Why a client stops talking.
pub(super) enum Ending {
    /// The stream is no good.
    Broken(Broken),
    /// Everybody was thrown off.
    Storm,
    /// It is time to resume on two connections.
    Race,
    /// The user is away for so long.
    Away(Absence, Duration),
    /// Nobody wants this client any more.
    Unwanted(Absence),
}

impl Talk<'_, '_> {
    /// Says goodbye if that is how the client goes.
    pub(super) async fn say_goodbye(&mut self, ending: Ending) -> Ending {
        match ending {
            Ending::Away(Absence::Told, _) | Ending::Unwanted(Absence::Told) => match self.leave().await {
                Ok(()) => ending,
                Err(broken) => Ending::Broken(broken),
            },
            Ending::Broken(_)
            | Ending::Storm
            | Ending::Race
            | Ending::Away(Absence::Silent, _)
            | Ending::Unwanted(Absence::Silent) => ending,
        }
    }

    /// Ends the session for good.
    async fn leave(&mut self) -> Result<(), Broken> {
        self.write(Element::new("presence", ns::CLIENT).with_attribute("type", "unavailable"), None).await?;
        self.acknowledge_all().await?;
        self.add(Event::LoggedOut { connection: self.connection.clone(), node: self.node.to_owned() });
        self.stream.end().await?;
        let listen = async {
            loop {
                match self.stream.next().await {
                    Ok(element) if element.is("a", ACKNOWLEDGEMENT) => self.be_acknowledged(&element)?,
                    Ok(element) => self.note(&element),
                    Err(Broken::Ended) => {
                        self.add(Event::Farewell { connection: self.connection.clone(), node: self.node.to_owned() });
                        return Ok(());
                    }
                    Err(_) => return Ok(()),
                }
            }
        };
        // A server that does not say goodbye is left all the same.
        timeout(FAREWELL_TIME_MAX, listen).await.unwrap_or(Ok(()))
    }
}

impl Parting for Ending {
    fn is_own_doing(&self) -> bool {
        match self {
            Ending::Broken(broken) => broken.is_own_doing(),
            Ending::Away(absence, _) | Ending::Unwanted(absence) => *absence == Absence::Silent,
            Ending::Storm | Ending::Race => true,
        }
    }

    fn ends_session(&self) -> bool {
        match self {
            Ending::Broken(broken) => broken.ends_session(),
            Ending::Away(absence, _) | Ending::Unwanted(absence) => *absence == Absence::Told,
            Ending::Storm | Ending::Race => false,
        }
    }
}

impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Ending::Broken(broken) => broken.fmt(f),
            Ending::Storm => f.write_str("thrown off"),
            Ending::Race => f.write_str("cut before a race"),
            Ending::Away(Absence::Told, _) => f.write_str(LEFT),
            Ending::Away(Absence::Silent, _) => f.write_str(WITHOUT_A_WORD),
            Ending::Unwanted(_) => f.write_str(UNWANTED),
        }
    }
}
