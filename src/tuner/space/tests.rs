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
