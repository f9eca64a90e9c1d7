/// A JSON object that keeps its members in order.
///
/// Look-ups walk the members: the objects of a notification are small, and the parser bounds what arrives. Names are
/// compared byte by byte.
public struct JSONObject: Sendable, Hashable {
    /// One name and its value.
    public struct Member: Sendable, Hashable {
        /// The member's name.
        public var name: String
        /// The member's value.
        public var value: JSONValue
    }

    /// The members, in order, each name once.
    public private(set) var members: [Member]

    /// An object without members.
    public init() { self.members = [] }

    /// An object of these members; of two with one name the later value stands, in the earlier place.
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
        // A span, which lends the members where a search of the array would copy each.
        let members = self.members.span
        let count = name.utf8.count
        for index in members.indices {
            // Most names differ in their lengths already.
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

    /// Makes room for this many members.
    package mutating func reserveCapacity(_ count: Int) { self.members.reserveCapacity(count) }
}

extension JSONObject: ExpressibleByDictionaryLiteral {
    /// An object of these members; of two with one name the later value stands.
    public init(dictionaryLiteral elements: (String, JSONValue)...) { self.init(elements) }
}
