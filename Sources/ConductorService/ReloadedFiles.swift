// SPDX-License-Identifier: Apache-2.0

package import TLSChannel

/// The files that a conductor reloads while it runs: its certificates and, if it checks signed contexts, their keys.
package struct ReloadedFiles: Sendable {
    private let certificates: CertificateReloader
    private let signingKeys: SigningKeyReloader?

    /// Files that these reloaders keep in use.
    ///
    /// - Parameter signingKeys: nil when signatures of contexts are not checked.
    package init(certificates: CertificateReloader, signingKeys: SigningKeyReloader?) {
        self.certificates = certificates
        self.signingKeys = signingKeys
    }

    /// Whether no check of files takes too long. Otherwise their file system hangs, and no guest or key is revoked.
    package var isResponsive: Bool { !self.certificates.isStuck && self.signingKeys?.isStuck != true }

    /// Checks the files until the task is cancelled. On cancellation it does not wait for a check that hangs.
    package func run() async {
        async let keys: Void? = self.signingKeys?.run()
        await self.certificates.run()
        await keys
    }

    /// Reads the files now, whether they seem changed or not, and logs the results.
    package func reload() async {
        await self.certificates.reload()
        await self.signingKeys?.reload()
    }
}
