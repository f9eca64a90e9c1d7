// SPDX-License-Identifier: Apache-2.0

public import Notifications

extension DatabaseInstance {
    /// Returns the payload of an event of this instance, with each time in the form that Trove uses for it there.
    ///
    /// The periodic event contains the sizes if they are known. They are not in the specification, but meters of size
    /// need them.
    ///
    /// - Parameters:
    ///   - event: the event.
    ///   - serviceIDs: the service ids of the datastore managers.
    /// - Returns: a payload that may lack required fields for which this instance has no value. The notification is
    ///   checked, see ``notification(of:serviceIDs:publisherID:messageID:timestamp:context:)``.
    public func payload(of event: InstanceEvent, serviceIDs: ServiceIDs = .trove) -> JSONObject {
        var payload: JSONObject = [
            "tenant_id": .string(self.tenantID),
            "user_id": .init(self.userID),
            "instance_id": .string(self.id),
            "instance_name": .string(self.name),
            "instance_type": .string(self.flavor.name),
            "instance_type_id": self.flavor.id.json,
            "nova_instance_id": .init(self.novaInstanceID),
            "service_id": .string(self.serviceID(serviceIDs)),
            "state": .string(self.state),
            "state_description": .string(self.stateDescription),
            "created_at": .string(self.createdAt.text(.seconds)),
            "launched_at": .string(self.launchedAt.text(.seconds)),
            "region": .string(self.region),
        ]
        payload["resource_id"] = self.resourceID.map { .string($0) }
        payload["cluster_id"] = self.clusterID.map { .string($0) }
        payload["instance_size"] = self.flavor.memory.map { .number(JSONNumber($0)) }
        payload["volume_size"] = self.volume.map { .number(JSONNumber($0.size)) }
        if case .exists(let period) = event {
            payload["state"] = .string(self.state.lowercased())
            payload["state_description"] = .string(self.stateDescription.lowercased())
            payload["created_at"] = .string(self.createdAt.text(.microseconds))
            payload["launched_at"] = .string(self.launchedAt.text(.microseconds))
            payload["display_name"] = .string(self.name)
            payload["audit_period_beginning"] = .string(period.beginning.text(.microsecondsUTC))
            payload["audit_period_ending"] = .string(period.ending.text(.microsecondsUTC))
            return payload
        }
        payload["name"] = .string(self.name)
        payload["availability_zone"] = .init(self.availabilityZone)
        payload["nova_volume_id"] = self.volume?.id.map { .string($0) }
        switch event {
        case .create, .exists: break
        case .delete(let time):
            payload["deleted_at"] = .string(time.text(.seconds))
        case .modifyVolume(let oldSize, let time):
            payload["old_volume_size"] = .number(JSONNumber(oldSize))
            payload.setModified(at: time)
        case .modifyFlavor(let oldMemory, let time):
            payload["old_instance_size"] = .number(JSONNumber(oldMemory))
            payload.setModified(at: time)
        }
        return payload
    }

    /// Returns the notification of an event of this instance.
    ///
    /// - Parameters:
    ///   - event: the event.
    ///   - serviceIDs: the service ids of the datastore managers.
    ///   - publisherID: the publisher, such as `taskmanager.control-1`.
    ///   - messageID: the notification's identifier.
    ///   - timestamp: the time of the event.
    ///   - context: the members published as `_context_…`.
    /// - Throws: `FieldError` naming the required fields for which this instance has no value.
    public func notification(
        of event: InstanceEvent, serviceIDs: ServiceIDs = .trove, publisherID: String,
        messageID: MessageID = MessageID(), timestamp: NotificationTimestamp = .now(),
        context: JSONObject = JSONObject()
    ) throws(FieldError) -> NotificationMessage {
        guard let definition = Catalogues.builtIn.event(event.eventType) else {
            throw FieldError(field: "event_type", problem: "\(event.eventType) is not in any catalogue")
        }
        return try definition.notification(
            values: self.payload(of: event, serviceIDs: serviceIDs), publisherID: publisherID, messageID: messageID,
            timestamp: timestamp, context: context
        ).message
    }

    private func serviceID(_ serviceIDs: ServiceIDs) -> String {
        switch self.datastore {
        case .manager(let manager): serviceIDs.serviceID(ofManager: manager)
        case .serviceID(let id): id
        }
    }
}

extension DatabaseInstance.Flavor.ID {
    fileprivate var json: JSONValue {
        switch self {
        case .number(let number): .number(JSONNumber(number))
        case .text(let text): .string(text)
        }
    }
}

extension JSONValue {
    /// Creates a string, or null for nil.
    fileprivate init(_ text: String?) { self = text.map { .string($0) } ?? .null }
}

extension JSONObject {
    fileprivate mutating func setModified(at time: NotificationTimestamp) {
        self["modify_at"] = .string(time.text(.seconds))
        // A resized instance counts as launched again.
        self["launched_at"] = .string(time.text(.seconds))
    }
}
