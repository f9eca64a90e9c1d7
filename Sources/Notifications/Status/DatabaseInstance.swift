/// What a control plane knows of a database instance: what Trove's status notifications are made of.
public struct DatabaseInstance: Sendable, Hashable {
    /// The size of the machine beneath.
    public struct Flavor: Sendable, Hashable {
        /// A flavor's id, which is a number in some clouds and text in others; it is published as it is given.
        public enum ID: Sendable, Hashable, ExpressibleByIntegerLiteral, ExpressibleByStringLiteral {
            /// A number.
            case number(Int)
            /// Text.
            case text(String)

            /// A number.
            public init(integerLiteral value: Int) { self = .number(value) }
            /// Text.
            public init(stringLiteral value: String) { self = .text(value) }
        }

        /// Its id.
        public var id: ID
        /// Its name.
        public var name: String
        /// Its memory in MB. Only the periodic event can be made without it.
        public var memory: Int?

        /// A flavor of these values.
        public init(id: ID, name: String, memory: Int? = nil) {
            self.id = id
            self.name = name
            self.memory = memory
        }
    }

    /// The volume that the databases are on.
    public struct Volume: Sendable, Hashable {
        /// Its size in GB.
        public var size: Int
        /// Its id, where it is known.
        public var id: String?

        /// A volume of these values.
        public init(size: Int, id: String? = nil) {
            self.size = size
            self.id = id
        }
    }

    /// What `service_id` is found by.
    public enum Datastore: Sendable, Hashable {
        /// The datastore's manager, such as `mysql`, which ``ServiceIDs`` has the id of.
        case manager(String)
        /// The service id itself.
        case serviceID(String)
    }

    /// Its id.
    public var id: String
    /// Its name.
    public var name: String
    /// The tenant (project) that it belongs to.
    public var tenantID: String
    /// The user who invoked the action. Only the periodic event can be made without it.
    public var userID: String?
    /// The size of the machine beneath.
    public var flavor: Flavor
    /// Its volume; nil where there are none.
    public var volume: Volume?
    /// The compute instance beneath; nil as long as there is none.
    public var novaInstanceID: String?
    /// Its state, such as `ACTIVE`. The periodic event has it in lower case, as Trove does.
    public var state: String
    /// The description of its state; the state itself unless something is said.
    public var stateDescription: String
    /// When it was created.
    public var createdAt: NotificationTimestamp
    /// When it was launched; when it was created unless something is said. A resize is told with its own time instead.
    public var launchedAt: NotificationTimestamp
    /// The region that it is in.
    public var region: String
    /// The availability zone that it is in, where that is known.
    public var availabilityZone: String?
    /// The cluster that it belongs to, if it does.
    public var clusterID: String?
    /// What `service_id` is found by.
    public var datastore: Datastore
    /// What `resource_id` says: the instance's id, which the specification wants once more. With nil the field is left
    /// out, as in Trove's older messages.
    public var resourceID: String?

    /// An instance of these values; what has a default can be set afterwards too.
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
