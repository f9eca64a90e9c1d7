// SPDX-License-Identifier: Apache-2.0

import ConductorService
import Logging
import Notifier
import Settings

extension SecurityPosture {
    /// - Parameters:
    ///   - settings: the program's settings.
    ///   - authorization: the authorization made from them.
    ///   - exposedSecret: a secret in the settings file that other users can get; nil when there is none.
    init(_ settings: Settings, authorization: GuestAuthorization, exposedSecret: ExposedSecret?) throws {
        let usesBroker = try settings.drivers().contains { $0 == .messaging || $0 == .messagingv2 }
        self.init(
            signatures: ContextVerifier.Policy(rawValue: try settings.string("context_signatures.mode")) ?? .require,
            hasGuestRevocationList: try settings.optionalString("tls.guest_crl") != nil, authorization: authorization,
            plaintextBrokers: usesBroker ? try MessagingConfiguration(settings)?.plaintextHosts ?? [] : [],
            exposedSecret: exposedSecret)
    }

    /// Logs each warning.
    func log(to logger: Logger) {
        for warning in self.warnings {
            logger.warning(
                "\(warning.phrase)",
                metadata: ["setting": "\(warning.setting)", "risk": "\(warning.risk)", "remedy": "\(warning.remedy)"])
        }
    }
}
