//! What `--watch` shows of a study: the values of the trials with the best so far, what is running, and how the last
//! trials ended.

use crate::cli::interrupt;
use crate::cli::screen::curve::Curve;
use crate::cli::screen::panel::{self, Pace, safe};
use crate::cli::screen::{Scene, Screen};
use crate::cli::trials::{params, value, values};
use qgd::report::{Axis, Chart, Color, Line as Curved, duration, wrapped};
use qgd::tuner::{ActiveTrial, Direction, Study, StudyConfig, Trial, TrialState, best_trials};
use qgd::words::shortened;
use ratatui::prelude::{Buffer, Constraint, Frame, Layout, Line, Rect};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// The view of a study.
pub struct StudyView {
    scene: Arc<Mutex<StudyScene>>,
    _screen: Screen,
}

/// What is known of a study, as far as it is shown.
#[derive(Clone)]
struct StudyScene {
    title: String,
    about: String,
    directions: Vec<Direction>,
    began: Instant,
    done: u64,
    before: u64,
    total: u64,
    /// Trials below this number have ended and are shown, and so have these others.
    next: usize,
    shown: BTreeSet<usize>,
    /// Values of complete trials, a curve for each objective; last values of pruned ones; the best so far.
    complete: Vec<Curve>,
    pruned: Curve,
    best_so_far: Curve,
    last: usize,
    best: Option<Best>,
    running: BTreeMap<usize, Running>,
    ended: VecDeque<String>,
}

/// The best trial, where there is one objective.
#[derive(Clone)]
struct Best {
    number: usize,
    value: f64,
    params: String,
}

/// A trial that runs here.
#[derive(Clone)]
struct Running {
    since: Instant,
    params: String,
    last_report: Option<(i64, f64)>,
}

/// Number of ended trials that are listed.
const N_ENDED: usize = 100;
/// Rows that the parameters of the best trial may take.
const N_BEST: usize = 3;
/// Number of lines of stderr that are shown.
const N_SAID: usize = 3;

impl StudyView {
    /// Takes the terminal for a study that is to have so many trials. None where there is no terminal.
    pub fn open(study: &Study, n_trials: usize) -> Option<Self> {
        // What cannot be read now is missing in the view alone.
        let before = study.trials().unwrap_or_default();
        let scene = StudyScene::new(study.config(), &before, study.counts().done() as u64, n_trials as u64);
        let scene = Arc::new(Mutex::new(scene));
        Some(Self { _screen: Screen::open(Arc::clone(&scene))?, scene })
    }

    /// A trial begins here.
    pub fn begins(&self, trial: &ActiveTrial<'_>) {
        let running = Running { since: Instant::now(), params: params(trial.params()), last_report: None };
        self.scene().running.insert(trial.number(), running);
    }

    /// A trial that runs here has reported an intermediate value.
    pub fn reports(&self, number: usize, step: i64, value: f64) {
        if let Some(running) = self.scene().running.get_mut(&number) {
            running.last_report = Some((step, value));
        }
    }

    /// A trial has ended here, or was given back.
    pub fn ends(&self, study: &Study, trial: &Trial) {
        let (done, best) = (study.counts().done() as u64, study.best_known());
        let best = best.and_then(|(number, _)| study.trial_known(number));
        let mut scene = self.scene();
        // Those that have ended elsewhere.
        for number in scene.next..trial.number {
            if !scene.shown.contains(&number) && !scene.running.contains_key(&number) {
                study.trial_known(number).iter().for_each(|trial| scene.add(trial));
            }
        }
        scene.add(trial);
        scene.goes_on(done, best.as_ref());
    }

    fn scene(&self) -> MutexGuard<'_, StudyScene> {
        self.scene.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl StudyScene {
    fn new(config: &StudyConfig, before: &[Trial], done: u64, total: u64) -> Self {
        let mut scene = Self {
            title: format!("study {}", config.name),
            about: format!("sampler {}, pruner {}, seed {}", config.sampler, config.pruner, config.seed),
            directions: config.directions.clone(),
            began: Instant::now(),
            done,
            before: done,
            total,
            next: 0,
            shown: BTreeSet::new(),
            complete: vec![Curve::default(); config.directions.len()],
            pruned: Curve::default(),
            best_so_far: Curve::default(),
            last: 0,
            best: None,
            running: BTreeMap::new(),
            ended: VecDeque::new(),
        };
        for trial in before {
            scene.add(trial);
            if let [direction] = config.directions[..] {
                scene.improves(direction, trial);
            }
        }
        scene.goes_on(done, best_trials(before, &config.directions).first().copied());
        scene
    }

    /// A trial that was there before: whether it is the best so far is found by its value.
    fn improves(&mut self, direction: Direction, trial: &Trial) {
        let [value] = trial.values[..] else { return };
        let is_better = self.best.as_ref().is_none_or(|best| direction.cost(value) < direction.cost(best.value));
        if trial.state == TrialState::Complete && trial.is_feasible() && !value.is_nan() && is_better {
            self.has_best(Best { number: trial.number, value, params: String::new() });
        }
    }

    /// Adds a trial that has ended.
    fn add(&mut self, trial: &Trial) {
        self.running.remove(&trial.number);
        if !trial.state.is_finished() {
            return;
        }
        self.shown.insert(trial.number);
        while self.shown.remove(&self.next) {
            self.next += 1;
        }
        self.last = self.last.max(trial.number);
        let number = trial.number as f64;
        match trial.state {
            TrialState::Complete => {
                self.complete.iter_mut().zip(&trial.values).for_each(|(curve, &value)| curve.push(number, value));
            }
            TrialState::Pruned => trial.values.first().into_iter().for_each(|&value| self.pruned.push(number, value)),
            _ => {}
        }
        self.ended.push_front(in_words(trial));
        self.ended.truncate(N_ENDED);
    }

    /// So many trials are done, and this is the best of them.
    fn goes_on(&mut self, done: u64, best: Option<&Trial>) {
        self.done = done;
        let ([_], Some(best)) = (&self.directions[..], best) else { return };
        let Some(&value) = best.values.first() else { return };
        self.has_best(Best { number: best.number, value, params: params(&best.values_of_params()) });
    }

    /// From the last trial on this is the best: its curve is a staircase.
    fn has_best(&mut self, best: Best) {
        let x = self.last as f64;
        self.best.iter().for_each(|before| self.best_so_far.push(x, before.value));
        self.best_so_far.push(x, best.value);
        self.best = Some(best);
    }

    fn charts(&self) -> Vec<Chart> {
        let chart = |i: usize| {
            let mut lines = vec![dots("complete", Color::BLUE, &self.complete[i])];
            if i == 0 && !self.pruned.points().is_empty() {
                lines.push(dots("pruned", Color::GRAY, &self.pruned));
            }
            if self.directions.len() == 1 {
                lines.insert(0, Curved::new("best so far", Color::MANY[2], self.best_so_far.points()));
            }
            let label = if self.directions.len() == 1 { "value".to_owned() } else { format!("value {i}") };
            let values = lines.iter().flat_map(|line| &line.points).map(|point| point.1);
            let y = panel::axis(&label, values);
            Chart { title: String::new(), x: Axis::linear("trial"), y, lines }
        };
        (0..self.directions.len()).map(chart).collect()
    }

    /// The best trial with its parameters, in as many rows as they need.
    fn best(&self, width: u16) -> Vec<Line<'static>> {
        let text = match (&self.best, self.directions.len()) {
            (Some(Best { number, value: best, params }), _) => {
                format!("best {} in trial {number}: {params}", value(*best))
            }
            (None, 1) => "no trial is complete yet".to_owned(),
            (None, n) => format!("{n} objectives; the best trials are printed in the end"),
        };
        wrapped(&safe(&text).to_string(), "  ", width.into()).lines().take(N_BEST).map(safe).collect()
    }

    fn running(&self) -> Vec<Line<'static>> {
        let row = |(number, running): (&usize, &Running)| {
            let reported = running.last_report.map(|(step, last)| format!("  step {step}: {}", value(last)));
            let (since, params) = (duration(running.since.elapsed().as_secs_f64()), &running.params);
            safe(&format!("{number:>6}  {since:>6}{}  {params}", reported.unwrap_or_default()))
        };
        self.running.iter().map(row).collect()
    }
}

impl Scene for StudyScene {
    fn draw(&self, frame: &mut Frame<'_>, said: &[String], colored: bool) {
        let (area, buffer): (Rect, &mut Buffer) = (frame.area(), frame.buffer_mut());
        let stops = match interrupt::signal() {
            None => " q stops ",
            Some(_) => " stopping; q again does not wait ",
        };
        let pace = Pace {
            done: self.done,
            before: self.before,
            total: self.total,
            elapsed_s: self.began.elapsed().as_secs_f64(),
        };
        let mut head = vec![panel::title(&self.title, &self.about, stops), pace.bar("trials", area.width, colored)];
        head.extend(self.best(area.width));
        let [top, body] = Layout::vertical([Constraint::Length(head.len() as u16), Constraint::Fill(1)]).areas(area);
        panel::lines(head, top, buffer);
        let (running, said) = (self.running(), &said[said.len().saturating_sub(N_SAID)..]);
        let (charts, lists) = panel::places(body, &[running.len(), self.ended.len(), said.len()]);
        panel::charts(&self.charts(), charts, buffer, colored);
        let ended: Vec<Line<'_>> = self.ended.iter().map(|text| safe(text)).collect();
        let said = said.iter().map(|text| safe(text)).collect();
        for (heading, rows, place) in
            [("running", running, lists[0]), ("ended", ended, lists[1]), ("messages", said, lists[2])]
        {
            panel::list(heading, rows, place, buffer);
        }
    }
}

/// Points that are no curve.
fn dots(name: &str, color: Color, curve: &Curve) -> Curved {
    let gap = |(x, y)| [(x, y), (x, f64::NAN)];
    Curved::new(name, color, curve.points().into_iter().flat_map(gap).collect())
}

/// How a trial has ended, on one line.
fn in_words(trial: &Trial) -> String {
    let (number, shown) = (trial.number, values(&trial.values));
    let how = match trial.state {
        TrialState::Fail => return format!("{number:>6}  failed: {}", shortened(&trial.reason())),
        TrialState::Pruned => {
            let step = trial.last_report().map_or_else(String::new, |(step, _)| format!(" at step {step}"));
            format!("{shown:<10}  pruned{step}")
        }
        _ if !trial.is_feasible() => format!("{shown:<10}  breaks a constraint"),
        _ => format!("{shown:<10}"),
    };
    format!("{number:>6}  {how}  {}", params(&trial.values_of_params()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use qgd::tuner::{Distribution, Outcome, Parameter, Space};
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;

    fn drawn(scene: &StudyScene, width: u16, height: u16, said: &[&str]) -> String {
        let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
        let said: Vec<String> = said.iter().map(|&line| line.to_owned()).collect();
        terminal.draw(|frame| scene.draw(frame, &said, true)).unwrap();
        let cells = terminal.backend().buffer();
        let row = |y: u16| (0..width).map(|x| cells[(x, y)].symbol()).collect::<String>().trim_end().to_owned() + "\n";
        (0..height).map(row).collect()
    }

    fn study(directions: usize) -> Study {
        let space = Space::new([Parameter::new("x", Distribution::float(0.0, 1.0))]).unwrap();
        let directions = vec![Direction::Minimize; directions];
        Study::in_memory(space, StudyConfig { directions, ..StudyConfig::default() }).unwrap()
    }

    /// A study whose trials end in this way, and the scene that was told so.
    fn told(outcomes: impl IntoIterator<Item = Outcome>) -> (Study, StudyScene) {
        let study = study(1);
        let mut scene = StudyScene::new(study.config(), &[], 0, 10);
        for outcome in outcomes {
            let trial = study.ask().unwrap();
            study.tell(trial.number(), outcome).unwrap();
            let best = study.best_known().and_then(|(number, _)| study.trial_known(number));
            scene.add(&study.trial(trial.number()).unwrap());
            scene.goes_on(study.counts().done() as u64, best.as_ref());
        }
        (study, scene)
    }

    #[test]
    fn the_view_shows_what_the_study_holds() {
        let failed = Outcome::failed("exit code 7: \x1b[2Jno lr".to_owned());
        let (study, scene) = told([0.5.into(), 0.125.into(), failed, f64::INFINITY.into(), 0.25.into()]);
        let text = drawn(&scene, 100, 30, &["\x1b[33mWARN\x1b[0m a\x1bc"]);
        let x = |number: usize| params(&study.trial(number).unwrap().values_of_params());
        for needle in [
            format!("best 0.125 in trial 1: {}\n", x(1)),
            format!("     0  0.5         {}\n", x(0)),
            format!("     3  inf         {}\n", x(3)),
            "     2  failed: exit code 7: \\u001b[2Jno lr\n".to_owned(),
            "4/10 trials  40 %".to_owned(),
            "WARN a\\u001bc\n".to_owned(),
            "━━ best so far   ◦ complete   × diverged".to_owned(),
        ] {
            assert!(text.contains(&needle), "'{needle}' is not in\n{text}");
        }
        assert!(text.contains('×') && !text.contains('\x1b'), "{text}");
        let mut best = scene.best_so_far.points();
        best.dedup();
        assert_eq!(best, [(0.0, 0.5), (1.0, 0.5), (1.0, 0.125), (2.0, 0.125), (3.0, 0.125), (4.0, 0.125)]);
        assert_eq!(scene.complete[0].points(), [(0.0, 0.5), (1.0, 0.125), (3.0, f64::INFINITY), (4.0, 0.25)]);
    }

    #[test]
    fn a_study_that_goes_on_shows_what_was_there_before() {
        let (study, scene) = told([0.5, 0.125, 0.25].map(Outcome::from));
        let again = StudyScene::new(study.config(), &study.trials().unwrap(), 3, 10);
        let mut staircase = scene.best_so_far.points();
        staircase.dedup();
        assert_eq!(again.best_so_far.points()[..3], staircase[..3]);
        let head =
            |scene: &StudyScene| drawn(scene, 100, 30, &[]).lines().take(3).map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(head(&again)[2], head(&scene)[2], "the best");
        assert!(head(&again)[1].ends_with("3/10 trials  30 %"), "nothing was done here: {}", head(&again)[1]);
    }

    #[test]
    fn a_running_trial_is_shown_with_its_last_report_until_it_ends() {
        let (study, mut scene) = told([0.5.into()]);
        let trial = study.ask().unwrap();
        let running = Running { since: Instant::now(), params: params(trial.params()), last_report: Some((40, 0.75)) };
        scene.running.insert(trial.number(), running);
        let shown = format!("     1     1 s  step 40: 0.75  {}\n", params(trial.params()));
        let text = drawn(&scene, 100, 30, &[]);
        assert!(text.contains(&shown), "{text}");
        study.tell(trial.number(), Outcome::given_back()).unwrap();
        scene.add(&study.trial(1).unwrap());
        assert!(!drawn(&scene, 100, 30, &[]).contains("step 40"));
    }

    #[test]
    fn several_objectives_have_a_chart_each_and_no_best() {
        let study = study(2);
        let trial = study.ask().unwrap();
        study.tell(trial.number(), Outcome::from(vec![1.0, 2.0])).unwrap();
        let scene = StudyScene::new(study.config(), &study.trials().unwrap(), 1, 10);
        let text = drawn(&scene, 120, 30, &[]);
        assert!(["value 0", "value 1", "2 objectives", "     0  1 2"].iter().all(|part| text.contains(part)), "{text}");
    }

    #[test]
    fn every_size_of_a_terminal_is_drawn() {
        let (_, scene) = told((0..40).map(|i| Outcome::from(f64::from(i) - 3.0)));
        for width in [0, 1, 2, 7, 19, 40, 80, 200] {
            for height in 0..40 {
                drawn(&scene, width, height, &["a warning"]);
            }
        }
        let small = drawn(&scene, 40, 10, &[]);
        assert!(small.contains("best -3 in trial 0") && small.contains("    39  36"), "{small}");
    }
}
