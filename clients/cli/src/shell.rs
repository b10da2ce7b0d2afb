//! `shell`: commands typed one after another, on one connection and in one session.
//!
//! | file | holds |
//! | --- | --- |
//! | `line` | what can be typed: every command, and the shell's own words |
//! | `editor` | the thread that reads lines, from a terminal with history and completion, or from a pipe |
//! | `completion` | what may come next in a line |
//! | `sitting` | what lives as long as the shell: the session, the watches |

mod completion;
mod editor;
mod line;
mod sitting;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser as _};
use quorate_client::Client;

use self::editor::{Editor, Typed};
use self::line::{Line, Word};
use self::sitting::Sitting;
use crate::command::{Command, report};
use crate::exit::Failure;
use crate::global::{Global, OutputFormat};
use crate::printer::Printer;

pub(crate) const EXAMPLES: &str = "\
Examples:
  quorate shell                            Tab completes commands and paths
  quorate shell --server s1:7181,s2:7181
  quorate shell < commands.txt             stops at the first that fails

Every command of `quorate --help` that speaks to servers can be typed, and
`help` lists them. Ephemeral znodes that are created here live until the shell
ends, and changes that -w or addWatch wait for are told meanwhile.";

/// The arguments of `shell`.
#[derive(Args, Debug)]
pub struct Shell {
    /// Go on after a command that fails, where commands come from a file or a pipe
    #[arg(short, long)]
    keep_going: bool,

    /// Where to keep what was typed; by default in the home directory, in .local/state/quorate
    #[arg(long, env = "QUORATE_HISTORY", value_name = "FILE")]
    history: Option<PathBuf>,
}

/// What a command of the shell leads to.
enum Next {
    GoOn,
    End,
}

impl Shell {
    /// Runs what is typed until there is nothing more, or `quit`.
    pub(crate) async fn run(self, global: &Global) -> ExitCode {
        let client = global.client();
        let servers = global.server.join(",");
        let (mut editor, announcer) = match Editor::start(&client, self.history) {
            Ok(started) => started,
            Err(failure) => return report(&failure, global.output),
        };
        let is_interactive = editor.is_interactive();
        if is_interactive {
            eprintln!("Quorate {}: `help` lists commands, `quit` or Ctrl-D ends.", env!("CARGO_PKG_VERSION"));
        }
        let mut sitting = Sitting::new(client, announcer);
        let mut code = ExitCode::SUCCESS;
        loop {
            let line = match editor.next(&format!("{servers}{}> ", sitting.state_in_words())).await {
                Typed::Line(line) => line,
                Typed::Interrupted => continue,
                Typed::End => break,
                Typed::Failed(failure) => {
                    code = report(&failure, global.output);
                    break;
                }
            };
            match obey(&line, &mut sitting, &editor, global.output).await {
                Ok(Next::GoOn) => {}
                Ok(Next::End) => break,
                Err(_) if is_interactive => {}
                Err(failed) => {
                    code = failed;
                    if !self.keep_going {
                        break;
                    }
                }
            }
        }
        sitting.end().await;
        editor.end();
        code
    }
}

/// Does what a line says. If that fails it has been said, and the exit code is returned.
async fn obey(text: &str, sitting: &mut Sitting, editor: &Editor, output: OutputFormat) -> Result<Next, ExitCode> {
    let words = match shell_words::split(text) {
        Ok(words) => words,
        Err(error) => return Err(report(&Failure::Usage(format!("{error}: close the quote, or write \\\"")), output)),
    };
    if words.first().is_none_or(|word| word.starts_with('#')) {
        return Ok(Next::GoOn);
    }
    let Line { word, output: asked } = match Line::try_parse_from(words) {
        Ok(line) => line,
        Err(error) => {
            // Help goes to standard output and is no failure.
            let _ = error.print();
            return if error.use_stderr() { Err(ExitCode::from(2)) } else { Ok(Next::GoOn) };
        }
    };
    let output = asked.unwrap_or(output);
    let mut printer = Printer::stdout(output);
    let done = tokio::select! {
        done = carry_out(word, sitting, editor, &mut printer) => done,
        _ = tokio::signal::ctrl_c() => Err(Failure::Other("interrupted; a change may have been made".to_owned())),
    };
    // What was printed before it failed was true.
    let flushed = printer.flush();
    done.and_then(|next| flushed.map(|()| next)).map_err(|failure| report(&failure, output))
}

async fn carry_out(word: Word, sitting: &mut Sitting, editor: &Editor, printer: &mut Printer) -> Result<Next, Failure> {
    match word {
        Word::Command(command) => on(*command, sitting, printer).await?,
        Word::Printwatches { state } => {
            sitting.tell(state);
            printer.line(&format!("printwatches is {}", if sitting.tells() { "on" } else { "off" }))?;
        }
        Word::History => {
            let typed = editor.typed();
            typed.iter().try_for_each(|(number, line)| printer.line(&format!("{number:>4}  {line}")))?;
        }
        Word::Redo { number } => {
            let Some(line) = editor.line(number) else {
                return Err(Failure::Usage(format!("nothing has the number {number}: see `history`")));
            };
            printer.line(&line)?;
            printer.flush()?;
            let words = shell_words::split(&line).map_err(|error| Failure::Usage(error.to_string()))?;
            let Line { word, .. } = Line::try_parse_from(words).map_err(|error| Failure::Usage(error.to_string()))?;
            if matches!(word, Word::Redo { .. }) {
                return Err(Failure::Usage("that would be done again for ever".to_owned()));
            }
            return Box::pin(carry_out(word, sitting, editor, printer)).await;
        }
        Word::Quit => return Ok(Next::End),
    }
    Ok(Next::GoOn)
}

/// Runs a command. What it would wait for is told later, and what it creates for a session is this shell's.
async fn on(command: Command, sitting: &mut Sitting, printer: &mut Printer) -> Result<(), Failure> {
    let client: Client = sitting.client();
    let (awaited, zxid) = match command {
        Command::Create(create) if create.is_ephemeral() => {
            return create.run_on(sitting.session().await?, printer).await;
        }
        Command::Multi(multi) if multi.reads_stdin() => {
            return Err(Failure::Usage("say what is to be done, or name a file: a shell reads its input".to_owned()));
        }
        Command::Multi(multi) => {
            let changes = multi.read()?;
            if changes.need_a_session() {
                return changes.make(sitting.session().await?, printer).await;
            }
            return changes.make(&client, printer).await;
        }
        Command::GetEphemerals(get) => return get.run(&client, Some(sitting.session_id()), printer).await,
        Command::AddWatch(watch) => {
            sitting.watch(watch.path, watch.mode.kind());
            return Ok(());
        }
        Command::RemoveWatches(watches) => return sitting.unwatch(&watches.path, watches.which),
        Command::Get(get) => (get.awaited().map(owned), get.show(&client, printer).await?),
        Command::Stat(stat) => (stat.awaited().map(owned), stat.show(&client, printer).await?),
        Command::Ls(list) => (list.awaited().map(owned), list.show(&client, printer).await?),
        Command::Lock(_) | Command::Elect(_) | Command::Bench(_) | Command::Shell(_) | Command::RunHeld(_) => {
            return Err(Failure::Usage("it runs by itself alone, not in a shell".to_owned()));
        }
        other => return other.run(&client, printer).await,
    };
    if let Some((path, kind)) = awaited {
        sitting.watch_once(path, kind, zxid);
    }
    Ok(())
}

fn owned<K>((path, kind): (&str, K)) -> (String, K) {
    (path.to_owned(), kind)
}
