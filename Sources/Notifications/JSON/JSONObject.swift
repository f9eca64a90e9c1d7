// SPDX-License-Identifier: Apache-2.0

/// A JSON object that keeps its members in order.
///
/// Lookups search the members in order: the objects of a notification are small, and the parser limits what arrives.
/// Names are compared byte by byte.
public struct JSONObject: Sendable, Hashable {
    /// One name and its value.
    package struct Member: Sendable, Hashable {
        /// The member's name.
        package var name: String
        /// The member's value.
        package var value: JSONValue
    }

    /// The members, in order, each name once.
    package private(set) var members: [Member]

    /// The names and values of the members, in order.
    public var elements: [(String, JSONValue)] { self.members.map { ($0.name, $0.value) } }

    /// Creates an object without members.
    public init() { self.members = [] }

    /// Creates an object with these members. When two have the same name, the later value replaces the earlier one in
    /// the earlier place.
    public init(_ members: some Sequence<(String, JSONValue)>) {
        self.init()
        for (name, value) in members { self[name] = value }
    }

    /// - Parameter members: members whose names are known to differ.
    init(unique members: [Member]) { self.members = members }

    /// The value of the member with this name. Setting it to nil removes the member; setting a new one appends it.
    public subscript(name: String) -> JSONValue? {
        get { self.index(of: name).map { self.members[$0].value } }
        set {
            let index = self.index(of: name)
            switch (index, newValue) {
            case (let index?, let value?): self.members[index].value = value
            case (let index?, nil): self.members.remove(at: index)
            case (nil, let value?): self.members.append(Member(name: name, value: value))
            case (nil, nil): break
            }
        }
    }

    func index(of name: String) -> Int? {
        // A span borrows the members; a search of the array would copy each of them.
        let members = self.members.span
        let count = name.utf8.count
        for index in members.indices {
            // Most names already differ in length.
            if members[index].name.utf8.count == count, members[index].name.hasSameBytes(as: name) { return index }
        }
        return nil
    }

    /// Whether there are no members.
    public var isEmpty: Bool { self.members.isEmpty }

    /// Appends a member without looking for one of the same name.
    package mutating func append(_ name: String, _ value: JSONValue) {
        self.members.append(Member(name: name, value: value))
    }

    /// Reserves capacity for this many members.
    package mutating func reserveCapacity(_ count: Int) { self.members.reserveCapacity(count) }
}

extension JSONObject: ExpressibleByDictionaryLiteral {
    /// Creates an object with these members. When two have the same name, the later value is used.
    public init(dictionaryLiteral elements: (String, JSONValue)...) { self.init(elements) }
}
