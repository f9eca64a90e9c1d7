/// The closed list of operations whose outcome may be reported.
///
/// Closed on purpose: a guest names an operation, and what is not in the table is refused, where real Trove imports
/// whatever class the guest names.
public struct Catalogue: Sendable {
    /// The first part of every event type, such as `dbaas`.
    public let service: String
    /// The operations, in the documents' order.
    public let operations: [OperationDefinition]
    private let byKey: [String: OperationDefinition]
    private let longestKey: Int

    /// Start fields that say what an operation was about. They ride along in its end and error events, so that each
    /// can be understood alone.
    package static let identifiers: Set<String> = [
        "instance_id", "cluster_id", "backup_id", "configuration_id", "dbname", "username", "database",
    ]

    /// A catalogue of these operations; of two with one key the later one stands.
    package init(service: String, operations: [OperationDefinition]) {
        self.service = service
        self.operations = operations
        self.byKey = Dictionary(operations.map { ($0.key, $0) }, uniquingKeysWith: { $1 })
        self.longestKey = operations.map(\.key.utf8.count).max() ?? 0
    }

    /// The operation with this key.
    public subscript(key: String) -> OperationDefinition? {
        // Hashing a guest's text can cost far more than its length says (``Swift/String/hasSameBytes(as:)``).
        guard key.utf8.count <= self.longestKey else { return nil }
        return self.byKey[key]
    }

    /// The event type of one phase of an operation, such as `dbaas.database_create.end`.
    public func eventType(_ operation: OperationDefinition, _ phase: OperationPhase) -> String {
        "\(self.service).\(operation.key).\(phase.rawValue)"
    }
}
