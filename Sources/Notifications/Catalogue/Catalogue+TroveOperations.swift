// SPDX-License-Identifier: Apache-2.0

extension Catalogue {
    /// Trove's API events: the 29 operations of its ceilometer-integration specification (appendix 1.10), then the 9
    /// that only real Trove has.
    ///
    /// Fields, and whether they are required, are those of the specification; the fields that real Trove adds are
    /// optional. One rule is less strict: `instance_id` is optional in `instance_create.error`, as in real Trove, since
    /// a creation that fails before there is an instance must be reported too.
    public static let dbaas = Catalogue(
        service: "dbaas",
        description: "Trove's API operations (ceilometer-integration specification, appendix 1.10).",
        identifiers: [
            "instance_id", "cluster_id", "backup_id", "configuration_id", "dbname", "username", "database", "host",
        ],
        operations: Self.instanceOperations + Self.clusterOperations + Self.backupOperations
            + Self.databaseOperations + Self.userOperations + Self.configurationOperations + Self.troveOperations)

    private static let instanceAction = "POST v1/{tenant_id}/instances/{id}/action"
    private static let instancePatch = "PATCH v1/{tenant_id}/instances/{id}"
    private static let cluster = "POST v1/{tenant_id}/clusters/{id}"
    private static let users = "v1/{tenant_id}/instances/{instance}/users"
    private static let configuration = "v1/{tenant_id}/configurations/{id}"

    private static let instanceOperations: [OperationDefinition] = [
        .dbaas(
            "instance_create", trove: "DBaaSInstanceCreate",
            python: """
                instances.create(name, flavor_id, volume=None, databases=None, users=None, restorePoint=None, \
                availability_zone=None, datastore=None, datastore_version=None, nics=None, configuration=None, \
                replica_of=None, slave_of=None, replica_count=None)
                """,
            rest: "POST v1/{tenant_id}/instances/create",
            start: [
                .required("name", "Name of the new instance"),
                .required("flavor", "Flavor id of the instance", alternate: "flavor_id"),
                .required("datastore", "Datastore of the instance"),
                .required("datastore_version", "Version of the datastore"),
                .optional("databases", "Databases to create, separated by commas", .texts),
                .optional("users", "Users to create, separated by commas", .texts),
                .optional("volume_size", "Size of the volume to create, in GB", .integer),
                .optional("restore_point", "Backup to initialise the instance from"),
                .optional("availability_zone", "Availability zone of the instance"),
                .optional("replica_of", "Instance to replicate"),
                .optional("replica_count", "Number of replicas to create", .integer),
                .optional("image_id", "Image of the instance (real Trove)"),
                .optional("region_name", "Region of the instance (real Trove)"),
                .optional("cluster_id", "Cluster that the instance is for (real Trove)"),
                .optional("backup_id", "Backup to restore (real Trove)"),
                .optional("nics", "Networks to attach (real Trove)", .any),
            ],
            end: [.instanceID("Id of the created instance")]),
        .dbaas(
            "instance_restart", trove: "DBaaSInstanceRestart", python: "instances.restart(instance)",
            rest: Self.instanceAction, start: [.instanceID("Instance to restart")]),
        .dbaas(
            "instance_resize_volume", trove: "DBaaSInstanceResizeVolume",
            python: "instances.resize_volume(instance, volume_size)", rest: Self.instanceAction,
            start: [
                .instanceID("Instance whose volume is resized"),
                .required("new_size", "New size of the volume, in GB", .integer),
            ]),
        .dbaas(
            "instance_resize_instance", trove: "DBaaSInstanceResizeInstance",
            python: "instances.resize_instance(instance, flavor_id)", rest: Self.instanceAction,
            start: [
                .instanceID("Instance to resize"),
                .required("new_flavor_id", "New flavor of the instance"),
            ]),
        .dbaas(
            "instance_promote", trove: "DBaaSInstancePromote",
            python: "instances.promote_to_replica_source(instance)", rest: Self.instanceAction,
            start: [.instanceID("Replica to make the source")]),
        .dbaas(
            "instance_eject", trove: "DBaaSInstanceEject", python: "instances.eject_replica_source(instance)",
            rest: Self.instanceAction, start: [.instanceID("Replica source to eject")]),
        .dbaas(
            "instance_delete", trove: "DBaaSInstanceDelete", python: "instances.delete(instance)",
            rest: "DELETE v1/{tenant_id}/instances/{id}",
            start: [.instanceID("Instance to delete")]),
        .dbaas(
            "instance_detach", trove: "DBaaSInstanceDetach", python: "instances.edit(detach_replica_source=True)",
            rest: Self.instancePatch, start: [.instanceID("Replica to detach from its source")]),
        .dbaas(
            "instance_attach_configuration", trove: "DBaaSInstanceAttachConfiguration",
            python: "instances.modify(instance, configuration)", rest: Self.instancePatch,
            start: [
                .instanceID("Instance to attach the configuration to"),
                .required("configuration_id", "Configuration to attach"),
            ]),
        .dbaas(
            "instance_detach_configuration", trove: "DBaaSInstanceDetachConfiguration",
            python: "instances.edit(instance, configuration, remove_configuration=True)", rest: Self.instancePatch,
            start: [.instanceID("Instance to detach the configuration from")]),
    ]

    private static let clusterOperations: [OperationDefinition] = [
        .dbaas(
            "cluster_create", trove: "DBaaSClusterCreate",
            python: "clusters.create(name, datastore, datastore_version, instances=None)",
            rest: "POST v1/{tenant_id}/clusters",
            start: [
                .required("name", "Name of the new cluster"),
                .required("datastore", "Datastore of the cluster"),
                .required("datastore_version", "Version of the datastore"),
            ],
            end: [.required("cluster_id", "Id of the created cluster")]),
        .dbaas(
            "cluster_delete", trove: "DBaaSClusterDelete", python: "clusters.delete(cluster)",
            rest: "DELETE v1/{tenant_id}/clusters/{id}", start: [.required("cluster_id", "Cluster to delete")]),
        .dbaas(
            "cluster_add_shard", trove: "DBaaSClusterAddShard", python: "clusters.add_shard(cluster)",
            rest: Self.cluster, start: [.required("cluster_id", "Cluster to add a shard to")]),
        .dbaas(
            "cluster_grow", trove: "DBaaSClusterGrow", python: "clusters.grow(cluster, instances)",
            rest: Self.cluster, start: [.required("cluster_id", "Cluster to add instances to")]),
        .dbaas(
            "cluster_shrink", trove: "DBaaSClusterShrink", python: "clusters.shrink(cluster, instances)",
            rest: Self.cluster, start: [.required("cluster_id", "Cluster to remove instances from")]),
    ]

    private static let backupOperations: [OperationDefinition] = [
        .dbaas(
            "backup_create", trove: "DBaaSBackupCreate",
            python: "backups.create(name, instance=None, description=None, parent_id=None, backup=None)",
            rest: "POST v1/{tenant_id}/backups",
            start: [
                .required("name", "Name of the backup"),
                .instanceID("Instance to back up; null for a backup restored from elsewhere", nullable: true),
                .required("description", "Description of the backup", nullable: true),
                .required("parent_id", "Backup that this one is based on", nullable: true),
            ],
            end: [.required("backup_id", "Id of the created backup")]),
        .dbaas(
            "backup_delete", trove: "DBaaSBackupDelete", python: "backups.delete(backup_id)",
            rest: "DELETE v1/{tenant_id}/backups/{id}", start: [.required("backup_id", "Backup to delete")]),
    ]

    private static let databaseOperations: [OperationDefinition] = [
        .dbaas(
            "database_create", trove: "DBaaSDatabaseCreate", python: "databases.create(instance, databases)",
            rest: "POST v1/{tenant_id}/databases",
            start: [
                .instanceID("Instance to create the database on"),
                .required("dbname", "Database to create", .texts),
            ], oneForEach: "dbname"),
        .dbaas(
            "database_delete", trove: "DBaaSDatabaseDelete", python: "databases.delete(database_id)",
            rest: "DELETE v1/{tenant_id}/databases/{id}",
            start: [
                .instanceID("Instance to delete the database from"),
                .required("dbname", "Database to delete"),
            ]),
    ]

    private static let userOperations: [OperationDefinition] = [
        .dbaas(
            "user_create", trove: "DBaaSUserCreate", python: "users.create(instance, users)",
            rest: "POST \(Self.users)",
            start: [
                .instanceID("Instance to create the user on"),
                .required("username", "User to create", .texts),
            ], oneForEach: "username"),
        .dbaas(
            "user_delete", trove: "DBaaSUserDelete", python: "users.delete(instance, username, hostname)",
            rest: "DELETE \(Self.users)/{id}",
            start: [
                .instanceID("Instance to delete the user from"),
                .required("username", "User to delete"),
            ]),
        .dbaas(
            "user_update_attributes", trove: "DBaaSUserUpdateAttributes",
            python: "users.update_attributes(self, instance, username, newuserattr=None, hostname=None)",
            rest: "PUT \(Self.users)/{id}",
            start: [
                .instanceID("Instance that the user is on"),
                .required("username", "User whose attributes change"),
            ]),
        .dbaas(
            "user_grant", trove: "DBaaSUserGrant", python: "users.grant(instance, username, databases, hostname=None)",
            rest: "PUT \(Self.users)/{id}/databases",
            start: [
                .instanceID("Instance that the user is on"),
                .required("username", "User who gets access"),
                .required("database", "Database to grant access to", .texts),
            ], oneForEach: "database"),
        .dbaas(
            "user_revoke", trove: "DBaaSUserRevoke",
            python: "users.revoke(instance, username, database, hostname=None)",
            rest: "PUT \(Self.users)/{id}/databases/{database}",
            start: [
                .instanceID("Instance that the user is on"),
                .required("username", "User who loses access"),
                .required(
                    "database", "Database to revoke access to; real Trove names all databases of the user", .texts),
            ]),
        .dbaas(
            "user_change_password", trove: "DBaaSUserChangePassword",
            python: "users.change_password(instance, users)", rest: "PUT \(Self.users)",
            start: [
                .instanceID("Instance that the user is on"),
                .required("username", "User whose password changes", .texts),
            ], oneForEach: "username"),
    ]

    private static let configurationOperations: [OperationDefinition] = [
        .dbaas(
            "configuration_create", trove: "DBaaSConfigurationCreate",
            python: "configurations.create(name, values, description=None, datastore=None, datastore_version=None)",
            rest: "POST v1/{tenant_id}/configurations",
            start: [
                .required("name", "Name of the configuration"),
                .required("datastore", "Datastore of the configuration"),
                .required("datastore_version", "Version of the datastore"),
            ],
            end: [.required("configuration_id", "Id of the created configuration")]),
        .dbaas(
            "configuration_delete", trove: "DBaaSConfigurationDelete",
            python: "configurations.delete(configuration_id)", rest: "DELETE \(Self.configuration)",
            start: [.required("configuration_id", "Configuration to delete")]),
        .dbaas(
            "configuration_update", trove: "DBaaSConfigurationUpdate",
            python: "configurations.update(configuration_id, values, name=None, description=None)",
            rest: "PUT \(Self.configuration)",
            start: [
                .required("configuration_id", "Configuration to update"),
                .optional("name", "New name of the configuration"),
                .optional("description", "New description of the configuration"),
            ]),
        .dbaas(
            "configuration_edit", trove: "DBaaSConfigurationEdit",
            python: "configurations.edit(configuration_id, values)", rest: "PATCH \(Self.configuration)",
            start: [.required("configuration_id", "Configuration to edit")]),
    ]

    /// The operations of real Trove that the specification does not have (Trove 26, `trove.common.notification`).
    private static let troveOperations: [OperationDefinition] = [
        .dbaas(
            "instance_reboot", trove: "DBaaSInstanceReboot", python: "management.reboot(instance_id)",
            rest: "POST v1/{tenant_id}/mgmt/instances/{id}/action", note: Self.onlyTrove,
            start: [.instanceID("Instance to reboot")]),
        .dbaas(
            "instance_reset_status", trove: "DBaaSInstanceResetStatus", python: "instances.reset_status(instance)",
            rest: Self.instanceAction, note: Self.onlyTrove,
            start: [.instanceID("Instance whose status is reset")]),
        .dbaas(
            "cluster_restart", trove: "DBaaSClusterRestart", python: "clusters.restart(cluster)",
            rest: Self.cluster, note: Self.onlyTrove, start: [.required("cluster_id", "Cluster to restart")]),
        .dbaas(
            "cluster_upgrade", trove: "DBaaSClusterUpgrade", python: "clusters.upgrade(cluster, datastore_version)",
            rest: Self.cluster, note: Self.onlyTrove,
            start: [
                .required("cluster_id", "Cluster to upgrade"),
                .required("datastore_version", "New version of the datastore"),
            ]),
        .dbaas(
            "cluster_reset_status", trove: "DBaaSClusterResetStatus", python: "clusters.reset_status(cluster)",
            rest: Self.cluster, note: Self.onlyTrove,
            start: [.required("cluster_id", "Cluster whose status is reset")]),
        .dbaas(
            "cluster_attach_configuration", trove: "DBaaSClusterAttachConfiguration",
            rest: Self.cluster, note: Self.onlyTrove,
            start: [
                .required("cluster_id", "Cluster to attach the configuration to"),
                .required("configuration_id", "Configuration to attach"),
            ]),
        .dbaas(
            "cluster_detach_configuration", trove: "DBaaSClusterDetachConfiguration",
            rest: Self.cluster, note: Self.onlyTrove,
            start: [.required("cluster_id", "Cluster to detach the configuration from")]),
        .dbaas(
            "upgrade", trove: "DBaaSInstanceUpgrade", python: "instances.upgrade(instance, datastore_version)",
            rest: Self.instancePatch, note: Self.onlyTrove,
            start: [
                .instanceID("Instance to upgrade"),
                .required("datastore_version_id", "New version of the datastore"),
            ]),
        .dbaas(
            "migrate", trove: "DBaaSInstanceMigrate", python: "management.migrate(instance_id, host=None)",
            rest: "POST v1/{tenant_id}/mgmt/instances/{id}/action", note: Self.onlyTrove,
            start: [
                .required("host", "Host to move the instance to", nullable: true),
                .optional("instance_id", "Instance to move", role: .instance),
            ]),
    ]

    private static let onlyTrove = "Only real Trove has it, not the specification."
}

extension FieldDefinition {
    /// Returns the field for the instance that an operation is about; in a guest's report it is the guest's own
    /// instance. A field for another instance has another name (`replica_of`), and is in no event that a guest can
    /// cause.
    fileprivate static func instanceID(_ description: String, nullable isNullable: Bool = false) -> FieldDefinition {
        .required("instance_id", description, nullable: isNullable, role: .instance)
    }
}

extension OperationDefinition {
    /// Returns an operation of Trove with its three events. Every error event has `message`, `exception` and, when it
    /// is known, `instance_id`.
    fileprivate static func dbaas(
        _ key: String, trove troveClass: String, python pythonAPI: String = "", rest restAPI: String,
        note: String = "", start: [FieldDefinition], end: [FieldDefinition] = [], oneForEach: String? = nil
    ) -> OperationDefinition {
        let error: [FieldDefinition] = [
            .required("message", "The exception's text"),
            .required("exception", "The exception's trace, which ends in its type and text", .texts),
            .optional("instance_id", "Instance that the operation is about, if known", role: .instance),
        ]
        return OperationDefinition(
            key: key, pythonAPI: pythonAPI, restAPI: restAPI, note: note,
            start: EventDefinition(eventType: "dbaas.\(key).start", fields: start),
            end: EventDefinition(eventType: "dbaas.\(key).end", fields: end),
            error: EventDefinition(eventType: "dbaas.\(key).error", priority: .error, fields: error),
            oneForEach: oneForEach, troveClass: troveClass)
    }
}
