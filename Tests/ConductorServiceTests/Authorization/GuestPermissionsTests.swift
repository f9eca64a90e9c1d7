// SPDX-License-Identifier: Apache-2.0

import ConductorService
import Notifications
import TLSChannel
import Testing

/// Rules for which guests may report which operations.
@Suite struct GuestPermissionsTests {
    private static func catalogues() throws -> Catalogues {
        let shops = ["shop", "mart"].map { service in
            Catalogue(
                service: service, description: "",
                operations: [
                    OperationDefinition(
                        key: "goods.sell", start: nil,
                        end: EventDefinition(eventType: "\(service).goods.sell", fields: []),
                        error: EventDefinition(
                            eventType: "\(service).goods.sell.error", priority: .error, fields: []))
                ])
        }
        return try Catalogues(Catalogues.builtIn.catalogues + shops)
    }

    private func allows(_ rules: [String], _ guest: String, _ operation: String) throws -> Bool {
        let catalogues = try Self.catalogues()
        let path = guest.contains("/") ? "tenant/\(guest.replacing("/", with: "/instance/"))" : "instance/\(guest)"
        let identity = try GuestIdentity(
            PeerCertificate(
                commonName: nil, uris: ["spiffe://conductor.test/\(path)"], dnsNames: [], serialNumber: "01",
                notBefore: 0, notAfter: .max, sha256: ""), source: .spiffe(.trial))
        return try GuestPermissions(rules, catalogues: catalogues).allows(
            identity, try #require(catalogues.operation(operation)))
    }

    @Test("Without rules, every guest may report every operation")
    func noRules() throws {
        #expect(try self.allows([], "a", "database_create"))
        #expect(try self.allows([], "t/a", "shop.goods.sell"))
    }

    private static let cases: [(rule: String, guest: String, operation: String, isAllowed: Bool)] = [
        ("web-1=database_create", "web-1", "database_create", true),
        ("web-1=database_create", "web-1", "dbaas.database_create", true),
        ("web-1=dbaas.database_create", "web-1", "database_create", true),
        ("web-1=database_create", "web-1", "database_delete", false),
        ("web-1=database_create", "web-10", "database_create", false),
        ("web-1=database_create", "Web-1", "database_create", false),
        ("web-1=database_create", "t/web-1", "database_create", true),
        ("web-*=database_*", "web-10", "database_delete", true),
        ("web-*=database_*", "web-", "database_delete", true),
        ("web-*=database_*", "we", "database_delete", false),
        ("web-*=database_*", "db-web-1", "database_delete", false),
        ("web-*=database_*", "web-1", "user_create", false),
        ("web-*=database_*", "web-1", "shop.goods.sell", false),
        // Without a dot it is a name of Trove's operations, which do not include the services.
        ("*=d*", "a", "database_create", true), ("*=d*", "a", "dbaas.database_create", true),
        ("*=d*", "a", "user_create", false), ("*=d*", "a", "shop.goods.sell", false),
        ("*=m*", "a", "migrate", true), ("*=m*", "a", "mart.goods.sell", false),
        ("*=dbaas.d*", "a", "database_create", true), ("*=dbaas.d*", "a", "user_create", false),
        ("*=mart.*", "a", "mart.goods.sell", true), ("*=mart.*", "a", "migrate", false),
        ("*=dbaas.*", "a", "cluster_grow", true),
        ("*=dbaas.*", "a", "shop.goods.sell", false),
        ("*=shop.goods.*", "a", "shop.goods.sell", true),
        ("*=shop.goods.*", "a", "database_create", false),
        ("*=*", "a", "shop.goods.sell", true),
        ("t-1/*=*", "t-1/a", "database_create", true),
        ("t-1/*=*", "t-10/a", "database_create", false),
        ("t-*/a=*", "t-10/a", "database_create", true),
        ("t-*/a=*", "t-10/b", "database_create", false),
        // A certificate that names no tenant matches no rule with a tenant, whatever the instance is called.
        ("t-1/*=*", "a", "database_create", false), ("*/*=*", "a", "database_create", false),
        ("t-1=*", "t-1/a", "database_create", false),
    ]

    @Test("A rule allows the operations that it matches to the guests that it matches", arguments: Self.cases)
    func matchingRule(rule: String, guest: String, operation: String, isAllowed: Bool) throws {
        #expect(try self.allows([rule], guest, operation) == isAllowed)
    }

    @Test("One matching rule is enough, and a report that no rule matches is not allowed")
    func severalRules() throws {
        let rules = ["web-*=database_*", "web-1=user_create"]
        #expect(try self.allows(rules, "web-1", "user_create"))
        #expect(try self.allows(rules, "web-2", "user_create") == false)
        #expect(try self.allows(rules, "db-1", "database_create") == false)
    }

    @Test(
        "A rule that is malformed, or that no operation can match, is rejected",
        arguments: [
            "", "web-1", "web-1=", "=database_create", "a=b=c", "web-1=database_crate", "web-1=database",
            "web-1=shop.sell",
            "a b=*", "a/b/c=*", "/a=*", "a/=*", "*a=*", "a**=*", "a= *", "a =*", "ä=*", "web-1=database_create.end",
            "web-1=trove.instance.exists", "a=database_create user_create", "a=dbaas*", "a=shop*", "a=sell",
            "a=goods.*",
        ])
    func invalidRule(rule: String) throws {
        let catalogues = try Self.catalogues()
        let error = #expect(throws: GuestPermissionsError.self) {
            try GuestPermissions(["*=*", rule], catalogues: catalogues)
        }
        #expect(error?.description.hasPrefix(rule.utf8.count == rule.count ? "\"\(rule)\" " : "\"") == true)
    }
}
