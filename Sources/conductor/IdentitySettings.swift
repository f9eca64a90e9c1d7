import ConductorService
import Notifications
import Settings

/// The settings of who guests are and what they may report, and what is made of them.
enum IdentitySettings {
    /// What there is to set.
    static let declarations: [Setting] = [
        .choice(
            "identity.source", among: ["spiffe", "common_name"], default: "spiffe",
            help: "Where a guest's certificate names its instance: `spiffe://TRUST-DOMAIN/instance/ID` in the subject "
                + "alternative name, or the common name."),
        .string(
            "identity.trust_domain", default: TrustDomain.throwAway.name,
            help: "The TRUST-DOMAIN; by default that of `conductor certificates`."),
        .strings(
            "identity.permissions",
            help: "Who may report what, `GUESTS=OPERATIONS` each, such as `web-*=database_*`; everything without any."),
    ]
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
                "identity.trust_domain must have 1 to 255 small letters, digits, hyphens, underscores or dots, and no "
                    + "scheme before it.")
        }
        let isCommonName = try settings.string("identity.source") == "common_name"
        self.init(source: isCommonName ? .commonName : .spiffe(trustDomain), permissions: permissions)
    }
}

/// Settings of identities that cannot be used.
struct IdentitySettingsError: Error, CustomStringConvertible {
    /// One sentence that names the setting.
    let description: String

    init(_ description: String) { self.description = description }
}
