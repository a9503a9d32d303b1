//! Tables as people have them.

use super::*;
use crate::data::{Code, InputPreparation, Scale};

/// A table whose file is `t.csv`.
pub(super) fn table(content: impl AsRef<[u8]>) -> Folder {
    Folder::with(&[("t.csv", content.as_ref())])
}

/// The whole table as the training split, standardized.
pub(super) fn scaled(rest: &str) -> String {
    csv(rest).replace("standardize = false", "standardize = true")
}

/// Rows of the training split, sorted.
pub(super) fn rows(found: &Dataset) -> Vec<Vec<f32>> {
    let Inputs::Float { shape, values } = &found.train.inputs else { panic!("floats") };
    let mut rows: Vec<Vec<f32>> = values.chunks_exact(shape[0]).map(<[f32]>::to_vec).collect();
    rows.sort_by(|a, b| a.partial_cmp(b).unwrap());
    rows
}

fn column(found: &Dataset, place: usize) -> Vec<f32> {
    rows(found).iter().map(|row| row[place]).collect()
}

// Scaling

#[test]
fn a_column_that_is_constant_in_training_keeps_its_unit_elsewhere() {
    let content: String = (0..20).map(|row| format!("{},{row}\n", i32::from(row == 3))).collect();
    let spec = "format = \"csv\"\npath = \"t.csv\"\nkind = \"regression\"\ntarget = 1\nsplit = [0.6, 0.2, 0.2]";
    for seed in 0..8 {
        let found = table(&content).load_seeded(spec, seed).unwrap();
        let all = [&found.train, &found.validation, &found.test].into_iter().flat_map(floats);
        assert!(all.copied().all(|value| value.abs() < 4.0), "seed {seed}");
    }
}

#[test]
fn an_offset_does_not_cost_a_digit_in_inputs_and_targets() {
    let content = |offset: f64| -> String {
        (0..200).map(|row| format!("{},{}\n", offset + f64::from(row), offset + f64::from(row * row))).collect()
    };
    let load = |offset| table(content(offset)).load(&scaled("kind = \"regression\"\ntarget = 1")).unwrap();
    let (plain, far) = (load(0.0), load(1.7e9));
    for (a, b) in floats(&plain.train).iter().zip(floats(&far.train)) {
        assert!((a - b).abs() < 1e-6, "{a} {b}");
    }
    for (a, b) in values(&plain.train).iter().zip(values(&far.train)) {
        assert!((a - b).abs() < 1e-6, "{a} {b}");
    }
}

#[test]
fn deviations_are_those_of_scikit_learn() {
    let of = |numbers: &[f64]| Scale::of(numbers.iter().copied()).deviation;
    // `scale_` of a StandardScaler.
    assert!((of(&[1e-9, 2e-9, 3e-9]) / 8.164_965_809_277_26e-10 - 1.0).abs() < 1e-9);
    assert!((of(&[1.0, 2.0, 4.0]) / 1.247_219_128_924_647 - 1.0).abs() < 1e-7);
    assert_eq!([of(&[0.1; 7]), of(&[0.0; 3]), of(&[5.0]), of(&[])].map(f64::to_bits), [1f64.to_bits(); 4]);
    // What rounding makes of equal numbers is no deviation.
    let rounded = 0.1 + 0.2;
    assert_eq!(of(&[0.3, rounded, 0.3]).to_bits(), 1f64.to_bits());
    let far: Vec<f64> = (0..50).map(|i| 1e16 + f64::from(2 * (i % 2))).collect();
    assert_eq!(of(&far).to_bits(), 1f64.to_bits());
}

// Columns

#[test]
fn names_become_columns_and_those_the_training_split_lacks_are_zero_everywhere() {
    let content: String =
        (0..40).map(|row| format!("{},{row},{}\n", ["red", "blue", "12"][row % 3], row % 2)).collect();
    let found = table(&content).load(&scaled("target = 2\ncategorical = [0]")).unwrap();
    let Inputs::Float { shape, values } = &found.train.inputs else { panic!("floats") };
    assert_eq!(shape, &[4]);
    assert!(values.chunks_exact(4).all(|row| (row[..3].iter().sum::<f32>() - 1.0).abs() < 1e-9));
    let InputPreparation::Columns { columns, .. } = &found.preparation.inputs else { panic!("columns") };
    let Code::Name { names, .. } = &columns[0].code else { panic!("names") };
    assert_eq!(names, &["12", "blue", "red"]);
    // A name in one row only is in one split only.
    let content = content.replace("red,0,", "rare,0,");
    let unseen = (0..20).any(|seed| {
        let spec = "format = \"csv\"\npath = \"t.csv\"\ntarget = 2\ncategorical = [0]\nsplit = [0.5, 0.25, 0.25]";
        let found = table(&content).load_seeded(spec, seed).unwrap();
        let Inputs::Float { shape, values } = &found.test.inputs else { panic!("floats") };
        let zero = |row: &[f32]| row[..shape[0] - 1].iter().all(|value| *value == 0.0);
        values.chunks_exact(shape[0]).any(zero)
    });
    assert!(unseen);
}

#[test]
fn cells_without_a_value_are_refused_filled_or_told_as_the_task_says() {
    let content = "1,a,0\nNA,b,1\n3,,0\n8,a,1\n";
    let load = |rest: &str| table(content).load(&csv(&format!("target = 2\ncategorical = [1]\n{rest}")));
    let error = load("").unwrap_err().to_string();
    assert!(error.contains("line 2, column 1: `NA` is no value") && error.contains("missing = \"mean\""), "{error}");
    // Column 0 has mean 4; of three names two are a.
    let (a, b) = (2f32 / 3.0, 1f32 / 3.0);
    let expected = [[1.0, 1.0, 0.0], [3.0, a, b], [4.0, 0.0, 1.0], [8.0, 1.0, 0.0]];
    assert_eq!(rows(&load("missing = \"mean\"").unwrap()), expected);
    let told = load("missing = \"indicator\"").unwrap();
    let expected = [[1., 0., 1., 0., 0.], [3., 0., 0., 0., 1.], [4., 1., 0., 1., 0.], [8., 0., 1., 0., 0.]];
    assert_eq!(rows(&told), expected);
    // Where a column lacks nothing, nothing is added.
    let full = table("1,a,0\n2,b,1\n").load(&csv("target = 2\ncategorical = [1]\nmissing = \"indicator\"")).unwrap();
    assert_eq!(rows(&full)[0].len(), 3);
    let empty = table("1,,0\n2,,1\n").refusal(&csv("target = 2\nmissing = \"mean\""));
    assert!(empty.contains("column 1 has no value") && empty.contains("ignore = [1]"), "{empty}");
}

#[test]
fn a_filled_cell_has_the_mean_of_the_training_split_and_is_zero_after_scaling() {
    let found = table("1,0\n?,1\n3,0\n").load(&scaled("target = 1\nmissing = \"mean\"")).unwrap();
    assert_eq!(column(&found, 0).iter().filter(|value| **value == 0.0).count(), 1);
    let InputPreparation::Columns { columns, .. } = &found.preparation.inputs else { panic!("columns") };
    assert!(matches!(columns[0].code, Code::Number { fill, .. } if (fill - 2.0).abs() < 1e-12));
}

#[test]
fn a_row_without_a_target_is_refused_with_its_line() {
    for (content, kind) in [("1,a\n2,\n3,b\n", ""), ("1,a\n2,?\n", ""), ("1,5\n2,NaN\n", "kind = \"regression\"")] {
        let error = table(content).refusal(&csv(&format!("{kind}\ntarget = 1\nmissing = \"mean\"")));
        assert!(error.contains("line 2, column 2") && error.contains("needs its target"), "{error}");
    }
}

#[test]
fn columns_can_be_chosen_and_left_out() {
    let content = "id,x,note,y\n1,5,fine,0\n2,6,,1\n";
    let load = |rest: &str| table(content).load(&csv(&format!("header = true\ntarget = \"y\"\n{rest}"))).unwrap();
    assert_eq!(rows(&load("ignore = [\"id\", \"note\"]")), [[5.0], [6.0]]);
    assert_eq!(rows(&load("features = [\"x\", 0]")), [[1.0, 5.0], [2.0, 6.0]]);
    assert_eq!(
        rows(&load("features = [\"x\", \"note\"]\ncategorical = [\"note\"]\nmissing = \"mean\"")),
        [[5.0, 1.0], [6.0, 1.0]]
    );
}

#[test]
fn numbers_may_have_a_decimal_comma() {
    let folder = table("1,5;-2,25;a\n3;4e1;b\n");
    let comma = "delimiter = \";\"\ntarget = 2";
    assert_eq!(rows(&folder.load(&csv(&format!("{comma}\ndecimal = \",\""))).unwrap()), [[1.5, -2.25], [3.0, 40.0]]);
    let error = folder.refusal(&csv(comma));
    assert!(error.contains("`1,5`") && error.contains("decimal = \",\""), "{error}");
    let error = table("1.5;a\n2;b\n").refusal(&csv("delimiter = \";\"\ntarget = 1\ndecimal = \",\""));
    assert!(error.contains("`1.5`") && error.contains("decimal = \".\""), "{error}");
    // A regression's target too.
    let spec = csv("delimiter = \";\"\ntarget = 1\nkind = \"regression\"\ndecimal = \",\"");
    assert_eq!(sorted(values(&table("1;2,5\n2;3,5\n").load(&spec).unwrap().train)), [2.5, 3.5]);
}

#[test]
fn rare_classes_can_count_more() {
    let folder = table("1,a\n2,a\n3,a\n4,b\n");
    let weights = |rest: &str| folder.load(&csv(&format!("target = 1\n{rest}"))).map(|found| found.class_weights);
    assert_eq!(weights("").unwrap(), None);
    assert_eq!(weights("class_weights = \"balanced\"").unwrap(), Some(vec![4.0 / 6.0, 2.0]));
    assert_eq!(weights("class_weights = { a = 1, b = 3 }").unwrap(), Some(vec![1.0, 3.0]));
    assert_eq!(weights("class_weights = { a = 1, b = 3 }\nclasses = 3").unwrap(), Some(vec![1.0, 3.0, 1.0]));
    for (wrong, class) in [("{ a = 1, b = 1, c = 3 }", "names class `c`"), ("{ b = 3 }", "no weight for class `a`")] {
        let error = weights(&format!("class_weights = {wrong}")).unwrap_err().to_string();
        assert!(error.contains(class) && error.contains("a, b"), "{error}");
    }
}

// What cannot be meant

#[test]
fn a_table_that_the_task_describes_wrongly_is_refused_with_what_to_say() {
    let cases: [(&str, &str, &[&str]); 19] = [
        ("1;2;a\n3;4;b\n", "target = 2", &["line 1", "delimiter = ';'", "3"]),
        ("1\t2\n3\t4\n", "target = 0", &["delimiter = '\\t'"]),
        ("1,2\n3,4\n", "target = 0\ndelimiter = \";\"", &["delimiter = ','"]),
        ("1 2\n3 4\n", "target = 0", &["delimiter = ' '"]),
        ("x,y,z\n1,2,a\n", "target = 2", &["line 1, column 1", "header = true"]),
        (
            "x,z\nred,a\nx,z\nblue,b\n",
            "target = \"z\"\nheader = true\ncategorical = [\"x\"]",
            &["line 3", "repeats the header"],
        ),
        ("x,z\n1,a\nx,z\n2,b\n", "target = 1\nheader = true", &["line 3", "repeats the header"]),
        ("1.5,2,a\n1,2,b\n", "target = 2\nheader = true", &["line 1", "header = false"]),
        ("2,2,a\n1,2,b\n", "target = 2\nheader = true", &["line 1", "header = false"]),
        ("1,2,a\n3,4,b\n5,6,a\n", "target = 2\nheader = true", &["line 1", "header = false"]),
        ("y,x,y\n1,2,3\n", "target = \"y\"\nheader = true", &["line 1", "two columns are called `y` (1 and 3)"]),
        ("1,a\n2,\"b\n3,a\n", "target = 1", &["line 2", "never closed"]),
        ("1,a\n2,\"say \"b\" now\"\n", "target = 1", &["line 2", "written twice"]),
        ("1,a\n2,a\n", "target = 1", &["one class, `a`"]),
        ("1,red\n2,blue\n", "target = 0", &["line 1, column 2", "`red`", "categorical = [1]"]),
        ("1,high\n2,low\n", "target = 1\nkind = \"regression\"", &["line 1", "kind = \"classification\""]),
        ("1,0.5\n2,0.7\n", "target = 1", &["column 2", "regression", "`0.5`"]),
        ("1;0,5\n2;7,5\n", "target = 1\ndelimiter = \";\"", &["regression", "`0,5`"]),
        ("1,2\n3,4\n5\n", "target = 0", &["line 3", "1 columns", "has 2"]),
    ];
    for (content, rest, says) in cases {
        let error = table(content).refusal(&csv(rest));
        assert!(error.contains("t.csv"), "{error}");
        for word in says {
            assert!(error.contains(word), "{content:?} {rest:?}: no {word:?} in: {error}");
        }
    }
}

#[test]
fn a_first_line_of_names_over_names_is_refused_until_the_task_says_what_it_is() {
    let content = "color,size,kind\nred,big,a\nblue,small,b\nred,small,a\n";
    let with =
        |content: &str, keys: &str| table(content).load(&csv(&format!("categorical = [0, 1]\ntarget = 2\n{keys}")));
    let error = with(content, "").unwrap_err().to_string();
    assert!(
        error.contains("line 1") && error.contains("`header = true`") && error.contains("`header = false`"),
        "{error}"
    );
    assert_eq!(with(content, "header = true").unwrap().n_outputs, 2);
    assert_eq!(with(content, "header = false").unwrap().n_outputs, 3);
    // Rows like any other: a class or an input stands elsewhere too, or is a number; and one row says nothing.
    for rows in [
        "green,big,a\nblue,small,b\nred,small,a\n",
        "red,huge,c\nblue,small,b\nred,small,b\n",
        "1,2,3\nblue,small,b\nred,small,b\n",
        "x,y,a\nz,w,b\n",
    ] {
        assert!(with(rows, "").is_ok(), "{rows}");
    }
    // Columns that are left out do not count.
    let ids = table("id,color,kind\n1,red,a\n2,blue,b\n3,red,a\n")
        .refusal(&csv("categorical = [1]\nignore = [0]\ntarget = 2"));
    assert!(ids.contains("line 1") && ids.contains("header = true"), "{ids}");
}

#[test]
fn labels_that_are_one_number_are_not_two_classes() {
    for (content, says) in [
        ("5,1\n6,2\n7,1.0\n", ["`1` (line 1)", "`1.0` (line 3)"]),
        ("5,2\n6,01\n7,1\n8,x\n", ["`01` (line 2)", "`1` (line 3)"]),
        ("5,0\n\n6,-0\n", ["`0` (line 1)", "`-0` (line 3)"]),
    ] {
        for kind in ["", "kind = \"classification\""] {
            let error = table(content).refusal(&csv(&format!("target = 1\n{kind}")));
            assert!(says.iter().all(|says| error.contains(says)) && error.contains("write them alike"), "{error}");
        }
    }
    let error = table("5;1,5\n6;1,50\n")
        .refusal(&csv("target = 1\ndelimiter = \";\"\ndecimal = \",\"\nkind = \"classification\""));
    assert!(error.contains("`1,50` (line 2)"), "{error}");
    // Longer than a number can tell apart: two labels.
    let long = table("5,9007199254740993\n6,9007199254740992\n7,9007199254740993\n");
    assert_eq!(long.load(&csv("target = 1")).unwrap().n_outputs, 2);
}

#[test]
fn the_note_of_excel_is_no_row() {
    let found = table("sep=;\n1;a\n2;b\n").load(&csv("delimiter = \";\"\ntarget = 1")).unwrap();
    assert_eq!((rows(&found), found.n_outputs), (vec![vec![1.0], vec![2.0]], 2));
    let error = table("sep=;\n1;a\n2\n").refusal(&csv("delimiter = \";\"\ntarget = 1"));
    assert!(error.contains("line 3"), "{error}");
    let error = table("sep=;\n1,5;a\n2,5;b\n").refusal(&csv("target = 1"));
    assert!(error.contains("delimiter = ';'") || error.contains("decimal"), "{error}");
}

#[test]
fn headers_that_number_the_columns_are_headers() {
    let found = table("0,1,2\n5,6,a\n7,8,b\n").load(&csv("header = true\ntarget = \"2\"")).unwrap();
    assert_eq!(rows(&found), [[5.0, 6.0], [7.0, 8.0]]);
    assert_eq!(table(",x,,y\n1,2,3,a\n4,5,6,b\n").load(&csv("header = true\ntarget = \"y\"")).unwrap().train.len(), 2);
}

#[test]
fn many_different_whole_numbers_look_like_regression_unless_the_task_says_otherwise() {
    let prices: String = (0..60).map(|row| format!("{row},{}\n", 1000 + row * 37)).collect();
    assert!(table(&prices).refusal(&csv("target = 1")).contains("regression"));
    assert_eq!(table(&prices).load(&csv("target = 1\nkind = \"classification\"")).unwrap().n_outputs, 60);
    let letters: String = (0..200).map(|row| format!("{row},{}\n", row % 26)).collect();
    assert_eq!(table(&letters).load(&csv("target = 1")).unwrap().n_outputs, 26);
}

#[test]
fn a_file_without_content_is_told_so() {
    let tsv = "format = \"tsv\"\npath = \"t.csv\"\nsplit = [1.0, 0.0, 0.0]";
    let chars = "format = \"chars\"\npath = \"t.csv\"\ncontext = 2\nsplit = [1.0, 0.0, 0.0]";
    for spec in [&csv("target = 0"), tsv, chars] {
        for content in [&b""[..], b"\xef\xbb\xbf", b"\xff\xfe"] {
            assert!(table(content).refusal(spec).contains("is empty"), "{spec}");
        }
    }
    assert!(table("\n\n").refusal(&csv("target = 0")).contains("no rows"));
    assert!(table("a,b\n").refusal(&csv("target = 0\nheader = true")).contains("no rows below its header"));
    assert!(table("\n").refusal(tsv).contains("no rows"));
    assert!(table("0\t12 -- 3\n1\t!\n").refusal(tsv).contains("no text has a word"));
    assert!(table("aaaaaa").refusal(chars).contains("one class, `a`"));
}

#[test]
fn splits_may_be_left_out() {
    let folder = table(numbers(10));
    let spec = csv("kind = \"regression\"\ntarget = 2");
    let sizes = |split: &str| {
        let found = folder.load(&spec.replace("[1.0, 0.0, 0.0]", split)).unwrap();
        [&found.train, &found.validation, &found.test].map(Split::len)
    };
    assert_eq!(sizes("[0.8, 0.0, 0.2]"), [8, 0, 2]);
    assert_eq!(sizes("[0.8, 0.2, 0.0]"), [8, 2, 0]);
    assert_eq!(sizes("[1.0, 0.0, 0.0]"), [10, 0, 0]);
}
