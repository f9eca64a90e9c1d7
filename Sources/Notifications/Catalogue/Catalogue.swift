/// The events of one service: operations, each with a start, an end and an error event, and events of their own.
///
/// Closed on purpose: a guest names an operation, and what is not in a catalogue is refused, where real Trove imports
/// whatever class the guest names.
public struct Catalogue: Sendable, Hashable {
    /// The service: the first part of its operations' event types, such as `dbaas`.
    public let service: String
    /// What the service is and which document says so; one sentence.
    public let description: String
    /// The fields that every event of an operation has.
    public let baseFields: [FieldDefinition]
    /// The start fields that say what an operation was about. They ride along in its end and error events, so that each
    /// can be understood alone.
    public let identifiers: [String]
    /// The operations, in the documents' order. Only these can be reported by a guest.
    public let operations: [OperationDefinition]
    /// Events that stand alone, in the documents' order. A control plane publishes them, a guest cannot.
    public let events: [EventDefinition]

    /// A catalogue of these operations and events.
    public init(
        service: String, description: String, baseFields: [FieldDefinition] = Catalogue.defaultBaseFields,
        identifiers: [String] = [], operations: [OperationDefinition] = [], events: [EventDefinition] = []
    ) {
        self.service = service
        self.description = description
        self.baseFields = baseFields
        self.identifiers = identifiers
        self.operations = operations
        self.events = events
    }

    /// Every event: the operations' in their order, then those that stand alone.
    public var allEvents: [EventDefinition] { self.operations.flatMap(\.events) + self.events }

    /// What a context may call one of its operations: the key with the service in front, and of Trove's the key alone.
    package func names(of operation: OperationDefinition) -> [String] {
        let name = "\(self.service).\(operation.key)"
        return self.service == Catalogue.dbaas.service ? [name, operation.key] : [name]
    }

    /// Those of an operation's start fields that ride along in its outcomes.
    func identifiers(of operation: OperationDefinition) -> [FieldDefinition] {
        operation.start?.fields.filter { self.identifiers.contains($0.name) } ?? []
    }

    /// What is known of every request, and so told in every event of an operation.
    public static let defaultBaseFields: [FieldDefinition] = [
        .required("tenant_id", "Tenant (project) on whose behalf the operation runs", role: .tenant),
        .optional("user_id", "User who asked for it"),
        .required("client_ip", "Address of the client that called the API; null where it is not known", nullable: true),
        .required("server_ip", "Address of the service that publishes"),
        .required("server_type", "Kind of the service that publishes: api, task or conductor"),
        .required("request_id", "Identifier that ties start, end and error together"),
    ]
}
