// SPDX-License-Identifier: Apache-2.0

/// An error about a field of a message or a context that is missing or invalid.
public struct FieldError: Error, Sendable, Hashable, CustomStringConvertible {
    /// The path of the field from the outermost object, such as `context.tenant_id`.
    public let field: String
    /// The problem, as the rest of a sentence: "is missing", "must be a string, not a number".
    package let problem: String
    /// The errors of other fields of the same object, as far as these were checked.
    package private(set) var others: [FieldError] = []
    /// The maximum number of bytes of the listed sentences; the rest is counted.
    private static let mostListed = 3000

    /// Creates an error about one field.
    ///
    /// - Parameters:
    ///   - field: the path of the field.
    ///   - problem: the problem, as the rest of a sentence.
    package init(field: String, problem: String) {
        self.field = field
        self.problem = problem
    }

    /// Combines the errors into one, in their order; nil when there is none.
    package init?(_ errors: [FieldError]) {
        guard let first = errors.first else { return nil }
        self = first
        self.others += errors.dropFirst().flatMap(\.all)
    }

    /// This error and the others, each as an error of one field.
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
                return sentences + ["\(count) more field\(count == 1 ? " is" : "s are") invalid"]
            }
            sentences.append(sentence)
        }
        return sentences
    }

    /// Returns the same errors for an object at this path.
    package func within(_ path: String) -> FieldError {
        var error = FieldError(field: Self.join(path, self.field), problem: self.problem)
        error.others = self.others.map { $0.within(path) }
        return error
    }

    /// Returns the path of a member of the object at this path.
    package static func join(_ path: String, _ name: String) -> String { path.isEmpty ? name : "\(path).\(name)" }

    /// One sentence that names the field, or each of the fields.
    public var description: String {
        self.others.isEmpty ? "\(self.field) \(self.problem)" : self.sentences.joined(separator: "; ")
    }
}

/// A reader of a JSON object's members by name and type, which names the field in the errors that it throws.
package struct JSONFields {
    /// The object that is read.
    package let object: JSONObject
    /// The object's path in the message; empty for the outermost one.
    package let path: String

    /// Creates a reader.
    ///
    /// - Parameters:
    ///   - object: the object to read.
    ///   - path: the object's path in the message; empty for the outermost one.
    package init(_ object: JSONObject, path: String = "") {
        self.object = object
        self.path = path
    }

    /// Returns the path of a member, for the caller's own errors.
    package func path(of name: String) -> String { FieldError.join(self.path, name) }

    /// Returns the member, or nil where it is missing or null: a peer that fills every key sends null for "none".
    package func value(_ name: String) -> JSONValue? {
        guard let value = self.object[name], !value.isNull else { return nil }
        return value
    }

    /// Returns a string that may be missing.
    package func optionalString(_ name: String) throws(FieldError) -> String? {
        guard let value = self.value(name) else { return nil }
        guard case .string(let string) = value else { throw self.mismatch(name, "a string", value) }
        return string
    }

    /// Returns a string that must be present and not empty.
    package func string(_ name: String) throws(FieldError) -> String {
        guard let string = try self.optionalString(name) else { throw self.error(name, "is missing") }
        guard !string.isEmpty else { throw self.error(name, "must not be empty") }
        return string
    }

    /// Returns a string that must be present and may be null; null is returned as an empty string.
    package func nullableString(_ name: String) throws(FieldError) -> String {
        guard self.object[name] != nil else { throw self.error(name, "is missing") }
        return try self.optionalString(name) ?? ""
    }

    /// Returns an object that may be missing.
    package func optionalObject(_ name: String) throws(FieldError) -> JSONObject? {
        guard let value = self.value(name) else { return nil }
        guard case .object(let object) = value else { throw self.mismatch(name, "an object", value) }
        return object
    }

    /// Returns an object that must be present.
    package func object(_ name: String) throws(FieldError) -> JSONObject {
        guard let object = try self.optionalObject(name) else { throw self.error(name, "is missing") }
        return object
    }

    /// Returns an error about a member of this object.
    package func error(_ name: String, _ problem: String) -> FieldError {
        FieldError(field: self.path(of: name), problem: problem)
    }

    /// Returns an error about a member of the wrong type.
    package func mismatch(_ name: String, _ expected: String, _ value: JSONValue) -> FieldError {
        self.error(name, "must be \(expected), not \(value.kind)")
    }
}
