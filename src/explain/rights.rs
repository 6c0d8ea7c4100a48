//! Lets `explain` access files with the rights of the serving user instead of root's. Root's rights are dropped for
//! good, since the program ends with its answer.

use crate::config::model::Config;
use crate::privsep::sandbox;
use crate::server::serving_user;
use crate::sys::process;

/// Switches to the serving user if the process is root. Returns a note about the rights used.
///
/// # Errors
/// The switch failed, so files are accessed as root.
pub fn take(config: &Config) -> Result<Option<String>, String> {
    let own = process::geteuid();
    if own != 0 {
        return Ok(other(config, own));
    }
    match serving_user::of(config) {
        Ok(None) => Ok(None),
        Ok(Some(worker)) => match sandbox::enter_to_inspect(&worker, config) {
            Ok(()) => Ok(Some(format!("files are looked at as {}, as the server does", worker.name))),
            Err((call, e)) => {
                Err(format!("files are looked at as root, the server is {}: {call} failed {e}", worker.name))
            }
        },
        Err(failure) => Err(format!("files are looked at as root: {}", failure.why)),
    }
}

fn other(config: &Config, own: u32) -> Option<String> {
    let (name, _) = config.process.user.as_ref().filter(|_| config.process.master)?;
    let (uid, _) = process::lookup_user(name).ok().flatten()?;
    let text = format!("files are looked at as user {own}; started by root the server is {name}, who may see others");
    (uid != own).then_some(text)
}
