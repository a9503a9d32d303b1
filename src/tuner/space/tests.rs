use super::*;

fn nested() -> Space {
    Space::new([
        Parameter::new("units_3", Distribution::int(8, 64)).when("layers", [3]).when("shape", ["wide", "free"]),
        Parameter::new("layers", Distribution::int(1, 3)),
        Parameter::new("shape", Distribution::categorical(["wide", "deep", "free"])).when("layers", [2, 3]),
    ])
    .unwrap()
}

#[test]
fn parents_come_first_and_decide_who_is_active() {
    let space = nested();
    assert_eq!(space.names(), "layers, shape, units_3");
    let with = |layers: f64, shape: f64| space.fill(|i, _| [layers, shape, 9.0][i]);
    assert_eq!(with(1.0, 0.0), [Some(1.0), None, None]);
    assert_eq!(with(2.0, 0.0), [Some(2.0), Some(0.0), None]);
    assert_eq!(with(3.0, 1.0), [Some(3.0), Some(1.0), None]);
    assert_eq!(with(3.0, 2.0), [Some(3.0), Some(2.0), Some(9.0)]);
    assert!(space.contains(&with(3.0, 2.0)) && !space.contains(&[Some(1.0), Some(0.0), None]));
    assert!(!space.contains(&[Some(3.0), Some(2.0), None]), "units_3 is active and has no value");
}

#[test]
fn a_space_that_is_wrong_names_the_key_and_what_is_allowed() {
    let refused = |parameters: Vec<Parameter>, needles: [&str; 3]| {
        let error = Space::new(parameters).unwrap_err().to_string();
        for needle in needles {
            assert!(error.contains(needle), "{error} does not say {needle}");
        }
    };
    let one = |distribution| vec![Parameter::new("lr", distribution)];
    refused(vec![], ["params", "empty", "at least one"]);
    refused(one(Distribution::float(1.0, 1.0)), ["params.lr.high", "1", "above low = 1"]);
    refused(one(Distribution::float(f64::NAN, 1.0)), ["params.lr.low", "NaN", "finite"]);
    refused(one(Distribution::log_float(0.0, 1.0)), ["params.lr.low", "0", "above 0"]);
    refused(one(Distribution::stepped_float(0.0, 1.0, 2.0)), ["params.lr.step", "2", "at most"]);
    refused(one(Distribution::int(5, 3)), ["params.lr.high", "3", "above low = 5"]);
    refused(one(Distribution::log_int(0, 3)), ["params.lr.low", "0", "at least 1"]);
    refused(one(Distribution::stepped_int(0, 3, 0)), ["params.lr.step", "0", "from 1 to"]);
    refused(one(Distribution::categorical::<i64>([])), ["params.lr.choices", "[]", "at least one"]);
    refused(one(Distribution::categorical([1, 2, 1])), ["params.lr.choices", "1", "once"]);
    refused([one(Distribution::int(0, 1)), one(Distribution::int(0, 1))].concat(), ["params.lr", "twice", "once"]);
    let child = |parent: &str, value: i64| {
        vec![
            Parameter::new("a", Distribution::int(1, 3)),
            Parameter::new("b", Distribution::int(0, 1)).when(parent, [value]),
        ]
    };
    refused(child("c", 1), ["params.b.when.c", "known are", "a, b"]);
    refused(child("a", 4), ["params.b.when.a", "4", "from 1 to 3"]);
    refused(child("b", 1), ["params.b.when", "circle", "b"]);
    refused(vec![Parameter::new("a b", Distribution::int(0, 1))], ["params", "a b", "letters"]);
}

#[test]
fn what_a_user_fixes_must_be_in_the_space() {
    let space = nested();
    let fixed = |name: &str, value: Value| space.partial(&BTreeMap::from([(name.to_owned(), value)]));
    assert_eq!(fixed("shape", "deep".into()), Ok(vec![None, Some(1.0), None]));
    assert_eq!(fixed("layers", Value::Float(2.0)), Ok(vec![Some(2.0), None, None]));
    assert!(fixed("layers", 7.into()).unwrap_err().to_string().contains("from 1 to 3"));
    assert!(fixed("depth", 7.into()).unwrap_err().to_string().contains("layers, shape, units_3"));
}

const FILE: &str = "directions = ['minimize', 'maximize']\n\
    [params.lr]\ntype = 'float'\nlow = 1e-5\nhigh = 1\nlog = true\n\
    [params.drop]\ntype = 'float'\nlow = 0\nhigh = 0.5\nstep = 0.1\nwhen = { layers = [2, 3], act = 'relu' }\n\
    [params.layers]\ntype = 'int'\nlow = 1\nhigh = 3\n\
    [params.act]\ntype = 'categorical'\nchoices = ['relu', 2, 0.5, true]\n";

#[test]
fn a_file_says_the_same_as_code() {
    use crate::tuner::Direction;
    let file = SpaceFile::parse(FILE).unwrap();
    let choices = vec!["relu".into(), 2.into(), 0.5.into(), true.into()];
    let drop = Parameter::new("drop", Distribution::stepped_float(0.0, 0.5, 0.1));
    let expected = Space::new([
        Parameter::new("act", Distribution::Categorical { choices }),
        drop.when("act", ["relu"]).when("layers", [2, 3]),
        Parameter::new("layers", Distribution::int(1, 3)),
        Parameter::new("lr", Distribution::log_float(1e-5, 1.0)),
    ]);
    assert_eq!(file.space, expected.unwrap());
    assert_eq!(file.directions, [Direction::Minimize, Direction::Maximize]);
    assert_eq!(SpaceFile::parse("[params.a]\ntype='int'\nlow=0\nhigh=1").unwrap().directions, [Direction::Minimize]);
}

#[test]
fn a_file_that_is_wrong_names_the_key_and_what_is_allowed() {
    let refused = |from: &str, to: &str, needles: &[&str]| {
        let changed = FILE.replace(from, to);
        assert_ne!(changed, FILE);
        let error = SpaceFile::parse(&changed).unwrap_err().to_string();
        assert!(!error.contains('\n'), "{error}");
        for needle in needles {
            assert!(error.contains(needle), "{error} does not say {needle}");
        }
    };
    refused("[params.lr]", "[params.lr", &["TOML", "line 2"]);
    refused("[params.drop]", "[params.lr]", &["TOML", "lr"]);
    refused("'maximize'", "'up'", &["`directions`", "up", "\"maximize\""]);
    refused("directions", "direction", &["`direction`", "\"minimize\""]);
    refused("directions", "direction = 'minimize'\ndirections", &["`directions`", "`direction`"]);
    refused("directions", "goals", &["`goals`", "direction, directions, params"]);
    refused("type = 'int'", "type = 'integer'", &["`params.layers.type`", "integer", "\"int\""]);
    refused("type = 'int'\n", "", &["`params.layers.type` is missing"]);
    refused("low = 1\n", "low = 1.5\n", &["`params.layers.low`", "1.5", "a whole number"]);
    refused("low = 1\n", "", &["`params.layers.low` is missing"]);
    refused("low = 1\n", "low = 3\n", &["`params.layers.high`", "3", "above low = 3"]);
    refused("low = 1e-5", "low = 0", &["`params.lr.low`", "0", "above 0"]);
    refused("log = true", "lgo = true", &["`params.lr.lgo`", "(did you mean `log`?)", "low, high, log, step, when"]);
    refused("log = true", "log = 1", &["`params.lr.log`", "true or false"]);
    refused("layers = [2, 3]", "layers = [4]", &["`params.drop.when.layers`", "4", "from 1 to 3"]);
    refused("layers = [2, 3]", "layer = [2]", &["`params.drop.when.layer`", "act, drop, layers, lr"]);
    refused("'relu', 2,", "1979-05-27, 2,", &["`params.act.choices`", "lists and tables"]);
    refused("high = 3\n", "high = 3\nwhen = { drop = 0.1 }\n", &["circle", "drop, layers"]);
    let error = SpaceFile::parse("params = 3").unwrap_err().to_string();
    assert!(error.contains("`params` is 3"), "{error}");
}

#[test]
fn choices_that_python_takes_for_the_same_are_refused() {
    for choices in ["[1, true]", "[0, false]", "[true, 1.0]", "[2, 2.0]"] {
        let text = format!("[params.k]\ntype = \"categorical\"\nchoices = {choices}\n");
        let error = SpaceFile::parse(&text).unwrap_err().to_string();
        assert!(error.contains("params.k.choices") || error.contains("choices"), "{error}");
    }
    assert!(SpaceFile::parse("[params.k]\ntype = \"categorical\"\nchoices = [2, true, \"1\"]\n").is_ok());
}
