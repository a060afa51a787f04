// SPDX-License-Identifier: GPL-3.0-or-later
//! File names: THOR looks at them, so the extension that some client would save is asked for.

use super::message::{Case, Entity, Form};

/// A form for each header, under whose name a client would save `.exe`.
fn named(headers: &[&str]) -> Vec<Form> {
    let form = |&header: &&str| {
        let template = format!("{header}|{{H}}: {{n}}||{{body}}");
        let make = move |case: &Case| Entity { extension: Some(".exe"), ..case.fill(&template).into() };
        let form = Form::new(header, make);
        // The field may not count, and then the part has no name.
        if header.contains("(x):") { form.nameless() } else { form }
    };
    headers.iter().map(form).collect()
}

pub fn differing() -> Vec<Form> {
    named(&[
        "Content-Type: a/b; name=x.txt|Content-Disposition: attachment; filename=x.exe",
        "Content-Type: a/b; name=x.exe|Content-Disposition: attachment; filename=x.txt",
        "Content-Type: a/b; name=x.exe; name=x.txt",
        "Content-Type: a/b; name=x.txt; name=x.exe",
        "Content-Disposition: attachment; filename=x.exe; filename=x.txt",
        "Content-Disposition: attachment; filename=x.txt; filename=x.exe",
        "Content-Disposition: attachment; filename=x.exe|Content-Disposition: attachment; filename=x.txt",
        "Content-Disposition: attachment; filename=x.txt|Content-Disposition: attachment; filename=x.exe",
        "Content-Type: a/b; name=x.exe|Content-Type: a/b; name=x.txt",
        "Content-Type: a/b; name=x.txt|Content-Type: a/b; name=x.exe",
        "Content-Disposition: attachment; filename=x.txt; filename*=''x.exe",
        "Content-Disposition: attachment; filename=x.exe; filename*=''x.txt",
        "Content-Disposition: attachment; filename*=''x.exe; filename=x.txt",
        "Content-Disposition: attachment; filename=x.txt; filename*0=x; filename*1=.exe",
    ])
}

pub fn sections() -> Vec<Form> {
    let forms = named(&[
        "Content-Disposition: attachment; filename*0=x; filename*1=.exe",
        "Content-Disposition: attachment; filename*1=.exe; filename*0=x",
        "Content-Disposition: attachment; filename*0=x; filename*2=.exe",
        "Content-Disposition: attachment; filename*1=x; filename*2=.exe",
        "Content-Disposition: attachment; filename*0*=''x; filename*1=.exe",
        "Content-Disposition: attachment; filename*0*=utf-8''x; filename*1*=%2Eexe",
        "Content-Disposition: attachment; filename*0*=utf-8''x; filename*1=\".e\"; filename*2=xe",
        "Content-Disposition: attachment; filename*00=x; filename*01=.exe",
        "Content-Disposition: attachment; filename*0=x|Content-Disposition: attachment; filename*1=.exe",
        "Content-Type: a/b; name*0=x; name*1=.exe",
        "Content-Type: a/b; name*=us-ascii'en'x%2Eexe",
        "Content-Disposition: attachment; filename*=utf-8'en'x.exe",
        "Content-Disposition: attachment; filename*=''x.exe",
        "Content-Disposition: attachment; filename*=x.exe",
        "Content-Disposition: attachment; filename*=utf-16le''x%00.%00e%00x%00e%00",
        "Content-Disposition: attachment; filename*=utf-16be''%00x%00.%00e%00x%00e",
        "Content-Disposition: attachment; filename*=utf-16''%FF%FEx%00.%00e%00x%00e%00",
        "Content-Disposition: attachment; filename*=x-unknown''x.exe",
        "Content-Disposition: attachment; filename*=\"utf-8''x.exe\"",
        "Content-Disposition: attachment; filename*0=\"utf-8''x\"; filename*1=\".exe\"",
    ]);
    forms.into_iter().map(Form::agreed).collect()
}

pub fn encoded() -> Vec<Form> {
    let forms = named(&[
        "Content-Disposition: attachment; filename=\"=?utf-8?B?eC5leGU=?=\"",
        "Content-Disposition: attachment; filename==?utf-8?B?eC5leGU=?=",
        "Content-Disposition: attachment; filename=\"=?us-ascii?Q?x=2Eexe?=\"",
        "Content-Disposition: attachment; filename=\"=?us-ascii?Q?x?= =?us-ascii?Q?=2Eexe?=\"",
        "Content-Disposition: attachment; filename=\"=?us-ascii?Q?x?=| =?us-ascii?Q?=2Eexe?=\"",
        "Content-Disposition: attachment; filename=\"x=?us-ascii?Q?=2Eexe?=\"",
        "Content-Disposition: attachment; filename=\"=?us-ascii?Q?x?=.exe\"",
        "Content-Disposition: attachment; filename=\"=?utf-16le?B?eAAuAGUAeABlAA==?=\"",
        "Content-Disposition: attachment; filename=\"=?utf-16be?B?AHgALgBlAHgAZQ==?=\"",
        "Content-Type: a/b; name=\"=?iso-8859-1?q?x=2eexe?=\"",
        "Content-Type: a/b; name=\"=?utf-8*en?Q?x.exe?=\"",
    ]);
    forms.into_iter().map(Form::agreed).collect()
}

pub fn quoted() -> Vec<Form> {
    let forms = named(&[
        "Content-Disposition: attachment; filename=\"x\".exe",
        "Content-Disposition: attachment; filename=\"x;.exe\"",
        "Content-Disposition: attachment; filename=x;.exe",
        "Content-Disposition: attachment; filename=\"x\\\".exe\"",
        "Content-Disposition: attachment; filename=x\\\".exe",
        "Content-Disposition: attachment; filename=x.e()xe",
        "Content-Disposition: attachment; filename=x.exe()",
        "Content-Disposition: attachment; file()name=x.exe",
        "Content-Disposition: attachment; filename()=x.exe",
        "Content-Type: a/b; na()me=x.exe",
        "Content-Disposition: attachment; filename='x.exe'",
        "Content-Disposition: attachment; filename =x.exe",
        "Content-Disposition: attachment; filename= x.exe",
        "Content-Disposition: attachment; filename=| x.exe",
        "Content-Disposition: attachment; filename| =| \"x.exe\"",
        "Content-Disposition: attachment; filename=\"x.exe",
        "Content-Disposition: attachment; filename=a b.exe",
        "Content-Disposition: attachment filename=x.exe",
        "Content-Disposition: attachment, filename=x.exe",
        "Content-Disposition: filename=x.exe",
        "Content-Disposition: ; filename=x.exe",
        "Content-Disposition: attachment; x:y=1; filename=x.exe",
        "Content-Disposition: attachment; filename=\"x.exe \"",
        "Content-Disposition: attachment; filename=\"x.exe.\"",
        "Content-Disposition: attachment; filename=\"x.e\0xe\"",
        "Content-Disposition: attachment; filename=\"x.exe\0.txt\"",
        "Content-Disposition: attachment; filename=\"C:\\\\x.exe\"",
        "Content-Disposition: attachment; filename=\"../x.exe\"",
        "Content-Disposition(x): attachment; filename=x.exe",
        "Content-Disposition : attachment; filename=x.exe",
        "Content-Disposition:: attachment; filename=x.exe",
    ]);
    forms.into_iter().map(Form::agreed).collect()
}
