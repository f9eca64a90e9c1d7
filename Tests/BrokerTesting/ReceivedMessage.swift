// SPDX-License-Identifier: Apache-2.0

/// A message as a consumer of the broker receives it.
package struct ReceivedMessage: Sendable, Hashable {
    /// The AMQP properties that a message can have; nil for those that it does not have.
    package struct Properties: Sendable, Hashable {
        package var contentType: String?
        package var contentEncoding: String?
        /// The names of the headers; empty and nil differ on the wire.
        package var headers: [String]?
        /// The values of the headers that are texts.
        package var headerTexts: [String: String] = [:]
        package var deliveryMode: UInt8?
        package var priority: UInt8?
        /// The names of the other properties that are present: `message_id`, `timestamp` …
        package var others: [String] = []

        package init() {}
    }

    package var exchange: String
    package var routingKey: String
    package var redelivered: Bool
    package var properties: Properties
    package var body: [UInt8]
}
