//! Combinations of figures that no device has, each under a name of its own.

use super::section::Reading;
use super::{LatencySource, Target};
use crate::units::Bytes;

type Check = fn(&Target, &mut Reading);

const CHECKS: [Check; 7] = [
    block_is_part_of_the_ram,
    something_is_left_beside_the_reserved_part,
    reserved_needs_a_whole,
    limits_are_within_the_memory,
    a_latency_limit_can_be_checked,
    a_percentile_is_of_a_limit,
    a_table_is_of_this_machine_or_a_file,
];

/// Notes everything that cannot be.
pub(super) fn check(target: &Target, reading: &mut Reading) {
    CHECKS.iter().for_each(|check| check(target, reading));
}

fn block_is_part_of_the_ram(target: &Target, reading: &mut Reading) {
    if let (Some(block), Some(ram)) = (target.memory.largest_block, target.memory.ram)
        && block > ram
    {
        let message = format!("`memory.largest_block` of {block} is more than the whole RAM of {ram}");
        reading.fault_at("memory.largest_block", message, "the largest block is a part of `ram`");
    }
}

fn something_is_left_beside_the_reserved_part(target: &Target, reading: &mut Reading) {
    let memory = &target.memory;
    let pairs = [("ram", memory.reserved_ram, memory.ram), ("flash", memory.reserved_flash, memory.flash)];
    for (name, reserved, whole) in pairs {
        if let (Some(reserved), Some(whole)) = (reserved, whole)
            && reserved >= whole
        {
            let message = format!("`memory.reserved_{name}` of {reserved} leaves nothing of `{name}`, {whole}");
            let hint = format!("reserve what the program and the runtime need, less than `{name}`");
            reading.fault_at(&format!("memory.reserved_{name}"), message, hint);
        }
    }
}

fn reserved_needs_a_whole(target: &Target, reading: &mut Reading) {
    let memory = &target.memory;
    let parts = [
        ("largest_block", memory.largest_block, "ram", memory.ram),
        ("reserved_ram", memory.reserved_ram, "ram", memory.ram),
        ("reserved_flash", memory.reserved_flash, "flash", memory.flash),
    ];
    for (part, size, name, whole) in parts {
        // A whole that was written wrongly has its own fault.
        if size.is_some() && whole.is_none() && !reading.places.contains_key(&format!("memory.{name}")) {
            let message = format!("`memory.{part}` is a part of `{name}`, which is not given");
            reading.fault_at(&format!("memory.{part}"), message, format!("write `{name}: …` beside it"));
        }
    }
}

fn limits_are_within_the_memory(target: &Target, reading: &mut Reading) {
    let (limits, memory) = (&target.limits, &target.memory);
    let pairs = [
        ("peak_ram", limits.peak_ram, memory.usable_ram(), "RAM"),
        ("weights_flash", limits.weights_flash, memory.usable_flash(), "flash"),
    ];
    for (name, limit, usable, what) in pairs {
        if let (Some(limit), Some(usable)) = (limit, usable)
            && limit > usable
            && usable > Bytes(0)
        {
            let message =
                format!("`limits.{name}` of {limit} is more than the {usable} of {what} that networks can have");
            let hint = format!("at most {usable}; or leave it out, the memory limits by itself");
            reading.fault_at(&format!("limits.{name}"), message, hint);
        }
    }
}

/// Whether a limit on latency, if there is one, can be held against something.
pub(super) fn latency_is_known(target: &Target) -> bool {
    let modelled = match &target.latency_model {
        LatencySource::Analytic(model) => model.numbers == target.numbers,
        LatencySource::Table(_) => true,
        LatencySource::None => false,
    };
    target.limits.latency.is_none() || target.is_local() || modelled
}

fn a_latency_limit_can_be_checked(target: &Target, reading: &mut Reading) {
    // A model that was written wrongly has faults of its own.
    if !latency_is_known(target) && !reading.latency_model_is_faulty {
        let message = "`limits.latency` cannot be checked: the device is not this machine and no latency model is for its numbers";
        let hint =
            "add a `latency_model`, write `connection: local` if the device is this machine, or leave the limit out";
        reading.fault_at("limits.latency", message, hint);
    }
    if let (Some(limit), LatencySource::Analytic(model)) = (target.limits.latency, &target.latency_model)
        && limit.most <= model.offset
    {
        let message = format!("`limits.latency` of {} is no longer than `latency_model.offset`", limit.most);
        reading.fault_at("limits.latency", message, format!("no network takes less than {}", model.offset));
    }
}

fn a_percentile_is_of_a_limit(target: &Target, reading: &mut Reading) {
    if target.limits.latency.is_none() && !reading.places.contains_key("limits.latency") {
        let message = "`limits.latency_percentile` is the percentile of no limit";
        reading.fault_at("limits.latency_percentile", message, "add `latency: 20 ms`, or remove it");
    }
}

fn a_table_is_of_this_machine_or_a_file(target: &Target, reading: &mut Reading) {
    if let LatencySource::Table(table) = &target.latency_model
        && table.path.is_none()
        && !target.is_local()
    {
        let message = "a table of operator times needs its `file`";
        let hint = "run `netwright calibrate --json > times.json` on the device and write `file: times.json`";
        reading.fault_at("latency_model.kind", message, hint);
    }
}
