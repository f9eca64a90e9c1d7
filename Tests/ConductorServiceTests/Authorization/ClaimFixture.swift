// SPDX-License-Identifier: Apache-2.0

import ConductorRPC
import ConductorService
import LogTesting
import Logging
import NIOConcurrencyHelpers
import NIOCore
import Notifications
import Notifier
import TLSChannel
import Testing

/// A relay, and one guest's reports to it in their wire format.
struct ClaimFixture {
    /// The guest's own names.
    static let instance = "inst-1"
    static let tenant = "tenant-1"
    /// The name of another party; no report has it unless a test puts it there.
    static let other = "b7d3-other"

    /// The result of a request.
    enum End {
        case refused(RPCError)
        case published(NotificationMessage)
    }

    let catalogues: Catalogues
    private let driver = TestDriver()
    private let relay: Relay
    private let peer: RPCPeer

    /// - Parameters:
    ///   - namesTenant: whether the guest's certificate names its tenant.
    ///   - instance: the instance that it names.
    ///   - verifier: checks the contexts' signatures.
    init(namesTenant: Bool = true, instance: String = Self.instance, verifier: ContextVerifier? = nil) throws {
        // The catalogue of another service, whose field names differ from Trove's.
        let vm = FieldDefinition.required("vm", "Machine", alternate: "vm_id", role: .instance)
        let shop = Catalogue(
            service: "shop", description: "", baseFields: [], identifiers: ["vm", "shelf"],
            operations: [
                OperationDefinition(
                    key: "sell",
                    start: EventDefinition(
                        eventType: "shop.sell.start",
                        fields: [vm, .optional("shelf", "Shelf"), .optional("till", "Till")]),
                    end: EventDefinition(
                        eventType: "shop.sell.end", fields: [.optional("owner", "Project", role: .tenant)]),
                    error: EventDefinition(
                        eventType: "shop.sell.error", priority: .error,
                        fields: [.required("message", ""), .required("exception", "", .texts)]))
            ])
        self.catalogues = try Catalogues(Catalogues.builtIn.catalogues + [shop])
        let logger = Logger.quiet
        self.relay = Relay(
            notifier: Notifier(drivers: [self.driver]), catalogues: self.catalogues, publisherID: "conductor.edge-1",
            rememberedIDs: 0, verifier: verifier, logger: logger)
        let path = (namesTenant ? "/tenant/\(Self.tenant)" : "") + "/instance/\(instance)"
        self.peer = RPCPeer(
            certificate: PeerCertificate(
                commonName: Self.other, uris: ["spiffe://conductor.test\(path)"], dnsNames: [Self.other],
                serialNumber: "01", notBefore: 0, notAfter: .max, sha256: ""),
            remoteAddress: "192.0.2.9:5", localAddress: "192.0.2.1:8790")
    }

    /// Every operation that can be reported, by the name that contexts give it.
    var operations: [(name: String, operation: Catalogues.Operation)] {
        self.catalogues.catalogues.flatMap { catalogue in
            catalogue.operations.compactMap { operation in
                let name = "\(catalogue.service).\(operation.key)"
                return self.catalogues.operation(name).map { (name, $0) }
            }
        }
    }

    /// Sends a request, which is decoded as from the wire, and returns its result.
    func send(_ parameters: JSONObject) throws -> End {
        let request: JSONValue = [
            "jsonrpc": "2.0", "id": 1, "method": "notify_exc_info", "params": .object(parameters),
        ]
        let call: RPCCall
        do {
            call = try RPCRequest(line: ByteBuffer(bytes: JSONWriter.encode(request))).call
        } catch {
            return .refused(error.error)
        }
        self.driver.reset()
        let result = NIOLockedValueBox<RPCResult?>(nil)
        // The driver confirms at once.
        self.relay.handle(call, from: self.peer) { answer in result.withLockedValue { $0 = answer } }
        switch try #require(result.withLockedValue { $0 }) {
        case .failure(let error):
            #expect(self.driver.notifications.isEmpty)
            return .refused(error)
        case .success:
            #expect(self.driver.notifications.count == 1)
            return .published(try #require(self.driver.notifications.first))
        }
    }

    /// A report that a guest may make: it has all fields, and none of them names another party.
    func honest(_ name: String, _ operation: Catalogues.Operation, _ phase: OperationPhase) -> JSONObject {
        var parameters: JSONObject = [
            "context": [
                "operation": .string(name), "request_id": "req-1", "tenant_id": .string(Self.tenant),
                "user_id": "user-1", "client_ip": "198.51.100.7", "server_ip": "203.0.113.1", "server_type": "api",
                "payload": .object(Self.values(operation.definition.start)), "request_context": ["is_admin": false],
            ],
            "payload": .object(phase == .end ? Self.values(operation.definition.end) : [:]),
        ]
        if phase == .error {
            parameters["etype"] = "ValueError"
            parameters["value"] = "no such table"
            parameters["trace"] = ["line 7"]
        }
        return parameters
    }

    /// The same report in real Trove's form.
    func honestOfTrove(_ className: String, _ operation: Catalogues.Operation) -> JSONObject {
        var notification = Self.values(operation.definition.start)
        for (name, value) in [
            ("notification_classname", "trove.common.notification.\(className)"), ("request_id", "req-1"),
            ("tenant_id", Self.tenant), ("client_ip", "198.51.100.7"), ("server_ip", "s"), ("server_type", "api"),
        ] { notification[name] = .string(value) }
        return [
            "context": [
                "auth_token": nil, "user_identity": "-", "user": "user-1", "project_id": .string(Self.tenant),
                "project": .string(Self.tenant), "request_id": "req-1", "trove_notification": .object(notification),
            ],
            "payload": .object(Self.values(operation.definition.end)),
        ]
    }

    private static func values(_ event: EventDefinition?) -> JSONObject {
        JSONObject(
            (event?.fields ?? []).map { field in
                switch (field.role, field.kind) {
                case (.instance?, _): (field.name, .string(Self.instance))
                case (.tenant?, _): (field.name, .string(Self.tenant))
                case (nil, .integer), (nil, .number): (field.name, 5)
                case (nil, .boolean): (field.name, true)
                case (nil, .timestamp): (field.name, "2015-06-28T05:54:52Z")
                case (nil, .texts): (field.name, ["some"])
                case (nil, .text), (nil, .any): (field.name, "some")
                }
            })
    }
}

extension JSONObject {
    /// Returns the object with another value at a path of members.
    func with(_ value: JSONValue?, at path: [String]) -> JSONObject {
        guard let first = path.first else { return self }
        var object = self
        object[first] =
            path.count == 1 ? value : .object((self[first]?.object ?? [:]).with(value, at: Array(path.dropFirst())))
        return object
    }
}
