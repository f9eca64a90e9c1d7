// SPDX-License-Identifier: Apache-2.0

public import Notifications

/// A control plane's description of a database instance, from which Trove's status notifications are made.
public struct DatabaseInstance: Sendable, Hashable {
    /// The size of the underlying compute instance.
    public struct Flavor: Sendable, Hashable {
        /// A flavor's id, which is a number in some clouds and text in others; it is published as it is given.
        public enum ID: Sendable, Hashable, ExpressibleByIntegerLiteral, ExpressibleByStringLiteral {
            /// A number.
            case number(Int)
            /// Text.
            case text(String)

            /// Creates an id that is a number.
            public init(integerLiteral value: Int) { self = .number(value) }
            /// Creates an id that is text.
            public init(stringLiteral value: String) { self = .text(value) }
        }

        /// The flavor's id.
        public var id: ID
        /// The flavor's name.
        public var name: String
        /// The memory in MB. Only the periodic event can be made without it.
        public var memory: Int?

        /// Creates a flavor with these values.
        public init(id: ID, name: String, memory: Int? = nil) {
            self.id = id
            self.name = name
            self.memory = memory
        }
    }

    /// The volume that the databases are on.
    public struct Volume: Sendable, Hashable {
        /// The size in GB.
        public var size: Int
        /// The volume's id, where it is known.
        public var id: String?

        /// Creates a volume with these values.
        public init(size: Int, id: String? = nil) {
            self.size = size
            self.id = id
        }
    }

    /// The datastore of an instance, from which `service_id` follows.
    public enum Datastore: Sendable, Hashable {
        /// The datastore's manager, such as `mysql`, whose id is in ``ServiceIDs``.
        case manager(String)
        /// The service id itself.
        case serviceID(String)
    }

    /// The instance's id.
    public var id: String
    /// The instance's name.
    public var name: String
    /// The tenant (project) that the instance belongs to.
    public var tenantID: String
    /// The user who invoked the action. Only the periodic event can be made without it.
    public var userID: String?
    /// The size of the underlying compute instance.
    public var flavor: Flavor
    /// The instance's volume; nil where there are no volumes.
    public var volume: Volume?
    /// The id of the underlying compute instance; nil as long as there is none.
    public var novaInstanceID: String?
    /// The state, such as `ACTIVE`. The periodic event has it in lower case, as in Trove.
    public var state: String
    /// The description of the state; by default the state itself.
    public var stateDescription: String
    /// The time at which the instance was created.
    public var createdAt: NotificationTimestamp
    /// The time at which the instance was launched; by default the time of its creation. The event of a resize has the
    /// time of the resize instead.
    public var launchedAt: NotificationTimestamp
    /// The region of the instance.
    public var region: String
    /// The availability zone of the instance, where it is known.
    public var availabilityZone: String?
    /// The cluster that the instance belongs to, if any.
    public var clusterID: String?
    /// The datastore, from which `service_id` follows.
    public var datastore: Datastore
    /// The value of `resource_id`: the instance's id, which the specification requires a second time. With nil the
    /// field is left out, as in Trove's older messages.
    public var resourceID: String?

    /// Creates an instance with these values. Values with a default can be set afterwards too.
    public init(
        id: String, name: String, tenantID: String, userID: String?, flavor: Flavor, volume: Volume? = nil,
        novaInstanceID: String?, state: String, stateDescription: String? = nil, createdAt: NotificationTimestamp,
        launchedAt: NotificationTimestamp? = nil, region: String, availabilityZone: String? = nil,
        clusterID: String? = nil, datastore: Datastore
    ) {
        self.id = id
        self.name = name
        self.tenantID = tenantID
        self.userID = userID
        self.flavor = flavor
        self.volume = volume
        self.novaInstanceID = novaInstanceID
        self.state = state
        self.stateDescription = stateDescription ?? state
        self.createdAt = createdAt
        self.launchedAt = launchedAt ?? createdAt
        self.region = region
        self.availabilityZone = availabilityZone
        self.clusterID = clusterID
        self.datastore = datastore
        self.resourceID = id
    }
}
