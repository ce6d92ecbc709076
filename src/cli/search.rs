//! `netwright search`: strategies on the table of a NAS benchmark, where a training costs nothing.

use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use clap::builder::PossibleValuesParser;
use serde_json::json;

use super::{Exit, print, print_json};
use crate::experiment::{
    Benchmark, Budget, Complexity, ConstrainedScores, Device, Entrant, Pool, SearchScores, Trajectory, goal,
    search_constrained, search_pool,
};
use crate::generate::{Proposer, VaeConfig};
use crate::report::{RegretLine, percent, plain_table, regret_svg};
use crate::run::write_whole;
use crate::search::StrategyName;
use crate::space::{Genotype, Space};
use crate::stats;
use crate::tabular::Table;

#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct SearchArgs {
    /// A built-in table such as `nas-bench-201`, or the YAML file of one.
    #[arg(long)]
    table: String,
    /// The folder of the table's files; by default the folder of the YAML file.
    #[arg(long)]
    data: Option<PathBuf>,
    /// What is searched for; the table's first label by default.
    #[arg(long)]
    label: Option<String>,
    /// A label to report of the network that a search ends with, and never to look at before.
    #[arg(long)]
    test_label: Option<String>,
    /// Strategies, with commas between.
    #[arg(long, value_parser = strategies(), value_delimiter = ',', default_value = "bayes")]
    strategy: Vec<String>,
    /// For `latent`: random networks of the space, without labels, that the latent space is learned from.
    #[arg(long, default_value_t = 10_000)]
    latent_networks: usize,
    /// For `latent`: passes over them.
    #[arg(long, default_value_t = 10)]
    latent_epochs: usize,
    /// Count queries to one of the best networks, which are this share of all, instead of to the very best.
    #[arg(long, default_value_t = 0.0)]
    share: f64,
    /// Networks that a search may ask for.
    #[arg(long, default_value_t = 100)]
    queries: usize,
    /// Searches of each strategy, with seeds from 1.
    #[arg(long, default_value_t = 50)]
    seeds: u64,
    /// First seed.
    #[arg(long, default_value_t = 1)]
    first_seed: u64,
    /// Compare with random search after so many queries, with commas between; after all by default.
    #[arg(long, value_delimiter = ',')]
    at: Vec<usize>,
    /// Latency columns of the table: search under a limit on each of these devices.
    #[arg(long, value_delimiter = ',')]
    device: Vec<String>,
    /// The limit, in the unit of the column.
    #[arg(long, requires = "device", conflicts_with = "limit_percentile")]
    limit: Option<f64>,
    /// The limit as a percentile of the latencies of all networks.
    #[arg(long, requires = "device", default_value_t = 25.0)]
    limit_percentile: f64,
    /// Under a limit: networks measured before the search, at most, which tell the latency of all others; by default three of
    /// five queries where zero-cost proxies tell which are worth it, one of five elsewhere.
    #[arg(long, requires = "device")]
    calibration: Option<usize>,
    /// Under a limit: trained networks measured after the search, at most.
    #[arg(long, requires = "device", default_value_t = 5)]
    finalists: usize,
    /// Write every query of every search as CSV.
    #[arg(long)]
    csv: Option<PathBuf>,
    /// Draw the regret after each query as SVG.
    #[arg(long)]
    plot: Option<PathBuf>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

const EXAMPLES: &str = "\
Examples:
  netwright search --table nas-bench-201 --data DIR --label val_accs --strategy random,evolution,bayes --plot regret.svg
  netwright search --table nas-bench-201 --data DIR --label val_accs --device raspi4_latency,fpga_latency";

fn strategies() -> PossibleValuesParser {
    PossibleValuesParser::new(StrategyName::ALL.into_iter().map(StrategyName::name).chain([Entrant::LATENT]))
}

pub(super) fn search(args: &SearchArgs) -> anyhow::Result<Exit> {
    anyhow::ensure!(args.seeds >= 2, "a mean with an interval needs 2 seeds or more\nhint: add `--seeds 50`");
    anyhow::ensure!(
        (0.0..1.0).contains(&args.share),
        "a share of {} is not between 0 and 1\nhint: add `--share 0.001`",
        args.share
    );
    anyhow::ensure!(args.queries >= 2, "a search needs 2 queries or more\nhint: add `--queries 100`");
    let table = Table::open(&args.table, args.data.as_deref())?;
    let label = args.label.as_ref().or(table.labels().first());
    let label = label.ok_or_else(|| anyhow::anyhow!("table `{}` has no labels", args.table))?;
    let benchmark = Benchmark::of(&table, label)?;
    let ground = Ground {
        args,
        table: &table,
        label,
        pool: Pool::new(table.space(), &benchmark),
        labels: benchmark.labels(),
        seeds: (args.first_seed..args.first_seed + args.seeds).collect(),
        goal: goal(benchmark.labels(), args.share),
        entrants: entrants(args, table.space())?,
    };
    if args.device.is_empty() { ground.free() } else { ground.constrained() }
}

/// What every search shares.
struct Ground<'a> {
    args: &'a SearchArgs,
    table: &'a Table,
    label: &'a str,
    pool: Pool<'a>,
    labels: &'a [f64],
    seeds: Vec<u64>,
    goal: f64,
    entrants: Vec<Entrant>,
}

/// The strategies that were asked for; a latent space is learned first.
fn entrants(args: &SearchArgs, space: &Space) -> anyhow::Result<Vec<Entrant>> {
    let entrant = |name: &String| {
        let named = StrategyName::ALL.into_iter().find(|strategy| strategy.name() == name);
        Ok(match named {
            Some(strategy) => Entrant::Named(strategy),
            None => Entrant::Latent(Arc::new(learned(args, space)?)),
        })
    };
    args.strategy.iter().map(entrant).collect()
}

fn learned(args: &SearchArgs, space: &Space) -> anyhow::Result<Proposer> {
    eprintln!("  learning a latent space of {} networks", args.latent_networks);
    let config = VaeConfig { epochs: args.latent_epochs, ..VaeConfig::measured() };
    let macs = |genotype: &Genotype| Complexity::Macs.exact(space, genotype).expect("MACs are computed").max(1.0);
    Ok(Proposer::learn(space, args.latent_networks, config, &macs, 1, &mut |_, _| {})?)
}

impl Ground<'_> {
    /// Searches without limits.
    fn free(&self) -> anyhow::Result<Exit> {
        let args = self.args;
        let test = args.test_label.as_ref().map(|name| self.column(name, self.table.labels(), "label")).transpose()?;
        let at = if args.at.is_empty() { vec![args.queries] } else { args.at.clone() };
        let run = |entrant: &Entrant| search_pool(&self.pool, self.labels, entrant, args.queries, &self.seeds);
        let random = run(&Entrant::Named(StrategyName::Random))?;
        let (mut scores, mut found) = (Vec::new(), Vec::new());
        for entrant in &self.entrants {
            let trajectories = match entrant {
                Entrant::Named(StrategyName::Random) => random.clone(),
                Entrant::Named(_) | Entrant::Latent(_) => run(entrant)?,
            };
            let labels = (self.labels, self.goal);
            let of = SearchScores::of(entrant.name(), &trajectories, &random, labels, test.as_deref(), &at);
            eprintln!("  {}: {:.1} s a search", of.strategy, of.seconds);
            scores.push(of);
            found.push((entrant.name(), trajectories));
        }
        if let Some(path) = &args.csv {
            write_whole(path, self.csv(&found)?.as_bytes())?;
        }
        if let Some(path) = &args.plot {
            write_whole(path, self.plot(&scores)?.as_bytes())?;
        }
        match args.json {
            true => print_json(&json!({
                "table": args.table, "space": self.table.space().name(), "label": self.label,
                "networks": self.pool.len(), "queries": args.queries, "first_seed": args.first_seed,
                "optimum": self.optimum(), "goal": self.goal, "scores": scores,
            }))?,
            false => print(&self.text(&scores))?,
        }
        Ok(Exit::Done)
    }

    /// Searches under the limit of each device.
    fn constrained(&self) -> anyhow::Result<Exit> {
        let (args, budget) = (self.args, self.budget());
        let Budget { queries, calibration, finalists } = budget;
        anyhow::ensure!(
            calibration >= 3 && calibration + finalists < queries && finalists > 0,
            "{queries} queries do not hold {calibration} calibrations and {finalists} finalists, at least 3 and 1, and a training\nhint: raise `--queries`",
        );
        let mut scores: Vec<ConstrainedScores> = Vec::new();
        for name in &args.device {
            let latencies = self.latencies(name)?;
            let measured: Vec<f64> = latencies.iter().copied().filter(|latency| latency.is_finite()).collect();
            let limit = args.limit.unwrap_or_else(|| stats::percentile(&measured, args.limit_percentile));
            let device = Device { name: name.clone(), latencies, limit };
            for entrant in &self.entrants {
                let found = search_constrained(&self.pool, self.labels, &device, entrant, budget, &self.seeds)?;
                eprintln!("  {name}, {}: {:.2} % of the oracle", found.strategy, 100.0 * found.of_oracle.mean);
                scores.push(found);
            }
        }
        match args.json {
            true => print_json(&json!({
                "table": args.table, "space": self.table.space().name(), "label": self.label,
                "networks": self.pool.len(), "budget": budget, "first_seed": args.first_seed, "scores": scores,
            }))?,
            false => print(&self.constrained_text(&scores))?,
        }
        Ok(Exit::Done)
    }

    /// How the queries of a search under a limit are divided.
    fn budget(&self) -> Budget {
        let shares = if self.pool.promises().is_some() { 3 } else { 1 };
        let queries = self.args.queries;
        let calibration = self.args.calibration.unwrap_or(queries * shares / 5);
        Budget { queries, calibration, finalists: self.args.finalists }
    }

    fn optimum(&self) -> f64 {
        self.labels.iter().copied().fold(f64::NEG_INFINITY, f64::max)
    }

    /// What the device would measure of each network; infinite where it could not run it, which tables write as a latency
    /// that is missing or not positive.
    fn latencies(&self, name: &str) -> anyhow::Result<Vec<f64>> {
        let column = self.values(name, self.table.latencies(), "latency")?;
        let ran = |latency: &f64| *latency > 0.0 && latency.is_finite();
        let count = column.iter().filter(|latency| ran(latency)).count();
        let calibration = self.budget().calibration;
        anyhow::ensure!(
            count > calibration,
            "device `{name}` ran {count} networks of the table, not more than the {calibration} to measure before\nhint: lower `--calibration`",
        );
        Ok(column.into_iter().map(|latency| if ran(&latency) { latency } else { f64::INFINITY }).collect())
    }

    /// A column without gaps for each network of the pool.
    fn column(&self, name: &str, known: &[String], sort: &str) -> anyhow::Result<Vec<f64>> {
        let values = self.values(name, known, sort)?;
        let gaps = values.iter().filter(|value| !value.is_finite()).count();
        anyhow::ensure!(gaps == 0, "column `{name}` of table `{}` lacks {gaps} networks", self.args.table);
        Ok(values)
    }

    fn values(&self, name: &str, known: &[String], sort: &str) -> anyhow::Result<Vec<f64>> {
        let is_known = known.iter().any(|other| other == name);
        let unknown = || {
            anyhow::anyhow!(
                "table `{}` has no {sort} `{name}`\nhint: choose from {}",
                self.args.table,
                known.join(", ")
            )
        };
        let column = self.table.column(name).filter(|_| is_known).ok_or_else(unknown)?;
        let row = |genotype| self.table.find(genotype).expect("the networks of a benchmark are in its table");
        Ok(self.pool.benchmark().genotypes().iter().map(|genotype| column[row(genotype)]).collect())
    }

    fn csv(&self, found: &[(String, Vec<Trajectory>)]) -> anyhow::Result<String> {
        let space: &Space = self.table.space();
        let mut writer = csv::Writer::from_writer(Vec::new());
        writer.write_record(["strategy", "seed", "query", "architecture", self.label, "regret"])?;
        for (strategy, trajectories) in found {
            for of in trajectories {
                for ((place, best), query) in of.places.iter().zip(of.best_so_far(self.labels)).zip(1..) {
                    let architecture = space.format(&self.pool.benchmark().genotypes()[*place]);
                    let numbers = [self.labels[*place], self.optimum() - best].map(|number| number.to_string());
                    let [label, regret] = numbers;
                    let (seed, query) = (of.seed.to_string(), i32::to_string(&query));
                    writer.write_record([strategy.clone(), seed, query, architecture, label, regret])?;
                }
            }
        }
        Ok(String::from_utf8(writer.into_inner()?)?)
    }

    fn plot(&self, scores: &[SearchScores]) -> anyhow::Result<String> {
        let line = |scores: &SearchScores| RegretLine {
            name: scores.strategy.clone(),
            regret: scores.regret.iter().map(|regret| (regret.mean, regret.sd)).collect(),
        };
        let title = format!("{}, {}, {} seeds", self.args.table, self.label, self.seeds.len());
        let lines: Vec<RegretLine> = scores.iter().map(line).collect();
        regret_svg(&title, self.label, &lines).map_err(|reason| anyhow::anyhow!("the plot cannot be drawn: {reason}"))
    }

    fn text(&self, scores: &[SearchScores]) -> String {
        let mut heads: Vec<String> =
            ["strategy", "queries to the goal: median", "all by", "found"].map(String::from).to_vec();
        let at: Vec<usize> =
            scores.first().map_or(Vec::new(), |s| s.against_random.iter().map(|a| a.queries).collect());
        heads.extend(
            at.iter().flat_map(|queries| [format!("regret at {queries}"), format!("beats random at {queries}")]),
        );
        if self.args.test_label.is_some() {
            heads.push("test".to_string());
        }
        let heads: Vec<&str> = heads.iter().map(String::as_str).collect();
        let rows = scores.iter().map(text_row).collect();
        format!(
            "`{}` of {} different networks, the best has {}, the goal is {}; {} queries, {} seeds, mean ± sd\n\n{}\n",
            self.label,
            self.pool.len(),
            self.optimum(),
            self.goal,
            self.args.queries,
            self.seeds.len(),
            plain_table(&heads, rows)
        )
    }

    fn constrained_text(&self, scores: &[ConstrainedScores]) -> String {
        let heads = [
            "device",
            "strategy",
            "limit",
            "best within",
            "winner / best",
            "worst",
            "picks over",
            "winners over",
            "no winner",
        ];
        let row = |scores: &ConstrainedScores| {
            let over = |run: &&crate::experiment::ConstrainedRun| run.winner_latency.is_some_and(|l| l > scores.limit);
            vec![
                scores.device.clone(),
                scores.strategy.clone(),
                format!("{:.3}", scores.limit),
                format!("{:.2}", scores.oracle),
                format!("{:.2} ± {:.2} %", 100.0 * scores.of_oracle.mean, 100.0 * scores.of_oracle.sd),
                format!("{:.2} %", 100.0 * scores.worst_of_oracle),
                percent(scores.picks_over_limit),
                scores.runs.iter().filter(over).count().to_string(),
                scores.without_winner.to_string(),
            ]
        };
        format!(
            "`{}` of {} different networks; {} queries: at most {} networks measured before, {} finalists after; {} seeds\n\n{}\n",
            self.label,
            self.pool.len(),
            self.args.queries,
            self.budget().calibration,
            self.args.finalists,
            self.seeds.len(),
            plain_table(&heads, scores.iter().map(row).collect())
        )
    }
}

fn text_row(scores: &SearchScores) -> Vec<String> {
    let found = scores.to_goal.iter().flatten().count();
    let mut row = vec![
        scores.strategy.clone(),
        scores.median_to_goal.map_or("-".to_string(), |median| format!("{median:.1}")),
        scores.all_by.map_or("-".to_string(), |query| query.to_string()),
        format!("{found} of {}", scores.seeds),
    ];
    for against in &scores.against_random {
        let regret = scores.regret[against.queries.clamp(1, scores.regret.len()) - 1];
        row.push(format!("{:.3} ± {:.3}", regret.mean, regret.sd));
        row.push(percent(against.better));
    }
    row.extend(scores.test.map(|test| format!("{:.2} ± {:.2}", test.mean, test.sd)));
    row
}
