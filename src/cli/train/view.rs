//! What `--watch` shows of a training run: the loss, what is controlled, and the last decisions with their reasons.

use crate::cli::decider::{Decider, shown};
use crate::cli::screen::curve::Curve;
use crate::cli::screen::panel::{self, Pace, in_color, safe};
use crate::cli::screen::{Scene, Screen};
use crate::cli::tensorboard::action_name;
use qgd::driver::{DecisionCallback, TraceRecord};
use qgd::report::{Axis, Chart, Color, Line as Curved, number};
use qgd::task::TaskSpec;
use qgd::words::counted;
use qgd::{Action, Controls, Reason};
use ratatui::prelude::{Buffer, Constraint, Frame, Layout, Line, Rect, Span, Stylize};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// The view of a run.
pub struct RunView {
    scene: Arc<Mutex<RunScene>>,
    _screen: Screen,
}

/// What is known of a run, as far as it is shown.
#[derive(Clone)]
struct RunScene {
    title: String,
    about: String,
    /// What is moved. None where nothing is.
    controls: Option<Controls>,
    /// Whether a network chooses among actions: a schedule has none.
    has_actions: bool,
    began: Instant,
    done: u64,
    before: u64,
    total: u64,
    lr: f64,
    weight_decay: f64,
    /// Loss of single batches, and the mean since the last decision.
    batches: Curve,
    means: Curve,
    lrs: Curve,
    weight_decays: Curve,
    /// The last decisions, the newest first.
    decisions: VecDeque<Decision>,
    n_guarded: usize,
    last_guarded: Option<(u64, Reason)>,
}

/// A decision, as it is listed.
#[derive(Clone)]
struct Decision {
    step: u64,
    loss: f64,
    lr: f64,
    weight_decay: f64,
    action: Option<Action>,
    reason: Reason,
}

/// Number of decisions that are listed.
const N_DECISIONS: usize = 100;
/// Number of lines of stderr that are shown.
const N_SAID: usize = 3;

impl RunView {
    /// Takes the terminal for a run that has done `steps` steps. None where there is no terminal.
    pub fn open(task: &TaskSpec, decider: &Decider, seed: u64, steps: u64) -> Option<Self> {
        let (controls, has_actions) = match decider {
            Decider::Controller(_, controller, _) => (Some(controller.recipe().controls), true),
            Decider::Schedule(qgd::schedule::Schedule::Constant) => (None, false),
            Decider::Schedule(_) => (Some(Controls::Lr), false),
        };
        let train = &task.train;
        let (title, by) = (task.name(), shown(decider.name()));
        let about = format!("{}, {by}, from {}, seed {seed}", train.optimizer.name(), number(train.lr));
        let rates = (train.lr, train.weight_decay);
        let scene = RunScene::new(title, about, (controls, has_actions), (steps, train.steps), rates);
        let scene = Arc::new(Mutex::new(scene));
        Some(Self { _screen: Screen::open(Arc::clone(&scene))?, scene })
    }

    /// A callback that shows every decision.
    pub fn callback(&self) -> DecisionCallback {
        let scene = Arc::clone(&self.scene);
        Box::new(move |record| locked(&scene).decided(record))
    }

    /// So many steps are done, the last with this loss.
    pub fn step(&self, done: u64, loss: f64) {
        let mut scene = locked(&self.scene);
        scene.done = done;
        scene.batches.push(done as f64, loss);
    }
}

fn locked(scene: &Mutex<RunScene>) -> MutexGuard<'_, RunScene> {
    scene.lock().unwrap_or_else(PoisonError::into_inner)
}

impl RunScene {
    fn new(
        title: String,
        about: String,
        (controls, has_actions): (Option<Controls>, bool),
        (before, total): (u64, u64),
        (lr, weight_decay): (f64, f64),
    ) -> Self {
        let [batches, means, lrs, weight_decays]: [Curve; 4] = Default::default();
        let (decisions, began, done) = (VecDeque::new(), Instant::now(), before);
        Self {
            title,
            about,
            controls,
            has_actions,
            began,
            done,
            before,
            total,
            lr,
            weight_decay,
            batches,
            means,
            lrs,
            weight_decays,
            decisions,
            n_guarded: 0,
            last_guarded: None,
        }
    }

    fn decided(&mut self, record: &TraceRecord<'_>) {
        let &TraceRecord { step, loss, lr, weight_decay, action, reason, .. } = record;
        let x = step as f64;
        // A decision before the first step knows no loss.
        if step > 0 || !loss.is_nan() {
            self.means.push(x, loss);
        }
        self.lrs.push(x, lr);
        self.weight_decays.push(x, weight_decay);
        (self.lr, self.weight_decay) = (lr, weight_decay);
        if reason.is_of_guard() {
            self.n_guarded += 1;
            self.last_guarded = Some((step, reason));
        }
        if self.has_actions || reason.is_of_guard() {
            self.decisions.push_front(Decision { step, loss, lr, weight_decay, action, reason });
            self.decisions.truncate(N_DECISIONS);
        }
    }

    /// Loss, learning rate and weight decay as they are.
    fn now(&self) -> Line<'static> {
        let loss = self.means.points().last().map_or_else(|| "-".to_owned(), |point| number(point.1));
        let (lr, weight_decay) = (number(self.lr), number(self.weight_decay));
        let guard = match self.last_guarded {
            None => String::new(),
            Some((step, reason)) => {
                format!("   guard: {}, the last at step {step} ({})", counted(self.n_guarded, "event"), reason.name())
            }
        };
        Line::raw(format!("loss {loss}   learning rate {lr}   weight decay {weight_decay}{guard}"))
    }

    fn charts(&self) -> Vec<Chart> {
        let chart = |label: &str, lines: Vec<Curved>| {
            let values = lines.iter().flat_map(|line| &line.points).map(|point| point.1);
            Chart { title: String::new(), x: Axis::linear("step"), y: panel::axis(label, values), lines }
        };
        let mean = Curved::new("mean of a window", Color::BLUE, self.means.points());
        let batches = Curved::new("one batch", Color::GRAY, self.batches.points());
        let mut charts = vec![chart("loss", vec![mean, batches])];
        if matches!(self.controls, Some(Controls::Lr | Controls::Both)) {
            charts.push(chart("learning rate", vec![Curved::new("lr", Color::MANY[2], self.lrs.points())]));
        }
        if matches!(self.controls, Some(Controls::WeightDecay | Controls::Both)) {
            charts.push(chart("weight decay", vec![Curved::new("λ", Color::MANY[3], self.weight_decays.points())]));
        }
        charts
    }

    fn heading(&self) -> String {
        self.columns(["step", "loss", "lr", "λ", "action"].map(str::to_owned)) + "reason"
    }

    /// Step, loss, learning rate, weight decay where it is controlled, and action.
    fn columns(&self, [step, loss, lr, weight_decay, action]: [String; 5]) -> String {
        let weight_decay = match self.controls {
            Some(Controls::WeightDecay | Controls::Both) => format!("{weight_decay:<9} "),
            _ => String::new(),
        };
        let width = if self.controls == Some(Controls::Both) { 20 } else { 7 };
        format!("{step:>8}  {loss:<9} {lr:<9} {weight_decay}{action:<width$} ")
    }

    fn in_words(&self, action: Action) -> String {
        match self.controls {
            Some(Controls::Both) => {
                let [lr, weight_decay] = [Controls::Lr, Controls::WeightDecay].map(|one| action_name(one, action));
                format!("lr {lr}, λ {weight_decay}")
            }
            controls => action_name(controls.unwrap_or(Controls::Lr), action),
        }
    }

    /// A decision on one line. What the guard decided is marked.
    fn row(&self, decision: &Decision, colored: bool) -> Line<'static> {
        let &Decision { step, loss, lr, weight_decay, action, reason } = decision;
        let action = action.map_or_else(String::new, |action| self.in_words(action));
        let text = self.columns([step.to_string(), number(loss), number(lr), number(weight_decay), action]);
        if reason.is_of_guard() {
            let text = format!("!{}guard: {}", text.strip_prefix(' ').unwrap_or(&text), reason.about());
            return Line::from(in_color(text, Some(Color::RED.on_dark()), colored).bold());
        }
        Line::from(vec![Span::raw(text), Span::raw(reason.about()).dim()])
    }
}

impl Scene for RunScene {
    fn draw(&self, frame: &mut Frame<'_>, said: &[String], colored: bool) {
        let (area, buffer): (Rect, &mut Buffer) = (frame.area(), frame.buffer_mut());
        let pace = Pace {
            done: self.done,
            before: self.before,
            total: self.total,
            elapsed_s: self.began.elapsed().as_secs_f64(),
        };
        let head = [
            panel::title(&self.title, &self.about, " q stops "),
            pace.bar("steps", area.width, colored),
            self.now(),
            Line::default(),
        ];
        let [top, body] = Layout::vertical([Constraint::Length(head.len() as u16), Constraint::Fill(1)]).areas(area);
        panel::lines(head, top, buffer);
        let said = &said[said.len().saturating_sub(N_SAID)..];
        let n_wanted = if self.has_actions { N_DECISIONS } else { self.decisions.len() };
        let (charts, lists) = panel::places(body, &[n_wanted, said.len()]);
        panel::charts(&self.charts(), charts, buffer, colored);
        let decisions = self.decisions.iter().map(|decision| self.row(decision, colored));
        panel::list(&self.heading(), decisions, lists[0], buffer);
        panel::list("messages", said.iter().map(|line| safe(line)), lists[1], buffer);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;

    fn drawn(scene: &RunScene, width: u16, height: u16) -> String {
        let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
        terminal.draw(|frame| scene.draw(frame, &["WARN \x1b]0;a".to_owned()], true)).unwrap();
        let cells = terminal.backend().buffer();
        let row = |y: u16| (0..width).map(|x| cells[(x, y)].symbol()).collect::<String>().trim_end().to_owned() + "\n";
        (0..height).map(row).collect()
    }

    fn scene(controls: Option<Controls>, has_actions: bool) -> RunScene {
        RunScene::new("digits".into(), "adam".into(), (controls, has_actions), (0, 400), (1e-5, 1e-4))
    }

    /// The lines of a trace, as a run would decide them: step, loss, learning rate, weight decay, action and reason.
    fn trace() -> Vec<TraceRecord<'static>> {
        let record = |step, loss, lr, weight_decay, action: Option<Action>, reason| TraceRecord {
            step,
            loss,
            lr,
            weight_decay,
            action,
            reason,
            features: &[],
            q_values: &[],
        };
        let grow = Action { lr: qgd::Move::Grow, ..Action::ACCEPT };
        vec![
            record(0, f64::NAN, 1.25e-5, 1e-4, Some(grow), Reason::Policy),
            record(1, 2.5, 1.5625e-5, 1e-4, Some(grow), Reason::Policy),
            record(20, 0.75, 1.5625e-5, 1e-4, Some(Action::ACCEPT), Reason::NoEvidence),
            record(40, f64::INFINITY, 7.8125e-6, 1e-4, Some(Action::HALVE_LR), Reason::LossExploded),
            record(60, 0.5, 7.8125e-6, 1e-4, Some(Action::ACCEPT), Reason::Policy),
        ]
    }

    #[test]
    fn the_view_shows_the_numbers_of_the_trace_and_every_reason_in_words() {
        let mut scene = scene(Some(Controls::Lr), true);
        trace().iter().for_each(|record| scene.decided(record));
        let text = drawn(&scene, 120, 30);
        let list = text.split_once("reason\n").unwrap().1;
        for record in trace() {
            let numbers = [record.loss, record.lr].map(number);
            let row =
                list.lines().find(|line| line.trim_start_matches(['!', ' ']).starts_with(&format!("{} ", record.step)));
            let row = row.unwrap_or_else(|| panic!("step {} is not in\n{text}", record.step));
            let words: Vec<&str> = row.split_whitespace().filter(|word| *word != "!").collect();
            assert_eq!(words[1..3], numbers, "{row}");
            assert!(row.ends_with(record.reason.about()), "{row}");
            assert_eq!(row.starts_with('!'), record.reason.is_of_guard(), "{row}");
        }
        let now = "loss 0.5   learning rate 7.81e-6   weight decay 0.0001   guard: 1 event, the last at step 40 (loss-exploded)";
        assert!(text.contains(now), "{text}");
        let first = |a: &str, b: &str| text.find(a).unwrap() < text.find(b).unwrap();
        assert!(
            first("      60  0.5 ", "      20  0.75 ") && text.contains("learning rate\n"),
            "the newest first: {text}"
        );
        assert!(text.contains("WARN \\u001b]0;a") && !text.contains('\x1b'), "{text}");
        assert_eq!(scene.means.points(), [(1.0, 2.5), (20.0, 0.75), (40.0, f64::INFINITY), (60.0, 0.5)]);
        assert_eq!(
            scene.lrs.points().iter().map(|point| point.1).collect::<Vec<_>>(),
            trace().iter().map(|r| r.lr).collect::<Vec<_>>()
        );
    }

    #[test]
    fn only_what_is_controlled_has_a_chart_and_a_schedule_lists_the_guard_alone() {
        let charts = |controls, has_actions| {
            let mut scene = scene(controls, has_actions);
            trace().iter().for_each(|record| scene.decided(record));
            let names = scene.charts().into_iter().map(|chart| chart.y.label).collect::<Vec<_>>();
            (names.join(", "), scene.decisions.len())
        };
        assert_eq!(charts(None, false), ("loss".to_owned(), 1));
        assert_eq!(charts(Some(Controls::Lr), false), ("loss, learning rate".to_owned(), 1));
        assert_eq!(charts(Some(Controls::Both), true), ("loss, learning rate, weight decay".to_owned(), 5));
        assert_eq!(charts(Some(Controls::WeightDecay), true).0, "loss, weight decay");
    }

    #[test]
    fn every_size_of_a_terminal_is_drawn() {
        let mut scene = scene(Some(Controls::Both), true);
        drawn(&scene, 80, 24);
        trace().iter().for_each(|record| scene.decided(record));
        let row = scene.row(&scene.decisions[3], false).to_string();
        assert!(row.contains("lr grow, λ accept    the action that"), "{row}");
        (1..50).for_each(|step| scene.batches.push(f64::from(step), 1.0 / f64::from(step)));
        for width in [0, 1, 2, 7, 19, 40, 80, 200] {
            for height in 0..40 {
                drawn(&scene, width, height);
            }
        }
        let small = drawn(&scene, 40, 10);
        assert!(small.contains("loss 0.5") && small.contains("      60  0.5 "), "{small}");
    }
}
