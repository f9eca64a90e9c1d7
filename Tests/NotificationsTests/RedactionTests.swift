// SPDX-License-Identifier: Apache-2.0

import Notifications
import Testing

@Suite struct RedactionTests {
    private static let texts: [(String, String)] = [
        // Names and values in the forms of programs, files and headers.
        ("connect(user='u', password='hunter2')", "connect(user='u', password='***')"),
        ("password=hunter2 host=db", "password=*** host=db"), ("PWD = hunter2;", "PWD = ***;"),
        ("password: hunter2, retry", "password: ***, retry"), ("db_passwd=hunter2", "db_passwd=***"),
        ("MYSQL_ROOT_PASSWORD=hunter2", "MYSQL_ROOT_PASSWORD=***"), ("PGPASSWORD=hunter2 psql", "PGPASSWORD=*** psql"),
        (#"{"password": "hunter2", "a": 1}"#, #"{"password": "***", "a": 1}"#),
        (#"{"password":"hun\"ter2"}"#, #"{"password":"***"}"#), (#"{"pwd": 12345}"#, #"{"pwd": ***}"#),
        (#"body="{\"password\": \"hunter2\", \"a\": 1}""#, #"body="{\"password\": \"***\", \"a\": 1}""#),
        (#"cmd=\"mysql password=hunter2\" x"#, #"cmd=\"mysql password=***\" x"#),
        ("{'auth_token': 'hunter2'}", "{'auth_token': '***'}"), ("{'secret': b'hunter2'}", "{'secret': b'***'}"),
        ("kwargs['api_key'] = 'hunter2'", "kwargs['api_key'] = '***'"), ("api-key := hunter2", "api-key := ***"),
        (":secret => 'hunter2'", ":secret => '***'"), ("password='hunter2", "password='***"),
        ("X-Auth-Token: hunter2", "X-Auth-Token: ***"),
        ("X-Auth-Token:\thunter2\nHost: h", "X-Auth-Token:\t***\nHost: h"),
        ("Authorization: Bearer hunter2\r\n", "Authorization: *** ***\r\n"),
        ("{'Authorization': 'Bearer hunter2'}", "{'Authorization': '***'}"),
        ("Authorization: Token hunter2", "Authorization: *** ***"),
        ("AUTHORIZATION=Bearer hunter2", "AUTHORIZATION=*** ***"),
        ("[('X-Auth-Token', 'hunter2'), ('A', 'b')]", "[('X-Auth-Token', '***'), ('A', 'b')]"),
        ("[(b'Authorization', b'Bearer hunter2')]", "[(b'Authorization', b'***')]"),
        ("<password>hunter2</password>", "<password>***</password>"),
        ("tool --password hunter2 go", "tool --password *** go"),
        ("rootPassword: hunter2\nname: n", "rootPassword: ***\nname: n"),
        ("db.userToken: hunter2", "db.userToken: ***"),
        ("password: no-hunter2", "password: ***"), ("password='None'", "password='***'"),
        // Keys, complete or cut off, plain and within a string.
        (
            "x -----BEGIN RSA PRIVATE KEY-----\nhunter2\nhunter2==\n-----END RSA PRIVATE KEY-----\ny",
            "x -----BEGIN RSA PRIVATE KEY-----***-----END RSA PRIVATE KEY-----\ny"
        ), (#"'-----BEGIN PRIVATE KEY-----\nhunter2\nhun"#, "'-----BEGIN PRIVATE KEY-----***"),
        // SQL.
        ("CREATE USER 'u'@'%' IDENTIFIED BY 'hun ter2'", "CREATE USER 'u'@'%' IDENTIFIED BY '***'"),
        ("identified  by\n`hunter2`;", "identified  by\n`***`;"),
        ("IDENTIFIED BY 'hun''ter2' X", "IDENTIFIED BY '***' X"),
        ("IDENTIFIED WITH mysql_native_password BY 'hunter2'", "IDENTIFIED WITH mysql_native_password BY '***'"),
        ("IDENTIFIED WITH 'sha2' AS 'hunter2'", "IDENTIFIED WITH 'sha2' AS '***'"),
        ("SET PASSWORD FOR 'u'@'%' = 'hunter2'", "SET PASSWORD FOR 'u'@'%' = '***'"),
        ("SET PASSWORD = PASSWORD('hunter2')", "SET PASSWORD = ***('***')"),
        ("ALTER ROLE u WITH PASSWORD 'hunter2'", "ALTER ROLE u WITH PASSWORD '***'"),
        // URLs.
        ("rabbit://u:hunter2@h:5672/v", "rabbit://u:***@h:5672/v"),
        ("at http://u:hun/ter2@h, x", "at http://u:***@h, x"),
        ("rabbit://u:hunter2@a:1,u:hunter2@b:2/", "rabbit://u:***@b:2/"),
        // Several at once, and characters beyond ASCII around them.
        ("password=hunter2 token=hunter2", "password=*** token=***"),
        ("pä password=hunter2 \u{301}ü", "pä password=*** \u{301}ü"),
    ]

    @Test("Secrets in text are redacted, and a second redaction changes nothing", arguments: Self.texts)
    func secretsInText(text: String, expected: String) {
        let redacted = Redaction.standard.redact(text)
        #expect(Array(redacted.utf8) == Array(expected.utf8), "\(redacted)")
        #expect(Array(Redaction.standard.redact(redacted).utf8) == Array(expected.utf8), "the second time differs")
        #expect(Redaction.none.redact(text) == text)
    }

    @Test(
        "Text without secrets stays unchanged",
        arguments: [
            "no space left on device", "InvalidToken: no such user", "dbaas.user_change_password.end", "username=anna",
            "http://host:8080/v1/users", "2015-06-28 05:54:57.725572", "Token::parse failed", "the password is wrong",
            "password=", "password:", "secret=''", "pass: 3, fail: 2", "mail to a@b.example: failed", "e\u{301}: ü", "",
            "token://x", "password expired", "BadPassword: expired", "connect(user='u', password=None, token=null)",
            "Access denied for user 'root'@'localhost' (using password: YES)", #"{"password": null, "a": 1}"#,
            "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----", "-----BEGIN -----",
            "-----END PRIVATE KEY-----",
        ])
    func otherText(text: String) {
        #expect(Array(Redaction.standard.redact(text).utf8) == Array(text.utf8))
    }

    @Test("Fields with secret names become null at any depth")
    func secretFields() {
        let object: JSONObject = [
            "username": "anna", "admin_password": "x", "Auth-Token": "x", "adminPass": 7, "keypassword": "kept",
            "rootPassword": "x", "tokenType": "kept",
            "users": [["name": "ben", "password": "x", "credentials": ["a": "x"]], "password=x"],
            "passwords": ["x"], "service_catalog": [["url": "x"]], "token": nil, "tokens_used": 5,
        ]
        #expect(
            Redaction.standard.redact(object) == [
                "username": "anna", "admin_password": nil, "Auth-Token": nil, "adminPass": nil, "keypassword": "kept",
                "rootPassword": nil, "tokenType": "kept",
                "users": [["name": "ben", "password": nil, "credentials": nil], "password=***"],
                "passwords": nil, "service_catalog": nil, "token": nil, "tokens_used": 5,
            ])
        #expect(Redaction.none.redact(object) == object)
    }

    @Test("No declared field is redacted as a secret")
    func declaredFields() throws {
        for event in Catalogues.builtIn.catalogues.flatMap(\.allEvents) {
            let names = event.fields.flatMap { [$0.name, $0.alternateName].compactMap(\.self) }
            let object = JSONObject(
                (names + ["tenant_id", "user_id", "request_id"]).map { ($0, JSONValue.string("v")) })
            #expect(Redaction.standard.redact(object) == object, "\(event.eventType)")
        }
    }

    @Test("Operators can add field names and patterns")
    func addedRules() throws {
        let redaction = try Redaction(
            fields: ["licence"], patterns: ["unlock  WITH *", "key [*]", "пароль *!", "pin '*'"])
        #expect(redaction.redact(["x_licence": "s", "password": "s"]) == ["x_licence": nil, "password": nil])
        #expect(
            redaction.redact("Unlock\n with s3, licence=s password=s") == "Unlock\n with ***, licence=*** password=***")
        #expect(redaction.redact("key [s] key s") == "key [***] key s")
        #expect(
            redaction.redact("пароль s! пароль s") == "пароль s! пароль s", "the bare secret takes the mark as well")
        #expect(redaction.redact("пароль 's'!") == "пароль '***'!")
        #expect(redaction.redact("pin 's t' pin s") == "pin '***' pin s")
    }

    /// A text without any byte that hints at a secret is not searched, so each pattern must have a byte that is always
    /// in its matches.
    @Test(
        "A pattern of any bytes is found",
        arguments: [
            ("geheim*", "xGeheims3 y", "xGeheim*** y"), ("--x*", "a--xs3", "a--x***"), ("a *", "a\ts3", "a\t***"),
            ("pin'*'", "pin's3'", "pin'***'"), ("7*", "7s3", "7***"), ("ключ*", "ключs3", "ключ***"),
            ("x*<", "xs3<", "x***<"),
            ("(*", "(s3", "(***"),
        ])
    func patternBytes(pattern: String, text: String, expected: String) throws {
        #expect(try Redaction(fields: [], patterns: [pattern]).redact(text) == expected)
        #expect(try Redaction(fields: [], patterns: [pattern]).redact("7f-aa") == (pattern == "7*" ? "7***" : "7f-aa"))
    }

    @Test(
        "An invalid pattern is rejected, and the error names it and its problem",
        arguments: [
            ("nothing", "has no *; put one in the place of the secret"), ("a * b *", "has more than one *; use one"),
            ("*", "has no text before its *; add text that precedes the secret"),
            (" '*'", "has no text before its *; add text that precedes the secret"),
            ("* there", "has no text before its *; add text that precedes the secret"),
            ("", "has no *; put one in the place of the secret"),
            (String(repeating: "a", count: 257), "is longer than 256 bytes; shorten it"),
        ])
    func invalidPatterns(pattern: String, problem: String) {
        let error = #expect(throws: RedactionError.self) { try Redaction(fields: [], patterns: ["fine *", pattern]) }
        #expect(error?.text == pattern && error?.problem == problem && error?.part == .pattern)
        #expect(error?.description.contains(problem) == true)
    }

    @Test("An empty field name is rejected")
    func emptyField() {
        #expect(throws: RedactionError.self) { try Redaction(fields: [""], patterns: []) }
    }

    @Test("An error's text, trace and fields are redacted")
    func errorTextAndTrace() {
        let info = ExceptionInfo(etype: "E", value: "password=x", trace: ["line 1", "token='x'"])
        let redacted = Redaction.standard.redact(OperationOutcome.error(info, payload: ["pwd": "x", "a": "secret=x"]))
        #expect(
            redacted
                == .error(
                    ExceptionInfo(etype: "E", value: "password=***", trace: ["line 1", "token='***'"]),
                    payload: ["pwd": nil, "a": "secret=***"]))
    }

    /// Texts of a quarter of a MiB: a search that started again at each byte would not end in time.
    @Test(
        "Redaction of hostile text ends in time",
        .timeLimit(.minutes(2)),
        arguments: [
            "password", "password=", "password='", "password = ", "=", ": ", "\\", "\\\"", "'", "\\'=", "\"\"", " ",
            "identified with ", "identified by", "identified with 'a ", "://", "://:", "://u:p@", "a\\\\'", "x:\t",
            "unlock with ", "unlock  ", "unlock with '", "e\u{301}", "password='\u{301}",
            "aToken:", "a", "-", "-----BEGIN ", "-----BEGIN PRIVATE KEY-----", "-----BEGIN PRIVATE KEY-----\n-----END ",
        ])
    func hostileText(unit: String) throws {
        let redaction = try Redaction(fields: [], patterns: ["unlock with *", "unlock *!", "\\*", "' '*", " k *"])
        let text = String(repeating: unit, count: (1 << 18) / unit.utf8.count)
        let redacted = redaction.redact(text)
        #expect(redacted.utf8.count <= text.utf8.count * 4)
        let late = redaction.redact(text + "\u{0} password=\"hunter2\" \u{0}")
        #expect(!late.utf8.suffix(40).elementsEqual(Array((text + " password=\"hunter2\" \u{0}").utf8.suffix(40))))
        #expect(!late.contains("hunter2") || unit.isEmpty)
    }

    @Test("Every byte outside a secret stays unchanged, except a NUL")
    func otherBytes() {
        // A run of combining marks that is too long for a fast canonical ordering.
        let marks = String(repeating: "\u{301}\u{323}", count: 50_000)
        let text = "password=hunter2 e\(marks)\u{FFFD}\u{0}"
        // Except for a NUL, which is published as U+FFFD.
        #expect(Array(Redaction.standard.redact(text).utf8) == Array("password=*** e\(marks)\u{FFFD}\u{FFFD}".utf8))
        let secret = "password=\(marks)hunter2 e"
        #expect(Array(Redaction.standard.redact(secret).utf8) == Array("password=*** e".utf8))
    }
}
