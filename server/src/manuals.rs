//! `quorate completions` and `quorate man`: what shells and readers of manuals know of this program, made from the very
//! definition of its command line.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Subcommand;
use clap_complete::Shell;
use clap_mangen::Man;
use quorate_cli::{Failure, OutputFormat, with_exit_codes};

const COMPLETIONS_EXAMPLES: &str = "\
Examples:
  source <(quorate completions bash)    for this shell; in ~/.bashrc for all
  quorate completions zsh > ~/.zfunc/_quorate
  quorate completions fish > ~/.config/fish/completions/quorate.fish";

const MAN_EXAMPLES: &str = "\
Examples:
  quorate man --dir ~/.local/share/man/man1   a page for each command
  quorate man | man -l -                      the first page, to read now";

/// The commands.
#[derive(Subcommand, Debug)]
pub(crate) enum Command {
    /// Print what a shell needs to complete commands and options
    #[command(after_help = COMPLETIONS_EXAMPLES, after_long_help = with_exit_codes(COMPLETIONS_EXAMPLES))]
    Completions {
        /// Which shell
        shell: Shell,
    },
    /// Print the manual page, or write a page for each command
    #[command(after_help = MAN_EXAMPLES, after_long_help = with_exit_codes(MAN_EXAMPLES))]
    Man {
        /// Write quorate.1, quorate-create.1 and so on into this directory
        #[arg(long, value_name = "DIR")]
        dir: Option<PathBuf>,
    },
}

/// Prints what was asked for about `program`, or says why not.
pub(crate) fn run(command: Command, program: clap::Command, output: OutputFormat) -> ExitCode {
    let done = match command {
        Command::Completions { shell } => print(&completions(shell, program)),
        Command::Man { dir: None } => print(&page(program)),
        Command::Man { dir: Some(dir) } => write_pages(program, &dir),
    };
    done.map_or_else(|failure| quorate_cli::report(&failure, output), |()| ExitCode::SUCCESS)
}

fn completions(shell: Shell, mut program: clap::Command) -> Vec<u8> {
    let (name, mut script) = (program.get_name().to_owned(), Vec::new());
    clap_complete::generate(shell, &mut program, name, &mut script);
    script
}

fn page(program: clap::Command) -> Vec<u8> {
    let mut page = Vec::new();
    Man::new(program).render(&mut page).expect("nothing fails that is written to memory");
    page
}

fn print(bytes: &[u8]) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    out.write_all(bytes).and_then(|()| out.flush()).map_err(|error| Failure::io("cannot print", &error))
}

/// Writes a page for the program and for every command of it, below one another.
fn write_pages(program: clap::Command, dir: &Path) -> Result<(), Failure> {
    let written = fs::create_dir_all(dir).and_then(|()| clap_mangen::generate_to(program, dir));
    written.map_err(|error| Failure::io(&format!("cannot write pages to {}", dir.display()), &error))
}
