// SPDX-License-Identifier: Apache-2.0

import ConductorRPC
package import Notifications

extension NotificationMessage {
    /// A 64-bit digest of the outcome's content: its event type and its payload. It means nothing outside this process.
    ///
    /// The digest leaves out the timestamp, which differs each time if a guest leaves it to the conductor, and
    /// `server_ip`, which is the address that the guest connected to. Neither of them makes the same outcome a
    /// different one.
    package var contentDigest: UInt64 {
        var digest = ByteDigest()
        digest.add(self.eventType)
        let members = self.payload.members.span
        for index in members.indices where members[index].name != "server_ip" {
            digest.add(members[index].name)
            digest.add(members[index].value)
        }
        return digest.value
    }
}

extension ByteDigest {
    /// Adds a value, in a form that differs from the form of every other value.
    fileprivate mutating func add(_ value: JSONValue) {
        switch value {
        case .null: self.add(0 as UInt64)
        case .bool(let value): self.add(value ? 1 : 2 as UInt64)
        case .number(let number):
            self.add(3 as UInt64)
            self.add(number.literal)
        case .string(let string):
            self.add(4 as UInt64)
            self.add(string)
        case .array(let elements):
            self.add(5 as UInt64)
            self.add(UInt64(elements.count))
            for element in elements { self.add(element) }
        case .object(let object):
            self.add(6 as UInt64)
            self.add(UInt64(object.members.count))
            for member in object.members {
                self.add(member.name)
                self.add(member.value)
            }
        }
    }
}
