// SPDX-License-Identifier: Apache-2.0

import Notifications
import StatusNotifications

extension QuotaUsage {
    /// Creates the usage that a row of the periodic report describes, with the event's own field names. `updated` is
    /// required, but may be null.
    ///
    /// - Throws: `FieldError` naming the field.
    init(row: JSONObject) throws(FieldError) {
        let fields = JSONFields(row)
        try fields.requireMention(of: "updated")
        self.init(
            resource: try fields.string("resource"), inUse: try fields.integer("in_use"),
            reserved: try fields.integer("reserved"), limit: try fields.integer("limit"),
            updated: try fields.optionalTimestamp("updated"), tenantID: try fields.optionalString("tenant_id"))
    }
}
