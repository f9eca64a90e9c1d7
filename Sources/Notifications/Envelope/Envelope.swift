// SPDX-License-Identifier: Apache-2.0

import Synchronization

/// The two forms of a notification on oslo.messaging's wire.
package enum Envelope: String, Sendable, Hashable, CaseIterable {
    /// The `messaging` driver's: the message object itself.
    case messaging
    /// The `messagingv2` driver's: the message object as a JSON string inside `oslo.message`.
    case messagingv2

    /// Returns the body of one message, in ASCII.
    ///
    /// - Parameters:
    ///   - notification: the notification to send.
    ///   - uniqueID: an identifier that is new for each send: an oslo consumer never acknowledges the second of two
    ///     messages with the same one.
    package func encode(_ notification: NotificationMessage, uniqueID: UniqueID = UniqueID()) -> [UInt8] {
        var writer = JSONWriter(capacity: 2048)
        switch self {
        case .messaging: writer.write(notification, uniqueID: uniqueID)
        case .messagingv2:
            writer.writeObject {
                $0.writeMember("oslo.version", "2.0")
                $0.writeName("oslo.message")
                $0.writeString(holding: { $0.write(notification, uniqueID: uniqueID) })
            }
        }
        return writer.bytes
    }
}

/// The identifier of one send: 32 lower-case hexadecimal digits.
package struct UniqueID: Sendable, Hashable, CustomStringConvertible {
    /// The digits.
    package let description: String

    /// Creates an identifier of 128 bits that is as good as a random one: each process starts from random seeds and
    /// makes no identifier twice. Identifiers are not secret, so the system's generator is not called for each message.
    package init() {
        let number = Self.count.wrappingAdd(1, ordering: .relaxed).newValue
        let halves = (Self.seeds.0 &+ number, Self.seeds.1 &+ number &* 0x9E37_79B9_7F4A_7C15)
        self.description = String(hexadecimal: halves.0.mixed, halves.1.mixed)
    }

    private static let count = Atomic<UInt64>(0)
    private static let seeds = (UInt64.random(in: 0 ... .max), UInt64.random(in: 0 ... .max))
}

extension UInt64 {
    /// The number mixed by SplitMix64's finalizer: different numbers stay different, and nothing shows their order.
    fileprivate var mixed: UInt64 {
        var mixed = self
        mixed = (mixed ^ mixed >> 30) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ mixed >> 27) &* 0x94D0_49BB_1331_11EB
        return mixed ^ mixed >> 31
    }
}

extension JSONWriter {
    /// Writes oslo.messaging's message object, its members in oslo's order.
    fileprivate mutating func write(_ notification: NotificationMessage, uniqueID: UniqueID) {
        self.writeObject {
            $0.writeMember("message_id", notification.messageID.description)
            $0.writeMember("publisher_id", notification.publisherID)
            $0.writeMember("event_type", notification.eventType)
            $0.writeMember("priority", notification.priority.wireName)
            $0.writeName("payload")
            $0.write(notification.payload)
            $0.writeMember("timestamp", notification.timestamp.description)
            $0.writeMember("_unique_id", uniqueID.description)
            let context = notification.context.members.span
            for index in context.indices {
                $0.writeName(context[index].name, prefix: "_context_")
                $0.write(context[index].value)
            }
        }
    }
}
