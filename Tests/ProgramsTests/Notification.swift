// SPDX-License-Identifier: Apache-2.0

import Foundation
import Testing

/// A notification as a consumer reads it: oslo's message object.
struct Notification {
    /// All members.
    let object: [String: Any]

    /// Reads a message object.
    init(_ json: String) throws {
        self.object = try #require(try JSONSerialization.jsonObject(with: Data(json.utf8)) as? [String: Any])
    }

    /// Reads a message object, out of its envelope if it has one.
    init(body: [UInt8]) throws {
        let plain = try Notification(String(decoding: body, as: UTF8.self))
        guard let inner = plain.object["oslo.message"] as? String else {
            self = plain
            return
        }
        try self.init(inner)
    }

    var eventType: String? { self.object["event_type"] as? String }
    var priority: String? { self.object["priority"] as? String }
    var messageID: String? { self.object["message_id"] as? String }
    var payload: [String: Any] { self.object["payload"] as? [String: Any] ?? [:] }
    /// An error's text.
    var message: String? { self.payload["message"] as? String }
    /// An error's trace.
    var exception: [String] { self.payload["exception"] as? [String] ?? [] }
}
