//! Known answers: of libxcrypt, and of openssl for apr1.

use super::{crypt64, is_slow, matches, yescrypt};

const PASSWORDS: [&str; 3] =
    ["password", "", "a longer password, longer than sixty four bytes for the SHA-2 loops to turn twice, ümläut"];

#[test]
fn every_hash_of_crypt_is_computed_as_crypt_does() {
    let table: [(&str, [&str; 3]); 12] = [
        ("DES", ["sa3tHJ3/KuYvI", "saFLGt/QKS6yw", "sayyHyTKFUPJk"]),
        ("MD5", ["$1$salt$qJH7.N4xYta3aEG/dfqo/0", "$1$salt$UsdFqFVB.FsuinRDK5eE..", "$1$salt$tDAus.QZ0ns2cMV6k4.dg1"]),
        (
            "SHA-256",
            [
                "$5$saltstring$OH4IDuTlsuTYPdED1gsuiRMyTAwNlRWyA6Xr3I4/dQ5",
                "$5$saltstring$FdNfA4gXqvCeO6iZs7G/.wwwoywYZqo0l1pwmfWaBA7",
                "$5$saltstring$iU3vyaX4LS4QCy7dfDbmOB0Vy03IwYb3T.CwHewMwRD",
            ],
        ),
        (
            "SHA-256, rounds",
            [
                "$5$rounds=10000$saltstringsaltst$DnR6.aMZDwOMqtynA.o2eobA3dYZepULoyGw/CZ4ID0",
                "$5$rounds=10000$saltstringsaltst$sDnWwZ0qdQHPqtZu31j2fTtF2j2HEn5hOEwtvixOSE0",
                "$5$rounds=10000$saltstringsaltst$TfOfX46Yz76vp7mGKEAuEuP/2xvCg.YaUst3MM6hoaD",
            ],
        ),
        (
            "SHA-512",
            [
                "$6$saltstring$adDbXsJjcDlq2662QPgd.tkSOVmnG9Tt3oXl4HR60SusC3AGjirnDenVZp3DGwLwqy6iYKCzannhaX9DR72nN1",
                "$6$saltstring$kyGrqt6gmjAdtFLPrflEFifSYLCWWq1pyx95SvqinLDy2UHmj0sTF0MSLMwxPFZc3tu5kQckI8fks0zOPda3n1",
                "$6$saltstring$ARR2QaLxtDMs9Moe0HbWrmcrw8ouDwAUNZ9Olc5mjI4xWY9jZozO39nabTHMqvuJOZGBOD.mBdMK8AKoj/LHC/",
            ],
        ),
        (
            "SHA-512, a long salt",
            [
                "$6$rounds=1400$anotherlongsalts$PAZqpKUKGek9w8oPgIGPxV0Y72OmDpdCthOX9H9O.5R1UbUeZcZS09hlVOfEnTt.66Pdgt7Jvf5Fcex6JIQox/",
                "$6$rounds=1400$anotherlongsalts$CvyNSQwf6bQerEu9N9SQOWtPnrIu1XZzaKZQpGKfoQ/SaumCMqHGCEvfGxtQ5xG2Au23d5sGapl8LQH64hLtn/",
                "$6$rounds=1400$anotherlongsalts$o/im6ek0b/hTHcoaPnb2dcpiUlJIdUwP4/6igrG.YyeLommIZuqAZaMeu9SjuSyVrYiJQ4KQQKA/bhWt./jRt/",
            ],
        ),
        (
            "bcrypt y",
            [
                "$2y$05$abcdefghijklmnopqrstuuWG29KuyeAicPCJODk1zjyGvyQUU2awu",
                "$2y$05$abcdefghijklmnopqrstuu0oImNDIy4flhldV9YqunRgBAePKmw7m",
                "$2y$05$abcdefghijklmnopqrstuuq0YelteurPk8iS01yHFKQzExusvzV7i",
            ],
        ),
        (
            "bcrypt b",
            [
                "$2b$04$CCCCCCCCCCCCCCCCCCCCC.FXJHjF.8tyWAsIeGLxC7hC/nyX4QxgC",
                "$2b$04$CCCCCCCCCCCCCCCCCCCCC.Cg0ly9t/KVBCBYYDfOmZKwry9JuXClC",
                "$2b$04$CCCCCCCCCCCCCCCCCCCCC.PCOjjtJEPlgPOmX1XMRrZUzRkskhaBG",
            ],
        ),
        (
            "bcrypt a",
            [
                "$2a$04$CCCCCCCCCCCCCCCCCCCCC.FXJHjF.8tyWAsIeGLxC7hC/nyX4QxgC",
                "$2a$04$CCCCCCCCCCCCCCCCCCCCC.Cg0ly9t/KVBCBYYDfOmZKwry9JuXClC",
                "$2a$04$CCCCCCCCCCCCCCCCCCCCC.PCOjjtJEPlgPOmX1XMRrZUzRkskhaBG",
            ],
        ),
        (
            "yescrypt, usual",
            [
                "$y$j9T$saltsaltsalt$WJhblAc/BKcuw1LHqgcyvlsjC8J4ha9Wl82.5/aQSy8",
                "$y$j9T$saltsaltsalt$fngpNhGkx4DMa5D10p0zPG3eL.oKthDF.wsC./kslu9",
                "$y$j9T$saltsaltsalt$udI86IXfsYh/282xgpfn7L51H.FPZP8aLzvG2anJM.B",
            ],
        ),
        (
            "yescrypt, small",
            [
                "$y$j7T$ab12$XY3/o.DX4vnKlwivA.cKeyeD1zri8QFR.AR5MNzcJI/",
                "$y$j7T$ab12$CoGjdgtqQ.WHmjegp4tk4/WHUZJt3x4Cv/1nQzIbPw9",
                "$y$j7T$ab12$Zt4TivG.vwn5ow.G9WmYT/ZSmFsZs5j2lTxhirFU1N7",
            ],
        ),
        (
            "apr1",
            [
                "$apr1$saltsalt$yAAkm4libquA.ZWLHbSBq/",
                "$apr1$saltsalt$a8ml/vK5HEjiZ5oypDWA7/",
                "$apr1$saltsalt$9rcVRBs3ial5GUFGJdjyy1",
            ],
        ),
    ];
    for (name, stored) in table {
        for (stored, password) in stored.iter().zip(PASSWORDS) {
            assert!(matches(stored.as_bytes(), password.as_bytes()), "{name}: {password:?}");
            assert!(!matches(stored.as_bytes(), b"Password"), "{name}: another password");
            for end in 0..stored.len() {
                assert!(!matches(&stored.as_bytes()[..end.min(8)], password.as_bytes()), "{name}: cut at {end}");
            }
        }
    }
}

#[test]
fn every_form_of_a_password_file_is_read() {
    for (name, stored) in [
        ("plain", "{PLAIN}password"),
        ("apr1", "$apr1$salt$Xxd1irWT9ycqoYxGFn4cb."),
        ("sha", "{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g="),
        ("ssha", "{SSHA}yI6cZwQadOA1e+/f+T+H3eCQQhRzYWx0"),
        ("des", "sa3tHJ3/KuYvI"),
    ] {
        assert!(matches(stored.as_bytes(), b"password"), "{name}");
        assert!(!matches(stored.as_bytes(), b"Password"), "{name}: another password");
        assert!(!matches(stored.as_bytes(), b""), "{name}: none");
    }
}

#[test]
fn a_broken_line_matches_nothing() {
    for stored in [
        "",
        "x",
        "$1$",
        "$apr1$",
        "$apr1$$",
        "{SHA}Zm9vCg==",
        "{SSHA}Zm9vCg==",
        "{SHA}____",
        "$2y$",
        "$2y$99$abcdefghijklmnopqrstuuWG29KuyeAicPCJODk1zjyGvyQUU2awu",
        "$2y$31$abcdefghijklmnopqrstuuWG29KuyeAicPCJODk1zjyGvyQUU2awu",
        "$5$rounds=999999999$salt$x",
        "$6$",
        "$6$rounds=$salt$x",
        "$y$",
        "$y$$$",
        "$y$jzT$abcdefgh$x",
        "$y$j9T$a$x",
        "!!!!!!!!!!!!!",
        "{CRYPT}x",
    ] {
        for given in ["", "1", "x", &"x".repeat(10_000)] {
            assert!(!matches(stored.as_bytes(), given.as_bytes()), "{stored} {given}");
        }
    }
}

#[test]
fn a_password_of_the_greatest_length_is_hashed_and_a_longer_one_is_not() {
    for (length, expected) in [(512, true), (513, false)] {
        let given = vec![b'a'; length];
        let stored = [&b"$1$salt$"[..], &super::md5::hash(&given, b"$1$", b"salt")].concat();
        assert_eq!(matches(&stored, &given), expected, "{length}");
    }
}

/// Only what is hashed once may be computed between two other requests.
#[test]
fn formats_that_hash_many_times_are_slow() {
    for stored in ["{PLAIN}a", "{SHA}a", "{SSHA}a"] {
        assert!(!is_slow(stored.as_bytes()), "{stored}");
    }
    for stored in ["$apr1$a$b", "$1$a$b", "$5$a$b", "$6$a$b", "$2y$05$a", "$y$j9T$a$b", "sa3tHJ3/KuYvI"] {
        assert!(is_slow(stored.as_bytes()), "{stored}");
    }
}

#[test]
fn a_salt_of_yescrypt_has_at_most_64_bytes() {
    for (length, expected) in [(64, true), (65, false)] {
        let rest = [b"j7T$", &crypt64::encode(&vec![7; length])[..], b"$x"].concat();
        assert_eq!(yescrypt::hash(b"password", &rest).is_some(), expected, "{length}");
    }
}
