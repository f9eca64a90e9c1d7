// SPDX-License-Identifier: Apache-2.0

extension Redaction {
    /// Names whose values are secrets. Longer names that end in one of them as a separate word match too
    /// (`db_password`, `X-Auth-Token`, `rootPassword`).
    static let standardFields = [
        "password", "passwords", "passwd", "pwd", "passphrase", "secret", "secrets", "token", "api_key", "apikey",
        "access_key", "secret_key", "private_key", "privatekey", "hmac_key", "credential", "credentials",
        "authorization", "service_catalog", "admin_pass", "adminpass", "root_pass", "db_pass", "user_pass",
    ]

    /// Patterns for secrets that do not follow a name and a `=` or `:`: in SQL, a command's options, HTTP headers whose
    /// value has two words, and headers as pairs.
    static let standardPatterns: [RedactionPattern] =
        [
            "IDENTIFIED BY *", "IDENTIFIED BY PASSWORD *", "PASSWORD '*'", "PASSWORD \"*\"", "PASSWORD(*",
            "PASSWORD (*", "Authorization: Bearer *", "Authorization: Basic *", "Authorization: Token *",
            "Authorization=Bearer *", "Authorization', *", "-Auth-Token', *", "-Subject-Token', *", "--password *",
            "--token *", "password>*</",
        ].map(Self.checked) + [
            // CREATE USER … IDENTIFIED WITH mysql_native_password BY '…'
            RedactionPattern(literal: "identified with", thenWord: "by"),
            RedactionPattern(literal: "identified with", thenWord: "as"),
            // SET PASSWORD FOR 'user'@'host' = '…'
            RedactionPattern(literal: "password for", thenWord: "="),
        ]

    private static func checked(_ pattern: String) -> RedactionPattern {
        // Fails only if the table above is wrong, which every test would show.
        // swift-format-ignore: NeverUseForceTry
        try! RedactionPattern(pattern)
    }
}
