// SPDX-License-Identifier: Apache-2.0

package import Notifications

/// The operator's rules for the operations that guests may report. A guest may report an operation only if a rule
/// allows it. Without any rules all guests may report all operations.
package struct GuestPermissions: Sendable {
    private struct Rule {
        /// Nil for guests of every tenant, and for guests without one.
        var tenant: NamePattern?
        var instance: NamePattern
        var operation: NamePattern
    }

    private let rules: [Rule]

    /// Permissions with which every guest may report every operation.
    package static let all = GuestPermissions()

    private init() { self.rules = [] }

    /// - Parameters:
    ///   - rules: `GUESTS=OPERATIONS` each. `GUESTS` is an instance's id, or `TENANT/ID` for guests whose certificate
    ///     names this tenant. `OPERATIONS` is an operation's name: a name without a dot is a key of Trove's catalogue,
    ///     a name with a dot begins with the service. Each part may end in a `*`, which matches any rest. A `*` alone
    ///     matches everything.
    ///   - catalogues: the operations that exist.
    /// - Throws: ``GuestPermissionsError`` for a rule that has another form, or that matches no operation.
    package init(_ rules: [String], catalogues: Catalogues) throws(GuestPermissionsError) {
        var read: [Rule] = []
        for text in rules { read.append(try Self.rule(text, catalogues)) }
        self.rules = read
    }

    private static func rule(_ text: String, _ catalogues: Catalogues) throws(GuestPermissionsError) -> Rule {
        let parts = text.split(separator: "=", omittingEmptySubsequences: false)
        guard parts.count == 2 else {
            throw GuestPermissionsError(text, "is not GUESTS=OPERATIONS, such as \"web-*=database_*\"")
        }
        let names = parts[0].split(separator: "/", omittingEmptySubsequences: false)
        let patterns = names.compactMap { NamePattern($0) }
        guard names.count <= 2, patterns.count == names.count, let instance = patterns.last else {
            throw GuestPermissionsError(
                text,
                "names no guests before the =: write an instance's id, TENANT/ID, or prefixes of them that end in *")
        }
        guard let operation = NamePattern(parts[1]),
            catalogues.catalogues.contains(where: { catalogue in
                catalogue.operations.contains { operation.matchesAny(of: catalogue.names(of: $0)) }
            })
        else {
            throw GuestPermissionsError(
                text,
                "matches no operation after the =: `conductor events` lists the events, and only Trove's are written without their "
                    + "service and a dot")
        }
        return Rule(tenant: patterns.count == 2 ? patterns[0] : nil, instance: instance, operation: operation)
    }

    /// Whether this guest may report this operation.
    package func allows(_ guest: GuestIdentity, _ operation: Catalogues.Operation) -> Bool {
        guard !self.rules.isEmpty else { return true }
        return self.rules.contains { rule in
            let isTenants = rule.tenant.map { pattern in guest.tenantID.map(pattern.matches) ?? false } ?? true
            return isTenants && rule.instance.matches(guest.instanceID)
                && rule.operation.matchesAny(of: operation.names)
        }
    }
}

/// A name, or a prefix of names with a `*` after it.
private struct NamePattern: Sendable {
    private let prefix: String
    private let isPrefix: Bool

    /// - Returns: nil for a text that no name can match, such as an empty one.
    init?(_ text: Substring) {
        self.isPrefix = text.last == "*"
        self.prefix = String(self.isPrefix ? text.dropLast() : text)
        guard !text.isEmpty, self.prefix.utf8.allSatisfy(\.isDottedNameByte) else { return nil }
    }

    func matches(_ name: String) -> Bool {
        self.isPrefix ? name.utf8.starts(with: self.prefix.utf8) : name.hasSameBytes(as: self.prefix)
    }

    /// Whether the pattern matches an operation with these names. A pattern without a dot is not compared with names
    /// that have one, because `d*` is meant for `database_create`, and not for all names that begin with `dbaas`.
    func matchesAny(of names: [String]) -> Bool {
        if self.prefix.isEmpty { return true }
        let hasService = self.prefix.utf8.contains(UInt8(ascii: "."))
        return names.contains { $0.utf8.contains(UInt8(ascii: ".")) == hasService && self.matches($0) }
    }
}

/// An error in a rule: the rule cannot be used.
package struct GuestPermissionsError: Error, Sendable, Hashable, CustomStringConvertible {
    /// The rule and its problem, as a clause.
    package let description: String

    init(_ rule: String, _ problem: String) { self.description = "\(rule.excerpt) \(problem)" }
}
