// SPDX-License-Identifier: Apache-2.0

import ConductorService
import Dispatch
import Foundation
import Glibc
import LogTesting
import Logging
import NIOPosix
import Notifier
import RelayTesting
import TLSChannel
import Testing

/// Certificate files that do not answer, or are no files.
@Suite(.timeLimit(.minutes(2))) struct HangingFilesTests {
    private let certificates: TestCertificates

    init() throws {
        self.certificates = try TestCertificates()
        try self.certificates.writeList()
    }

    /// A pipe without a writer stops whoever opens it as a file.
    @Test(arguments: ["conductor.pem", "conductor.key", "ca.crl"])
    func aPipeInAFilesPlaceIsRefusedAndWhatComesAfterItIsTakenUp(_ file: String) async throws {
        let revoked = try TestCertificates.guest(of: self.certificates.authority)
        try self.certificates.write("revoked", revoked)
        try await LiveConductor.with(
            Notifier(drivers: [TestDriver()]), certificates: self.certificates, list: "ca.crl", gracePeriod: .zero
        ) { conductor in
            let path = self.certificates.path(file)
            let good = self.certificates.path("good")
            let pipe = self.certificates.path("pipe")
            // In one step, so that no look finds nothing there.
            try #require(link(path, good) == 0 && mkfifo(pipe, 0o600) == 0 && rename(pipe, path) == 0)
            let refusal = await conductor.log.next(LiveConductor.refused)
            #expect(refusal.metadata["reason"]?.contains("\(path)) cannot be read: it is not a regular file") == true)
            await conductor.reloader.reload()
            #expect(await conductor.answers())
            try #require(rename(good, path) == 0)
            try self.certificates.writeList(revoking: [revoked])
            await conductor.log.next(LiveConductor.inUse)
            #expect(await !conductor.answers("revoked"))
        }
    }

    /// The one thread that reads files is held up, as a file system over a network holds up whoever asks it.
    @Test func aDiskThatHangsIsSpokenOfAndHoldsNothingElseUp() async throws {
        let pool = NIOThreadPool(numberOfThreads: 1)
        pool.start()
        let gate = DispatchSemaphore(value: 0)
        let live = LiveTLSContext(try self.certificates.server(list: "ca.crl"))
        let log = LogRecorder()
        let reloader = CertificateReloader(
            live: live, interval: .milliseconds(20), gracePeriod: .zero, slowness: .milliseconds(100), threads: pool,
            logger: log.logger)
        pool.submit { _ in gate.wait() }
        let run = Task { await reloader.run() }
        let error = await log.next("The certificate files cannot be read")
        #expect(error.level == .error && error.metadata["files"]?.contains(self.certificates.path("ca.crl")) == true)
        #expect(reloader.isStuck)
        // Who asks is told so, and who ends it does not wait.
        await reloader.reload()
        await log.next("The certificate files cannot be read")
        #expect(log.count("The certificate files cannot be read") == 2)
        run.cancel()
        await run.value

        // It answers at last, and everything is as before.
        try self.certificates.writeList(revoking: [TestCertificates.guest(of: self.certificates.authority)])
        let again = Task { await reloader.run() }
        await log.next("The certificate files cannot be read")
        gate.signal()
        await log.next("Reloaded certificates for new connections")
        await log.next("The file system of the certificate files responds again")
        #expect(!reloader.isStuck)
        again.cancel()
        await again.value
        try await pool.shutdownGracefully()
    }
}
