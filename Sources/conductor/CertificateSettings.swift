// SPDX-License-Identifier: Apache-2.0

import Settings

/// The settings of certificates that change while the conductor runs.
enum CertificateSettings {
    /// The longest reload interval, in seconds. With it a revoked guest is always disconnected within five seconds of
    /// its list's change.
    static let longestInterval = 3.0

    static let declarations: [Setting] = [
        .string(
            "tls.guest_crl",
            help: "PEM file: those authorities' revocation lists; a guest whose issuer has no valid one is refused."),
        .seconds(
            "tls.reload_interval", 0.1...Self.longestInterval, default: 1,
            help:
                "How often the files of `tls` and the keys of `context_signatures` are looked at; a guest that was revoked is "
                + "cut off within that and a second."
        ),
    ]
}
