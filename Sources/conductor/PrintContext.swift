// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Logging
import Notifications
import Notifier
import Settings
import StandardIO

/// `conductor context`: prints the context of an operation, for `guest-agent exec --context`.
struct PrintContext: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "context",
        abstract: "Print an operation's notification context as a line of JSON, for a guest.",
        discussion: """
            The start fields are checked against the catalogues. If each database, user or grant is an operation of \
            its own, its field may be a list, and each gets a line. Nothing is sent: `conductor notify \
            dbaas.OPERATION.start --context FILE` sends the start. The exit status is 65 if the payload cannot be used.
            """)

    @OptionGroup var options: ConfigurationOptions

    @Argument(
        help: ArgumentHelp("Print the context of this operation, such as database_create.", valueName: "operation"))
    var operation: String

    @Option(
        name: .customLong("request-id"),
        help: ArgumentHelp("Set the request's identifier; by default a new one, req-UUID.", valueName: "id"))
    var requestID: String?

    @Option(help: ArgumentHelp("Set the tenant (project) on whose behalf the operation runs.", valueName: "id"))
    var tenant: String

    @Option(help: ArgumentHelp("Set the user who requested the operation.", valueName: "id"))
    var user: String?

    @Option(
        name: .customLong("client-ip"),
        help: ArgumentHelp("Set the address of the client that called the API.", valueName: "address"))
    var clientIP: String

    @Option(
        name: .customLong("server-ip"),
        help: ArgumentHelp("Set the address of the service that the client called.", valueName: "address"))
    var serverIP: String?

    @Option(help: ArgumentHelp("Set the kind of that service.", valueName: "type"))
    var serverType = "api"

    @Option(
        help: ArgumentHelp(
            "Read the start fields as a JSON object from this file; - is standard input.", valueName: "file"))
    var payload: String?

    @Flag(help: "Sign the context with the key of context_signatures.signing_key.")
    var sign = false

    @Option(
        help: ArgumentHelp(
            "With --sign, name the instance whose guest will do the work; by default the payload's instance_id.",
            valueName: "id"))
    var instance: String?

    func validate() throws {
        for (option, value) in [
            ("--request-id", self.requestID), ("--tenant", self.tenant), ("--client-ip", self.clientIP),
            ("--instance", self.instance),
        ] where value?.isEmpty == true {
            throw ValidationError("\(option) must not be empty.")
        }
        guard self.sign || self.instance == nil else {
            throw ValidationError("--instance has no effect without --sign; add --sign, or remove it.")
        }
    }

    func run() async throws {
        try await ConductorExit.mapErrors {
            let settings = try await self.options.load(ConductorSettings.contextSchema)
            let catalogues = try settings.catalogues()
            // This notifier creates the notifications, and sends nothing.
            let notifier = ControlPlaneNotifier(
                Notifier(drivers: []),
                origin: NotificationOrigin(
                    publisherID: "", serverType: self.serverType, serverIP: self.serverIP ?? ""),
                catalogues: catalogues, signer: try self.sign ? settings.contextSigner() : nil,
                logger: Logger(label: "conductor") { _ in SwiftLogNoOpLogHandler() })
            let payload =
                try self.payload.map { try JSONInputFile(option: "--payload", path: $0).object() } ?? JSONObject()
            let request = APIRequest(
                requestID: self.requestID ?? APIRequest.newRequestID(), tenantID: self.tenant, userID: self.user,
                clientIP: self.clientIP, instanceID: self.instance)
            let notifications = try EventDataError.describing(catalogues) {
                try notifier.notifications(self.operation, request: request, payload: payload)
            }
            ConductorExit.warn(undeclared: notifications.first?.undeclaredFields ?? [], of: self.operation)
            // The option, or else the payload, binds the token to an instance.
            let isBound = notifications.allSatisfy { $0.context.payload["instance_id"]?.string?.isEmpty == false }
            if self.sign, self.instance == nil, !isBound {
                ConductorExit.printMessage(
                    "warning: the token names no instance, so any guest that has it can end the operation; give --instance, "
                        + "or instance_id in the payload.")
            }
            for notification in notifications {
                var context = notification.context
                context.serverIP = self.serverIP
                let line = String(decoding: JSONWriter.encode(.object(context.json)), as: UTF8.self)
                try StandardStreams.print(line + "\n")
            }
        }
    }
}
