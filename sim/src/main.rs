//! The program behind `cargo sim`: arguments and exit codes.

mod cli;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    match cli::carry_out(cli::Arguments::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(error) => {
            cli::complain(&format!("cargo sim: {error:#}"));
            ExitCode::from(2)
        }
    }
}
