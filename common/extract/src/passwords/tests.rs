// SPDX-License-Identifier: GPL-3.0-or-later
//! Whole mails, and what is found in them.

use super::{
    candidate::{LONGEST, MOST},
    *,
};
use crate::{Bodies, Budget, extract};

const BUDGET: Budget = Budget { parts: 1000, depth: 50, readings: 500, decoded_bytes: 64 << 20 };

fn of_message(message: &str, configured: &[String]) -> Vec<Candidate> {
    let message = Bytes::copy_from_slice(message.as_bytes());
    let extraction = extract(&message, Bodies::Html, &BUDGET);
    passwords(&message, &extraction, configured)
}

fn of_text(text: &str) -> Vec<Candidate> {
    of_message(&format!("Subject: x\nContent-Type: text/plain; charset=utf-8\n\n{text}\n"), &[])
}

fn of_html(html: &str) -> Vec<Candidate> {
    of_message(&format!("Subject: x\nContent-Type: text/html; charset=utf-8\n\n{html}\n"), &[])
}

/// Where `password` stands among `found`, from 0, and as what.
fn rank(found: &[Candidate], password: &str) -> Option<(usize, Place)> {
    let at = found.iter().position(|candidate| candidate.as_str() == password)?;
    Some((at, found[at].place()))
}

#[track_caller]
fn assert_among_the_first(found: &[Candidate], password: &str, most: usize) {
    let texts: Vec<_> = found.iter().map(Candidate::as_str).collect();
    let rank = rank(found, password);
    assert!(rank.is_some_and(|(at, place)| at < most && place == Place::Password), "{rank:?} {texts:?}");
}

#[test]
fn behind_a_password_word_in_many_forms() {
    for (text, password) in [
        ("Password: Xy7kk", "Xy7kk"),
        ("Password is: Xy7kk.", "Xy7kk"),
        ("password Xy7kk", "Xy7kk"),
        ("PASSWORD\n\nXy7kk\n\nRegards", "Xy7kk"),
        ("The password for the attached file is banana.", "banana"),
        ("The document is protected. Password (case sensitive): Xy7!", "Xy7!"),
        ("[PDF Password]:62734", "62734"),
        ("The password {0808} opens it", "0808"),
        ("[Password of this file]:Xy=7kk!", "Xy=7kk!"),
        ("pw=Xy7kk", "Xy7kk"),
        ("Password - Xy7kk", "Xy7kk"),
        ("Password => Xy7kk", "Xy7kk"),
        ("Use Xy7kk as the password.", "Xy7kk"),
        ("Password: blue horse 77", "blue horse 77"),
        ("The password is \"blue horse 77\".", "blue horse 77"),
        ("Password: Pa$$w0rd!", "Pa$$w0rd!"),
        ("Password: #Start-2024", "#Start-2024"),
        ("Password is your date of birth (05.03.1987)", "05.03.1987"),
        ("Password: 05.03.1987", "05031987"),
        ("> Password: Xy7kk", "Xy7kk"),
        ("password|Xy7kk", "Xy7kk"),
    ] {
        assert_among_the_first(&of_text(text), password, 8);
    }
}

#[test]
fn in_many_languages() {
    for (text, password) in [
        ("Das Passwort lautet: Apfel77", "Apfel77"),
        ("Kennwort zum Öffnen: „Apfel“", "Apfel"),
        ("Le mot de passe est « Pomme77 ».", "Pomme77"),
        ("Mot de passe : Pomme77", "Pomme77"),
        ("La contraseña es Manzana77.", "Manzana77"),
        ("La password per aprire il file è Mela77", "Mela77"),
        ("A senha do arquivo é Maca77.", "Maca77"),
        ("Het wachtwoord is Appel77", "Appel77"),
        ("Hasło do pliku: Jablko77", "Jablko77"),
        ("Heslo k souboru je Jablko77", "Jablko77"),
        ("Пароль к архиву: Yabloko77", "Yabloko77"),
        ("Пароль — Яблоко", "Яблоко"),
        ("Пароль до архіву: Yabluko77", "Yabluko77"),
        ("Dosyanın şifresi: Elma77", "Elma77"),
        ("Şifre 4711'dir.", "4711"),
        ("添付ファイルのパスワードはRingo77です。", "Ringo77"),
        ("パスワード:「Ringo77」", "Ringo77"),
        ("解压密码：Pingguo77", "Pingguo77"),
        ("密碼是4711,請查收", "4711"),
        ("비밀번호는 Sagwa77입니다.", "Sagwa77"),
        ("Lösenord: Apple77", "Apple77"),
        ("A jelszó: Alma77", "Alma77"),
    ] {
        assert_among_the_first(&of_text(text), password, 6);
    }
}

#[test]
fn in_html() {
    for html in [
        "<table><tr><td>Password</td><td>Xy7kk</td></tr></table>",
        "<p>Password:</p><p>Xy7kk</p>",
        "<p>The password is <b>Xy7kk</b></p>",
        "Pass<span>word</span>:&nbsp;Xy7<wbr>kk",
        "<p>Password: <img src=x alt='Xy7kk'></p>",
    ] {
        assert_among_the_first(&of_html(html), "Xy7kk", 4);
    }
}

#[test]
fn in_a_subject_a_file_name_brackets_and_anywhere() {
    let message = "Subject: =?utf-8?Q?Rechnung_(Kennwort_Xy7kk)?=\n\
        Content-Type: application/zip; name=\"Akte_4711.zip\"\n\nPK\n";
    let found = of_message(message, &[]);
    assert_among_the_first(&found, "Xy7kk", 3);
    assert_eq!(rank(&found, "4711").map(|(_, place)| place), Some(Place::FileName));
    let found = of_text("See the file. <Xy7kk> Apfelbaum is nice.");
    assert_eq!(rank(&found, "Xy7kk").map(|(_, place)| place), Some(Place::Marked));
    assert_eq!(rank(&found, "Apfelbaum").map(|(_, place)| place), Some(Place::Word));
}

#[test]
fn a_long_text_leaves_the_password_among_the_candidates() {
    let words =
        "Please find enclosed our offer no. 4711 of 12.03.2024 for 250 pieces at 3,50 EUR. ".repeat(20);
    let signature =
        "--\nJane Roe | Sales | Phone +49 89 123456 | jane@example.org | https://example.org/a1b2";
    let found = of_text(&format!("{words}\nThe password is melon.\n{words}\n{signature}"));
    assert_among_the_first(&found, "melon", 4);
    assert!(found.len() <= MOST);
}

#[test]
fn what_one_is_told_to_enter_comes_before_other_words() {
    let words: String = (0..200)
        .map(|number| format!("{}{} ", "ab".repeat(2 + number / 20), "cd".repeat(number % 20)))
        .collect();
    for sentence in ["To open it, enter melon please.", "Zum Öffnen melon eingeben.", "打开时请输入 melon 。"]
    {
        let found = of_text(&format!("{words}\n{sentence}\n{words}"));
        assert!(
            rank(&found, "melon").is_some_and(|(at, place)| at < 8 && place == Place::Word),
            "{sentence}"
        );
    }
}

#[test]
fn configured_ones_are_always_among_them() {
    let configured = ["infected".to_owned(), String::new(), "x".repeat(LONGEST + 1)];
    let text = (0..1000).map(|number| format!("password: pw{number}x ")).collect::<String>();
    let found = of_message(&format!("Subject: x\n\n{text}"), &configured);
    assert_eq!(rank(&found, "infected").map(|(_, place)| place), Some(Place::Configured));
    assert_eq!(found.len(), MOST);
    let alone = passwords(&Bytes::new(), &Extraction::default(), &configured);
    assert_eq!(rank(&alone, "infected"), Some((0, Place::Configured)));
}

#[test]
fn debug_output_tells_no_password() {
    let found = of_text("Password: Xy7kk");
    assert!(!format!("{found:?}").contains("Xy7kk"));
    assert!(format!("{found:?}").contains("near a password word, 5 bytes"));
}

#[test]
fn hostile_texts_cost_little_and_give_no_more() {
    for unit in ["password: ", "(", "\"a\" ", "密码", "pw=", "'", "a.b.c.d ", "password:\n", "<b>", "&", "x"]
    {
        let text = unit.repeat((128 << 10) / unit.len());
        for found in [of_text(&text), of_html(&text)] {
            assert!(found.len() <= MOST, "{unit}");
            assert!(found.iter().all(|candidate| (1..=LONGEST).contains(&candidate.as_str().len())));
        }
    }
}
