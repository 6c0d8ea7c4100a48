//! Determines which files an application server may execute because of its parameters;
//! [`settings::programs`](crate::config::settings::programs) defines what each parameter names.
//!
//! In a container or chroot, the application sees other paths than this server: a SCRIPT_FILENAME that ends with the
//! script name also refers to the file with that name here.

use super::programs::Programs;
use crate::config::settings::programs::{Role, runs_files};
use crate::config::settings::proxy_pass::Protocol;
use crate::config::template::Builtin;
use crate::exchange::{Exchange, variables};
use crate::services::Services;
use std::ops::Range;

/// Finds the paths of files that the application may run.
pub fn find(programs: &mut Programs, ex: &mut Exchange, cx: &mut Services, protocol: Protocol, modifier: u64) {
    let has_filename = programs.has(Role::Filename);
    let (by_name, by_info) = match protocol {
        Protocol::Uwsgi if runs_files(modifier) => (true, true),
        Protocol::FastCgi | Protocol::Scgi => (!has_filename, false),
        _ => (false, false),
    };
    if by_name {
        programs.add_joined(Role::Name);
    }
    if by_info {
        programs.add_joined(Role::PathInfo);
    }
    if has_filename {
        add_mapped(programs, ex, cx);
    } else {
        programs.add_all(Role::Translated);
    }
    for role in [Role::Filename, Role::Loaded, Role::LoadedFrom] {
        programs.add_all(role);
    }
}

/// Adds this server's file for a file name that ends with the name of the script.
fn add_mapped(programs: &mut Programs, ex: &mut Exchange, cx: &mut Services) {
    let start = programs.text.len();
    variables::append_builtins(&[Builtin::FastcgiScriptName], ex, cx, &mut programs.text);
    let script = programs.at(&(start..programs.text.len()));
    let names_script =
        |(role, path): &(Role, Range<usize>)| *role == Role::Filename && programs.at(path).ends_with(script);
    let is_named = script.len() > 1 && programs.noted.iter().any(names_script);
    programs.text.truncate(start);
    if !is_named {
        return;
    }
    let parts: &[Builtin] = match ex.location().settings.files.alias {
        None => &[Builtin::DocumentRoot, Builtin::FastcgiScriptName],
        Some(_) => &[Builtin::RequestFilename],
    };
    variables::append_builtins(parts, ex, cx, &mut programs.text);
    programs.add(start..programs.text.len());
}
