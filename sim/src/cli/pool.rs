//! Worker processes, one per core, and the order in which they are asked.
//!
//! A worker that dies, or does not come to an end, is how that run went; another one takes its place.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::future::Future;
use std::num::NonZero;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::pin::Pin;
use std::process::Stdio;
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::available_parallelism;
use std::time::Duration;

use anyhow::Context;
use cresset_sim::trial::Trial;
use futures_util::stream::{FuturesUnordered, StreamExt};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::runtime::Runtime;
use tokio::time::{Instant, sleep_until, timeout};

use super::worker::{Broken, Finished, Request};

/// No run takes as long, even on a busy machine.
const RUN_TIME_MAX: Duration = Duration::from_secs(120);

/// What a run that does not come to an end has broken.
pub(crate) const ENDLESS: &str = "the_run_ends";

/// Last words of a worker that are kept.
const WORDS_MAX: usize = 30;

/// What workers are processes of.
#[derive(Clone, Debug)]
pub(crate) struct Program {
    /// The file.
    pub(crate) path: PathBuf,
    /// What its environment has besides.
    pub(crate) variables: Vec<(&'static str, OsString)>,
    /// How much address space a worker may take, in KiB; as much as there is if nothing is given. One that wants more
    /// dies.
    pub(crate) memory_kib_max: Option<u64>,
    /// How long a run may take before its worker is ended.
    pub(crate) run_time_max: Duration,
}

/// Workers, started when there is something to do.
pub(crate) struct Pool {
    jobs: usize,
    program: Rc<Program>,
    runtime: Runtime,
    idle: Vec<Worker>,
}

/// Why nothing more was asked of the workers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum End {
    /// Everything was carried out, or it was enough.
    Done,
    /// The time was over.
    TimeOver,
    /// The person at the terminal wanted it.
    Interrupted,
}

struct Worker {
    process: Child,
    input: ChildStdin,
    output: Lines<BufReader<ChildStdout>>,
    last_words: Arc<Mutex<VecDeque<String>>>,
}

type Answer = (usize, Request, Finished, Option<Worker>);
type Busy = FuturesUnordered<Pin<Box<dyn Future<Output = anyhow::Result<Answer>>>>>;

impl Pool {
    /// As many workers as asked for, or one per core.
    pub(crate) fn new(jobs: Option<NonZero<usize>>) -> anyhow::Result<Pool> {
        let path = std::env::current_exe().context("this program does not know where it is")?;
        Pool::of(Program { path, variables: Vec::new(), memory_kib_max: None, run_time_max: RUN_TIME_MAX }, jobs)
    }

    /// The same of another program, which understands the same requests.
    pub(crate) fn of(program: Program, jobs: Option<NonZero<usize>>) -> anyhow::Result<Pool> {
        let jobs = jobs.or_else(|| available_parallelism().ok()).map_or(1, NonZero::get);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        Ok(Pool { jobs, program: Rc::new(program), runtime, idle: Vec::new() })
    }

    /// How many workers there are.
    pub(crate) fn jobs(&self) -> usize {
        self.jobs
    }

    /// Carries out requests in their order until there is no other, time is over, or `each` has enough. Those under way
    /// then are awaited, unless somebody interrupts.
    pub(crate) fn drive(
        &mut self,
        mut requests: impl Iterator<Item = Request>,
        until: Option<Instant>,
        mut each: impl FnMut(usize, &Request, Finished) -> ControlFlow<()>,
    ) -> anyhow::Result<End> {
        let Pool { jobs, program, runtime, idle } = self;
        runtime.block_on(async {
            let mut busy = Busy::new();
            let (mut number, mut end) = (0, None);
            loop {
                while end.is_none() && busy.len() < *jobs {
                    let Some(request) = requests.next() else {
                        end = Some(End::Done);
                        break;
                    };
                    busy.push(Box::pin(ask(program.clone(), idle.pop(), number, request)));
                    number += 1;
                }
                if busy.is_empty() {
                    return Ok(end.unwrap_or(End::Done));
                }
                tokio::select! {
                    biased;
                    _ = tokio::signal::ctrl_c() => return Ok(End::Interrupted),
                    () = sleep_until(until.unwrap_or_else(Instant::now)), if until.is_some() && end.is_none() => {
                        end = Some(End::TimeOver);
                    }
                    answer = busy.next() => {
                        let Some((number, request, finished, worker)) = answer.transpose()? else { continue };
                        idle.extend(worker);
                        if each(number, &request, finished).is_break() {
                            end.get_or_insert(End::Done);
                        }
                    }
                }
            }
        })
    }

    /// The first of these trials that breaks something that counts, by its place, with what it broke.
    pub(crate) fn first_broken(
        &mut self,
        trials: impl Iterator<Item = Trial>,
        counts: impl Fn(&Finished) -> bool,
    ) -> anyhow::Result<(Option<(usize, Finished)>, End)> {
        let mut first: Option<(usize, Finished)> = None;
        let end = self.drive(trials.map(|trial| Request::of(&trial)), None, |number, _, finished| {
            if counts(&finished) && first.as_ref().is_none_or(|(least, _)| number < *least) {
                first = Some((number, finished));
            }
            // Those before it were asked before it, and are awaited.
            if first.is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })?;
        Ok((first, end))
    }

    /// Ends all workers, so that the next run is the first of its process.
    pub(crate) fn begin_afresh(&mut self) {
        self.idle.clear();
    }
}

async fn ask(program: Rc<Program>, worker: Option<Worker>, number: usize, request: Request) -> anyhow::Result<Answer> {
    let mut worker = match worker {
        Some(worker) => worker,
        None => Worker::start(&program)?,
    };
    let line = format!("{}\n", serde_json::to_string(&request)?);
    let answered = async {
        worker.input.write_all(line.as_bytes()).await.ok()?;
        worker.output.next_line().await.ok()?
    };
    let died = match timeout(program.run_time_max, answered).await {
        Ok(Some(line)) => {
            let finished = serde_json::from_str(&line).with_context(|| format!("a worker said '{line}'"))?;
            return Ok((number, request, finished, Some(worker)));
        }
        Ok(None) => worker.died().await,
        Err(_) => Broken {
            invariant: ENDLESS.to_owned(),
            text: format!("{ENDLESS}: it did not, within {} s", program.run_time_max.as_secs()),
        },
    };
    Ok((number, request, Finished { broken: vec![died], ..Finished::default() }, None))
}

impl Program {
    fn command(&self) -> Command {
        let Some(most) = self.memory_kib_max else {
            let mut command = Command::new(&self.path);
            command.arg("worker");
            return command;
        };
        let mut command = Command::new("sh");
        command.args(["-c", "ulimit -v \"$1\"; exec \"$2\" worker", "sh"]).arg(most.to_string()).arg(&self.path);
        command
    }
}

impl Worker {
    fn start(program: &Program) -> anyhow::Result<Worker> {
        let mut process = program
            .command()
            .envs(program.variables.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // An interrupt at the terminal is for the parent alone, which ends its workers.
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .context("a worker process cannot be started")?;
        let input = process.stdin.take().context("a worker has no input")?;
        let output = process.stdout.take().context("a worker has no output")?;
        let mut words = BufReader::new(process.stderr.take().context("a worker has no voice")?).lines();
        let last_words = Arc::new(Mutex::new(VecDeque::new()));
        let kept = last_words.clone();
        tokio::spawn(async move {
            while let Ok(Some(line)) = words.next_line().await {
                let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
                kept.push_back(line);
                let surplus = kept.len().saturating_sub(WORDS_MAX);
                kept.drain(..surplus);
            }
        });
        Ok(Worker { process, input, output: BufReader::new(output).lines(), last_words })
    }

    /// How it died.
    async fn died(mut self) -> Broken {
        let status = self.process.wait().await.map_or_else(|error| error.to_string(), |status| status.to_string());
        let words = self.last_words.lock().unwrap_or_else(PoisonError::into_inner);
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let text = format!("sound_process: a worker died ({status}), saying: {}", words.join("\n    "));
        Broken { invariant: "sound_process".to_owned(), text }
    }
}
