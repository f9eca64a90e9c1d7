// SPDX-License-Identifier: Apache-2.0

extension Catalogue {
    /// Trove's status notifications (ceilometer-integration specification, 1.2.1), which a control plane publishes
    /// about its instances and quotas. A guest cannot report them.
    public static let trove = Catalogue(
        service: "trove",
        description: "Trove's status notifications (ceilometer-integration specification, 1.2.1).",
        events: [
            EventDefinition(
                eventType: "trove.instance.create", fields: Self.statusFields + Self.resourceFields,
                description: "An instance was created."),
            EventDefinition(
                eventType: "trove.instance.delete",
                fields: Self.statusFields + Self.resourceFields + [
                    .required("deleted_at", "Time at which the deletion completed", .timestamp)
                ],
                description: "An instance was deleted."),
            EventDefinition(
                eventType: "trove.instance.modify_volume",
                fields: Self.statusFields + Self.resourceFields + [
                    .required("old_volume_size", "Previous size of the volume, in GB", .integer),
                    .required("modify_at", "Time at which the resize completed", .timestamp),
                ],
                description: "An instance's volume was resized."),
            EventDefinition(
                eventType: "trove.instance.modify_flavor",
                fields: Self.statusFields + Self.resourceFields + [
                    .required("old_instance_size", "Previous memory of the instance, in MB", .integer),
                    .required("modify_at", "Time at which the resize completed", .timestamp),
                ],
                description: "An instance got another flavor."),
            EventDefinition(
                eventType: "trove.instance.exists",
                fields: Self.existsStatusFields + [
                    .required("display_name", "Name of the instance"),
                    .required("audit_period_beginning", "Beginning of the reported period", .timestamp),
                    .required("audit_period_ending", "End of the reported period", .timestamp),
                    .optional("cluster_id", "Cluster that the instance belongs to"),
                    // Not in the specification: meters of size need them in the periodic event.
                    .optional("instance_size", "Memory of the instance, in MB", .integer),
                    .optional("volume_size", "Size of the volume, in GB", .integer),
                ],
                description: "An instance existed during a period; published periodically, for each instance."),
            EventDefinition(
                eventType: "dbaas.quotas", alternateEventType: "dbaas.quota",
                fields: [
                    .required("resource", "Name of the resource: instances, volumes or backups"),
                    .required("in_use", "Number in use", .integer),
                    .required("reserved", "Number reserved", .integer),
                    .required("limit", "Number allowed", .integer),
                    .required("updated", "Time at which the resource was last allocated", .timestamp, nullable: true),
                    // Not in the specification: without it, a consumer could not know whose quota it is.
                    .optional("tenant_id", "Tenant (project) that the quota is for"),
                ],
                description: "A tenant's quota of a resource, and its usage; published periodically."),
        ])

    private static let statusFields: [FieldDefinition] = [
        .required("tenant_id", "Tenant (project) that the instance belongs to"),
        .required("user_id", "User who invoked the action"),
        .required("instance_id", "Id of the instance"),
        .required("instance_name", "Name of the instance"),
        .required("instance_type", "Name of the instance's flavor"),
        .required("instance_type_id", "Id of the instance's flavor"),
        .required("nova_instance_id", "Id of the underlying compute instance", nullable: true),
        .required("service_id", "Notification service id of the datastore"),
        .required("state", "State of the instance"),
        .required("state_description", "Description of the state"),
        .required("created_at", "Time at which the instance was created", .timestamp),
        .required("launched_at", "Time at which the instance was launched or last resized", .timestamp),
        .required("region", "Region of the instance"),
        .optional("resource_id", "The instance's id again; Ceilometer takes it from instance_id"),
    ]

    /// The status fields of the periodic event. No user invokes it, and Trove's own database does not know an
    /// instance's user, so `user_id` may be null.
    private static let existsStatusFields: [FieldDefinition] = Self.statusFields.map { field in
        guard field.name == "user_id" else { return field }
        return .required("user_id", "User of the instance, if the control plane knows it", nullable: true)
    }

    private static let resourceFields: [FieldDefinition] = [
        .required("name", "Name of the instance"),
        .required("availability_zone", "Availability zone of the instance", nullable: true),
        .required("instance_size", "Memory of the instance, in MB", .integer),
        .optional("volume_size", "Size of the volume, in GB, where there are volumes", .integer),
        .optional("nova_volume_id", "Id of the volume, where there are volumes"),
        .optional("cluster_id", "Cluster that the instance belongs to"),
    ]
}
