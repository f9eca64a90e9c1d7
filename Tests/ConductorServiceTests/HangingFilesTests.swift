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

/// Certificate files that cannot be read because the disk hangs, or that are not regular files.
@Suite(.timeLimit(.minutes(2))) struct HangingFilesTests {
    private let certificates: TestCertificates

    init() throws {
        self.certificates = try TestCertificates()
        try self.certificates.writeList()
    }

    /// A pipe without a writer blocks a program that opens it as a file.
    @Test(
        "A pipe in place of a file is rejected, and the file that replaces it is loaded",
        arguments: ["conductor.pem", "conductor.key", "ca.crl"])
    func pipeInsteadOfFile(_ file: String) async throws {
        let revoked = try TestCertificates.guest(of: self.certificates.authority)
        try self.certificates.write("revoked", revoked)
        try await LiveConductor.with(
            Notifier(drivers: [TestDriver()]), certificates: self.certificates, list: "ca.crl", gracePeriod: .zero
        ) { conductor in
            let path = self.certificates.path(file)
            let good = self.certificates.path("good")
            let pipe = self.certificates.path("pipe")
            // In one step, so that no check finds the file missing.
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

    /// The one thread that reads files is blocked, as by a network file system that does not respond.
    @Test("A disk that hangs is logged, and blocks neither a requested reload nor the shutdown")
    func hangingDisk() async throws {
        let pool = NIOThreadPool(numberOfThreads: 1)
        pool.start()
        let gate = DispatchSemaphore(value: 0)
        let live = LiveTLSContext(try self.certificates.server(list: "ca.crl"))
        let log = LogRecorder()
        let reloader = CertificateReloader(
            live: live, interval: .milliseconds(20), gracePeriod: .zero, hangThreshold: .milliseconds(100),
            threads: pool,
            logger: log.logger)
        pool.submit { _ in gate.wait() }
        let run = Task { await reloader.run() }
        let error = await log.next("The certificate files cannot be read")
        #expect(error.level == .error && error.metadata["files"]?.contains(self.certificates.path("ca.crl")) == true)
        #expect(reloader.isStuck)
        // A requested reload logs the error again, and a reloader that is cancelled does not wait.
        await reloader.reload()
        await log.next("The certificate files cannot be read")
        #expect(log.count("The certificate files cannot be read") == 2)
        run.cancel()
        await run.value

        // The disk responds again, and the reloader works as before.
        try self.certificates.writeList(revoking: [TestCertificates.guest(of: self.certificates.authority)])
        let again = Task { await reloader.run() }
        await log.next("The certificate files cannot be read")
        gate.signal()
        await log.next("Reloaded certificates for new connections")
        await log.next("The file system of the certificate files responds again")
        while reloader.isStuck { await Task.yield() }
        again.cancel()
        await again.value
        try await pool.shutdownGracefully()
    }
}
