use super::*;

const SMALLEST: &str = r#"
    schema = 1
    name = "lr"
    description = "test"
    controls = "lr"
    moves = ["halve", "accept", "grow"]
    features = "scalefree"
"#;

/// As version 0.1 wrote it.
const OLD: &str = r#"
    name = "old"
    description = "test"
    controls = "both"
    moves = ["halve", "accept", "grow"]
    features = "scalefree-validation"

    [decisions]
    probe-steps = 60
    per-doubling = 4
    cooldown = 0.5
    first-update = 0.03
    halve-evidence = 0.5
    weight-decay-power = 3

    [rehearsal]
    per-doubling = 9
    first-update = 0.1

    [rehearsal-guard]
    explosion = 3.0

    [bounds]
    weight-decay = [1e-4, 3.0]

    [guard]
    drift = 1.3
    peak-decay = 0.95
    recovery-steps = 8

    [network]
    from = []

    [agent]
    gamma-unknown = 0.9

    [exploration.epsilon-greedy]
    sticky-decisions = 2.0

    [meta]
    rounds = 7

    [meta.tasks]
    known-budget = 0.25
"#;

#[test]
fn the_smallest_recipe_uses_the_defaults_and_its_text_reads_back_the_same() {
    let recipe = Recipe::parse(SMALLEST, "test").unwrap();
    assert_eq!((recipe.pace, &recipe.guard), (Pace::default(), &GuardConfig::default()));
    assert_eq!(Recipe::parse(&recipe.to_toml(), "test").unwrap(), recipe);
}

#[test]
fn a_recipe_of_version_0_1_is_the_same_recipe_in_the_grammar_of_today() {
    let today = r#"
        schema = 1
        name = "old"
        description = "test"
        controls = "both"
        moves = ["halve", "accept", "grow"]
        features = "scalefree-validation"
        halve_evidence = 0.5
        pace = { probe_steps = 60, per_doubling = 4, cooldown = 0.5, weight_decay_power = 3 }
        bounds.weight_decay = [1e-4, 3.0]
        guard = { drift = 1.3, first_update = 0.03 }
        network = {}
        [training]
        rounds = 7
        tasks.known_budget = 0.25
        agent.gamma_unknown = 0.9
        exploration.epsilon_greedy.sticky_decisions = 2.0
        rehearsal.pace.per_doubling = 9
        rehearsal.guard = { explosion = 3.0, first_update = 0.1 }
    "#;
    assert_eq!(Recipe::parse(OLD, "test").unwrap(), Recipe::parse(today, "test").unwrap());
    let without_schema = today.replace("schema = 1", "");
    assert_eq!(Recipe::parse(&without_schema, "test").unwrap(), Recipe::parse(today, "test").unwrap());
}

#[test]
fn a_key_that_is_gone_is_refused_where_it_says_something_else_than_what_holds_now() {
    for (old, new) in [("peak-decay = 0.95", "peak-decay = 0.5"), ("recovery-steps = 8", "recovery-steps = 9")] {
        let message = Recipe::parse(&OLD.replace(old, new), "test").unwrap_err().to_string();
        assert!(message.contains("guard.") && message.contains("is no key any more"), "{message}");
    }
}

#[test]
fn a_recipe_that_is_made_of_other_controllers_says_how_to_merge_them_today() {
    let message = Recipe::parse(&OLD.replace("from = []", "from = ['a', 'b']"), "whole.toml").unwrap_err().to_string();
    assert!(message.contains("qgd merge 'a' 'b' --recipe whole.toml -o FILE"), "{message}");
}

#[test]
fn settings_of_both_grammars_and_keys_that_stand_twice_are_refused_and_none_is_lost() {
    for (more, needle) in [
        ("[pace]\nper_doubling = 9", "decisions, as version 0.1"),
        ("[training]\nrounds = 3", "beside training"),
        ("[meta.agent]\nn_step = 3", "meta.agent twice"),
    ] {
        let message = Recipe::parse(&format!("{OLD}\n{more}"), "test").unwrap_err().to_string();
        assert!(message.contains(needle), "{message}");
    }
    for (old, new, needle) in [
        ("probe-steps = 60", "probe-steps = 60\nprobe_steps = 61", "probe_steps twice"),
        ("drift = 1.3", "drift = 1.3\nfirst_update = 0.5", "beside guard.first_update"),
        ("name = \"old\"", "name = \"old\"\nhalve_evidence = 700", "beside halve_evidence"),
        ("from = []", "from = 'lr'", "from"),
        ("from = []", "from = [1]", "from"),
    ] {
        let message = Recipe::parse(&OLD.replace(old, new), "test").unwrap_err().to_string();
        assert!(message.contains(needle), "{message}");
    }
}

#[test]
fn a_newer_schema_is_named_before_the_keys_that_it_has() {
    let text = format!("{}\nfuture = 1", SMALLEST.replace("schema = 1", "schema = 2"));
    let message = Recipe::parse(&text, "test").unwrap_err().to_string();
    assert!(message.contains("schema is 2") && message.contains("newer version"), "{message}");
}

#[test]
fn a_value_where_a_table_belongs_is_an_error_in_both_grammars() {
    for key in ["decisions", "meta", "guard", "rehearsal", "agent", "training", "network"] {
        let text = OLD.replace("name = \"old\"", &format!("name = \"old\"\n{key} = 3"));
        let kept: String =
            text.split("\n\n").filter(|part| !part.contains(&format!("[{key}"))).collect::<Vec<_>>().join("\n\n");
        assert!(Recipe::parse(&kept, "test").is_err(), "{key}");
    }
}

#[test]
fn evidence_for_halving_is_a_number_that_the_features_can_give() {
    let parsed = |features: &str, evidence: &str| {
        Recipe::parse(&format!("{}halve_evidence = {evidence}", SMALLEST.replace("scalefree", features)), "test")
    };
    assert_eq!(parsed("scalefree", "0.5").unwrap().halve_evidence, Some(0.5));
    for (features, evidence) in [("scalefree", "-1"), ("scalefree", "nan"), ("hansen6", "0.5")] {
        let message = parsed(features, evidence).unwrap_err().to_string();
        assert!(message.contains("halve_evidence"), "{message}");
    }
}

#[test]
fn what_a_recipe_does_not_use_is_not_in_its_text_so_that_its_hash_stays() {
    let text = Recipe::parse(SMALLEST, "test").unwrap().to_toml();
    let unused = ["line_search", "evidence", "fixed", "drift", "first_update", "training"];
    assert!(unused.iter().all(|key| !text.contains(key)), "{text}");
}

#[test]
fn an_unknown_key_is_refused_and_named_with_its_line() {
    let error = Recipe::parse(&format!("{SMALLEST}\nlearning_rate = 1"), "test").unwrap_err().to_string();
    assert!(error.contains("learning_rate") && error.contains("line 9"), "{error}");
    let error = Recipe::parse(&OLD.replace("probe-steps", "probes"), "test").unwrap_err().to_string();
    assert!(error.contains("probes"), "{error}");
}

#[test]
fn a_value_outside_its_range_is_refused_with_key_value_and_range() {
    for (text, key) in [
        ("[guard]\nexplosion = 0.5", "guard.explosion"),
        ("[guard]\nfirst_update = 0.0", "guard.first_update"),
        ("[bounds]\nlr = [1.0, 0.1]", "bounds.lr"),
        ("[network]\nhidden = [4096]", "network.hidden"),
        ("[pace]\nper_doubling = 0", "pace.per_doubling"),
        ("[pace]\nfixed = 0", "pace.fixed"),
        ("[pace]\ncooldown = 1.5", "pace.cooldown"),
        ("[pace]\nweight_decay_power = 9", "pace.weight_decay_power"),
        ("[line_search]\nmemory = 0", "line_search.memory"),
    ] {
        let error = Recipe::parse(&format!("{SMALLEST}\n{text}"), "test").unwrap_err().to_string();
        assert!(error.contains(key) && error.contains("must be"), "{error}");
    }
    let newer = Recipe::parse(&SMALLEST.replace("schema = 1", "schema = 2"), "test").unwrap_err().to_string();
    assert!(newer.contains("schema is 2"), "{newer}");
}

#[test]
fn the_hash_changes_with_any_field() {
    let recipe = Recipe::parse(SMALLEST, "test").unwrap();
    let mut other = recipe.clone();
    other.training.insert("rounds".to_owned(), 3.into());
    assert_ne!(recipe.hash(), other.hash());
}
