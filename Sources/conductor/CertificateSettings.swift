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
            help:
                "Read the revocation lists of guests' authorities from this PEM file; reject guests whose issuer has no valid list."
        ),
        .seconds(
            "tls.reload_interval", 0.1...Self.longestInterval, default: 1,
            help:
                "Check the files of `tls` and the keys of `context_signatures` this often; a revoked guest is disconnected within "
                + "this time plus one second."
        ),
    ]
}
