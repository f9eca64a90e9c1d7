extension Catalogue {
    /// Trove's API events (ceilometer-integration spec, appendix 1.10): the operations that guests end.
    public static let dbaas = Catalogue(
        service: "dbaas",
        operations: [
            OperationDefinition(
                "instance_create", restAPI: "POST v1/{tenant_id}/instances/create",
                start: [
                    .required("name", .string, "Name of the new instance"),
                    .required("flavor", .string, "Flavor id of the instance"),
                    .required("datastore", .string, "Datastore of the instance"),
                    .required("datastore_version", .string, "Version of the datastore"),
                    .optional("databases", .string, "Databases to create, separated by commas"),
                    .optional("users", .string, "Users to create, separated by commas"),
                    .optional("volume_size", .integer, "Size of the volume to create"),
                    .optional("restore_point", .string, "Backup to initialise the instance from"),
                    .optional("availability_zone", .string, "Availability zone of the instance"),
                    .optional("replica_of", .string, "Master instance to replicate"),
                    .optional("replica_count", .integer, "Number of replicas to create"),
                ],
                end: [.required("instance_id", .string, "Id of the created instance")],
                error: [.optional("instance_id", .string, "Id of the instance")]),
            OperationDefinition(
                "instance_restart", restAPI: "POST v1/{tenant_id}/instances/{id}/action",
                start: [.required("instance_id", .string, "Id of the instance to restart")]),
            OperationDefinition(
                "backup_create", restAPI: "POST v1/{tenant_id}/backups",
                start: [
                    .required("name", .string, "Name of the backup"),
                    .required("instance_id", .string, "Id of the instance to back up"),
                    .required("description", .string, "Description of the backup"),
                    .required("parent_id", .string, "Id of the backup that this one builds on"),
                ],
                end: [.required("backup_id", .string, "Id of the created backup")]),
            OperationDefinition(
                "database_create", restAPI: "POST v1/{tenant_id}/databases",
                start: [
                    .required("instance_id", .string, "Id of the instance that the database is created on"),
                    .required("dbname", .string, "Name of the database"),
                ]),
            OperationDefinition(
                "database_delete", restAPI: "DELETE v1/{tenant_id}/databases/{id}",
                start: [
                    .required("instance_id", .string, "Id of the instance that the database is deleted from"),
                    .required("dbname", .string, "Name of the database"),
                ]),
            OperationDefinition(
                "user_create", restAPI: "POST v1/{tenant_id}/instances/{instance}/users", start: Self.user),
            OperationDefinition(
                "user_delete", restAPI: "DELETE v1/{tenant_id}/instances/{instance}/users/{id}", start: Self.user),
            OperationDefinition(
                "user_update_attributes", restAPI: "PUT v1/{tenant_id}/instances/{instance}/users/{id}",
                start: Self.user),
            OperationDefinition(
                "user_change_password", restAPI: "PUT v1/{tenant_id}/instances/{instance}/users", start: Self.user),
        ])

    private static let user: [FieldDefinition] = [
        .required("instance_id", .string, "Id of the instance that the user belongs to"),
        .required("username", .string, "Name of the user"),
    ]
}
