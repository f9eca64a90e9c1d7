// SPDX-License-Identifier: Apache-2.0

package import Notifications

/// The catalogues as text: for people, for the manual, for programs.
package struct CatalogueDocument: Sendable {
    let catalogues: Catalogues
    private let topic: String

    /// Creates a document.
    ///
    /// - Parameters:
    ///   - catalogues: the catalogues to describe.
    ///   - topic: the beginning of the queues' names.
    package init(_ catalogues: Catalogues, topic: String) {
        self.catalogues = catalogues
        self.topic = topic
    }

    /// Returns every event on a line of its own: event type, queue, and `on` or `off`.
    package func list() -> String {
        let events = self.catalogues.catalogues.flatMap(\.allEvents)
        let rows = events.map { ($0.eventType, self.queue(of: $0), self.isPublished($0) ? "on" : "off") }
        let widths = (rows.map(\.0.count).max() ?? 0, rows.map(\.1.count).max() ?? 0)
        return rows.map { row in
            "\(Self.padded(row.0, widths.0))  \(Self.padded(row.1, widths.1))  \(row.2)\n"
        }.joined()
    }

    /// Returns the queue that an event goes to.
    func queue(of event: EventDefinition) -> String { event.priority.queue(topic: self.topic) }

    /// Returns whether an event is published, and not switched off.
    func isPublished(_ event: EventDefinition) -> Bool {
        self.catalogues.event(event.eventType)?.isPublished ?? event.isOnByDefault
    }

    static func padded(_ text: String, _ width: Int) -> String {
        text + String(repeating: " ", count: width - text.count)
    }
}
