extension NotificationContext {
    /// What is published as `_context_…`, under the names that oslo.context gives them.
    package var publishedContext: JSONObject {
        var object = JSONObject()
        object.append("request_id", .string(self.requestID))
        object.append("user", self.userID.map { .string($0) } ?? .null)
        object.append("project_id", .string(self.tenantID))
        object.append("project", .string(self.tenantID))
        return object
    }
}
