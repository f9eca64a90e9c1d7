// SPDX-License-Identifier: Apache-2.0

import CertificateIssuing
import ConductorService
import LogTesting
import Logging
import Notifications
import Notifier
import ProcessTesting
import RelayTesting
import TLSChannel
import Testing

/// Guests with real certificates, and the reports that a conductor accepts from each of them.
@Suite(.timeLimit(.minutes(2))) struct IdentityConnectionTests {
    private static let ping = #"{"jsonrpc":"2.0","id":1,"method":"ping"}"#

    private func line(_ id: Int, instance: String? = "inst-1", tenant: String = "tenant-1") -> String {
        let member = instance.map { #""instance_id":"\#($0)","# } ?? ""
        return """
            {"jsonrpc":"2.0","id":\(id),"method":"notify_end","params":{"context":{"operation":"database_create",\
            "request_id":"req-1","tenant_id":"\(tenant)","client_ip":"198.51.100.7","payload":{\(member)\
            "dbname":"shop"}}}}
            """
    }

    private func certificates(_ more: [(name: String, commonName: String, uris: [String])]) throws -> TestCertificates {
        let certificates = try TestCertificates()
        for (name, commonName, uris) in more {
            try certificates.write(
                name,
                certificates.authority.issueClient(commonName: commonName, uris: uris, validity: .days(1)))
        }
        return certificates
    }

    @Test("A guest reports only for its own instance and the tenant of its certificate")
    func ownInstanceOnly() async throws {
        let driver = TestDriver()
        let certificates = try self.certificates([
            ("tenant", "ignored", ["spiffe://conductor.test/tenant/tenant-1/instance/inst-2"])
        ])
        try await withConductor(Notifier(drivers: [driver]), certificates: certificates) { conductor in
            try await RawGuest.with(conductor) { guest in
                var answer = try await guest.call(self.line(1))
                #expect(answer.contains(#""disposition":"published""#), "\(answer)")
                answer = try await guest.call(self.line(2, instance: nil))
                #expect(answer.contains(#""disposition":"published""#), "\(answer)")
                answer = try await guest.call(self.line(3, instance: "inst-2"))
                #expect(
                    answer == """
                        {"jsonrpc":"2.0","id":3,"error":{"code":-32002,"message":"params.context.payload.instance_id is \
                        another instance than the guest's own.","data":{"reason":"not_permitted","retryable":false,\
                        "field":"params.context.payload.instance_id"}}}
                        """)
                // Its certificate names no tenant.
                answer = try await guest.call(self.line(4, tenant: "tenant-2"))
                #expect(answer.contains(#""disposition":"published""#), "\(answer)")
            }
            try await RawGuest.with(conductor, certificate: "tenant") { guest in
                var answer = try await guest.call(self.line(1, instance: "inst-2"))
                #expect(answer.contains(#""disposition":"published""#), "\(answer)")
                answer = try await guest.call(self.line(2, instance: "inst-2", tenant: "tenant-2"))
                #expect(answer.contains(#""reason":"not_permitted""#), "\(answer)")
                #expect(answer.contains(#""field":"params.context.tenant_id""#), "\(answer)")
            }
            #expect(conductor.counters.rejected == ["not_permitted": 2] && conductor.counters.isBalanced)
        }
        #expect(driver.notifications.map { $0.payload["instance_id"] } == ["inst-1", "inst-1", "inst-1", "inst-2"])
    }

    @Test("A guest with two certificates is one guest")
    func twoCertificates() async throws {
        let driver = TestDriver()
        let uri = "spiffe://conductor.test/instance/inst-7"
        let certificates = try self.certificates([("old", "old", [uri]), ("new", "new", ["urn:more", uri])])
        try await withConductor(Notifier(drivers: [driver]), certificates: certificates) {
            $0.limits.connectionsPerGuest = 1
        } _: { conductor in
            let line = self.line(1, instance: "inst-7").replacing(
                #""params":{"#, with: #""params":{"message_id":"00000000-0000-4000-8000-000000000001","#)
            try await RawGuest.with(conductor, certificate: "old") { guest in
                let answer = try await guest.call(line)
                #expect(answer.contains(#""disposition":"published""#), "\(answer)")
                try await RawGuest.with(conductor, certificate: "new") { second in
                    let refusal = try await second.line()
                    #expect(refusal?.contains("Too many connections") == true)
                }
            }
            try await RawGuest.with(conductor, certificate: "new") { guest in
                let answer = try await guest.call(line)
                #expect(answer.contains(#""disposition":"duplicate""#), "\(answer)")
            }
        }
        #expect(driver.notifications.count == 1)
    }

    @Test("An OpenSSL client reports only for its own instance")
    func opensslClient() async throws {
        let driver = TestDriver()
        try await withConductor(Notifier(drivers: [driver])) { conductor in
            let certificates = conductor.certificates
            let openssl = try TestProcess(
                "openssl",
                [
                    "s_client", "-quiet", "-connect", "127.0.0.1:\(conductor.port)", "-CAfile",
                    certificates.path("ca.pem"), "-cert", certificates.path("guest.pem"), "-key",
                    certificates.path("guest.key"),
                ])
            try openssl.send(self.line(1, instance: "inst-2") + "\n")
            let refused = await openssl.outputUntil("not_permitted")
            #expect(refused.contains(#""field":"params.context.payload.instance_id""#), "\(refused)")
            try openssl.send(self.line(2) + "\n")
            let published = await openssl.outputUntil("published")
            #expect(published.contains("published"), "\(published)")
            await openssl.finish()
        }
        #expect(driver.notifications.map { $0.payload["instance_id"] } == ["inst-1"])
    }

    private static let unknown: [(uris: [String], reason: String)] = [
        ([], "has no SPIFFE URI; it must have spiffe://conductor.test/instance/ID."),
        (["https://conductor.test/instance/inst-1"], "has no SPIFFE URI"),
        (["spiffe://elsewhere.test/instance/inst-1"], "is of another trust domain than conductor.test."),
        (["spiffe://conductor.test/workload/inst-1"], "is neither spiffe://conductor.test/instance/ID nor"),
        (
            ["spiffe://conductor.test/instance/inst-1", "spiffe://conductor.test/instance/inst-2"],
            "has more than one SPIFFE URI."
        ),
    ]

    @Test("A certificate that names no instance is rejected at each request, with the reason", arguments: Self.unknown)
    func unknownInstance(uris: [String], reason: String) async throws {
        let (driver, log) = (TestDriver(), LogRecorder())
        let certificates = try self.certificates([("nobody", "inst-1", uris)])
        try await withConductor(
            Notifier(drivers: [driver]), certificates: certificates, logger: log.logger("conductor")
        ) { conductor in
            try await RawGuest.with(conductor, certificate: "nobody") { guest in
                for line in [Self.ping, self.line(1), self.line(1, instance: nil), Self.ping] {
                    let answer = try await guest.call(line)
                    #expect(answer.contains(#""code":-32001"#), "\(answer)")
                    #expect(answer.contains(#""reason":"unauthenticated","retryable":true"#), "\(answer)")
                    #expect(answer.contains(reason), "\(answer)")
                }
            }
            // The conductor continues to serve.
            try await RawGuest.with(conductor) { guest in
                let answer = try await guest.call(Self.ping)
                #expect(answer.contains("version"))
            }
        }
        #expect(driver.notifications.isEmpty)
        let rejections = log.entries.filter { $0.message == "Rejected a guest" }
        #expect(rejections.map(\.level) == [.warning, .debug, .debug, .debug])
        #expect(rejections.first?.metadata["problem"]?.contains(reason) == true)
        #expect(rejections.first?.metadata["guest"] == nil)
    }

    @Test("The common name names the instance if the operator configures it as the source")
    func commonNameSource() async throws {
        let driver = TestDriver()
        let certificates = try self.certificates([
            ("named", "inst-7", ["spiffe://conductor.test/instance/inst-8"]), ("spaced", "inst 7", []),
        ])
        try await withConductor(
            Notifier(drivers: [driver]), certificates: certificates,
            authorization: GuestAuthorization(source: .commonName)
        ) { conductor in
            try await RawGuest.with(conductor, certificate: "named") { guest in
                var answer = try await guest.call(self.line(1, instance: "inst-7"))
                #expect(answer.contains(#""disposition":"published""#), "\(answer)")
                answer = try await guest.call(self.line(2, instance: "inst-8"))
                #expect(answer.contains(#""reason":"not_permitted""#), "\(answer)")
            }
            try await RawGuest.with(conductor, certificate: "spaced") { guest in
                let answer = try await guest.call(self.line(1, instance: "inst 7"))
                #expect(answer.contains(#""reason":"unauthenticated""#), "\(answer)")
            }
        }
        #expect(driver.notifications.count == 1)
    }

    @Test("A guest may report only the operations that the rules allow")
    func permissionRules() async throws {
        let (driver, log) = (TestDriver(), LogRecorder())
        let permissions = try GuestPermissions(["inst-*=user_*", "web-1=database_create"], catalogues: .builtIn)
        try await withConductor(
            Notifier(drivers: [driver]), authorization: GuestAuthorization(permissions: permissions),
            logger: log.logger("conductor")
        ) { conductor in
            for _ in 1...2 {
                try await RawGuest.with(conductor) { guest in
                    for id in 1...3 {
                        let answer = try await guest.call(self.line(id))
                        #expect(answer.contains(#""reason":"not_permitted""#), "\(answer)")
                        #expect(answer.contains(#""field":"params.context.operation""#), "\(answer)")
                        #expect(!answer.contains("web-1"), "\(answer)")
                    }
                    let answer = try await guest.call(
                        self.line(4).replacing("database_create", with: "user_delete").replacing(
                            "dbname", with: "username"))
                    #expect(answer.contains(#""disposition":"published""#), "\(answer)")
                }
            }
        }
        #expect(driver.notifications.map(\.eventType) == ["dbaas.user_delete.end", "dbaas.user_delete.end"])
        // One warning for the guest, however often it connects. It names the guest.
        let rejections = log.entries.filter { $0.message == "Rejected a guest" }
        #expect(rejections.count == 6 && rejections.filter { $0.level > .debug }.count == 1)
        #expect(rejections.allSatisfy { $0.metadata["guest"] == "inst-1" && $0.metadata["reason"] == "not_permitted" })
    }

    /// A flavor's id may be a number, and so may an instance's.
    @Test("A number is accepted as the instance's id only in the certificate's spelling")
    func numericInstance() async throws {
        let driver = TestDriver()
        let certificates = try self.certificates([("number", "n", ["spiffe://conductor.test/instance/42"])])
        try await withConductor(Notifier(drivers: [driver]), certificates: certificates) { conductor in
            try await RawGuest.with(conductor, certificate: "number") { guest in
                for (number, isOwn) in [
                    ("42", true), ("42.0", false), ("4.2e1", false), ("43", false), ("\"42\"", true),
                ] {
                    let answer = try await guest.call(
                        self.line(1, instance: "x").replacing("\"x\"", with: number))
                    #expect(answer.contains(#""disposition":"published""#) == isOwn, "\(answer)")
                }
            }
        }
        #expect(driver.notifications.map { $0.payload["instance_id"] } == ["42", "42"])
    }
}
