//! `Command`: every command with its arguments, and the one place that runs them.

use std::process::ExitCode;

use clap::Subcommand;
use quorate_client::Client;

use crate::commands::{
    acl, add_watch, bench, config, count, create, delete, elect, ephemerals, export, import, list, lock, members,
    multi, read, reconfig, set, status, sync, tree, version, watch,
};
use crate::exit::{EXIT_CODES, Failure, with_exit_codes};
use crate::global::{Global, OutputFormat};
use crate::holding::RunHeld;
use crate::printer::Printer;
use crate::shell;

/// The client's commands.
#[derive(Subcommand, Debug)]
pub enum Command {
    /// Create a znode and print its path
    #[command(after_help = create::EXAMPLES, after_long_help = with_exit_codes(create::EXAMPLES))]
    Create(create::Create),
    /// Print a znode's data
    #[command(after_help = read::GET_EXAMPLES, after_long_help = with_exit_codes(read::GET_EXAMPLES))]
    Get(read::Get),
    /// Set a znode's data
    #[command(after_help = set::EXAMPLES, after_long_help = with_exit_codes(set::EXAMPLES))]
    Set(set::Set),
    /// List children
    #[command(after_help = list::EXAMPLES, after_long_help = with_exit_codes(list::EXAMPLES))]
    Ls(list::List),
    /// Print a znode's metadata
    #[command(after_help = read::STAT_EXAMPLES, after_long_help = with_exit_codes(read::STAT_EXAMPLES))]
    Stat(read::Stat),
    /// Delete a znode that has no children
    #[command(after_help = delete::EXAMPLES, after_long_help = with_exit_codes(delete::EXAMPLES))]
    Delete(delete::Delete),
    /// Delete a znode and everything below it
    #[command(visible_alias = "rmr", after_help = delete::ALL_EXAMPLES,
        after_long_help = with_exit_codes(delete::ALL_EXAMPLES))]
    Deleteall(delete::DeleteAll),
    /// Print a znode's ACL
    #[command(name = "getAcl", visible_alias = "get-acl", after_help = acl::EXAMPLES,
        after_long_help = with_exit_codes(acl::EXAMPLES))]
    GetAcl(acl::GetAcl),
    /// Set a znode's ACL
    #[command(name = "setAcl", visible_alias = "set-acl", after_help = acl::EXAMPLES,
        after_long_help = with_exit_codes(acl::EXAMPLES))]
    SetAcl(acl::SetAcl),
    /// Make several changes, all or none
    #[command(after_help = multi::EXAMPLES, after_long_help = with_exit_codes(multi::EXAMPLES))]
    Multi(multi::Multi),
    /// List ephemeral znodes
    #[command(name = "getEphemerals", visible_alias = "get-ephemerals", after_help = ephemerals::EXAMPLES,
        after_long_help = with_exit_codes(ephemerals::EXAMPLES))]
    GetEphemerals(ephemerals::GetEphemerals),
    /// Count everything below a znode
    #[command(name = "getAllChildrenNumber", visible_alias = "get-all-children-number",
        after_help = count::EXAMPLES, after_long_help = with_exit_codes(count::EXAMPLES))]
    GetAllChildrenNumber(count::GetAllChildrenNumber),
    /// Wait until the server has caught up with everything that is committed
    #[command(after_long_help = EXIT_CODES)]
    Sync(sync::Sync),
    /// Print changes as they happen, for ever
    #[command(after_help = watch::EXAMPLES, after_long_help = with_exit_codes(watch::EXAMPLES))]
    Watch(watch::Watch),
    /// Tell of changes from now on
    #[command(name = "addWatch", visible_alias = "add-watch", after_help = add_watch::EXAMPLES,
        after_long_help = with_exit_codes(add_watch::EXAMPLES))]
    AddWatch(add_watch::AddWatch),
    /// In a shell, tell no more of a path
    #[command(name = "removewatches", visible_alias = "remove-watches", after_help = add_watch::REMOVE_EXAMPLES,
        after_long_help = with_exit_codes(add_watch::REMOVE_EXAMPLES))]
    RemoveWatches(add_watch::RemoveWatches),
    /// Hold a lock, and run a command as long as it is held
    #[command(after_help = lock::help(), after_long_help = with_exit_codes(&lock::help()))]
    Lock(lock::Lock),
    /// Stand for leadership, and run a command as long as it is had
    #[command(after_help = elect::help(), after_long_help = with_exit_codes(&elect::help()))]
    Elect(elect::Elect),
    /// Draw a znode and everything below it
    #[command(after_help = tree::EXAMPLES, after_long_help = with_exit_codes(tree::EXAMPLES))]
    Tree(tree::Tree),
    /// Write a znode and everything below it to a file, as of one moment
    #[command(after_help = export::EXAMPLES, after_long_help = with_exit_codes(export::EXAMPLES))]
    Export(export::Export),
    /// Create what an export has written
    #[command(after_help = import::EXAMPLES, after_long_help = with_exit_codes(import::EXAMPLES))]
    Import(import::Import),
    /// Show what the server is, does and holds
    #[command(after_long_help = EXIT_CODES)]
    Status(status::Status),
    /// List the ensemble's servers: what each does, and how far behind it is
    #[command(after_help = members::EXAMPLES, after_long_help = with_exit_codes(members::EXAMPLES))]
    Members(members::Members),
    /// Print the ensemble's configuration
    #[command(after_help = config::EXAMPLES, after_long_help = with_exit_codes(config::EXAMPLES))]
    Config(config::Config),
    /// Change which servers belong to the ensemble
    #[command(after_help = reconfig::EXAMPLES, after_long_help = with_exit_codes(reconfig::EXAMPLES))]
    Reconfig(reconfig::Reconfig),
    /// Hand leadership over to another server
    #[command(after_help = reconfig::TRANSFER_EXAMPLES,
        after_long_help = with_exit_codes(reconfig::TRANSFER_EXAMPLES))]
    TransferLeadership(reconfig::TransferLeadership),
    /// Measure how fast the ensemble answers
    #[command(after_help = bench::EXAMPLES, after_long_help = with_exit_codes(bench::EXAMPLES))]
    Bench(bench::Bench),
    /// Print the versions of this program and of the server
    #[command(after_long_help = EXIT_CODES)]
    Version(version::Version),
    /// Type commands one after another, with history and completion
    #[command(after_help = shell::EXAMPLES, after_long_help = with_exit_codes(shell::EXAMPLES))]
    Shell(shell::Shell),
    /// Become a command that ends with whoever holds a lock for it
    #[command(hide = true)]
    RunHeld(RunHeld),
}

/// Runs a command and prints its results, or why there are none.
pub async fn run(command: Command, global: Global) -> ExitCode {
    match command {
        Command::Shell(shell) => shell.run(&global).await,
        Command::RunHeld(command) => command.run(),
        Command::Bench(bench) => {
            let clients = global.clone();
            run_with(global, async |client, printer| bench.run(&clients, client, printer).await).await
        }
        command => run_with(global, async |client, printer| command.run(client, printer).await).await,
    }
}

/// Likewise, with a command that is none of these.
pub async fn run_with(
    global: Global,
    command: impl AsyncFnOnce(&Client, &mut Printer) -> Result<(), Failure>,
) -> ExitCode {
    let mut printer = Printer::stdout(global.output);
    let client = global.client();
    let outcome = command(&client, &mut printer).await.and_then(|()| printer.flush());
    let Err(failure) = outcome else { return ExitCode::SUCCESS };
    // What was printed before it failed was true; a second failure to print says nothing new.
    let _ = printer.flush();
    report(&failure, global.output)
}

/// Says why a command did not do what it should, and returns the exit code that says so, too.
pub fn report(failure: &Failure, output: OutputFormat) -> ExitCode {
    match (failure, output) {
        (Failure::BrokenPipe | Failure::Ended { message: None, .. }, _) => {}
        (_, OutputFormat::Json) => eprintln!("{}", failure.to_json()),
        (_, OutputFormat::Text) => eprintln!("quorate: {failure}"),
    }
    ExitCode::from(failure.code())
}

impl Command {
    pub(crate) async fn run(self, client: &Client, printer: &mut Printer) -> Result<(), Failure> {
        match self {
            Command::Create(command) => command.run(client, printer).await,
            Command::Get(command) => command.run(client, printer).await,
            Command::Set(command) => command.run(client, printer).await,
            Command::Ls(command) => command.run(client, printer).await,
            Command::Stat(command) => command.run(client, printer).await,
            Command::Delete(command) => command.run(client, printer).await,
            Command::Deleteall(command) => command.run(client, printer).await,
            Command::GetAcl(command) => command.run(client, printer).await,
            Command::SetAcl(command) => command.run(client, printer).await,
            Command::Multi(command) => command.run(client, printer).await,
            Command::GetEphemerals(command) => command.run(client, None, printer).await,
            Command::GetAllChildrenNumber(command) => command.run(client, printer).await,
            Command::AddWatch(command) => command.run(client, printer).await,
            Command::RemoveWatches(command) => Err(command.refuse()),
            Command::Config(command) => command.run(client, printer).await,
            Command::Version(command) => command.run(client, printer).await,
            Command::Sync(command) => command.run(client, printer).await,
            Command::Watch(command) => command.run(client, printer).await,
            Command::Lock(command) => command.run(client, printer).await,
            Command::Elect(command) => command.run(client, printer).await,
            Command::Tree(command) => command.run(client, printer).await,
            Command::Export(command) => command.run(client, printer).await,
            Command::Import(command) => command.run(client, printer).await,
            Command::Status(command) => command.run(client, printer).await,
            Command::Members(command) => command.run(client, printer).await,
            Command::Reconfig(command) => command.run(client, printer).await,
            Command::TransferLeadership(command) => command.run(client, printer).await,
            Command::Bench(_) | Command::Shell(_) | Command::RunHeld(_) => {
                Err(Failure::Usage("it runs by itself alone".to_owned()))
            }
        }
    }
}

#[cfg(test)]
mod tests;
