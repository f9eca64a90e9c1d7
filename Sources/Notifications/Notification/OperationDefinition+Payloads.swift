// SPDX-License-Identifier: Apache-2.0

extension OperationDefinition {
    /// Returns the payloads of a request that names several databases, users or grants. Where the documents require an
    /// event for each name, there is one payload for each, in the request's order; otherwise the payload is unchanged.
    ///
    /// - Parameters:
    ///   - payload: the start fields, of which ``oneForEach`` may be a list.
    ///   - path: the payload's path, for errors.
    /// - Throws: ``FieldError`` for a list that is empty or contains anything but text.
    package func payloads(of payload: JSONObject, path: String = "payload") throws(FieldError) -> [JSONObject] {
        guard let name = self.oneForEach,
            let field = self.start?.fields.first(where: { $0.isNamed(name) }),
            let found = field.find(in: payload), case .array(let elements) = found.value
        else { return [payload] }
        guard !elements.isEmpty else {
            throw FieldError(field: FieldError.join(path, found.name), problem: "must not be an empty list")
        }
        var payloads: [JSONObject] = []
        for (index, element) in elements.enumerated() {
            guard case .string = element else {
                throw FieldError(
                    field: "\(FieldError.join(path, found.name))[\(index)]",
                    problem: "must be a string, not \(element.kind)")
            }
            var single = payload
            single[found.name] = element
            payloads.append(single)
        }
        return payloads
    }

    /// Splits a start's payload into the fields that an event of the operation declares, and the names of the other
    /// fields. No guest and no queue needs the others, such as passwords.
    package func declared(of payload: JSONObject) -> (payload: JSONObject, undeclared: [String]) {
        var declared = JSONObject()
        var undeclared: [String] = []
        for member in payload.members {
            if self.events.contains(where: { $0.declares(member.name) }) {
                declared.append(member.name, member.value)
            } else {
                undeclared.append(member.name)
            }
        }
        return (declared, undeclared)
    }
}
