// SPDX-License-Identifier: Apache-2.0

package import Glibc
package import Notifications

/// The facts of one accepted outcome that an operator needs to find the guest behind a message.
package struct AuditRecord: Sendable, Hashable {
    /// The result of handling the outcome.
    package enum Disposition: String, Sendable, Hashable {
        /// Every driver has confirmed it; for the messaging driver, the broker has.
        case published
        /// It was handed to the broker, which has not confirmed it but may have it. The guest is asked to send it
        /// again.
        case unconfirmed
        /// It was sent before, and is published. Logged once a minute for each guest.
        case duplicate
    }

    /// The message id, which consumers find in the message.
    package let messageID: MessageID
    /// The event type.
    package let eventType: String
    /// The guest, `TENANT/INSTANCE` or `INSTANCE`, as in the AMQP header.
    package let guest: String
    /// The serial number of the guest's certificate, in lower-case hexadecimal.
    package let certificateSerial: String
    /// The address that the guest's connection came from, `ip:port`.
    package let peer: String
    /// Whether the control plane has signed the operation's context.
    package let isSigned: Bool
    /// The result of handling the outcome.
    package var disposition: Disposition
    /// The number of the guest's duplicates since the last line about one, including this one; only with
    /// ``Disposition/duplicate``.
    package var duplicates = 0
    /// The number of other guests' duplicates that no line has counted, because there was no space for those guests.
    package var duplicatesOfOthers = 0

    /// Creates a record of these facts.
    package init(
        messageID: MessageID, eventType: String, guest: String, certificateSerial: String, peer: String, isSigned: Bool,
        disposition: Disposition
    ) {
        self.messageID = messageID
        self.eventType = eventType
        self.guest = guest
        self.certificateSerial = certificateSerial
        self.peer = peer
        self.isSigned = isSigned
        self.disposition = disposition
    }
}

extension AuditRecord {
    /// Returns the lines of these records, each with its newline, in the format of `StreamLogHandler`, so that the log
    /// has a single format. Programs rely on the names (Docs/operations.md), and no value has a space in it.
    ///
    /// A batch is one text with one time. Having a logger make each line takes several times as long as publishing the
    /// outcome.
    package static func lines(of records: [AuditRecord], at time: time_t = Glibc.time(nil)) -> String {
        let beginning = "\(Self.timestamp(time)) info \(AuditLog.label): certificate_serial="
        var text = ""
        text.reserveCapacity(records.count * 384)
        for record in records {
            text += beginning
            text += record.certificateSerial
            text += " disposition="
            text += record.disposition.rawValue
            if record.duplicates > 0 { text += " duplicates=\(record.duplicates)" }
            if record.duplicatesOfOthers > 0 { text += " duplicates_of_others=\(record.duplicatesOfOthers)" }
            text += " event_type="
            text += record.eventType
            text += " guest="
            text += record.guest
            text += " message_id="
            text += record.messageID.description
            text += " peer="
            text += record.peer
            text += record.isSigned ? " signed=true" : " signed=false"
            text += " [ConductorService] Accepted an outcome\n"
        }
        return text
    }

    private static func timestamp(_ time: time_t) -> String {
        var time = time
        var parts = unsafe tm()
        guard unsafe localtime_r(&time, &parts) != nil else { return "<unknown>" }
        var buffer = [UInt8](repeating: 0, count: 64)
        let count = unsafe buffer.withUnsafeMutableBytes { bytes in
            guard let address = unsafe bytes.baseAddress?.assumingMemoryBound(to: CChar.self) else { return 0 }
            return unsafe strftime(address, bytes.count, "%Y-%m-%dT%H:%M:%S%z", &parts)
        }
        return String(decoding: buffer[..<count], as: UTF8.self)
    }
}
