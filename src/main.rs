//! Parses the arguments, calls the command, exits with a named code.

fn main() {
    std::process::exit(breachclock::cli::run());
}
