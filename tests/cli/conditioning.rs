//! `--conditioning` and `train.conditioning`: what they do, where they are told, and what is refused.

use crate::sandbox::{Sandbox, shipped};

fn digits() -> String {
    shipped("examples/tasks/digits.toml")
}

/// Every command that trains, with this conditioning.
fn commands(digits: &str, conditioning: &str) -> [Vec<String>; 3] {
    let with =
        |args: &[&str]| [args, &["--conditioning", conditioning]].concat().into_iter().map(str::to_owned).collect();
    [with(&["train", digits]), with(&["compare", digits]), with(&["evaluate", "lr", "--quick"])]
}

#[test]
fn a_conditioned_run_says_so_everywhere_and_ends_lower() {
    let sandbox = Sandbox::new();
    let train = |conditioning: &str| {
        let args = ["train", "TASK", "--controller", "lr", "--conditioning", conditioning, "--json", "out.json"];
        let args = args.map(|arg| if arg == "TASK" { digits() } else { arg.to_owned() });
        let output = sandbox.qgd(&args.each_ref().map(String::as_str));
        assert_eq!(output.code, 0, "{}", output.stderr);
        (output.stdout, sandbox.json("out.json"))
    };
    let (plain, conditioned) = (train("none"), train("orthogonal:degree=0.5"));
    assert!(plain.0.contains(" parameters, adam, 400 steps, controller lr"), "{}", plain.0);
    assert!(conditioned.0.contains(" parameters, adam with orthogonal:degree=0.5, 400 steps,"), "{}", conditioned.0);
    assert_eq!(
        (&plain.1["conditioning"], &conditioned.1["conditioning"]),
        (&"none".into(), &"orthogonal:degree=0.5".into())
    );
    let loss = |json: &serde_json::Value| json["train_loss"].as_f64().unwrap();
    assert!(loss(&conditioned.1) < loss(&plain.1), "{} {}", loss(&conditioned.1), loss(&plain.1));
}

#[test]
fn a_flag_and_the_key_of_a_task_file_are_the_same_run() {
    let sandbox = Sandbox::new();
    let text = std::fs::read_to_string(digits()).unwrap();
    let data = shipped("examples/data/digits.csv.gz");
    let text =
        text.replace("../data/digits.csv.gz", &data).replace("[train]", "[train]\nconditioning = \"orthogonal\"");
    sandbox.write("turned.toml", text);
    let run = |args: &[&str], out: &str| {
        let output = sandbox.qgd(&[&["train"], args, &["--steps", "30", "--json", out]].concat());
        assert_eq!(output.code, 0, "{}", output.stderr);
        sandbox.json(out)["train_loss"].as_f64().unwrap().to_bits()
    };
    let by_flag = run(&[&digits(), "--conditioning", "orthogonal"], "a.json");
    assert_eq!(run(&["turned.toml"], "b.json"), by_flag);
    let without = run(&["turned.toml", "--conditioning", "none"], "c.json");
    assert_eq!(run(&[&digits()], "d.json"), without);
    assert_ne!(by_flag, without);
}

#[test]
fn a_run_with_another_conditioning_is_not_gone_on_with() {
    let (sandbox, digits) = (Sandbox::new(), digits());
    let train = |conditioning| ["train", &digits, "--steps", "20", "--resume", "run", "--conditioning", conditioning];
    assert_eq!(sandbox.qgd(&train("orthogonal")).code, 0);
    for other in ["none", "orthogonal:degree=0.5"] {
        let here = format!("there train.conditioning is \"orthogonal\", here it is \"{other}\"");
        sandbox.refuses(&train(other), &["belongs to another run", &here]);
    }
    assert_eq!(sandbox.qgd(&train("orthogonal")).code, 0);
}

#[test]
fn bad_values_are_refused_with_what_is_allowed() {
    let (sandbox, digits) = (Sandbox::new(), digits());
    for bad in ["", "half", "orthogonal:degree=1.5", "orthogonal:steps=0", "orthogonal:angle=3"] {
        for command in commands(&digits, bad) {
            let command: Vec<&str> = command.iter().map(String::as_str).collect();
            sandbox.refuses(&command, &["--conditioning", &format!("\"{bad}\""), "degree=0 to 1, steps=1 to 20"]);
        }
        let task = format!(
            "[data]\nformat = \"chars\"\npath = \"x\"\ncontext = 1\n[net]\nkind = \"mlp\"\n[train]\nsteps = 1\n\
             conditioning = \"{bad}\"\n"
        );
        sandbox.write("bad.toml", task);
        sandbox.refuses(&["train", "bad.toml"], &["bad.toml", "`train.conditioning` is", bad, "degree=0 to 1"]);
    }
    let muon = ["--optimizer", "muon", "--conditioning", "orthogonal"];
    for command in [["train"], ["compare"]] {
        let args = [&command[..], &[&digits], &muon].concat();
        sandbox.refuses(&args, &["--conditioning", "\"orthogonal\"", "\"none\" with the optimizer muon"]);
    }
    let free = ["train", &digits, "--optimizer", "schedulefree-sgd", "--conditioning", "orthogonal"];
    sandbox.refuses(&free, &["--conditioning", "\"none\" with the optimizer schedulefree-sgd"]);
    sandbox.write("suite.toml", format!("optimizers = [\"muon\"]\n[[task]]\nfile = \"{digits}\"\n"));
    let evaluate = ["evaluate", "lr", "--suite", "suite.toml", "--conditioning", "orthogonal"];
    sandbox.refuses(&evaluate, &["--conditioning", "\"none\" with the optimizer muon"]);
}

#[test]
fn comparisons_and_evaluations_say_their_conditioning_and_keep_their_runs_apart() {
    let sandbox = Sandbox::new();
    let data = shipped("examples/data/digits.csv.gz");
    let task = std::fs::read_to_string(digits()).unwrap();
    sandbox.write("tiny.toml", task.replace("../data/digits.csv.gz", &data).replace("steps = 400", "steps = 10"));
    let compare = ["compare", "tiny.toml", "--starts", "1e-3", "--methods", "lr,constant", "--seeds", "1"];
    let output = sandbox.qgd(&[&compare[..], &["--conditioning", "orthogonal", "--json", "c.json"]].concat());
    assert_eq!(output.code, 0, "{}", output.stderr);
    assert!(output.stdout.contains("Conditioning of all methods: orthogonal.\n"), "{}", output.stdout);
    assert_eq!(sandbox.json("c.json")["conditioning"], "orthogonal");
    sandbox.write(
        "suite.toml",
        "optimizers = [\"adam\"]\nseeds = 1\nrivals = [\"cosine\"]\n[[task]]\nfile = \"tiny.toml\"\n",
    );
    let evaluate = |flags: &[&str]| {
        let args =
            [&["evaluate", "lr", "--suite", "suite.toml", "--json", "e.json", "--markdown", "e.md"], flags].concat();
        let output = sandbox.qgd(&args);
        assert_eq!(output.code, 0, "{}", output.stderr);
        (output.stdout, sandbox.json("e.json"), sandbox.read("runs/evaluate/cells.jsonl").lines().count())
    };
    let (words, plain, n_runs) = evaluate(&[]);
    assert!(!words.contains("Conditioning") && plain["problems"][0]["runs"]["conditioning"] == "none", "{words}");
    let (words, turned, n_both) = evaluate(&["--conditioning", "orthogonal"]);
    assert!(words.contains("Conditioning on tiny: orthogonal.\n"), "{words}");
    assert!(sandbox.read("e.md").contains("\n\nConditioning on tiny: orthogonal.\n"));
    let runs = |report: &serde_json::Value| report["problems"][0]["runs"].clone();
    assert_eq!(runs(&turned)["conditioning"], "orthogonal");
    assert_ne!(runs(&turned)["methods"], runs(&plain)["methods"]);
    assert!(n_both > n_runs + n_runs / 2, "{n_runs} {n_both}");
    // Both cosines stand there, and the one without it is that of the evaluation before.
    assert!(words.contains("cosine, unconditioned") && !words.contains("qgd (cosine"), "{words}");
    assert_eq!(runs(&turned)["methods"][2]["name"], "cosine, unconditioned");
    assert_eq!(runs(&turned)["methods"][2]["starts"], runs(&plain)["methods"][1]["starts"]);
    assert_eq!(turned["rivals"].as_array().unwrap().len(), 2);
    let (_, again, n_in_the_end) = evaluate(&["--conditioning", "none"]);
    assert_eq!((runs(&again), n_in_the_end), (runs(&plain), n_both), "the first ones are still there");
}

#[test]
fn a_schedule_free_run_keeps_the_average_and_can_be_gone_on_with() {
    let (sandbox, digits) = (Sandbox::new(), digits());
    let train = ["train", &digits, "--optimizer", "schedulefree-adamw", "--lr", "1e-2", "--steps", "200"];
    let run = |more: &[&str]| {
        let output = sandbox.qgd(&[&train[..], &["--json", "out.json"], more].concat());
        assert_eq!(output.code, 0, "{}", output.stderr);
        let json = sandbox.json("out.json");
        ["train_loss", "test_loss"].map(|key| json[key].as_f64().unwrap().to_bits())
    };
    let whole = run(&[]);
    let resumed = ["--resume", "run", "--checkpoint-every", "70"];
    assert_eq!(run(&resumed), whole);
    // The checkpoint has the parameters in training, so that the end comes out the same again.
    assert_eq!(run(&resumed), whole);
    assert!(f64::from_bits(whole[0]) < 0.1, "{}", f64::from_bits(whole[0]));
}

#[test]
fn a_tuner_may_choose_it() {
    let sandbox = Sandbox::new();
    sandbox.write(
        "space.toml",
        "[params.conditioning]\ntype = 'categorical'\nchoices = ['none', 'orthogonal:degree=0.5']\n\
         [params.steps]\ntype = 'int'\nlow = 20\nhigh = 21\n",
    );
    let tune = ["tune", "space.toml", "--sampler", "grid", "--trials", "4", "--storage", "memory:", "--task"];
    let output = sandbox.qgd(&[&tune[..], &[&digits()]].concat());
    assert_eq!(output.code, 0, "{}", output.stderr);
    assert!(output.stdout.contains("conditioning"), "{}", output.stdout);
    sandbox.write("space.toml", "[params.conditioning]\ntype = 'categorical'\nchoices = ['none', 'half']\n");
    sandbox.refuses(&[&tune[..], &[&digits()]].concat(), &["params.conditioning", "half", "degree=0 to 1"]);
}
