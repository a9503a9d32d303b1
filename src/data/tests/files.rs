//! Files as people have them, and rows that come later.

use super::*;
use crate::data::{ClassWeights, TargetPreparation};
use tables::{rows, scaled, table};

fn utf16(text: &str) -> Vec<u8> {
    std::iter::once(0xfeff).chain(text.encode_utf16()).flat_map(u16::to_le_bytes).collect()
}

#[test]
fn marks_encodings_and_line_ends_make_no_difference_in_any_format() {
    let formats = [
        (csv("target = 0"), "ä,1\nb,2\nä,3\n"),
        (csv("target = \"y\"\nheader = true"), "y,x\na,1\nb,2\n"),
        (csv("target = 0\ndelimiter = \" \""), "a 1\nb 2\na 3\n"),
        (csv("target = 0\ndelimiter = \"\\t\""), "\"a\"\t1\nb\t2\n"),
        (
            "format = \"tsv\"\npath = \"t.csv\"\nlength = 4\nsplit = [1.0, 0.0, 0.0]".to_owned(),
            "1\tgut\n0\tnicht schön\n",
        ),
        ("format = \"chars\"\npath = \"t.csv\"\ncontext = 3\nsplit = [1.0, 0.0, 0.0]".to_owned(), "hello\nwörld\n"),
    ];
    for (spec, text) in formats {
        let plain = table(text).load(&spec).unwrap();
        let windows = text.replace('\n', "\r\n");
        let written = [
            [b"\xef\xbb\xbf", text.as_bytes()].concat(),
            text.replace('\n', "\r").into_bytes(),
            utf16(text),
            utf16(&windows),
            [b"\xef\xbb\xbf", windows.as_bytes()].concat(),
            gzip(&[b"\xef\xbb\xbf", windows.as_bytes()].concat()),
        ];
        for content in written {
            assert_eq!(table(&content).load(&spec).unwrap(), plain, "{content:?}");
        }
    }
}

#[test]
fn what_is_no_text_is_refused_with_what_it_is() {
    let spec = csv("target = 0");
    assert!(table(b"PK\x03\x04xl/worksheets").refusal(&spec).contains("spreadsheet"));
    assert!(
        table("1,2\n3,4\n".encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<_>>())
            .refusal(&spec)
            .contains("UTF-16")
    );
    assert!(table(b"1,2\n3,\xe94\n").refusal(&spec).contains("line 2 is not UTF-8"));
}

#[test]
fn gzip_may_have_several_members_and_padding_and_any_name() {
    let spec = csv("target = 1");
    let plain = table("1,a\n2,b\n").load(&spec).unwrap();
    let zeros = [0; 100_000];
    let members = [gzip(b"1,a\n"), gzip(b""), gzip(b"2,b\n")].concat();
    for content in
        [gzip(b"1,a\n2,b\n"), members.clone(), [&members[..], &zeros].concat(), [&members[..], &[0]].concat()]
    {
        assert_eq!(table(&content).load(&spec).unwrap(), plain);
        let named = Folder::with(&[("t.csv.gz", &content)]);
        assert_eq!(named.load(&spec.replace("t.csv", "t.csv.gz")).unwrap(), plain);
    }
    let whole = gzip(b"1,a\n2,b\n");
    for n in 2..whole.len() {
        assert!(table(&whole[..n]).load(&spec).is_err(), "{n}");
    }
    let error = |content: &[u8]| {
        let error = table(content).load(&spec).unwrap_err();
        std::error::Error::source(&error).unwrap().to_string()
    };
    assert!(error(&whole[..whole.len() - 9]).contains("truncated"));
    assert!(error(&[&whole[..], b"more"].concat()).contains("something else follows"));
    assert!(error(&[&whole[..], &zeros, b"more"].concat()).contains("something else follows"));
    let mut damaged = whole.clone();
    let place = damaged.len() - 6;
    damaged[place] ^= 1;
    assert!(error(&damaged).contains("damaged"));
}

#[test]
fn words_of_other_scripts_tell_texts_apart() {
    let content: String = (0..20).map(|row| format!("{}\t{}\n", row % 2, ["плохо", "хорошо"][row % 2])).collect();
    let spec = "format = \"tsv\"\npath = \"t.csv\"\nlength = 2\nsplit = [1.0, 0.0, 0.0]";
    let found = table(content).load(spec).unwrap();
    for (label, ids) in classes(&found.train).iter().zip(tokens(&found.train).chunks_exact(2)) {
        assert_eq!(ids, [2 + label, 0]);
    }
}

// Memory

#[test]
fn bytes_are_told_in_units_that_people_know() {
    let told = [0, 999, 1500, 2_000_000, 123_456_789, 3_400_000_000].map(in_words);
    assert_eq!(told, ["0 bytes", "999 bytes", "1.5 kB", "2.0 MB", "123 MB", "3.4 GB"]);
}

#[test]
fn data_beyond_the_memory_limit_are_refused_before_they_are_allocated() {
    let many: String = (0..20_000).map(|row| format!("{row},{}.1,{}\n", row * 7, row % 3)).collect();
    let names: String = (0..2_000).map(|row| format!("n{row},{}\n", row % 3)).collect();
    let texts: String = (0..100).map(|row| format!("{}\tgood film\n", row % 2)).collect();
    let tsv = "format = \"tsv\"\npath = \"t.csv\"\nlength = 100000";
    let chars = "format = \"chars\"\npath = \"t.csv\"\ncontext = 50000\nsplit = [1.0, 0.0, 0.0]";
    let cases = [
        // The file, the columns, the inputs; a column for each name; padding; targets.
        (&many, "format = \"csv\"\npath = \"t.csv\"\ntarget = 2".to_owned(), [0.1, 0.4, 0.6, 1.5]),
        (
            &names,
            "format = \"csv\"\npath = \"t.csv\"\ntarget = 1\ncategorical = [0]".to_owned(),
            [0.01, 0.1, 5.0, 40.0],
        ),
        (&texts, tsv.to_owned(), [0.001, 1.0, 100.0, 200.0]),
        (&many, chars.to_owned(), [0.1, 1.0, 4.0, 20.0]),
    ];
    for (content, spec, [refused @ .., enough]) in cases {
        let folder = table(content);
        for limit in refused {
            let error = folder.load(&format!("{spec}\nmax_memory_gb = {}", limit / 1e3)).unwrap_err();
            assert!(matches!(error, DataError::TooLarge { .. }), "{spec} {limit}: {error}");
        }
        let found = folder.load(&format!("{spec}\nmax_memory_gb = {}", enough / 1e3));
        assert!(found.is_ok(), "{spec}: {found:?}");
    }
    // A gzip file of a few kilobytes that unpacks to 50 MB.
    let bomb = gzip(&vec![b'1'; 50_000_000]);
    let error = table(&bomb).load(&format!("{}\nmax_memory_gb = 0.01", csv("target = 0"))).unwrap_err();
    assert!(matches!(error, DataError::TooLarge { allowed_bytes: 10_000_000, .. }), "{error}");
}

// Preparation

#[test]
fn rows_of_another_file_are_prepared_as_the_training_data_were() {
    let content: String = (0..30)
        .map(|row| {
            format!(
                "{},{},{},{}\n",
                row,
                ["a", "b"][row % 2],
                if row % 5 == 0 { String::new() } else { (row * row).to_string() },
                row % 3
            )
        })
        .collect();
    let with_header = format!("id,kind,x,y\n{content}");
    let spec =
        scaled("header = true\ntarget = \"y\"\nignore = [\"id\"]\ncategorical = [\"kind\"]\nmissing = \"indicator\"");
    let folder = table(&with_header);
    let task =
        TaskSpec::parse(&format!("[data]\n{spec}\n{NET_AND_TRAIN}"), &folder.0.path().join("task.toml")).unwrap();
    let found = load(&task.data, task.directory(), None, 0).unwrap();
    let json = serde_json::to_string(&found.preparation).unwrap();
    let preparation: Preparation = serde_json::from_str(&json).unwrap();
    assert_eq!(preparation, found.preparation);
    let read = |content: &str| {
        let other = Folder::with(&[("rows.csv", content.as_bytes())]);
        preparation.rows(&task.data, &other.0.path().join("rows.csv"))
    };
    // The same file, without its target, and with its columns in another order.
    let all = read(&with_header).unwrap();
    let Inputs::Float { shape, values } = &all.inputs else { panic!("floats") };
    let mut again: Vec<Vec<f32>> = values.chunks_exact(shape[0]).map(<[f32]>::to_vec).collect();
    again.sort_by(|a, b| a.partial_cmp(b).unwrap());
    assert_eq!(again, rows(&found));
    let cells = |line: &str, order: &[usize]| {
        let cells: Vec<&str> = line.split(',').collect();
        order.iter().map(|place| cells[*place]).collect::<Vec<_>>().join(",") + "\n"
    };
    let reordered = |order: &[usize]| with_header.lines().map(|line| cells(line, order)).collect::<String>();
    assert_eq!((all.places[0], all.places.len()), (2, 30));
    let labels: Vec<i64> = (0..30).map(|row| row % 3).collect();
    assert_eq!(all.targets, Some(RowTargets::Classes(labels)));
    assert_eq!(read(&reordered(&[3, 2, 0, 1])).unwrap(), all);
    for order in [&[0, 1, 2][..], &[2, 1]] {
        let found = read(&reordered(order)).unwrap();
        assert_eq!((found.inputs, found.targets), (all.inputs.clone(), None));
    }
    let error = read("kind,x,y\na,1,7\n").unwrap_err().to_string();
    assert!(error.contains("line 2: class `7`") && error.contains("0, 1, 2"), "{error}");
    assert_eq!(read("kind,x,y\na,1,\nb,2,\n").unwrap().targets, None);
    let error = read(&reordered(&[0, 2])).unwrap_err().to_string();
    assert!(error.contains("no column `kind`"), "{error}");
    // A name that was never seen is none of those that were.
    let Inputs::Float { values, .. } = read("kind,x\nnew,4\n").unwrap().inputs else { panic!("floats") };
    assert_eq!(values[..2], [0.0, 0.0]);
}

#[test]
fn rows_without_a_header_go_by_their_places_with_or_without_the_target() {
    let folder = table("9,1,5\n8,2,6\n9,4,7\n");
    let task = format!("[data]\n{}\n{NET_AND_TRAIN}", scaled("target = 0"));
    let task = TaskSpec::parse(&task, &folder.0.path().join("task.toml")).unwrap();
    let found = load(&task.data, task.directory(), None, 0).unwrap();
    assert_eq!(found.preparation.targets, TargetPreparation::Classes(vec!["8".to_owned(), "9".to_owned()]));
    let other = Folder::with(&[("with", b"9,1,5\n"), ("without", b"1,5\n"), ("single", b"1\n")]);
    let read = |name| found.preparation.rows(&task.data, &other.0.path().join(name));
    assert_eq!(read("with").unwrap().inputs, read("without").unwrap().inputs);
    assert_eq!(read("with").unwrap().targets, Some(RowTargets::Classes(vec![1])));
    let error = read("single").unwrap_err().to_string();
    assert!(error.contains("rows of 1 columns") && error.contains("3 columns (2 without the target)"), "{error}");
}

#[test]
fn targets_come_back_from_their_scale() {
    let found = table(numbers(20)).load(&scaled("kind = \"regression\"\ntarget = 2")).unwrap();
    let TargetPreparation::Values(scale) = found.preparation.targets else { panic!("values") };
    let back = sorted(&values(&found.train).iter().map(|value| scale.undo(*value)).collect::<Vec<_>>());
    assert!(back.iter().zip(0..).all(|(value, row)| (value - f64::from(row * row)).abs() < 1e-4), "{back:?}");
}

#[test]
fn texts_and_pictures_of_another_file_are_prepared_too() {
    let folder = Folder::with(&[("t.csv", b"0\tbad film\n1\tgood film zebra\n"), ("rows", b"zebra new film\n\nbad\n")]);
    let prepared = |data: &str, rows: &str| {
        let task =
            TaskSpec::parse(&format!("[data]\n{data}\n{NET_AND_TRAIN}"), &folder.0.path().join("t.toml")).unwrap();
        let found = load(&task.data, task.directory(), None, 0).unwrap();
        found.preparation.rows(&task.data, &folder.0.path().join(rows))
    };
    let tsv = "format = \"tsv\"\npath = \"t.csv\"\nlength = 3\nsplit = [1.0, 0.0, 0.0]";
    // film 2, bad 3, good 4, zebra 5
    let found = prepared(tsv, "rows").unwrap();
    assert_eq!(
        (found.inputs, found.targets, found.places),
        (Inputs::Tokens { length: 3, ids: vec![5, 1, 2, 3, 0, 0] }, None, vec![1, 3])
    );
    let labels = prepared(tsv, "t.csv").unwrap().targets;
    assert_eq!(labels, Some(RowTargets::Classes(vec![0, 1])));
    // A word behind the cut has no number.
    let cut = tsv.replace("length = 3", "length = 2");
    assert_eq!(prepared(&cut, "rows").unwrap().inputs, Inputs::Tokens { length: 2, ids: vec![1, 1, 3, 0] });
    let chars = "format = \"chars\"\npath = \"t.csv\"\ncontext = 3\nsplit = [1.0, 0.0, 0.0]";
    assert!(prepared(chars, "rows").unwrap_err().to_string().contains("has no rows"));
    let folder = idx_folder(&idx(&[2, 1, 2], &[0, 51, 255, 102]), &idx(&[2], &[1, 0]));
    let task = TaskSpec::parse(&format!("[data]\n{IDX}\n{NET_AND_TRAIN}"), &folder.0.path().join("t.toml")).unwrap();
    let found = load(&task.data, task.directory(), None, 0).unwrap();
    let again = found.preparation.rows(&task.data, &folder.0.path().join("x.gz")).unwrap();
    assert_eq!(again.places, [0, 1]);
    let Inputs::Float { shape, values } = &again.inputs else { panic!("floats") };
    assert_eq!((shape, sorted(values)), (&vec![1, 1, 2], sorted(floats(&found.train))));
}

#[test]
fn class_weights_are_read_from_task_files() {
    let folder = table("1,a\n2,b\n");
    let task = |text: &str| {
        let text = format!("[data]\n{}\n{text}\n{NET_AND_TRAIN}", csv("target = 1"));
        TaskSpec::parse(&text, &folder.0.path().join("t.toml")).map(|task| task.data.class_weights)
    };
    assert_eq!(task("class_weights = \"balanced\"").unwrap(), Some(ClassWeights::Balanced));
    for wrong in ["\"even\"", "{ a = 0 }", "{ a = -1.0 }", "{ a = nan }", "{ a = \"2\" }", "[1, 2]"] {
        let error = task(&format!("class_weights = {wrong}")).unwrap_err().to_string();
        assert!(error.contains("data.class_weights"), "{error}");
    }
}
