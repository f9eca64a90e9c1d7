extension OperationDefinition {
    /// The payloads of a request that names several databases, users or grants: one for each name, in their order, where
    /// the documents want an event for each; else the payload as it is.
    ///
    /// - Parameters:
    ///   - payload: fields of which ``oneForEach`` may be a list.
    ///   - path: where the payload stands, for errors.
    /// - Throws: ``FieldError`` for a list that is empty or holds anything but text.
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

    /// What of a start's payload any of the operation's events can use, and the names of the rest: passwords and the
    /// like, which no guest and no queue needs.
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
