//! What a run found.

use serde_json::{Value, json};

use super::run_front::{about_front, front, role};
use super::{Curve, curve_svg, markdown_table, percent, plain_table};
use crate::run::{Finalist, LimitCheck, Longer, PredictorGain, Retrained, Size, Summary, TrialRecord, WarmGain};
use crate::units::{Bytes, Macs, Millis};

/// The result for programs.
pub fn run_json(summary: &Summary, folder: &str, seconds: f64) -> Value {
    let winner = summary.winner();
    json!({
        "schema_version": summary.card.schema_version,
        "run": folder,
        "model": format!("{folder}/model.onnx"),
        "target": summary.target.name,
        "target_numbers": summary.card.target_numbers,
        "deployable": summary.card.deployable,
        "verdict": summary.card.verdict,
        "genotype": winner.trial.genotype,
        "validation_accuracy": winner.validation_accuracy,
        "test_accuracy": summary.tested.test_accuracy,
        "agreement": summary.tested.agreement,
        "limits": summary.limits(),
        "macs": winner.cost.macs,
        "params": winner.cost.params,
        "peak_ram_bytes": winner.cost.peak_ram(summary.target.numbers).0,
        "weights_flash_bytes": winner.cost.weights_flash(summary.target.numbers).0,
        "bench": winner.bench,
        "latency_ms": winner.latency.map(|latency| latency.time.0),
        "latency_provenance": winner.latency.map(|latency| latency.provenance),
        "space": summary.config.space,
        "trials": summary.trials,
        "predictors": summary.predictors,
        "finalists": summary.finalists.iter().map(|f| json!({
            "genotype": f.trial.genotype,
            "cheap_validation_accuracy": f.trial.validation_accuracy,
            "validation_accuracy": f.validation_accuracy,
            "latency": f.bench.latency,
            "fits": f.verdict.fits(),
        })).collect::<Vec<_>>(),
        "warm_start": summary.card.warm_start,
        "front": summary.front,
        "instead_of": summary.card.instead_of,
        "retrained": summary.retrained,
        "cheap_full_kendall_tau": summary.cheap_full_tau,
        "seconds": seconds,
    })
}

/// The result for a terminal.
pub fn run_text(summary: &Summary, folder: &str) -> String {
    let winner = summary.winner();
    let mut text = format!(
        "{}\n\n{}\n\n{}\n\n{}\n\n",
        predictors(summary, plain_table),
        front(summary, plain_table),
        finalists(summary, plain_table),
        limits(summary, plain_table)
    );
    text += &format!(
        "network    {}\naccuracy   {} on {} test images ({} on validation)\n",
        winner.trial.genotype,
        percent(summary.tested.test_accuracy),
        summary.tested.images,
        percent(winner.validation_accuracy),
    );
    text += &format!("agreement  {}\n", agreement(summary));
    text += &format!("ranking    {}\n", cheap_full(summary));
    text += &format!("latency    {}\n", latency(winner));
    if let Some(gain) = &summary.card.warm_start {
        text += &format!("warm start {}\n", gained(gain));
    }
    if let Some(retrained) = &summary.retrained {
        text += &format!("retrained  {}\n", once_more(retrained));
    }
    for warning in &winner.bench.warnings {
        text += &format!("warning    {warning}\n");
    }
    text += &format!("verdict    {}\n", summary.card.verdict);
    text += &format!("model      {folder}/model.onnx (card.json, report.md, curve.svg and pareto.svg beside it)\n");
    match &summary.card.instead_of {
        Some(own) => text += &format!("picked     instead of the run's winner {own}, whose files are as they were\n"),
        None if summary.front.iter().any(|row| !row.winner) => {
            text +=
                &format!("others     `netwright resume {folder} --pick ROW` makes another one of the Pareto front\n");
        }
        None => {}
    }
    text
}

/// The report of a run folder.
pub fn run_markdown(summary: &Summary) -> String {
    let (config, winner) = (&summary.config, summary.winner());
    let verdict = match (summary.card.deployable, summary.target.is_local()) {
        (true, true) => "Every limit is kept by measurement.".to_string(),
        (true, false) => "Every limit is kept; the device is not here, so its latency is not measured.".to_string(),
        (false, _) => format!("**{}**.", capitalised(&summary.card.verdict)),
    };
    let trials = markdown_table(
        &["trial", "genotype", "origin", "predicted", "validation", "MACs", "peak RAM", "flash", "latency (expected)"],
        summary.trials.iter().map(trial_row).collect(),
    );
    let best_random = best(summary, crate::search::Origin::Random);
    let best_evolved = best(summary, crate::search::Origin::Evolved);
    format!(
        "# {} for `{}`\n\n{verdict}\n\n\
         - network: `{}` of space `macro`, {} MACs, {} parameters\n\
         - accuracy: {} on {} test images, {} on validation images\n\
         - latency: {}\n\
         - space `macro` of {}\n\
         - {}{}{}\n\n\
         ## Limits\n\n{}\n\n\
         ## Pareto front\n\n{}\n\n{}\n\n![accuracy against costs](pareto.svg)\n\n\
         ## Finalists, trained in full\n\n{}\n\n\
         {}.\n\n![loss and accuracy by epoch](curve.svg)\n\n\
         ## Predictors\n\n{}{}\n\n\
         ## Search\n\n\
         {} networks trained cheaply ({} epochs on {} images at {} of the width), then {} in full \
         ({} epochs on {} images). Best cheap accuracy among random networks: {best_random}; among evolved ones: \
         {best_evolved}.\n\n{trials}\n",
        summary.card.data.name,
        summary.target.name,
        winner.trial.genotype,
        Macs(winner.cost.macs),
        winner.cost.params,
        percent(summary.tested.test_accuracy),
        summary.tested.images,
        percent(winner.validation_accuracy),
        latency(winner),
        Size::from(&config.space).describe(),
        agreement(summary),
        summary
            .retrained
            .as_ref()
            .map_or(String::new(), |retrained| format!("\n- trained once more: {}", once_more(retrained))),
        summary.card.instead_of.as_ref().map_or(String::new(), |own| format!(
            "\n- picked instead of the run's own winner `{own}`, without a new search; each of them was tested once"
        )),
        limits(summary, markdown_table),
        about_front(summary),
        front(summary, markdown_table),
        finalists(summary, markdown_table),
        cheap_full(summary),
        predictors(summary, markdown_table),
        summary
            .card
            .warm_start
            .as_ref()
            .map_or(String::new(), |gain| format!("\n\nWarm start by the {}.", gained(gain))),
        summary.trials.len(),
        config.cheap.train.epochs,
        config.cheap.images,
        config.cheap.width,
        summary.finalists.len(),
        config.full.train.epochs,
        config.full.images,
    )
}

fn capitalised(text: &str) -> String {
    let mut characters = text.chars();
    characters.next().map_or(String::new(), |first| first.to_uppercase().chain(characters).collect())
}

/// The latency on the target, and how it is known.
fn latency(finalist: &Finalist) -> String {
    finalist.latency.map_or("unknown on the target".to_string(), |latency| {
        format!("{} on the target ({})", latency.time, latency.provenance.name())
    })
}

/// Loss and accuracy of the full trainings by epoch, as SVG.
pub fn run_curve_svg(summary: &Summary) -> String {
    let name = format!("winner {}", summary.winner().trial.genotype);
    let named = |at: usize| (at == summary.winner).then_some(name.as_str());
    let finalists = summary.finalists.iter().enumerate();
    let mut curves: Vec<Curve> = finalists.map(|(at, f)| Curve { name: named(at), records: &f.curve }).collect();
    if let Some(retrained) = &summary.retrained {
        curves.push(Curve { name: Some("winner once more"), records: &retrained.curve });
    }
    curve_svg(&format!("full trainings for `{}`", summary.target.name), &curves)
}

fn once_more(retrained: &Retrained) -> String {
    let accuracy = retrained.validation_accuracy.map_or("diverged".to_string(), percent);
    let verdict = if retrained.kept { "exported" } else { "not exported" };
    let Longer { epochs, images } = retrained.training;
    let teacher = retrained.teacher.as_ref().map_or(String::new(), |teacher| format!("; its teacher is {teacher}"));
    let before = percent(retrained.before);
    format!("{accuracy} on validation after {epochs} epochs on {images} images, {before} before: {verdict}{teacher}")
}

fn gained(gain: &WarmGain) -> String {
    match gain {
        WarmGain::Predictor(gain) => {
            let PredictorGain { networks, kendall_tau_alone, kendall_tau_with, kendall_tau_without } = gain;
            format!(
                "pretrained predictor: Kendall tau on the {networks} trials {kendall_tau_with:.2} with it, \
                 {kendall_tau_without:.2} without (alone, before any trial, {kendall_tau_alone:.2})"
            )
        }
        WarmGain::Meta(gain) => format!(
            "meta-model: its {} networks had {} on average after cheap training, the best {}; {} random ones {}, the best of \
             as many {}",
            gain.proposed,
            percent(gain.mean_proposed),
            percent(gain.best_proposed),
            gain.random,
            percent(gain.mean_random),
            percent(gain.best_of_as_many_random),
        ),
    }
}

fn cheap_full(summary: &Summary) -> String {
    let networks = summary.finalists.len();
    format!("Kendall tau between cheap and full training over these {networks} networks: {:.2}", summary.cheap_full_tau)
}

pub(super) type Layout = fn(&[&str], Vec<Vec<String>>) -> String;

fn best(summary: &Summary, origin: crate::search::Origin) -> String {
    let accuracies = summary.trials.iter().filter(|t| t.origin == origin).filter_map(|t| t.validation_accuracy);
    accuracies.max_by(f64::total_cmp).map_or("none".to_string(), percent)
}

fn trial_row(trial: &TrialRecord) -> Vec<String> {
    vec![
        trial.index.to_string(),
        trial.genotype.clone(),
        format!("{:?}", trial.origin).to_lowercase(),
        trial.predicted_accuracy.map_or(String::new(), percent),
        trial.validation_accuracy.map_or_else(|| trial.failure.clone().unwrap_or_default(), percent),
        Macs(trial.macs).to_string(),
        Bytes(trial.peak_ram_bytes).to_string(),
        Bytes(trial.weights_flash_bytes).to_string(),
        trial.predicted_latency_ms.map_or(String::new(), |ms| Millis(ms).to_string()),
    ]
}

fn limits(summary: &Summary, layout: Layout) -> String {
    let row = |check: &LimitCheck| {
        let show = |value: f64| match check.limit.as_str() {
            name if name.ends_with("_bytes") => Bytes(value as u64).to_string(),
            name if name.ends_with("_ms") => Millis(value).to_string(),
            _ => Macs(value as u64).to_string(),
        };
        let verdict = match check.kept {
            true => "kept".to_string(),
            false => format!("broken, {:.2} times the limit", check.found / check.allowed),
        };
        vec![
            check.limit.clone(),
            show(check.allowed),
            check.predicted.map_or(String::new(), show),
            format!("{} ({})", show(check.found), check.provenance),
            verdict,
        ]
    };
    let rows: Vec<Vec<String>> = summary.limits().iter().map(row).collect();
    match rows.is_empty() {
        true => "the target has no limits".to_string(),
        false => layout(&["limit", "allowed", "predicted", "found", "verdict"], rows),
    }
}

fn finalists(summary: &Summary, layout: Layout) -> String {
    // All finalists by the same training: what a second one gave is told apart.
    let before = summary.retrained.as_ref().map(|retrained| retrained.before);
    let row = |(at, f): (usize, &Finalist)| {
        vec![
            f.trial.genotype.clone(),
            f.trial.validation_accuracy.map_or(String::new(), percent),
            percent(before.filter(|_| at == summary.winner).unwrap_or(f.validation_accuracy)),
            Macs(f.cost.macs).to_string(),
            f.cost.peak_ram(summary.target.numbers).to_string(),
            Millis(f.bench.latency.p90_ms).to_string(),
            match (f.verdict.fits(), role(summary, &f.trial.genotype)) {
                (true, Some(role)) => role.to_string(),
                (true, None) => "fits".to_string(),
                (false, _) => {
                    let broken: Vec<String> = f.verdict.broken.iter().map(|b| b.limit.to_string()).collect();
                    format!("breaks {}", broken.join(", "))
                }
            },
        ]
    };
    let rows = summary.finalists.iter().enumerate().map(row).collect();
    // Finalists are timed on this machine even if the target is another one.
    let time = if summary.target.is_local() { "p90" } else { "p90 on this machine" };
    layout(&["finalist", "cheap", "full", "MACs", "peak RAM", time, "verdict"], rows)
}

fn predictors(summary: &Summary, layout: Layout) -> String {
    if summary.predictors.is_empty() {
        return "too few trials to evaluate predictors".to_string();
    }
    let row = |e: &crate::predictor::Evaluation| {
        vec![
            e.kind.to_string(),
            format!("{:.2}", e.kendall_tau),
            format!("{:.2}", e.spearman),
            format!("{:.5}", e.mse),
            e.samples.to_string(),
        ]
    };
    let rows = summary.predictors.iter().map(row).collect();
    layout(&["predictor", "Kendall tau", "Spearman", "MSE", "networks"], rows)
}

fn agreement(summary: &Summary) -> String {
    let a = &summary.tested.agreement;
    format!(
        "tract gives the trained network's answers to within {:.1e} on {} images, {} of other top-1, {} near ties",
        a.max_relative_difference, a.images, a.disagreements, a.near_ties
    )
}
