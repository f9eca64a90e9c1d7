// SPDX-License-Identifier: Apache-2.0

import ConductorService
import Notifications
import Settings

/// The settings of guests' identities and permissions, and the values made from them.
enum IdentitySettings {
    /// The declarations of these settings.
    static let declarations: [Setting] = [
        .choice(
            "identity.source", among: ["spiffe", "common_name"], default: "spiffe",
            help:
                "Take a guest's instance from its certificate: from `spiffe://TRUST-DOMAIN/instance/ID` in the subject "
                + "alternative name, or from the common name."),
        .string(
            "identity.trust_domain", default: TrustDomain.trial.name,
            help: "Accept this TRUST-DOMAIN; by default that of `conductor certificates`."),
        .boolean(
            Self.requireTenant,
            help: "Require a tenant in a guest's certificate; by default true with `spiffe`, and false with "
                + "`common_name`, which names none."),
        .strings(
            "identity.permissions",
            help:
                "Allow guests to report operations, `GUESTS=OPERATIONS` each, such as `web-*=database_*`; without any, allow all."
        ),
    ]

    static let requireTenant = "identity.require_tenant"

    /// Returns the settings with the default of `identity.require_tenant`: a tenant is required where the source can
    /// name one.
    static func completed(_ settings: Settings) throws(SettingsError) -> Settings {
        let source = try settings.string("identity.source")
        return settings.defaulting(
            self.requireTenant, to: .boolean(source == "spiffe"), because: "identity.source is \(source)")
    }
}

extension GuestAuthorization {
    /// - Throws: ``IdentitySettingsError`` for settings that cannot be used.
    init(_ settings: Settings, catalogues: Catalogues) throws {
        let rules = try settings.strings("identity.permissions")
        let permissions: GuestPermissions
        do {
            permissions = try GuestPermissions(rules, catalogues: catalogues)
        } catch {
            throw IdentitySettingsError("identity.permissions: the rule \(error).")
        }
        guard let trustDomain = TrustDomain(try settings.string("identity.trust_domain")) else {
            throw IdentitySettingsError(
                "identity.trust_domain must have 1 to 255 lower-case letters, digits, hyphens, underscores or dots, and no "
                    + "scheme before it.")
        }
        let isCommonName = try settings.string("identity.source") == "common_name"
        let requiresTenant = try settings.boolean(IdentitySettings.requireTenant)
        guard !isCommonName || !requiresTenant else {
            throw IdentitySettingsError(
                "identity.require_tenant: no guest could be served, as a common name names no tenant; set it to false, or "
                    + "identity.source to spiffe.")
        }
        self.init(
            source: isCommonName ? .commonName : .spiffe(trustDomain), permissions: permissions,
            requiresTenant: requiresTenant)
    }
}

/// An error for identity settings that cannot be used.
struct IdentitySettingsError: Error, CustomStringConvertible {
    /// One sentence that names the setting.
    let description: String

    init(_ description: String) { self.description = description }
}
