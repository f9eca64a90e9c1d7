// SPDX-License-Identifier: Apache-2.0

import Notifications

/// A table of the datastore managers and their `service_id`s: Trove's `notification_service_id`.
public struct ServiceIDs: Sendable, Hashable {
    /// The service id of a manager that is not in the table: Trove's `UNKNOWN_SERVICE_ID`.
    public static let unknown = "unknown-service-id-error"

    /// Trove's own table (its option's default). The id of vertica is not a UUID in Trove either.
    public static let trove = ServiceIDs([
        "mysql": "2f3ff068-2bfb-4f70-9a9d-a6bb65bc084b",
        "percona": "fd1723f5-68d2-409c-994f-a4a197892a17",
        "pxc": "75a628c3-f81b-4ffb-b10a-4087c26bc854",
        "redis": "b216ffc5-1947-456c-a4cf-70f94c05f7d0",
        "cassandra": "459a230d-4e97-4344-9067-2a54a310b0ed",
        "couchbase": "fa62fe68-74d9-4779-a24e-36f19602c415",
        "mongodb": "c8c907af-7375-456f-b929-b637ff9209ee",
        "postgresql": "ac277e0d-4f21-40aa-b347-1ea31e571720",
        "couchdb": "f0a9ab7b-66f7-4352-93d7-071521d44c7c",
        "vertica": "a8d805ae-a3b2-c4fd-gb23-b62cee5201ae",
        "db2": "e040cd37-263d-4869-aaa6-c62aa97523b5",
        "mariadb": "7a4f82cc-10d2-4bc6-aadc-d9aacc2a3cb5",
    ])

    private var table: [ByteString: String]

    /// Creates a table of these managers and their ids.
    public init(_ table: [String: String]) {
        self.table = Dictionary(table.map { (ByteString($0.key), $0.value) }) { first, _ in first }
    }

    /// Returns the table with the other table's entries, which replace those of the same managers.
    public func overridden(by others: ServiceIDs) -> ServiceIDs {
        var result = self
        result.table.merge(others.table) { _, new in new }
        return result
    }

    /// Returns whether the table has this datastore manager.
    public func contains(manager: String) -> Bool { self.table[ByteString(manager)] != nil }

    /// Returns the service id of a datastore manager; ``unknown`` for one that is not in the table, as Trove does.
    public func serviceID(ofManager manager: String) -> String { self.table[ByteString(manager)] ?? Self.unknown }
}
