import ConductorRPC
package import Notifications

extension NotificationMessage {
    /// What the outcome says, in 64 bits that mean nothing outside this process: its event type and its payload.
    ///
    /// Not the timestamp, which is another each time a guest leaves it to the conductor, and not `server_ip`, which is the
    /// address that the guest reached: neither makes the same outcome another one.
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
    /// Adds a value, so that no other value adds the same.
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
