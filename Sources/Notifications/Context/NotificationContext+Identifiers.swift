// SPDX-License-Identifier: Apache-2.0

extension NotificationContext {
    /// The maximum length of an identifier of a context, in bytes of UTF-8. Keystone's columns hold as many, and no
    /// identifier in use is as long.
    ///
    /// The limit matters because a tenant is published four times, and a letter outside ASCII takes up to seven bytes
    /// each time.
    package static let longestIdentifier = 255

    /// Checks that no identifier is longer than ``longestIdentifier``.
    ///
    /// - Parameter path: the context's path in its message, for errors.
    /// - Throws: ``FieldError`` naming the first identifier that is too long.
    package func checkIdentifiers(path: String = "context") throws(FieldError) {
        try Self.checkIdentifier(self.requestID, "request_id", path)
        try Self.checkIdentifier(self.tenantID, "tenant_id", path)
        if let userID { try Self.checkIdentifier(userID, "user_id", path) }
        try Self.checkIdentifier(self.clientIP, "client_ip", path)
        if let serverIP { try Self.checkIdentifier(serverIP, "server_ip", path) }
        if let serverType { try Self.checkIdentifier(serverType, "server_type", path) }
        guard let requestContext else { return }
        let requestPath = FieldError.join(path, "request_context")
        for name in RequestContext.publishedIdentifiers {
            switch requestContext[name] {
            case .string(let text)?: try Self.checkIdentifier(text, name, requestPath)
            case .array(let texts)?:
                for text in texts { try Self.checkIdentifier(text.string ?? "", name, requestPath) }
            default: break
            }
        }
    }

    /// Checks the length of one identifier.
    ///
    /// - Throws: ``FieldError`` when the identifier is too long.
    static func checkIdentifier(_ text: String, _ name: String, _ path: String) throws(FieldError) {
        let bytes = text.utf8.count
        guard bytes > Self.longestIdentifier else { return }
        throw FieldError(
            field: FieldError.join(path, name),
            problem: "must have at most \(Self.longestIdentifier) bytes of UTF-8, not \(bytes)")
    }
}
