// SPDX-License-Identifier: Apache-2.0

import ConductorRPC
import Notifications
import Notifier
import TLSChannel

/// An outcome whose report passed all checks. For a long outcome it holds the prepared notification instead of the
/// message, because freeing a long message takes long.
struct CheckedOutcome: Sendable {
    /// The notification to publish: the message, or what the drivers have prepared from it.
    enum Notification: Sendable {
        case message(NotificationMessage)
        case prepared(PreparedNotification)
    }

    let messageID: MessageID
    let eventType: String
    /// A digest of the outcome's content; 0 for an outcome that is not published.
    let contentDigest: UInt64
    /// Whether the event is published: the operator has not switched it off.
    let isPublished: Bool
    /// The operation that the outcome ends, if the control plane has signed it.
    let signed: SignedOperation?
    /// The error for an outcome whose signature has expired, unless it was published before; nil while the signature is
    /// valid.
    let expiryError: RPCError?
    /// The fields that are not published.
    let undeclared: UndeclaredFields?
    /// The names of some of these fields, for the log.
    let undeclaredNames: String?
    var notification: Notification

    init(
        _ message: NotificationMessage, isPublished: Bool, signed: SignedOperation?, expiryError: RPCError?,
        undeclared: UndeclaredFields?, undeclaredNames: String?
    ) {
        self.messageID = message.messageID
        self.eventType = message.eventType
        self.contentDigest = isPublished ? message.contentDigest : 0
        self.isPublished = isPublished
        self.signed = signed
        self.expiryError = expiryError
        self.undeclared = undeclared
        self.undeclaredNames = undeclaredNames
        self.notification = .message(message)
    }

    /// Returns a record of this outcome for the audit log.
    func record(_ disposition: AuditRecord.Disposition, from peer: RPCPeer) -> AuditRecord {
        AuditRecord(
            messageID: self.messageID, eventType: self.eventType, guest: peer.sender.name,
            certificateSerial: peer.certificate?.serialNumber ?? "", peer: peer.remoteAddress,
            isSigned: self.signed != nil, disposition: disposition)
    }
}
