// SPDX-License-Identifier: Apache-2.0

import ConductorService
import Notifications
import RelayTesting

/// Checks whose names are in a notification, as it is sent to the broker.
struct PublishedNames {
    private let report: OutcomeReport
    private let case_: ReportCase

    /// A secret in values that are redacted.
    static let secret = "qX7zPlantedSecret"
    /// The id of what an operation has created is new, and only its end can report it (Docs/security.md).
    private static let new = [
        "dbaas.backup_create.end": "backup_id", "dbaas.cluster_create.end": "cluster_id",
        "dbaas.configuration_create.end": "configuration_id",
    ]

    init(_ report: OutcomeReport, _ case_: ReportCase) {
        self.report = report
        self.case_ = case_
    }

    /// Returns the problem with the message; nil if it names only the guest.
    func problem(in message: NotificationMessage) -> String? {
        let text = Envelope.messaging.encode(message)
        guard let wire = (try? JSONValue(json: text))?.object, let payload = wire["payload"]?.object else {
            return "what was published is no JSON object with a payload"
        }
        if String(decoding: text, as: UTF8.self).contains("password=\(Self.secret)") { return "a secret was published" }
        let context = self.report.context
        let identifiers = [context.requestID, context.tenantID, context.userID ?? "", context.clientIP]
        // The limit is checked on the report, because a redacted identifier may have become longer.
        guard identifiers.allSatisfy({ $0.utf8.count <= 255 }) else {
            return "an identifier of more than 255 bytes was published"
        }
        return self.conductorsOwn(wire, payload) ?? self.guestsOwn(wire, payload)
            ?? (self.case_.isSigned ? self.signed(wire, payload) : nil)
    }

    /// Checks the publisher, the server and the event.
    private func conductorsOwn(_ wire: JSONObject, _ payload: JSONObject) -> String? {
        guard let operation = GuestReport.catalogues.operation(self.report.context.operation),
            let event = operation.definition.event(self.report.outcome.phase)
        else { return "an operation was published that is in no catalogue" }
        guard Self.isSame(wire["event_type"], event.eventType) else { return "another event was published" }
        guard Self.isSame(wire["publisher_id"], ReportingGuest.publisherID) else {
            return "another publisher was published"
        }
        for (name, own) in [("server_type", "conductor"), ("server_ip", ReportingGuest.address)] {
            if let value = payload[name], !Self.isSame(value, own) { return "another \(name) was published" }
        }
        let base = operation.catalogue.baseFields + operation.definition.events.flatMap(\.fields)
        for member in payload.members where !base.contains(where: { $0.isNamed(member.name) }) {
            return "a field was published that no catalogue declares: \(member.name.excerpt)"
        }
        return nil
    }

    /// Checks the instance in every case, and the tenant if the certificate names it.
    private func guestsOwn(_ wire: JSONObject, _ payload: JSONObject) -> String? {
        let isShop =
            Self.isSame(wire["event_type"], "shop.sell.end") || Self.isSame(wire["event_type"], "shop.sell.error")
        for name in isShop ? ["vm", "vm_id"] : ["instance_id", "instance"] {
            guard let value = payload[name], !value.isNull else { continue }
            guard Self.isSame(value, GuestReport.instance) else { return "another instance was published in \(name)" }
        }
        guard self.case_.namesTenant else { return nil }
        for (name, value) in [
            ("tenant_id", payload["tenant_id"]), ("owner", isShop ? payload["owner"] : nil),
            ("_context_project_id", wire["_context_project_id"]), ("_context_project", wire["_context_project"]),
            ("_context_tenant", wire["_context_tenant"]),
        ] {
            guard let value, !value.isNull else { continue }
            guard Self.isSame(value, GuestReport.tenant) else { return "another tenant was published in \(name)" }
        }
        // Splits like Python's str.split(), at any white space.
        let words = (wire["_context_user_identity"]?.string ?? "").unicodeScalars.split { scalar in
            scalar.properties.isWhitespace || (0x1C...0x1F).contains(scalar.value)
        }
        guard words.count >= 2, String(String.UnicodeScalarView(words[1])) == GuestReport.tenant else {
            return "another tenant was published in _context_user_identity"
        }
        return nil
    }

    /// With signatures, another name may only be in the text of the guest's error, and in the id of what it has
    /// created.
    private func signed(_ wire: JSONObject, _ payload: JSONObject) -> String? {
        let event = wire["event_type"]?.string ?? ""
        let isError = event.hasSuffix(".error")
        for member in payload.members {
            if isError, ["message", "exception"].contains(where: member.name.hasSameBytes) { continue }
            if let name = Self.new[event], member.name.hasSameBytes(as: name) { continue }
            if Self.namesOther(member.value) { return "another party was published in \(member.name), signed" }
        }
        for member in wire.members where !member.name.hasSameBytes(as: "payload") && Self.namesOther(member.value) {
            return "another party was published in \(member.name), signed"
        }
        for (name, own) in [("tenant_id", GuestReport.tenant), ("request_id", "req-1"), ("user_id", "user-1")] {
            if let value = payload[name], !Self.isSame(value, own) { return "another \(name) than was signed" }
        }
        return nil
    }

    private static func namesOther(_ value: JSONValue) -> Bool {
        String(decoding: JSONWriter.encode(value), as: UTF8.self).contains(GuestReport.other)
    }

    private static func isSame(_ value: JSONValue?, _ text: String) -> Bool {
        value?.string?.hasSameBytes(as: text) ?? false
    }
}
