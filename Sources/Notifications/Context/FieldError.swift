/// A field of a message or a context that is missing or not what it should be.
public struct FieldError: Error, Sendable, Hashable, CustomStringConvertible {
    /// The path of the field from the outermost object, such as `context.tenant_id`.
    public let field: String
    /// What is wrong with it, as the rest of a sentence: "is missing", "must be a string, not a number".
    public let problem: String
    /// The other fields of the same object that are wrong too, as far as they were looked at.
    public private(set) var others: [FieldError] = []
    /// No more bytes of problems are listed; the rest is counted.
    private static let mostListed = 3000

    /// - Parameters:
    ///   - field: the path of the field.
    ///   - problem: what is wrong with it, as the rest of a sentence.
    public init(field: String, problem: String) {
        self.field = field
        self.problem = problem
    }

    /// All of the errors in one, the first of them first; nil when there is none.
    package init?(_ errors: [FieldError]) {
        guard let first = errors.first else { return nil }
        self = first
        self.others += errors.dropFirst().flatMap(\.all)
    }

    /// This one and the others, each by itself.
    package var all: [FieldError] { [FieldError(field: self.field, problem: self.problem)] + self.others }

    /// One sentence, without its full stop, for each field that is wrong.
    package var sentences: [String] {
        var sentences: [String] = []
        var bytes = 0
        let all = self.all
        for error in all {
            let sentence = "\(error.field) \(error.problem)"
            bytes += sentence.utf8.count
            guard bytes <= Self.mostListed || sentences.isEmpty else {
                let count = all.count - sentences.count
                return sentences + ["\(count) more field\(count == 1 ? " is" : "s are") wrong"]
            }
            sentences.append(sentence)
        }
        return sentences
    }

    /// The same errors, of fields of an object that stands at this path.
    package func within(_ path: String) -> FieldError {
        var error = FieldError(field: Self.join(path, self.field), problem: self.problem)
        error.others = self.others.map { $0.within(path) }
        return error
    }

    /// The path of a member of the object at this path.
    package static func join(_ path: String, _ name: String) -> String { path.isEmpty ? name : "\(path).\(name)" }

    /// One sentence that names the field, or each of the fields.
    public var description: String {
        self.others.isEmpty ? "\(self.field) \(self.problem)" : self.sentences.joined(separator: "; ")
    }
}

/// Reads the members of a JSON object by name and type, and names the field in what it throws.
package struct JSONFields {
    /// The object that is read.
    package let object: JSONObject
    /// Its own place in the message, empty for the outermost.
    package let path: String

    /// - Parameters:
    ///   - object: the object to read.
    ///   - path: its own place in the message, empty for the outermost.
    package init(_ object: JSONObject, path: String = "") {
        self.object = object
        self.path = path
    }

    /// The path of a member, for an error of the caller's own.
    package func path(of name: String) -> String { FieldError.join(self.path, name) }

    /// The member, or nil where it is missing or null: a peer that fills every key sends null for "none".
    package func value(_ name: String) -> JSONValue? {
        guard let value = self.object[name], !value.isNull else { return nil }
        return value
    }

    /// A string that may be missing.
    package func optionalString(_ name: String) throws(FieldError) -> String? {
        guard let value = self.value(name) else { return nil }
        guard case .string(let string) = value else { throw self.mismatch(name, "a string", value) }
        return string
    }

    /// A string that must be there and not empty.
    package func string(_ name: String) throws(FieldError) -> String {
        guard let string = try self.optionalString(name) else { throw self.error(name, "is missing") }
        guard !string.isEmpty else { throw self.error(name, "must not be empty") }
        return string
    }

    /// A string that must be there and may be null, which reads as an empty one.
    package func nullableString(_ name: String) throws(FieldError) -> String {
        guard self.object[name] != nil else { throw self.error(name, "is missing") }
        return try self.optionalString(name) ?? ""
    }

    /// An object that may be missing.
    package func optionalObject(_ name: String) throws(FieldError) -> JSONObject? {
        guard let value = self.value(name) else { return nil }
        guard case .object(let object) = value else { throw self.mismatch(name, "an object", value) }
        return object
    }

    /// An object that must be there.
    package func object(_ name: String) throws(FieldError) -> JSONObject {
        guard let object = try self.optionalObject(name) else { throw self.error(name, "is missing") }
        return object
    }

    /// An error about a member of this object.
    package func error(_ name: String, _ problem: String) -> FieldError {
        FieldError(field: self.path(of: name), problem: problem)
    }

    /// An error about a member of another type than it should be.
    package func mismatch(_ name: String, _ expected: String, _ value: JSONValue) -> FieldError {
        self.error(name, "must be \(expected), not \(value.kind)")
    }
}
