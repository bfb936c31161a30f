//! Two connections that resume one session at the same time, as from a client whose network changes twice.
//!
//! The client hears nothing on either before both are answered. Whichever the node takes last has the session, and it
//! closes the other.

use std::net::SocketAddr;

use tokio::time::{Instant, sleep_until};
use tokio::{join, select};

use super::life::{Arrival, Client, LOGIN_TIME_MAX, in_time};
use super::login::ResumptionAnswer;
use super::stream::{Broken, ClientStream};
use super::{Door, User};
use crate::history::{Connection, Event};
use crate::world::Trouble;

/// One of the two.
struct Racer {
    connection: Connection,
    door: Door,
}

/// A racer whom the node has told to go on.
struct Finisher {
    racer: Racer,
    stream: ClientStream,
    answer: ResumptionAnswer,
}

impl Client<'_> {
    /// Whether the next connection is to be two.
    pub(super) fn is_to_race(&self) -> bool {
        self.has(Trouble::ResumptionRace) && self.resumption().is_some()
    }

    /// Resumes the session on two connections, and goes on with the one that stays.
    pub(super) async fn race(&mut self, door: &Door) -> Result<Arrival, Broken> {
        let Some((id, handled)) = self.resumption() else { return Err(Broken::Lost) };
        let other = if self.drawn.races_elsewhere() { self.another_door(door) } else { door.clone() };
        let racers = [door.clone(), other].map(|door| Racer { connection: self.dial(&door), door });
        let deadline = Instant::now() + LOGIN_TIME_MAX;
        let run = |racer: &Racer| in_time(deadline, run(self.user, racer.door.address, id.clone(), handled));
        let (one, other) = join!(run(&racers[0]), run(&racers[1]));
        let (mut finishers, mut refusal) = (Vec::new(), None);
        for (racer, finish) in racers.into_iter().zip([one, other]) {
            match finish {
                Ok((stream, answer @ ResumptionAnswer::Resumed { .. })) => {
                    finishers.push(Finisher { racer, stream, answer });
                }
                Ok((_, answer @ ResumptionAnswer::Refused { .. })) => {
                    // That another node does not have the session says nothing about the one that should.
                    if racer.door.node == door.node {
                        refusal = Some((racer.connection.clone(), answer));
                    }
                    self.lose(racer, &Broken::Lost);
                }
                Err(broken) => self.lose(racer, &broken),
            }
        }
        match (finishers.pop(), finishers.pop()) {
            (Some(second), Some(first)) => {
                let winner = self.wait_for_winner(first, second).await;
                self.win(winner)
            }
            (Some(only), _) => self.win(only),
            (None, _) => {
                if let Some((connection, answer)) = refusal {
                    self.note_resumption(&connection, &door.node, &answer)?;
                }
                Err(Broken::Lost)
            }
        }
    }

    /// Waits until the node has closed one of two connections on which it has said yes.
    async fn wait_for_winner(&mut self, mut first: Finisher, mut second: Finisher) -> Finisher {
        let give_up_at = Instant::now() + LOGIN_TIME_MAX;
        loop {
            select! {
                biased;
                kept = first.stream.keep_next() => if let Err(broken) = kept {
                    self.lose(first.racer, &broken);
                    return second;
                },
                kept = second.stream.keep_next() => if let Err(broken) = kept {
                    self.lose(second.racer, &broken);
                    return first;
                },
                () = sleep_until(give_up_at) => {
                    self.lose(second.racer, &Broken::Lost);
                    return first;
                }
            }
        }
    }

    fn win(&mut self, Finisher { racer, stream, answer }: Finisher) -> Result<Arrival, Broken> {
        let Racer { connection, door } = racer;
        if let Err(broken) = self.note_resumption(&connection, &door.node, &answer) {
            self.part(connection, &door.node, Some(stream), &broken);
            return Err(broken);
        }
        Ok(self.arrival(connection, stream, false, Vec::new()))
    }

    fn lose(&self, racer: Racer, why: &Broken) {
        let Racer { connection, door } = racer;
        self.add(Event::Disconnected { connection, node: door.node, reason: why.to_string() });
    }

    fn another_door(&self, door: &Door) -> Door {
        let other = self.user.doors.iter().find(|other| other.node != door.node);
        other.unwrap_or(door).clone()
    }
}

async fn run(
    user: &User,
    address: SocketAddr,
    id: String,
    handled: u32,
) -> Result<(ClientStream, ResumptionAnswer), Broken> {
    let mut stream = ClientStream::connect(address, None).await?;
    stream.authenticate(user).await?;
    let answer = stream.resume(&id, handled).await?;
    Ok((stream, answer))
}
