// SPDX-License-Identifier: Apache-2.0

/// The events of one service: operations, each with a start, an end and an error event, and events without an
/// operation.
///
/// A catalogue is closed on purpose: a guest names an operation, and an operation that is in no catalogue is rejected.
/// Real Trove, in contrast, imports any class that the guest names.
public struct Catalogue: Sendable, Hashable {
    /// The service: the first part of its operations' event types, such as `dbaas`.
    package let service: String
    /// One sentence about the service and the document that describes it.
    package let description: String
    /// The fields that every event of an operation has.
    package let baseFields: [FieldDefinition]
    /// The names of the start fields that identify the subject of an operation. The end and error events contain them
    /// too, so that each event can be understood alone.
    package let identifiers: [String]
    /// The operations, in the documents' order. A guest can report only these.
    package let operations: [OperationDefinition]
    /// The events without an operation, in the documents' order. A control plane publishes them; a guest cannot.
    package let events: [EventDefinition]

    /// Creates a catalogue of these operations and events. Every event of an operation also has the fields that are
    /// known for every request, such as `tenant_id` and `request_id`.
    ///
    /// - Parameters:
    ///   - service: the first part of the operations' event types, such as `dbaas`.
    ///   - description: one sentence about the service and the document that describes it.
    ///   - identifiers: the names of the start fields that identify the subject of an operation. The end and error
    ///     events contain them too.
    ///   - operations: the operations, which guests can report.
    ///   - events: the events without an operation, which only the control plane publishes.
    public init(
        service: String, description: String, identifiers: [String] = [], operations: [OperationDefinition] = [],
        events: [EventDefinition] = []
    ) {
        self.init(
            service: service, description: description, baseFields: Self.defaultBaseFields, identifiers: identifiers,
            operations: operations, events: events)
    }

    /// Creates a catalogue whose operations' events have these base fields.
    package init(
        service: String, description: String, baseFields: [FieldDefinition], identifiers: [String] = [],
        operations: [OperationDefinition] = [], events: [EventDefinition] = []
    ) {
        self.service = service
        self.description = description
        self.baseFields = baseFields
        self.identifiers = identifiers
        self.operations = operations
        self.events = events
    }

    /// All events: those of the operations in their order, then those without an operation.
    package var allEvents: [EventDefinition] { self.operations.flatMap(\.events) + self.events }

    /// Returns the names by which a context may refer to an operation: the key with the service in front, and for
    /// Trove's operations also the key alone.
    package func names(of operation: OperationDefinition) -> [String] {
        let name = "\(self.service).\(operation.key)"
        return self.service == Catalogue.dbaas.service ? [name, operation.key] : [name]
    }

    /// Returns an operation's start fields that its end and error events contain too.
    package func identifiers(of operation: OperationDefinition) -> [FieldDefinition] {
        operation.start?.fields.filter { self.identifiers.contains($0.name) } ?? []
    }

    /// The fields that are known for every request, and so are in every event of an operation.
    package static let defaultBaseFields: [FieldDefinition] = [
        .required("tenant_id", "Tenant (project) on whose behalf the operation runs", role: .tenant),
        .optional("user_id", "User who requested the operation"),
        .required("client_ip", "Address of the client that called the API; null if unknown", nullable: true),
        .required("server_ip", "Address of the service that publishes"),
        .required("server_type", "Kind of the service that publishes: api, task or conductor"),
        .required("request_id", "Identifier that ties start, end and error together"),
    ]
}
