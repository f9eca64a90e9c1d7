// SPDX-License-Identifier: Apache-2.0

import Notifications
import StatusNotifications

extension DatabaseInstance {
    /// The longest id of an instance, in bytes.
    private static let maximumIDBytes = 255

    /// Creates the instance that a row of the periodic report describes. The row uses the event's own field names, with
    /// these rules:
    ///
    /// - `instance_name`, `display_name` and `name` are alternatives;
    /// - `datastore_manager` can replace `service_id`;
    /// - a missing `launched_at` defaults to `created_at`, and a missing `state_description` to `state`;
    /// - `user_id` and `nova_instance_id` are required, but may be null;
    /// - `resource_id`, `cluster_id`, `instance_size` and `volume_size` are optional.
    ///
    /// - Throws: `FieldError` naming the field.
    init(row: JSONObject) throws(FieldError) {
        let fields = JSONFields(row)
        let id = try fields.string("instance_id")
        guard id.utf8.count <= Self.maximumIDBytes else {
            throw fields.error("instance_id", "is longer than \(Self.maximumIDBytes) bytes")
        }
        // `??` does not work here: its right side throws any Error, not only FieldError.
        var name = try fields.optionalString("instance_name")
        if name == nil { name = try fields.optionalString("display_name") }
        if name == nil { name = try fields.optionalString("name") }
        guard let name else { throw fields.error("instance_name", "is missing") }
        let flavorID: Flavor.ID
        switch fields.value("instance_type_id") {
        case .string(let text): flavorID = .text(text)
        case .number(let number):
            // A number that does not fit into an Int is passed on as text.
            flavorID = Int(number.literal).map { .number($0) } ?? .text(number.literal)
        case nil: throw fields.error("instance_type_id", "is missing")
        case let value?: throw fields.mismatch("instance_type_id", "a string or a number", value)
        }
        let datastore: Datastore
        if let serviceID = try fields.optionalString("service_id") {
            datastore = .serviceID(serviceID)
        } else if let manager = try fields.optionalString("datastore_manager") {
            datastore = .manager(manager)
        } else {
            throw fields.error("service_id", "is missing: add it or datastore_manager")
        }
        let volumeSize = try fields.optionalInteger("volume_size")
        try fields.requireMention(of: "user_id")
        try fields.requireMention(of: "nova_instance_id")
        self.init(
            id: id, name: name, tenantID: try fields.string("tenant_id"),
            userID: try fields.optionalString("user_id"),
            flavor: Flavor(
                id: flavorID, name: try fields.string("instance_type"),
                memory: try fields.optionalInteger("instance_size")),
            volume: volumeSize.map { Volume(size: $0) },
            novaInstanceID: try fields.optionalString("nova_instance_id"), state: try fields.string("state"),
            stateDescription: try fields.optionalString("state_description"),
            createdAt: try fields.timestamp("created_at"), launchedAt: try fields.optionalTimestamp("launched_at"),
            region: try fields.string("region"), clusterID: try fields.optionalString("cluster_id"),
            datastore: datastore)
        if let resourceID = try fields.optionalString("resource_id") { self.resourceID = resourceID }
    }

    /// Returns the instances that rows describe.
    ///
    /// - Throws: ``RowError`` for the first row that is invalid or repeats the instance of an earlier row.
    static func instances(of rows: [JSONObject]) async throws -> [DatabaseInstance] {
        var instances: [DatabaseInstance] = []
        instances.reserveCapacity(rows.count)
        var rowNumbers: [String: Int] = [:]
        for (index, row) in rows.enumerated() {
            // A hundred thousand rows take a while: yield the thread to other tasks.
            if index % 256 == 255 { await Task.yield() }
            do throws(FieldError) {
                let instance = try DatabaseInstance(row: row)
                if let other = rowNumbers.updateValue(index + 1, forKey: instance.id) {
                    throw FieldError(field: "instance_id", problem: "is the same as in row \(other)")
                }
                instances.append(instance)
            } catch {
                throw RowError(row: index + 1, error: error)
            }
        }
        return instances
    }
}
