import ConductorRPC
import Notifications
import Notifier
import TLSSocket

/// An outcome whose report is right. Of a long one it does not hold the message, which takes long to free.
struct CheckedOutcome: Sendable {
    /// The message, for the drivers.
    enum Notification: Sendable {
        case message(NotificationMessage)
        case prepared(PreparedNotification)
    }

    let messageID: MessageID
    let eventType: String
    /// A digest of what the outcome says; of one that is not published none is made.
    let contentDigest: UInt64
    /// Whether the operator has left the event switched on.
    let isPublished: Bool
    /// The operation that it ends, where the control plane has signed it.
    let signed: SignedOperation?
    /// Why it must not be published any more, unless it was already; nil while its signature is good.
    let expiry: RPCError?
    /// The fields that are not published, and for the log the names of some.
    let leftOut: LeftOutFields?
    let leftOutNames: String?
    var notification: Notification

    init(
        _ message: NotificationMessage, isPublished: Bool, signed: SignedOperation?, expiry: RPCError?,
        leftOut: LeftOutFields?, leftOutNames: String?
    ) {
        self.messageID = message.messageID
        self.eventType = message.eventType
        self.contentDigest = isPublished ? message.contentDigest : 0
        self.isPublished = isPublished
        self.signed = signed
        self.expiry = expiry
        self.leftOut = leftOut
        self.leftOutNames = leftOutNames
        self.notification = .message(message)
    }

    /// A record for the audit.
    func record(_ disposition: AuditRecord.Disposition, from peer: RPCPeer) -> AuditRecord {
        AuditRecord(
            messageID: self.messageID, eventType: self.eventType, guest: peer.sender.name,
            certificateSerial: peer.certificate?.serialNumber ?? "", peer: peer.remoteAddress,
            isSigned: self.signed != nil, disposition: disposition)
    }
}
