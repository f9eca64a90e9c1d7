// SPDX-License-Identifier: Apache-2.0

import ConductorRPC
import NIOCore
import Notifications
import RelayTesting
import Testing

extension ReportingGuest {
    /// The answer to a report.
    enum Answer {
        case rejected(RPCError)
        case published(NotificationMessage)
    }

    /// Sends a report, which is decoded as from the wire, and returns the answer. An `etype` makes the report an error,
    /// whatever the method is.
    func report(_ parameters: JSONObject) throws -> Answer {
        let line = JSONWriter.encode(GuestReport.request(parameters, .error))
        let call: RPCCall
        do {
            call = try RPCRequest(line: ByteBuffer(bytes: line)).call
        } catch {
            return .rejected(error.error)
        }
        let (results, published) = self.send(call)
        #expect(results.count == 1)
        switch try #require(results.first) {
        case .failure(let error):
            #expect(published.isEmpty)
            return .rejected(error)
        case .success:
            #expect(published.count == 1)
            return .published(try #require(published.first))
        }
    }
}

extension GuestReport {
    /// Returns the parameters of an honest report.
    static func honest(_ name: String, _ operation: Catalogues.Operation, _ phase: OperationPhase) -> JSONObject {
        self.parameters(self.context(name, operation), operation, phase)
    }

    /// Returns the parameters of an honest end in real Trove's form.
    static func honestOfTrove(_ className: String, _ operation: Catalogues.Operation) -> JSONObject {
        var notification = self.values(operation.definition.start)
        for (name, value) in [
            ("notification_classname", "trove.common.notification.\(className)"), ("request_id", "req-1"),
            ("tenant_id", self.tenant), ("client_ip", "198.51.100.7"), ("server_ip", "s"), ("server_type", "api"),
        ] { notification[name] = .string(value) }
        return [
            "context": [
                "auth_token": nil, "user_identity": "-", "user": "user-1", "project_id": .string(self.tenant),
                "project": .string(self.tenant), "request_id": "req-1", "trove_notification": .object(notification),
            ],
            "payload": .object(self.values(operation.definition.end)),
        ]
    }
}
