// SPDX-License-Identifier: Apache-2.0

import Notifications

extension JSONFields {
    /// Returns an optional whole number, which may also be given as a string of digits.
    func optionalInteger(_ name: String) throws(FieldError) -> Int? {
        guard let value = self.value(name) else { return nil }
        if let number = value.integer { return number }
        if case .string(let digits) = value, digits.utf8.count <= 20, let number = Int(digits) { return number }
        throw self.mismatch(name, "a whole number", value)
    }

    /// Returns a required whole number, which may also be given as a string of digits.
    func integer(_ name: String) throws(FieldError) -> Int {
        guard let number = try self.optionalInteger(name) else { throw self.error(name, "is missing") }
        return number
    }

    /// Returns an optional time, in any form that ``NotificationTimestamp`` parses.
    func optionalTimestamp(_ name: String) throws(FieldError) -> NotificationTimestamp? {
        guard let text = try self.optionalString(name) else { return nil }
        guard let timestamp = NotificationTimestamp(text) else {
            throw self.error(
                name, "must be a time (RFC 3339) such as 2015-06-28T05:54:52Z, not \(text.excerpt)")
        }
        return timestamp
    }

    /// Returns a required time.
    func timestamp(_ name: String) throws(FieldError) -> NotificationTimestamp {
        guard let timestamp = try self.optionalTimestamp(name) else { throw self.error(name, "is missing") }
        return timestamp
    }

    /// Throws if the member is missing; null is allowed and means that there is no value.
    func requireMention(of name: String) throws(FieldError) {
        guard self.object[name] != nil else { throw self.error(name, "is missing; set it to null if there is none") }
    }
}
