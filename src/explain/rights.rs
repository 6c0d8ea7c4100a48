//! Whose rights `explain` looks at files with: those of the process that would serve, not root's. Rights are given up for
//! good, since the program ends with its answer.

use crate::config::build::Form;
use crate::config::model::Config;
use crate::privsep::sandbox;
use crate::server::worker;
use crate::sys::process;

/// Becomes the user that serves where that is another. Gives what there is to say of it.
pub fn take(config: &Config) -> Option<String> {
    let own = process::geteuid();
    if own != 0 {
        let (name, _) = config.process.user.as_ref().filter(|_| config.process.master)?;
        let (uid, _) = process::lookup_user(name).ok().flatten()?;
        let other =
            format!("files are looked at as user {own}; started by root the server is {name}, who may see others");
        return (uid != own).then_some(other);
    }
    let worker = worker::worker(config, Form::Own).ok().flatten()?;
    Some(match sandbox::look(&worker, config) {
        Ok(()) => format!("files are looked at as {}, like the server does", worker.name),
        Err(e) => format!("files are looked at as root, the server is {}: {} failed {}", worker.name, e.0, e.1),
    })
}
